"""The lane of one endpoint: order, bounds, pauses, and what is never lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.registry.database import Direct
from mta.registry.endpoints import Endpoint
from mta.webhook import outbox
from mta.webhook.lane import Lane
from mta.webhook.outbox import Attempt, Delivery, New

NOW = 1_800_000_000.0


class LaneCase(SynchronousTestCase):
    def setUp(self) -> None:
        place = Path(self.mktemp())
        place.mkdir()
        self.file = place / "webhooks.db"
        self.database = Direct(self.file, (outbox.TABLES,))
        self.addCleanup(self.database.close)
        self.clock = Clock()
        self.clock.advance(NOW)
        self.under_way: dict[str, Deferred[Any]] = {}
        self.begun: list[str] = []
        self.judged: list[tuple[float, int]] = []
        self.lane = self.make()

    def make(self, **options: Any) -> Lane:
        given = {"concurrency": 2, "retry": [10.0, 20.0], "disable": self.judge, **options}
        endpoint = Endpoint("we_1", "shop", "https://a.example/")
        return Lane(self.clock, endpoint, self.database, self.post, **given)

    async def judge(self, endpoint: Endpoint, since: float, status: int) -> None:
        self.judged.append((since, status))

    async def post(self, endpoint: Endpoint, delivery: Delivery) -> tuple[Attempt, float]:
        self.begun.append(delivery.id)
        answer: Deferred[Any] = Deferred()
        self.under_way[delivery.id] = answer
        status, wish = await answer
        return Attempt(self.clock.seconds(), 0.1, status, "said"), wish

    def put(self, *names: str) -> None:
        """Deliveries by message and number: ``a1``, ``a2``, ``b1``."""
        news = [New(name, "we_1", name[0], "message.received", b"{}") for name in names]
        self.base().execute("BEGIN")
        outbox.put(self.base(), news, 1, self.clock.seconds())
        self.base().execute("COMMIT")
        self.lane.wake()

    def base(self) -> sqlite3.Connection:
        return self.database._connection

    def answer(self, name: str, status: int = 200, wish: float = 0.0) -> None:
        self.under_way.pop(name).callback((status, wish))
        self.clock.advance(0)

    def states(self) -> dict[str, int]:
        return dict(self.base().execute("SELECT id, state FROM deliveries ORDER BY number"))


class LaneTests(LaneCase):
    def test_in_order_for_a_message_and_bounded(self) -> None:
        self.put("a1", "a2", "b1", "c1")
        self.assertEqual(["a1", "b1"], self.begun)
        self.answer("b1")
        self.assertEqual(["a1", "b1", "c1"], self.begun)
        self.answer("c1")
        self.assertEqual(["a1", "b1", "c1"], self.begun, "a2 waits for a1")
        self.answer("a1")
        self.assertEqual(["a1", "b1", "c1", "a2"], self.begun)
        self.answer("a2")
        self.assertEqual({1}, set(self.states().values()))

    def test_tried_again_by_the_schedule_then_given_up(self) -> None:
        self.put("a1", "a2")
        self.answer("a1", 500)
        self.assertEqual(["a1"], self.begun)
        self.clock.advance(9)
        self.assertEqual(["a1"], self.begun)
        self.clock.advance(1)
        self.answer("a1", 0)
        self.clock.advance(20)
        self.assertEqual(["a1", "a1", "a1"], self.begun)
        self.answer("a1", 302)
        self.assertEqual(["a1", "a1", "a1", "a2"], self.begun, "the next one has its turn")
        self.assertEqual({"a1": outbox.GIVEN_UP, "a2": outbox.WAITING}, self.states())
        log = outbox.find(self.base(), "we_1", "a1")
        assert log is not None
        self.assertEqual([500, 0, 302], [one.status for one in log[1]])
        self.assertEqual({NOW}, {since for since, _ in self.judged})

    def test_while_it_is_down_one_at_a_time_then_all_at_once(self) -> None:
        self.put("a1", "b1", "c1", "d1", "e1", "f1", "g1")
        for _ in range(5):
            self.answer(next(iter(self.under_way)), 503)
        # One may have been under way still.
        for name in list(self.under_way):
            self.answer(name, 503)
        self.assertEqual({}, self.under_way)
        self.clock.advance(60)
        self.assertEqual(1, len(self.under_way))
        begun = len(self.begun)
        self.answer(next(iter(self.under_way)))
        self.assertEqual(begun + 2, len(self.begun), "what waited for its time is tried at once")

    def test_it_may_ask_to_be_left_alone(self) -> None:
        self.put("a1")
        self.answer("a1", 429, 100.0)
        self.put("b1")
        self.clock.advance(99)
        self.assertEqual(["a1"], self.begun)
        self.clock.advance(1)
        self.assertEqual({"a1", "b1"}, set(self.begun[1:]))

    def test_stopped_and_begun_again(self) -> None:
        self.put("a1", "b1", "c1")
        self.answer("a1")
        stopped = Deferred.fromCoroutine(self.lane.stop())
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.lane = self.make()
        self.begun.clear()
        self.lane.wake()
        self.assertEqual(["b1", "c1"], self.begun)

    def test_delivered_again_by_hand(self) -> None:
        self.put("a1")
        self.answer("a1")
        outbox.again(self.base(), "we_1", "a1", self.clock.seconds())
        self.lane.wake()
        self.assertEqual(["a1", "a1"], self.begun)
        self.answer("a1")
        self.assertEqual(0, outbox.recover(self.base(), "we_1", 0, NOW * 2, [outbox.GIVEN_UP], NOW))
        self.assertEqual(1, outbox.recover(self.base(), "we_1", 0, NOW * 2, [outbox.DELIVERED], NOW))


class OutboxTests(LaneCase):
    def test_the_same_event_is_there_once(self) -> None:
        self.put("a1")
        self.put("a1")
        self.assertEqual(["a1"], list(self.states()))

    def test_what_ended_is_forgotten_and_what_waits_is_not(self) -> None:
        self.put("a1", "b1")
        self.answer("a1")
        self.assertTrue(outbox.has_old(self.base(), NOW + 1))
        self.assertEqual(1, outbox.clear(self.base(), NOW + 1))
        self.assertEqual(["b1"], list(self.states()))
        self.assertFalse(outbox.has_old(self.base(), NOW + 1))
