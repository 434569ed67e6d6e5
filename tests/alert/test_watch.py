"""The shell of alerts: what it reads, whom it tells, and what it notes; on a clock."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.alert.facts import facts
from mta.alert.rule import Rule
from mta.alert.watch import LOOK, AlertWatch, Untold
from mta.config.settings import Alert
from mta.journal.reader import JournalError, Record
from mta.model.event import Event, Rejected
from mta.model.event_security import Alerted
from tests.alert.test_rule import NOW, failure

GUESSES = Alert(name="guesses", event="authentication-failed", count=2, to=["ops@example.org", "postmaster"])
FULL = Alert(name="full", disk="5%", to="postmaster")


class Journals:
    """Two shards; ours, and that of another worker."""

    def __init__(self) -> None:
        self.paths = (Path("0"), Path("1"))
        self.before: list[Event] = []
        self.other: list[Event] = []
        self.trouble = False

    def recent(self, *, since: float, kinds: Iterable[str], limit: int) -> list[Record]:
        if self.trouble:
            raise JournalError("it is gone")
        found = [event for event in self.before if event.kind in kinds and event.at >= since]
        return [Record(event, 0, 0) for event in reversed(found)][:limit]

    def ends(self) -> tuple[int, ...]:
        return (0, len(self.other))[: len(self.paths)]

    def following(self, shard: int, kinds: list[str], after: int) -> tuple[list[Record], int]:
        found = [event for event in self.other[after:] if event.kind in kinds]
        return [Record(event, shard, 0) for event in found], len(self.other)


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = NOW
        self.journals = Journals()
        self.facts: dict[str, float] = {"disk": 50.0, "disk_size": 100.0}
        self.noted: list[Any] = []
        self.told: list[tuple[str, str]] = []
        self.refusal = ""

    def watch(self, *settings: Alert) -> AlertWatch:
        made = AlertWatch(
            self.clock,
            settings,
            journals=lambda: self.journals,  # type: ignore[arg-type, return-value]
            facts=lambda: self.facts,
            note=self.noted.extend,
            tell=self.tell,
            run_in_thread=lambda work, *arguments: succeed(work(*arguments)),
        )
        self.successResultOf(Deferred.fromCoroutine(made.start()))
        return made

    async def tell(self, to: str, rule: Rule, action: str) -> None:
        if self.refusal:
            raise Untold(self.refusal)
        self.told.append((to, action))

    def actions(self) -> list[str]:
        found = [event.action for event in self.noted]
        self.noted.clear()
        return found

    def test_own_events(self) -> None:
        watch = self.watch(GUESSES)
        watch.events([failure(NOW), failure(NOW)])
        self.clock.advance(LOOK)
        self.assertEqual(["raised"], self.actions())
        self.assertEqual([("ops@example.org", "raised"), ("postmaster", "raised")], self.told)
        self.clock.pump([LOOK] * 50)
        self.assertEqual(["recovered"], self.actions())
        self.assertEqual(4, len(self.told))

    def test_other_workers(self) -> None:
        self.journals.other = [failure(NOW - 1), failure(NOW - 1)]
        self.watch(GUESSES)
        self.clock.advance(LOOK)
        self.assertEqual([], self.actions())
        self.journals.other += [failure(NOW), failure(NOW)]
        self.clock.advance(LOOK)
        self.assertEqual(["raised"], self.actions())

    def test_worker_that_begins_later(self) -> None:
        """What it wrote before the first look at it counts."""
        self.journals.paths = (Path("0"),)
        self.watch(GUESSES)
        self.journals.paths = (Path("0"), Path("1"))
        self.journals.other += [failure(NOW), failure(NOW)]
        self.clock.advance(LOOK)
        self.assertEqual(["raised"], self.actions())

    def test_another_kind(self) -> None:
        """A rule that a reload brings counts from then on."""
        watch = self.watch(GUESSES)
        self.journals.other += [Rejected(at=NOW, stage="mail", code=550, reply="x", rule="relay")]
        self.clock.advance(LOOK)
        watch.use([GUESSES, Alert(name="relay", event="rejected", to="postmaster")])
        self.clock.advance(LOOK)
        self.assertEqual([], self.actions())
        self.journals.other += [Rejected(at=NOW, stage="mail", code=550, reply="x", rule="relay")]
        self.clock.advance(LOOK)
        self.assertEqual(["raised"], self.actions())

    def test_before_the_start(self) -> None:
        self.journals.before = [failure(NOW - 60), failure(NOW - 60)]
        self.watch(GUESSES)
        self.clock.advance(LOOK)
        self.assertEqual(["raised"], self.actions())

    def test_told_before_the_start(self) -> None:
        self.journals.before = [
            failure(NOW - 60),
            failure(NOW - 60),
            Alerted(at=NOW - 50, rule="guesses", action="raised", to=["postmaster"]),
            Alerted(at=NOW - 50, rule="another", action="raised", to=["postmaster"]),
        ]
        self.watch(GUESSES)
        self.clock.advance(LOOK)
        self.assertEqual(([], []), (self.actions(), self.told))

    def test_journal_is_gone(self) -> None:
        self.journals.trouble = True
        watch = self.watch(GUESSES)
        watch.events([failure(NOW), failure(NOW)])
        self.clock.advance(LOOK)
        self.assertEqual(["raised"], self.actions())

    def test_values(self) -> None:
        self.watch(FULL)
        self.facts["disk"] = 4.0
        self.clock.advance(LOOK)
        self.assertEqual(["raised"], self.actions())
        self.facts["disk"] = 40.0
        self.clock.advance(LOOK)
        self.assertEqual(["recovered"], self.actions())

    def test_cannot_be_told(self) -> None:
        watch = self.watch(FULL)
        self.refusal = "it is away"
        self.facts["disk"] = 1.0
        self.clock.advance(LOOK)
        self.assertEqual(["raised", "untold"], [event.action for event in self.noted])
        self.assertEqual(("it is away", ["postmaster"]), (self.noted[1].reason, self.noted[1].to))
        self.assertTrue(watch.status()[0]["raised"])

    def test_trouble_is_no_end(self) -> None:
        """A look that fails is followed by another."""
        self.watch(FULL)
        self.facts["disk"] = 1.0
        del self.facts["disk_size"]
        self.clock.advance(LOOK)
        facts, self.facts = self.facts, None  # type: ignore[assignment]
        self.clock.advance(LOOK)
        self.assertEqual(1, len(self.flushLoggedErrors(TypeError)))
        self.facts = {**facts, "disk_size": 100.0}
        self.clock.advance(LOOK)
        self.assertEqual(["raised"], self.actions())

    def test_reload(self) -> None:
        watch = self.watch()
        watch.use([FULL])
        self.facts["disk"] = 1.0
        self.clock.advance(LOOK)
        watch.use([FULL, GUESSES])
        self.clock.advance(LOOK)
        self.assertEqual(["raised"], self.actions())
        watch.use([])
        self.assertEqual([], watch.status())

    def test_try_out(self) -> None:
        watch = self.watch(GUESSES)
        answer = self.successResultOf(Deferred.fromCoroutine(watch.test("guesses")))
        self.assertEqual(["ops@example.org", "postmaster"], [one["to"] for one in answer or ()])
        self.assertEqual([("ops@example.org", "tested"), ("postmaster", "tested")], self.told)
        self.assertEqual(["tested"], self.actions())
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(watch.test("other"))))
        self.assertFalse(watch.status()[0]["raised"])

    def test_stops(self) -> None:
        watch = self.watch(FULL)
        self.successResultOf(Deferred.fromCoroutine(watch.stop()))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_no_secret_in_the_journal(self) -> None:
        """A URL may hold one."""
        hook = Alert(name="h", disk="5%", to="https://hooks.example.org/T0/secret", secret="key")
        watch = self.watch(hook)
        self.facts["disk"] = 1.0
        self.clock.advance(LOOK)
        self.assertEqual(["https://hooks.example.org"], self.noted[0].to)
        self.assertNotIn("secret", str(watch.status()))


class FactsTests(SynchronousTestCase):
    def test_all(self) -> None:
        found = facts(Path("/"), NOW, NOW + 5, lambda: [(3, NOW - 10), (0, 0.0), (4, NOW - 20)])
        self.assertEqual((5.0, 7.0, 20.0), (found["certificate"], found["queue_size"], found["queue_age"]))
        self.assertTrue(0 < found["disk"] <= found["disk_size"])

    def test_none(self) -> None:
        found = facts(Path("/nowhere/at/all"), NOW, NOW, list)
        self.assertNotIn("disk", found)
        self.assertEqual((0.0, 0.0), (found["queue_size"], found["queue_age"]))
