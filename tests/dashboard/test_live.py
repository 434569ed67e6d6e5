"""What open pages are told: once a second at the most, and nothing of others."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.dashboard.live import Wanted, Watcher
from mta.model.event import Authenticated, DeliveredTo, Event, Received
from mta.model.event_campaign import CampaignChanged
from mta.tracking.pages import About
from mta.tracking.subscriber import Interest, Telling

ID = "0an4wqwzg0000"


class WatcherTests(SynchronousTestCase):
    """One open page."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.written: list[bytes] = []
        self.number = 0

    def watcher(self, everything: bool = True, **wanted: Any) -> Watcher:
        return Watcher(
            Interest("acme"),
            self.written.append,
            lambda: None,
            everything=everything,
            later=self.clock.callLater,
            wanted=Wanted(lines=True, **wanted),
        )

    def happen(self, watcher: Watcher, event: Event, about: About | None = None) -> None:
        self.number += 1
        watcher.show(Telling(0, self.number, event, about), self.clock.seconds())
        watcher.flush(self.clock.seconds())

    def told(self) -> list[Any]:
        lines = [line for octets in self.written for line in octets.decode().splitlines()]
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    def delivered(self, to: str = "x@y.example") -> DeliveredTo:
        return DeliveredTo(at=1000.0, message=ID, recipient=to)

    def test_once_a_second(self) -> None:
        """The first at once, what follows together, however much it is."""
        watcher = self.watcher()
        for number in range(500):
            self.happen(watcher, self.delivered(f"u{number}@y.example"))
        self.assertEqual([{"delivered": 1}], [one["counts"] for one in self.told()])
        self.clock.advance(1.0)
        second = self.told()[1]
        self.assertEqual({"delivered": 499}, second["counts"])
        self.assertEqual((60, 439), (len(second["lines"]), second["passed"]))
        self.assertIn("u499@", second["lines"][-1]["words"])
        self.clock.advance(60.0)
        self.assertEqual(2, len(self.written))

    def test_tenant(self) -> None:
        """Nothing of others, and nothing of the server."""
        watcher = self.watcher(everything=False)
        self.happen(watcher, Authenticated(at=1000.0, account="anna@example.org"))
        self.happen(watcher, self.delivered(), About("other", "", "", ()))
        self.happen(watcher, self.delivered("mine@y.example"), About("acme", "", "", ()))
        self.clock.advance(5.0)
        (only,) = self.told()
        self.assertEqual(1, sum(only["counts"].values()))
        self.assertIn("mine@", only["lines"][0]["words"])

    def test_tenants_own_affairs(self) -> None:
        """That a campaign of a tenant goes on is counted for its pages; a line of the log is not theirs."""
        watcher = self.watcher(everything=False)
        self.happen(watcher, CampaignChanged(at=1000.0, action="started", tenant="acme", campaign="c"))
        self.happen(watcher, CampaignChanged(at=1000.0, action="started", tenant="other", campaign="c"))
        self.clock.advance(5.0)
        (only,) = self.told()
        self.assertEqual(({CampaignChanged.kind: 1}, []), (only["counts"], only["lines"]))

    def test_kind(self) -> None:
        """A page of one kind gets lines of it alone; what else happens is counted."""
        watcher = self.watcher(kind="received")
        self.happen(watcher, self.delivered())
        self.happen(watcher, Received(at=1000.0, message=ID, sender="a@b.example"))
        self.clock.advance(5.0)
        lines = [line["kind"] for one in self.told() for line in one["lines"]]
        self.assertEqual(["received"], lines)

    def test_slow(self) -> None:
        """Who does not read is told everything at once, when they do; nothing piles up."""
        watcher = self.watcher()
        watcher.pauseProducing()
        for _ in range(1000):
            self.happen(watcher, self.delivered())
            self.clock.advance(0.01)
        self.assertEqual([], self.written)
        watcher.resumeProducing()
        self.happen(watcher, self.delivered())
        self.clock.advance(2.0)
        self.assertEqual(1001, sum(one["counts"]["delivered"] for one in self.told()))
        self.assertLess(sum(map(len, self.written)), 50_000)

    def test_end(self) -> None:
        """After the end nothing is written, and no timer is left."""
        watcher = self.watcher()
        self.happen(watcher, self.delivered())
        self.happen(watcher, self.delivered())
        watcher.end()
        self.clock.advance(5.0)
        self.assertEqual(1, len(self.written))
        self.assertEqual([], self.clock.getDelayedCalls())
