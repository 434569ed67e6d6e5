"""What subscribers of live events see."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from mta.model.event import Completed, DeliveredTo, Event, Received, Rejected, Server
from mta.tracking import subscriber as module
from mta.tracking.pages import About
from mta.tracking.position import places_of
from mta.tracking.subscriber import MOST_WAITING, Interest, Subscriber, Telling

MESSAGE = "0CA1F3QZK8W2R"
ABOUT = About("shop", "b1", "spring", ("news", "vip"))


def delivered(message: str = "m1", **facts: Any) -> Event:
    return DeliveredTo(at=1.0, message=message, recipient="a@x.example", code=250, **facts)


def read(octets: bytes) -> list[dict[str, str]]:
    """Blocks of server-sent events, by the names of their fields."""
    return [
        dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        for block in octets.decode().split("\n\n")
        if block
    ]


class TellingTests(SynchronousTestCase):
    """The same event for many."""

    def show(self, telling: Telling, *tenants: str) -> list[bytes]:
        written: list[bytes] = []
        for tenant in tenants:
            one = Subscriber(Interest(tenant), written.append, lambda: None, {0: 6, 1: 3})
            one.show(telling, 1.0)
            one.flush(1.0)
        return written

    def test_encoded_once(self) -> None:
        calls: list[Any] = []
        real = module.told

        def counted(*arguments: Any) -> Any:
            calls.append(arguments)
            return real(*arguments)

        telling = Telling(0, 7, Completed(at=1.0, message=MESSAGE), About("shop", "b", "", ("t",)))
        with patch.object(module, "told", counted):
            written = self.show(telling, "shop", "shop", "shop")
        self.assertEqual(1, len(calls))
        self.assertEqual(3, len(written))
        self.assertEqual(written[0], written[2])
        self.assertTrue(written[0].startswith(b"id: 0.7-1.3\nevent: completed\ndata: {"), written[0])
        self.assertIn(b'"batch":"b","tags":["t"]', written[0])

    def test_for_nobody(self) -> None:
        about = About("shop", "", "", ())
        with patch.object(module, "told") as told:
            self.assertEqual([], self.show(Telling(0, 7, Completed(at=1.0, message=MESSAGE), about), "other"))
            self.assertEqual([], self.show(Telling(0, 8, Server(at=1.0, what="x"), about), "shop"))
        told.assert_not_called()


class InterestTests(SynchronousTestCase):
    def test_what_is_asked_for(self) -> None:
        for asked, wanted in (
            ({}, True),
            ({"messages": {"m1"}}, True),
            ({"messages": {"m2"}}, False),
            ({"batches": {"b1", "b2"}}, True),
            ({"batches": {"b2"}}, False),
            ({"tags": {"other", "vip"}}, True),
            ({"tags": {"other"}}, False),
            ({"campaigns": {"spring"}}, True),
            ({"campaigns": {"autumn"}}, False),
            ({"types": {"delivered"}}, True),
            ({"types": {"failed"}}, False),
            ({"types": {"delivered"}, "tags": {"news"}, "batches": {"b2"}}, False),
        ):
            interest = Interest("shop", **{name: frozenset(values) for name, values in asked.items()})
            self.assertEqual(wanted, interest.fits(delivered(), ABOUT), asked)

    def test_another_tenant(self) -> None:
        """Whatever is asked for, it is never another's."""
        interest = Interest("other", messages=frozenset({"m1"}), tags=frozenset({"news"}))
        self.assertFalse(interest.fits(delivered(), ABOUT))


class SubscriberTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.written: list[bytes] = []
        self.cuts: list[bool] = []
        self.one = Subscriber(Interest("shop"), self.written.append, lambda: self.cuts.append(True))
        self.one.places = {0: 4, 1: 7}
        self.one.begin(1.0)

    def blocks(self) -> list[dict[str, str]]:
        return read(b"".join(self.written))[1:]

    def show(self, number: int, event: Event | None = None, about: About | None = ABOUT) -> None:
        self.one.show(Telling(0, number, event or delivered(), about), 2.0)
        self.one.flush(2.0)

    def test_beginning(self) -> None:
        """A client that loses the connection before anything happens knows where to go on."""
        self.assertEqual([{"retry": "1000", "id": "0.4-1.7"}], read(self.written[0]))

    def test_shown(self) -> None:
        self.show(5)
        [block] = self.blocks()
        self.assertEqual(("0.5-1.7", "delivered"), (block["id"], block["event"]))
        facts = json.loads(block["data"])
        self.assertEqual(
            ("0.5", "m1", "a@x.example", "b1", ["news", "vip"]),
            tuple(facts[name] for name in ("id", "message", "recipient", "batch", "tags")),
        )

    def test_not_for_it(self) -> None:
        """What is not shown is passed over: the next id is behind it."""
        self.show(5, about=About("other"))
        self.show(6, about=None)
        self.show(7, Rejected(at=1.0, message="m1", stage="data", code=550, reply="no"))
        self.assertEqual([], self.blocks())
        self.show(8)
        self.assertEqual(["0.8-1.7"], [block["id"] for block in self.blocks()])

    def test_line_ends(self) -> None:
        """A reply cannot write fields of the stream."""
        self.show(5, delivered(reply="ok\n\nid: 0.99\ndata: {}\r\rx"))
        self.assertEqual([{"id", "event", "data"}], [set(block) for block in self.blocks()])
        self.assertNotIn(b"\r", b"".join(self.written))

    def test_together(self) -> None:
        """Each write costs; many events are few writes, and nothing waits for ever."""
        for number in range(5, 125):
            self.one.show(Telling(0, number, delivered(), ABOUT), 2.0)
        self.assertEqual(1 + 2, len(self.written))
        self.one.flush(2.0)
        self.assertEqual(
            [f"0.{number}-1.7" for number in range(5, 125)], [one["id"] for one in self.blocks()]
        )

    def test_passed(self) -> None:
        """A heartbeat says how far was looked at; it does not go back."""
        self.one.passed(1, 9)
        self.one.passed(1, 8)
        self.one.beat(3.0)
        self.assertEqual({"id": "0.4-1.9"}, self.blocks()[-1])

    def test_gap(self) -> None:
        self.one.gap(1, 3.0)
        [block] = self.blocks()
        self.assertEqual("gap", block["event"])
        self.assertEqual(1, json.loads(block["data"])["shard"])

    def test_paused(self) -> None:
        """A client that does not read is written nothing, and then everything in order."""
        self.one.pauseProducing()
        resumed = self.one.writable()
        assert resumed is not None
        self.show(5)
        self.show(6)
        self.one.beat(3.0)
        self.assertEqual([], self.blocks())
        self.assertNoResult(resumed)
        self.one.resumeProducing()
        self.successResultOf(resumed)
        self.assertEqual(["0.5-1.7", "0.6-1.7"], [block["id"] for block in self.blocks()])
        self.assertIsNone(self.one.writable())

    def test_too_slow(self) -> None:
        """What waits in memory has a bound; the rest is read again from where it was left, none missing."""
        self.one.pauseProducing()
        changed = self.one.changed()
        number = 4
        while not self.one.behind:
            self.assertNoResult(changed)
            number += 1
            self.assertLess(number, 1000)
            self.show(number, delivered(reply="x" * 10_000))
        self.successResultOf(changed)
        self.one.resumeProducing()
        blocks = self.blocks()
        self.assertLessEqual(sum(len(block["data"]) for block in blocks), MOST_WAITING)
        self.assertEqual([f"0.{one}-1.7" for one in range(5, number)], [block["id"] for block in blocks])
        self.assertEqual(places_of(blocks[-1]["id"]), self.one.places)
        # Nothing may be shown to it meanwhile, or something would be missing before it.
        self.show(number + 1)
        self.one.passed(0, number + 1)
        self.assertEqual(places_of(blocks[-1]["id"]), self.one.places)
        self.assertEqual(len(blocks), len(self.blocks()))

    def test_over(self) -> None:
        self.one.pauseProducing()
        resumed, changed = self.one.writable(), self.one.changed()
        assert resumed is not None
        self.one.stopProducing()
        self.successResultOf(resumed)
        self.successResultOf(changed)
        self.show(5)
        self.one.beat(3.0)
        self.one.resumeProducing()
        self.assertEqual([], self.blocks())
        self.assertIsNone(self.one.writable())
        self.successResultOf(self.one.changed())

    def test_received(self) -> None:
        """Names and times are those of the documents."""
        self.show(5, Received(at=0.0, message="m1", tagged=["news"], scheduled=60.0, tenant="shop"))
        details = json.loads(self.blocks()[0]["data"])["details"]
        self.assertEqual(["news"], details["tags"])
        self.assertEqual("1970-01-01T00:01:00.000Z", details["scheduled"])
