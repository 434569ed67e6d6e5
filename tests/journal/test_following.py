"""Whoever keeps elsewhere what a journal tells: nothing is forgotten, and trouble is waited out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.journal.following import SPAN, Follower
from mta.journal.reader import Record
from mta.model.event import Completed, Server


class Journal:
    """Events by number; a reader of one shard."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def ends(self) -> tuple[int, ...]:
        return (len(self.kinds),)

    def following(
        self, shard: int, kinds: Collection[str], after: int, span: int
    ) -> tuple[list[Record], int]:
        upto = min(len(self.kinds), after + span)
        found = [
            Record(Completed(at=1.0), 0, number + 1)
            for number in range(after, upto)
            if self.kinds[number] in kinds
        ]
        return found, upto


class FollowerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = Journal()
        self.kept: int | None = None
        self.taken: list[int] = []
        self.trouble: Exception | None = None
        self.waiting: Deferred[None] | None = None

    def follower(self) -> Follower:
        return Follower(
            self.clock,
            self.journal,  # type: ignore[arg-type]
            ("completed",),
            place=self.place,
            take=self.take,
            run_in_thread=lambda function, *args: succeed(function(*args)),
            name="a test",
        )

    async def place(self) -> int | None:
        return self.kept

    async def take(self, records: Sequence[Record], upto: int) -> None:
        if self.waiting is not None:
            await self.waiting
        if self.trouble is not None:
            raise self.trouble
        self.taken += [record.number for record in records]
        self.kept = upto

    def start(self) -> Follower:
        follower = self.follower()
        self.successResultOf(ensureDeferred(follower.start()))
        return follower

    def happens(self, follower: Follower, *kinds: str) -> None:
        self.journal.kinds += kinds
        events = {"completed": Completed(at=1.0), "server": Server(at=1.0, what="x")}
        follower.events([events[kind] for kind in kinds])

    def test_begins_with_what_happens_from_now_on(self) -> None:
        self.journal.kinds = ["completed"] * 3
        follower = self.start()
        self.assertEqual(([], 3), (self.taken, self.kept))
        self.happens(follower, "completed", "server")
        self.assertEqual([4], self.taken)
        # What is nobody's affair wakes nobody.
        self.happens(follower, "server")
        self.assertEqual(5, self.kept)

    def test_goes_on_from_its_place(self) -> None:
        self.journal.kinds = ["completed"] * (2 * SPAN + 5)
        self.kept = 2
        self.start()
        self.assertEqual(list(range(3, 2 * SPAN + 6)), self.taken)

    def test_remembers_a_place_far_from_anything(self) -> None:
        self.kept = 0
        self.journal.kinds = ["server"] * 45_000
        self.start()
        self.assertGreaterEqual(self.kept, 40_000)
        self.assertEqual([], self.taken)

    def test_trouble_is_waited_out_and_nothing_is_skipped(self) -> None:
        self.kept = 0
        follower = self.start()
        self.trouble = OSError("no space")
        self.happens(follower, "completed")
        self.happens(follower, "completed")
        self.assertEqual([], self.taken)
        self.trouble = None
        self.clock.advance(1)
        self.assertEqual([1, 2], self.taken)

    def test_stopped_in_the_middle(self) -> None:
        self.kept = 0
        follower = self.start()
        self.waiting = Deferred()
        self.happens(follower, "completed")
        stopped = ensureDeferred(follower.stop())
        self.assertNoResult(stopped)
        self.waiting.callback(None)
        self.successResultOf(stopped)
        self.assertEqual([1], self.taken)
        self.happens(follower, "completed")
        self.assertEqual([1], self.taken)
        self.start()
        self.assertEqual([1, 2], self.taken)
