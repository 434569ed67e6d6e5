"""A campaign that pauses by itself, on a simulated clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.alert.letter import text
from mta.alert.rule import Rule
from mta.campaign.definition import Bound, Definition, Guard
from mta.campaign.guarding import Excess, Tally, excess
from mta.config.alert_settings import Alert
from mta.journal.text import event_line
from mta.model.event_campaign import CampaignChanged
from tests.campaign.base import DEFINITION, NOW, Person, World

SLOW = replace(DEFINITION, throttle=600, unit="hour")


class ExcessTests(SynchronousTestCase):
    def test_bounced(self) -> None:
        self.assertIsNone(excess(Guard(), Tally(1000, 50, 0)))
        self.assertEqual(Excess("bounced", 60, 1060, 0.05), excess(Guard(), Tally(1000, 60, 0)))

    def test_few_prove_nothing(self) -> None:
        self.assertIsNone(excess(Guard(), Tally(10, 19, 4)))
        self.assertIsNotNone(excess(Guard(), Tally(10, 20, 0)))

    def test_complained(self) -> None:
        self.assertEqual(Excess("complained", 5, 1000, 0.003), excess(Guard(), Tally(1000, 900, 5)))
        self.assertEqual(Excess("complained", 5, 5, 0.003), excess(Guard(), Tally(0, 0, 5)))

    def test_not_looked_at(self) -> None:
        self.assertIsNone(excess(Guard(None, None), Tally(1, 1000, 1000)))
        self.assertIsNotNone(excess(Guard(Bound(0.5, 1), None), Tally(1, 2, 1000)))


class GuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), [Person(number) for number in range(1, 1001)])
        self.addCleanup(self.world.database.close)

    def start(self, definition: Definition = SLOW, workers: int = 1) -> None:
        self.world.add(definition)
        for shard in range(workers):
            self.world.runner(shard, workers)
        self.world.act("start")
        self.world.run(30)

    def came(self, delivered: int, bounced: int = 0, complained: int = 0) -> None:
        # Two variants: what they have together counts.
        self.world.counts = [{"delivered": delivered, "bounced": bounced}, {"complained": complained}]
        self.world.run(30)

    def test_paused(self) -> None:
        self.start(workers=2)
        self.came(100, 3)
        self.assertEqual("running", self.world.get().state)
        self.came(100, 30)
        found = self.world.get()
        self.assertEqual(("paused", True, "its guard"), (found.state, found.hold, found.who))
        self.assertIn("30 of 130 bounced (23.08%; more than 5.00% is too much)", found.reason)
        self.assertIn("then resume or stop it", found.reason)
        self.assertEqual(["halted"], self.world.said())
        count = len(self.world.there)
        self.world.run(600, 5)
        self.assertEqual(count, len(self.world.there))
        # Each worker is told to hold what is in its queue.
        self.assertEqual({0, 1}, {shard for state, hold, shard in self.world.applied if state == "paused"})

    def test_resumed_by_a_person(self) -> None:
        """It does not pause again for what it has paused for, but for what comes."""
        self.start()
        self.came(100, 30)
        self.world.act("resume")
        self.came(100, 30)
        self.assertEqual("running", self.world.get().state)
        self.came(110, 49)
        self.assertEqual("running", self.world.get().state)
        self.came(110, 50)
        self.assertEqual("paused", self.world.get().state)
        self.assertIn("20 of 30 bounced", self.world.get().reason)
        self.world.act("resume")
        self.world.counts = [{"delivered": 1000, "bounced": 50}]
        self.world.run(7200, 5)
        self.assertEqual("done", self.world.get().state)
        self.assertEqual([one.id for one in self.world.people], self.world.once())

    def test_another_worker(self) -> None:
        """What was counted when it was resumed is known to a worker that starts then."""
        self.start()
        self.came(100, 30)
        self.world.act("resume")
        self.world.run(30)
        self.world.runner()
        self.world.run(60)
        self.assertEqual("running", self.world.get().state)

    def test_pause_of_a_person(self) -> None:
        """Who pauses and resumes it has not said that what has come does not count."""
        self.start()
        self.came(100, 19)
        self.world.act("pause")
        self.world.act("resume")
        self.came(100, 20)
        self.assertEqual("paused", self.world.get().state)

    def test_complaints(self) -> None:
        self.start(replace(SLOW, guard=Guard(hold=False)))
        self.came(1000, 0, 5)
        self.assertEqual(("paused", False), (self.world.get().state, self.world.get().hold))
        self.assertIn("5 of 1000 complained", self.world.get().reason)

    def test_none(self) -> None:
        self.start(replace(SLOW, guard=None))
        self.came(0, 1000, 1000)
        self.assertEqual("running", self.world.get().state)


class ToldTests(SynchronousTestCase):
    def test_alert(self) -> None:
        """A rule tells a person, with cause and remedy; a pause that a person asked for raises nothing."""
        rule = Rule(Alert(name="campaigns", event="campaign", rule="halted", to=["postmaster@example.org"]))
        event = CampaignChanged(
            at=NOW, action="halted", tenant="shop", campaign="spring", by="its guard", reason="many bounced"
        )
        self.assertFalse(rule.saw(replace(event, action="pause")))
        self.assertIsNone(rule.judge(NOW, {}))
        self.assertTrue(rule.saw(event))
        change = rule.judge(NOW, {})
        assert change is not None
        self.assertEqual("raised", change.action)
        letter = text(rule, "raised", "mail.example.org", NOW)
        self.assertIn("mta campaign resume NAME", letter)
        self.assertIn("it has paused by itself by its guard: many bounced", letter)
        self.assertIn("campaign spring of tenant shop", event_line(event))
