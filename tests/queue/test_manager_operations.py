"""Hold, release, retry, flush, remove: on disk, in the window, and under way."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Completed, DeliveredTo, FailedTo, Notified, Operated
from mta.model.message_json import state_of
from tests.queue.fakes import HOME, LATER, NOW, OK, Bench

DAY = 86400.0


class OperationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(dict(HOME))
        self.bench.manager.start()
        self.manager = self.bench.manager

    def now(self, coroutine: Coroutine[Any, Any, int]) -> int:
        count: int = self.successResultOf(Deferred.fromCoroutine(coroutine))
        return count

    def states(self) -> list[str]:
        return [one.state for message in self.bench.spool.messages.values() for one in message.addressees]

    def put_off(self) -> str:
        """A message that waits on disk for a retry."""
        self.bench.relay.default = LATER
        message = self.bench.send("x@far.test")
        self.bench.relay.default = OK
        return message.id

    def test_hold_on_disk(self) -> None:
        identifier = self.put_off()
        self.assertEqual(1, self.now(self.manager.hold([identifier], "op", "looks odd")))
        self.bench.run(86400, 60)
        self.assertEqual(1, len(self.bench.relay.deliveries))
        (event,) = self.bench.spool.of(Operated)
        self.assertEqual(
            ("hold", "op", "looks odd", ["x@far.test"], identifier),
            (event.action, event.by, event.reason, event.recipients, event.message),
        )

    def test_trouble_of_the_disk(self) -> None:
        """The operator is told what it is."""
        identifier = self.put_off()
        self.bench.spool.broken = TemporarilyUnavailable("the disk is full")
        failed = Deferred.fromCoroutine(self.manager.hold([identifier], "op"))
        self.assertIn("the disk is full", str(self.failureResultOf(failed, TemporarilyUnavailable).value))

    def test_hold_twice(self) -> None:
        identifier = self.put_off()
        self.assertEqual(1, self.now(self.manager.hold([identifier, identifier], "op")))
        self.assertEqual(0, self.now(self.manager.hold([identifier], "op")))
        self.assertEqual(1, len(self.bench.spool.of(Operated)))

    def test_release(self) -> None:
        identifier = self.put_off()
        self.now(self.manager.hold([identifier], "op"))
        self.assertEqual(1, self.now(self.manager.release([identifier], "op")))
        self.bench.run(1)
        self.assertEqual({}, self.bench.spool.messages)
        self.assertEqual(0, self.now(self.manager.release([identifier], "op")))

    def test_release_what_a_judge_held(self) -> None:
        message = self.bench.send("x@far.test", state="held")
        self.assertEqual(1, self.now(self.manager.release([message.id], "op")))
        self.bench.run(1)
        self.assertEqual(1, len(self.bench.spool.of(DeliveredTo)))

    def test_release_after_its_time(self) -> None:
        """What was held for longer than it may wait is tried for a day, not once."""
        message = self.bench.send("x@far.test", state="held")
        self.bench.run(self.bench.settings.expire + 3600.0, 3600)
        self.bench.relay.default = LATER
        self.now(self.manager.release([message.id], "op"))
        self.bench.run(80_000, 60)
        self.assertEqual([], self.bench.spool.of(FailedTo))
        self.bench.relay.default = OK
        self.bench.run(6400, 60)
        self.assertIn("x@far.test", [event.recipient for event in self.bench.spool.of(DeliveredTo)])

    def test_retry(self) -> None:
        identifier = self.put_off()
        self.assertEqual(1, self.now(self.manager.retry([identifier], "op")))
        self.bench.clock.advance(0)
        self.assertEqual({}, self.bench.spool.messages)
        self.assertEqual(NOW, self.bench.spool.of(DeliveredTo)[0].at)

    def test_retry_leaves_held_ones(self) -> None:
        message = self.bench.send("x@far.test", state="held")
        self.assertEqual(0, self.now(self.manager.retry([message.id], "op")))

    def test_unknown_ids(self) -> None:
        for act in (self.manager.hold, self.manager.release, self.manager.retry, self.manager.remove):
            self.assertEqual(0, self.now(act(["0000000000000", ""], "op")))
        self.assertEqual([], self.bench.spool.journal)

    def test_flush(self) -> None:
        for _ in range(5):
            self.put_off()
        self.assertEqual(5, self.now(self.manager.flush("op")))
        self.bench.run(1)
        self.assertEqual({}, self.bench.spool.messages)
        (event,) = self.bench.spool.of(Operated)
        self.assertEqual(("flush", "op", ""), (event.action, event.by, event.message))

    def test_remove(self) -> None:
        identifier = self.put_off()
        self.assertEqual(1, self.now(self.manager.remove([identifier], "op", "spam")))
        self.assertEqual({}, self.bench.spool.messages)
        self.assertEqual([Operated, Completed], [type(event) for event in self.bench.spool.journal[-2:]])
        self.assertEqual([], self.bench.local.deliveries)

    def test_remove_and_tell(self) -> None:
        identifier = self.put_off()
        self.now(self.manager.remove([identifier], "op", "it was a test", notify=True))
        (delivery,) = self.bench.local.deliveries
        text = delivery.message.content.read()
        self.assertIn(
            b"Removed from the queue by the operator: it was a test", text.replace(b"\r\n     ", b"")
        )
        self.assertEqual(["failed"], [event.action for event in self.bench.spool.of(Notified)])
        self.assertEqual({}, self.bench.spool.messages)

    def test_move(self) -> None:
        """Another next hop, tried at once, also where the first one rests."""
        identifier = self.put_off()
        self.assertEqual(1, self.now(self.manager.move([identifier], "op", "", "backup.test", "down")))
        self.bench.run(1)
        self.assertEqual("backup.test", self.bench.relay.deliveries[-1].addressees[0].next_hop)
        self.assertEqual({}, self.bench.spool.messages)
        (event,) = self.bench.spool.of(Operated)
        self.assertEqual(
            ("move", "op", "down", "backup.test"), (event.action, event.by, event.reason, event.target)
        )

    def test_move_to_another_transport(self) -> None:
        identifier = self.put_off()
        self.assertEqual(1, self.now(self.manager.move([identifier], "op", "maildir", "/m/a")))
        self.bench.run(1)
        self.assertEqual(["/m/a"], [one.addressees[0].next_hop for one in self.bench.local.deliveries])
        failed = Deferred.fromCoroutine(self.manager.move([identifier], "op", "pigeon", "x"))
        self.failureResultOf(failed, ValueError)

    def test_move_keeps_to_the_time(self) -> None:
        """What is scheduled waits for its time, to go the other way."""
        release = NOW + 864000.0
        message = self.bench.message(
            "x@far.test", due=release, expires=release + 3600.0, attributes={"release": release}
        )
        self.bench.spool.put(message)
        self.assertEqual(1, self.now(self.manager.move([message.id], "op", "", "backup.test")))
        self.bench.run(86400, 600)
        self.assertEqual([], self.bench.relay.deliveries)
        self.bench.run(800000, 600)
        (delivery,) = self.bench.relay.deliveries
        self.assertEqual("backup.test", delivery.addressees[0].next_hop)

    def test_reschedule(self) -> None:
        """Not before that time, whatever was to come of it, and who and why is in the journal."""
        identifier = self.put_off()
        at = NOW + 20 * DAY
        self.assertEqual(1, self.now(self.manager.reschedule([identifier], "op", at, "after the feast")))
        self.assertEqual(0, self.now(self.manager.reschedule([identifier], "op", at)))
        (event,) = self.bench.spool.of(Operated)
        self.assertEqual(
            ("reschedule", "op", "after the feast", at), (event.action, event.by, event.reason, event.until)
        )
        message = self.bench.spool.messages[identifier]
        self.assertEqual("scheduled", state_of(message))
        self.assertEqual("Rescheduled by op: after the feast", message.addressees[0].last_reply)
        self.bench.run(DAY, 3600)
        # Not even if everything is to be tried that waits for a retry.
        self.now(self.manager.flush("op"))
        self.bench.run(18 * DAY, DAY)
        self.assertEqual(1, len(self.bench.relay.deliveries))
        self.bench.run(DAY + 2, 3600)
        self.assertEqual(2, len(self.bench.relay.deliveries))
        self.assertEqual({}, self.bench.spool.messages)

    def test_reschedule_keeps_its_time_to_live(self) -> None:
        """It is tried from then on for as long as it would have been."""
        identifier = self.put_off()
        before = self.bench.spool.messages[identifier]
        life = before.expires - before.created
        self.now(self.manager.reschedule([identifier], "op", NOW + 30 * DAY))
        self.now(self.manager.reschedule([identifier], "op", NOW + 20 * DAY))
        self.assertEqual(NOW + 20 * DAY + life, self.bench.spool.messages[identifier].expires)
        self.bench.relay.default = LATER
        self.bench.run(20 * DAY + life - 60, 3600)
        self.assertEqual([], self.bench.spool.of(FailedTo))
        self.bench.run(7200, 600)
        self.assertEqual(1, len(self.bench.spool.of(FailedTo)))

    def test_reschedule_to_an_earlier_time(self) -> None:
        """What was submitted for a later time goes when the operator says."""
        release = NOW + 10 * DAY
        message = self.bench.send(
            "x@far.test", due=release, expires=release + DAY, attributes={"release": release}
        )
        self.assertEqual(1, self.now(self.manager.reschedule([message.id], "op", NOW + 3600)))
        self.bench.run(3598, 60)
        self.assertEqual([], self.bench.relay.deliveries)
        self.bench.run(5)
        self.assertEqual(1, len(self.bench.relay.deliveries))

    def test_reschedule_in_the_window(self) -> None:
        self.bench.relay.default = None
        messages = [self.bench.send("x@far.test") for _ in range(7)]
        self.assertEqual(1, self.now(self.manager.reschedule([messages[6].id], "op", NOW + DAY)))
        for _ in range(6):
            self.bench.relay.end()
        self.bench.run(DAY - 5, 3600)
        self.assertEqual(6, len(self.bench.relay.deliveries))
        self.bench.run(10)
        self.assertEqual(7, len(self.bench.relay.deliveries))

    def test_reschedule_what_is_held(self) -> None:
        """It stays so, and its release lets it wait for its time."""
        identifier = self.put_off()
        self.now(self.manager.hold([identifier], "op"))
        self.assertEqual(1, self.now(self.manager.reschedule([identifier], "op", NOW + DAY)))
        self.assertEqual(["held"], self.states())
        self.now(self.manager.release([identifier], "op"))
        self.bench.run(DAY - 10, 3600)
        self.assertEqual(1, len(self.bench.relay.deliveries))
        self.bench.run(20)
        self.assertEqual(2, len(self.bench.relay.deliveries))

    def test_reschedule_to_the_past(self) -> None:
        identifier = self.put_off()
        failed = Deferred.fromCoroutine(self.manager.reschedule([identifier], "op", NOW - 1))
        self.failureResultOf(failed, ValueError)

    def test_sites(self) -> None:
        """Names of hosts, where the transport knows any; what fails or takes for ever is none."""
        hosts: dict[str, Any] = {
            "a.test": ["mx2.far.test", "mx1.far.test"],
            "b.test": ZeroDivisionError(),
            "c.test": Deferred(),
        }

        def site(next_hop: str) -> Any:
            found = hosts[next_hop]
            if isinstance(found, Exception):
                raise found
            return found

        self.bench.relay.site = site  # type: ignore[attr-defined]
        ways = [
            ("relay", "a.test"),
            ("relay", "b.test"),
            ("relay", "c.test"),
            ("maildir", "/m"),
            ("gone", "x"),
        ]
        asked = Deferred.fromCoroutine(self.manager.sites(ways))
        self.assertNoResult(asked)
        self.bench.run(20)
        found = self.successResultOf(asked)
        self.assertEqual(("mx1.far.test", "mx2.far.test"), found["relay", "a.test"])
        self.assertEqual([()] * 4, [found[way] for way in ways[1:]])

    def test_move_leaves_held_ones_held(self) -> None:
        identifier = self.put_off()
        self.now(self.manager.hold([identifier], "op"))
        self.assertEqual(1, self.now(self.manager.move([identifier], "op", "", "backup.test")))
        self.assertEqual(0, self.now(self.manager.move([identifier], "op", "", "backup.test")))
        self.bench.run(86400, 60)
        self.assertEqual(["held"], self.states())

    def test_bounce(self) -> None:
        """The sender is told, and the journal says who and why."""
        identifier = self.put_off()
        self.assertEqual(1, self.now(self.manager.bounce([identifier], "op", "no such customer")))
        (delivery,) = self.bench.local.deliveries
        text = delivery.message.content.read().replace(b"\r\n     ", b"")
        self.assertIn(b"Returned by the operator: no such customer", text)
        self.assertEqual({}, self.bench.spool.messages)
        kinds = [type(event) for event in self.bench.spool.journal if event.message == identifier]
        self.assertEqual([Operated, FailedTo, Notified, Completed], kinds[-4:])

    def test_hold_in_the_window(self) -> None:
        """A message that waits for its turn does not get it."""
        self.bench.relay.default = None
        messages = [self.bench.send("x@far.test") for _ in range(7)]
        self.assertEqual(5, len(self.bench.relay.waiting))
        self.assertEqual(1, self.now(self.manager.hold([messages[6].id], "op")))
        self.assertEqual("held", self.bench.spool.messages[messages[6].id].addressees[0].state)
        self.bench.relay.default = OK
        while self.bench.relay.waiting:
            self.bench.relay.end()
        self.bench.run(5)
        self.assertEqual([messages[6].id], list(self.bench.spool.messages))
        self.assertEqual(0, self.manager.status()["window"]["messages"])

    def test_hold_under_way(self) -> None:
        """It is answered at once, and held when the attempt did not succeed."""
        self.bench.relay.default = None
        message = self.bench.send("x@far.test")
        self.assertEqual(1, self.now(self.manager.hold([message.id], "op")))
        self.assertEqual(["queued"], self.states())
        self.bench.relay.end(LATER)
        self.assertEqual(["held"], self.states())
        self.bench.run(86400, 60)
        self.assertEqual(1, len(self.bench.relay.deliveries))

    def test_remove_under_way_and_delivered(self) -> None:
        self.bench.relay.default = None
        message = self.bench.send("x@far.test")
        self.assertEqual(1, self.now(self.manager.remove([message.id], "op")))
        self.bench.relay.end(OK)
        self.assertEqual({}, self.bench.spool.messages)
        self.assertEqual([], self.bench.spool.of(Operated))
        self.assertEqual(1, len(self.bench.spool.of(DeliveredTo)))

    def test_partly_under_way(self) -> None:
        """Of a message under way, what waits is not begun."""
        self.bench.relay.default = None
        for _ in range(5):
            self.bench.send("x@far.test")
        message = self.bench.send("x@far.test", "y@other.test")
        self.assertEqual(6, len(self.bench.relay.waiting))
        self.now(self.manager.remove([message.id], "op"))
        self.bench.relay.end(OK, index=5)
        self.assertNotIn(message.id, self.bench.spool.messages)
        self.assertEqual(["x@far.test"], self.bench.spool.of(Operated)[0].recipients)

    def test_in_their_order(self) -> None:
        self.bench.relay.default = None
        message = self.bench.send("x@far.test")
        self.now(self.manager.hold([message.id], "op"))
        self.now(self.manager.release([message.id], "op"))
        self.bench.relay.default = OK
        self.bench.relay.end(LATER)
        self.bench.run(1)
        self.assertEqual(["hold", "release"], [event.action for event in self.bench.spool.of(Operated)])
        self.assertEqual({}, self.bench.spool.messages)

    def test_many(self) -> None:
        self.bench.spool.latency = 0.01
        self.bench.relay.default = LATER
        ids = [self.bench.send(f"x@far{number}.test").id for number in range(250)]
        self.bench.run(1)
        held = Deferred.fromCoroutine(self.manager.hold(ids, "op"))
        self.bench.run(1, 0.01)
        self.assertEqual(250, self.successResultOf(held))
        self.assertEqual({"held"}, set(self.states()))
        self.assertEqual({}, self.manager._operations.busy)
