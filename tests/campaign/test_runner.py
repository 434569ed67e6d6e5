"""Campaigns on a simulated clock: states, pace, workers that die, tests of variants."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.campaign.campaigns import SPLIT, Exists, NoCampaign
from mta.campaign.dispatch import counts
from mta.campaign.runner import LATE
from mta.campaign.schema import TAKEN, WAITING
from mta.campaign.states import NotNow
from mta.campaign.statistics import Trial
from mta.interfaces import TemporarilyUnavailable
from mta.registry.database import finished
from tests.campaign.base import DEFINITION, NOW, TWO, Crash, Person, World, tested


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), [Person(number) for number in range(1, 1001)])

    def tearDown(self) -> None:
        self.world.database.close()

    def everybody(self) -> None:
        self.assertEqual([one.id for one in self.world.people], self.world.once())


class StoreTests(_Case):
    def test_kept(self) -> None:
        definition = replace(
            tested(), headers={"X-A": "b"}, reply_to=(("a@example.org", "A"),), tags=("x",), throttle=5
        )
        self.world.add(definition)
        self.assertEqual(definition, self.world.get().definition)

    def test_draft(self) -> None:
        """A draft is changed and removed; what was started is not, and its name stays taken."""
        campaigns = self.world.campaigns
        self.world.add()
        self.assertRaises(Exists, self.world.add)
        finished(campaigns.change("shop", "spring", replace(DEFINITION, title="T"), NOW, "bob"))
        self.assertEqual(("T", "bob"), (self.world.get().definition.title, self.world.get().who))
        finished(campaigns.remove("shop", "spring"))
        self.world.add()
        self.world.act("start")
        for work in (
            campaigns.change("shop", "spring", DEFINITION, NOW, ""),
            campaigns.remove("shop", "spring"),
        ):
            self.assertRaises(NotNow, finished, work)
        self.assertRaises(NoCampaign, finished, campaigns.get("other", "spring"))

    def test_pages(self) -> None:
        for number in range(5):
            self.world.add(name=f"c{number}")
        first = finished(self.world.campaigns.page("shop", 0, 3))
        self.assertEqual(["c4", "c3", "c2"], [one.name for one in first])
        rest = finished(self.world.campaigns.page("shop", first[-1].id, 3))
        self.assertEqual(["c1", "c0"], [one.name for one in rest])
        self.assertEqual([], finished(self.world.campaigns.page("other")))


class RunTests(_Case):
    def test_everybody_once(self) -> None:
        self.world.add()
        self.world.runner()
        self.world.act("start")
        self.world.run(5)
        self.everybody()
        self.assertEqual("done", self.world.get().state)
        self.assertEqual(["finish"], self.world.said())
        self.assertEqual(1000, self.world.get().total)

    def test_nobody(self) -> None:
        self.world.people.clear()
        self.world.add()
        self.world.runner()
        self.world.act("start")
        self.world.run(20)
        found = self.world.get()
        self.assertEqual(("done", "nobody is in the audience"), (found.state, found.reason))

    def test_scheduled(self) -> None:
        self.world.add()
        self.world.runner()
        self.world.act("schedule", begins=NOW + 100)
        self.world.run(98)
        self.assertEqual({}, self.world.there)
        self.world.run(10)
        self.everybody()
        self.assertEqual(["start", "finish"], self.world.said())

    def test_too_late(self) -> None:
        """A server that comes back days later, or a copy of it, does not send what was to be sent then."""
        self.world.add()
        self.world.act("schedule", begins=NOW + 100)
        self.world.clock.advance(LATE + 200)
        self.world.runner()
        self.world.run(10)
        self.assertEqual({}, self.world.there)
        self.assertEqual("draft", self.world.get().state)
        self.assertIn("more than a day ago", self.world.get().reason)

    def test_throttle_of_two_workers(self) -> None:
        self.world.add(replace(DEFINITION, throttle=600, unit="hour"))
        for shard in range(2):
            self.world.runner(shard, 2)
        self.world.act("start")
        self.world.run(3600, 4)
        count = len(self.world.there)
        self.assertTrue(590 <= count <= 600, count)
        self.world.run(3600, 4)
        self.everybody()

    def test_spread(self) -> None:
        self.world.add(replace(DEFINITION, spread=7200.0))
        self.world.runner()
        self.world.act("start")
        self.world.run(3600, 4)
        self.assertTrue(490 <= len(self.world.there) <= 510, len(self.world.there))
        self.world.run(3650, 4)
        self.everybody()
        self.assertEqual("done", self.world.get().state)

    def test_time_zones(self) -> None:
        zones = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "")
        self.world.people = [Person(number, zones[number % 4]) for number in range(1, 101)]
        local = datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%dT23:30")
        self.world.add(replace(DEFINITION, local=local))
        self.world.runner()
        self.world.act("start")
        self.world.run(86400 * 2, 30)
        self.everybody()
        hours = Counter(datetime.fromtimestamp(at, UTC).strftime("%H:%M") for at in self.world.times)
        self.assertEqual({"14:30", "22:30", "23:30", "04:30"}, set(hours))

    def test_pause_in_a_piece(self) -> None:
        """Nothing is handed over any more once it is paused, and a resumption sends nobody a second one."""
        self.world.add()
        runner = self.world.runner()

        def pause() -> None:
            if len(self.world.there) == 250:
                self.world.act("pause", hold=True)
                runner.wake()

        self.world.on_message = pause
        self.world.act("start")
        self.world.run(100)
        self.assertEqual(250, len(self.world.there))
        self.assertIn(("paused", True, 0), self.world.applied)
        self.world.act("resume")
        self.world.run(60)
        self.assertIn(("running", True, 0), self.world.applied)
        self.everybody()

    def test_stop(self) -> None:
        self.world.add(replace(DEFINITION, throttle=60, unit="minute"))
        self.world.runner()
        self.world.act("start")
        self.world.run(30)
        self.world.act("stop", reason="wrong price")
        before = len(self.world.there)
        self.world.run(100)
        self.assertEqual(before, len(self.world.there))
        self.assertIn(("stopped", False, 0), self.world.applied)
        self.assertRaises(NotNow, self.world.act, "resume")

    def test_paused_at_the_end(self) -> None:
        self.world.add()
        self.world.runner()
        self.world.on_message = lambda: len(self.world.there) == 1000 and self.world.act("pause")
        self.world.act("start")
        self.world.run(20)
        self.assertEqual("paused", self.world.get().state)
        self.world.act("resume")
        self.world.run(40)
        self.assertEqual("done", self.world.get().state)

    def test_put_off(self) -> None:
        """Whom the queue could not take is tried again, and counts for the throttle once."""
        self.world.left = {7, 8, 9}
        self.world.add()
        self.world.runner()
        self.world.act("start")
        self.world.run(5)
        self.assertEqual("running", self.world.get().state)
        self.world.left.clear()
        self.world.run(120)
        self.everybody()
        self.assertEqual("done", self.world.get().state)

    def test_allowance(self) -> None:
        """A tenant's limits hold for campaigns, too."""
        self.world.allowed = 300
        self.world.add()
        self.world.runner()
        self.world.act("start")
        self.world.run(10)
        self.assertEqual(300, len(self.world.there))
        self.world.allowed = 10_000
        self.world.run(10)
        self.everybody()
        self.assertEqual(10_000 - 700, self.world.allowed)

    def test_given_up_shard(self) -> None:
        """A worker that only empties an old queue claims nothing."""
        self.world.add()
        self.world.runner(3, 2)
        self.world.act("start")
        self.world.run(10)
        self.assertEqual({}, self.world.there)


class CrashTests(_Case):
    def die(self, shard: int = 0, workers: int = 1) -> None:
        """A worker that runs until it dies."""
        runner = self.world.runner(shard, workers)
        try:
            Deferred.fromCoroutine(runner.look())
            Deferred.fromCoroutine(runner.look())
        except Crash:
            pass
        runner._stopping = True
        if runner._later is not None and runner._later.active():
            runner._later.cancel()

    def test_dies_again_and_again(self) -> None:
        """Killed at any message, by one of two workers: everybody gets one, nobody two."""
        draw = Random(11)
        self.world.add()
        self.world.act("start")
        for number in range(60):
            self.world.dies = draw.randrange(0, 60)
            self.die(number % 2, 2)
            self.world.clock.advance(draw.uniform(-5, 100))
        self.world.dies = -1
        for shard in range(2):
            self.world.runner(shard, 2)
        self.world.run(60)
        self.everybody()
        self.assertEqual("done", self.world.get().state)
        self.assertTrue(len(self.flushLoggedErrors(Crash)) > 20)

    def test_fewer_workers(self) -> None:
        """What the worker of a shard that is given up has left is settled by the first."""
        self.world.add()
        self.world.act("start")
        self.world.dies = 30
        self.die(2, 3)
        self.assertEqual(30, len(self.world.there))
        self.flushLoggedErrors(Crash)
        self.world.dies = -1
        self.world.runner(0, 2)
        self.world.run(10)
        self.everybody()

    def test_put_off_amid_a_piece(self) -> None:
        """A database that is down for a moment: the journal tells who has it already."""
        self.world.add()
        self.world.runner()
        self.world.dies, self.world.how = 50, TemporarilyUnavailable("the disk is full")
        self.world.act("start")
        self.world.run(5)
        self.assertEqual(50, len(self.world.there))
        self.world.dies = -1
        self.world.run(60)
        self.everybody()

    def test_mistake_amid_a_piece(self) -> None:
        """What may be under way still is not asked for again before the next start; the rest goes on."""
        self.world.add()
        runner = self.world.runner()
        self.world.dies, self.world.how = 50, RuntimeError("a mistake of ours")
        self.world.act("start")
        self.world.run(5)
        self.world.dies = -1
        runner._settled = False
        self.world.run(60)
        self.assertEqual(850, len(self.world.there))
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        self.assertEqual("running", self.world.get().state)
        Deferred.fromCoroutine(runner.stop())
        self.world.runner()
        self.world.run(60)
        self.everybody()
        self.assertEqual("done", self.world.get().state)

    def test_paused_meanwhile(self) -> None:
        self.world.add()
        self.world.act("start")
        self.world.dies = 30
        self.die()
        self.flushLoggedErrors(Crash)
        self.world.act("pause")
        self.world.dies = -1
        self.world.runner()
        self.world.run(10)
        self.assertEqual(30, len(self.world.there))
        number = self.world.get().id
        found = finished(self.world.database.read(lambda base: counts(base, number)))
        self.assertEqual({(0, 0, TAKEN): 30, (0, 0, WAITING): 970}, found)


class VariantTests(_Case):
    def test_split(self) -> None:
        self.world.add(replace(DEFINITION, variants=TWO))
        self.world.runner()
        self.world.act("start")
        self.world.run(10)
        self.everybody()
        self.assertTrue(440 <= sum(self.world.variants.values()) <= 560)

    def begun(self, trials: list[Trial], **more: str) -> int:
        """Start a campaign with a test; how many have it."""
        self.world.add(tested(**more))
        self.world.runner()
        self.world.act("start")
        self.world.run(3000, 20)
        count = len(self.world.there)
        self.assertTrue(250 <= count <= 350, count)
        self.world.trials = trials
        self.world.run(700, 10)
        return count

    def test_winner(self) -> None:
        count = self.begun([Trial(150, 10), Trial(150, 40)])
        self.everybody()
        self.assertEqual(1, self.world.get().chosen)
        self.assertTrue(sum(self.world.variants.values()) >= 1000 - count)
        self.assertEqual(["decide", "finish"], self.world.said())
        self.assertIn("B is the best", self.world.get().decision["words"])

    def test_not_clear(self) -> None:
        """The rest waits for a person, who is told why; it is not looked at again and again."""
        count = self.begun([Trial(150, 10), Trial(150, 12)])
        self.assertEqual(count, len(self.world.there))
        self.assertEqual(["undecided"], self.world.said())
        self.world.trials = [Trial(150, 10), Trial(150, 60)]
        self.world.run(3600, 30)
        self.assertEqual(count, len(self.world.there))
        self.assertIn("waits for a person", self.world.get().decision["words"])

    def test_otherwise_split(self) -> None:
        self.begun([Trial(150, 10), Trial(150, 12)], otherwise="split")
        self.everybody()
        self.assertEqual(SPLIT, self.world.get().chosen)
        self.assertTrue(400 <= sum(self.world.variants.values()) <= 600)

    def test_otherwise_first(self) -> None:
        self.begun([Trial(5, 0), Trial(5, 5)], otherwise="first")
        self.everybody()
        self.assertTrue(sum(self.world.variants.values()) <= 200)

    def test_paused_test(self) -> None:
        """Nothing is decided while it is paused."""
        self.world.add(tested())
        self.world.runner()
        self.world.act("start")
        self.world.run(10)
        self.world.act("pause")
        self.world.trials = [Trial(150, 10), Trial(150, 40)]
        self.world.run(5000, 30)
        self.assertEqual(-1, self.world.get().chosen)
        self.world.act("resume")
        self.world.run(30)
        self.everybody()
