from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import TemporarilyUnavailable
from mta.model.event import DeliveredTo, Event, Received
from mta.tracking import feed as feed_module
from mta.tracking.feed import EVERY, PATIENCE, Feed
from mta.tracking.pages import PAGE
from mta.tracking.subscriber import Interest, Subscriber
from tests.tracking.journals import NOW, Journals
from tests.tracking.same_thread import Moments, SameThread
from tests.tracking.test_subscriber import read


class FeedCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(feed_module, "ThreadPool", SameThread)
        self.clock = Moments()
        self.spool = Path(self.mktemp()).absolute()
        self.journals = Journals(self.spool)
        self.counts: dict[int, int] = {}
        self.write(*self.told(3))
        self.feed = Feed(self.clock, self.spool, 0, self.in_thread, 15.0)
        self.feed.start()
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(self.feed.stop())))

    def in_thread(self, what: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Answers in another turn of the reactor, as a thread does."""
        done: Deferred[Any] = Deferred()
        self.clock.callLater(0, lambda: maybeDeferred(what, *args).chainDeferred(done))
        return done

    def told(self, count: int, shard: int = 0, **facts: Any) -> list[Event]:
        """A message for so many recipients, and what became of it: ``count`` events."""
        about: dict[str, Any] = {"tenant": "shop", "batch": "b1", **facts}
        name = self.journals.id(shard)
        first = Received(at=NOW, message=name, recipients=["a@x.example"], **about)
        rest = [
            DeliveredTo(at=NOW, message=name, recipient=f"r{one}@x.example", code=250)
            for one in range(count - 1)
        ]
        return [first, *rest]

    def write(self, *events: Event, shard: int = 0) -> int:
        """Write them into a journal; the number of the first."""
        self.journals.write(events, shard)
        first = self.counts.get(shard, 0) + 1
        self.counts[shard] = first + len(events) - 1
        return first

    def happen(self, *events: Event) -> None:
        """Our own worker writes them, and tells."""
        self.feed.happened(self.write(*events), events)
        self.clock.settle()

    def follow(
        self, places: dict[int, int] | None = None, tenant: str = "shop", **interest: Any
    ) -> tuple[Subscriber, list[bytes], Deferred[None]]:
        """Follow; who does, what it was written, and what fires at its end."""
        found = self.begin(places, tenant, **interest)
        self.clock.settle()
        return found

    def begin(
        self, places: dict[int, int] | None = None, tenant: str = "shop", **interest: Any
    ) -> tuple[Subscriber, list[bytes], Deferred[None]]:
        """As :meth:`follow`, with nothing done yet."""
        written: list[bytes] = []
        one = Subscriber(Interest(tenant, **interest), written.append, lambda: written.append(b"cut"))
        return one, written, Deferred.fromCoroutine(self.feed.follow(one, places))

    def ids(self, written: list[bytes]) -> list[str]:
        """Of the events that were shown, in order."""
        blocks = read(b"".join(written))
        return [json.loads(block["data"])["id"] for block in blocks if "id" in block and "data" in block]


class FeedTests(FeedCase):
    def test_from_now_on(self) -> None:
        """What was before is not shown; what happens is, at once, in order."""
        _, written, running = self.follow()
        self.assertEqual([], self.ids(written))
        self.happen(*self.told(3))
        self.assertEqual(["0.4", "0.5", "0.6"], self.ids(written))
        self.happen(*self.told(1))
        self.assertEqual(["0.4", "0.5", "0.6", "0.7"], self.ids(written))
        self.assertNoResult(running)

    def test_going_on(self) -> None:
        """From a place in the middle: each once, though it goes on happening."""
        _, written, running = self.begin({0: 1})
        for _ in range(20):
            events = self.told(2)
            self.feed.happened(self.write(*events), events)
            # One question to a journal is answered.
            self.clock.advance(0)
        self.clock.settle()
        self.assertEqual([f"0.{number}" for number in range(2, self.counts[0] + 1)], self.ids(written))
        self.assertNoResult(running)

    def test_far_behind(self) -> None:
        """More than a page, and with the place of each event to go on from."""
        for _ in range(3):
            self.write(*self.told(PAGE))
        _, written, _ = self.follow({0: 0})
        self.assertEqual([f"0.{number}" for number in range(1, self.counts[0] + 1)], self.ids(written))

    def test_from_others(self) -> None:
        """What another worker writes is looked for, in its journal, by whoever is asked."""
        self.write(*self.told(2, 1), shard=1)
        _, written, _ = self.follow()
        self.write(*self.told(2, 1), shard=1)
        self.clock.advance_by(EVERY)
        self.assertEqual(["1.3", "1.4"], self.ids(written))
        # More than a page at once.
        self.write(*self.told(PAGE + 5, 1), shard=1)
        for _ in range(3):
            self.clock.advance_by(EVERY)
        self.assertEqual([f"1.{number}" for number in range(3, self.counts[1] + 1)], self.ids(written))

    def test_new_worker(self) -> None:
        """A shard that comes later is found, with all that it has."""
        _, written, _ = self.follow()
        self.write(*self.told(2, 2), shard=2)
        self.clock.advance_by(EVERY, 400)
        self.assertEqual(["2.1", "2.2"], self.ids(written))

    def test_untold(self) -> None:
        """A commit of which the spool could not tell is read out of the journal, and nothing overtakes it."""
        _, written, _ = self.follow()
        self.write(*self.told(2))
        self.happen(*self.told(2))
        self.clock.advance_by(EVERY)
        self.assertEqual(["0.4", "0.5", "0.6", "0.7"], self.ids(written))
        self.feed.happened(0, self.told(1))
        self.write(*self.told(1))
        self.clock.advance_by(EVERY)
        self.assertEqual("0.8", self.ids(written)[-1])

    def test_untold_pages(self) -> None:
        """More than a page of them comes at once."""
        _, written, _ = self.follow()
        self.write(*self.told(2 * PAGE + 10))
        self.feed.happened(0, self.told(1))
        self.clock.settle()
        self.assertEqual([f"0.{number}" for number in range(4, self.counts[0] + 1)], self.ids(written))

    def test_written_and_not_yet_told(self) -> None:
        """Who reads pages meanwhile sees it once, when everybody does; who has come past it, not at all."""
        _, first, _ = self.follow()
        events = self.told(2)
        number = self.write(*events)
        _, behind, _ = self.follow({0: 0})
        _, ahead, _ = self.follow({0: 4})
        self.assertEqual(["0.1", "0.2", "0.3"], self.ids(behind))
        self.feed.happened(number, events)
        self.clock.settle()
        self.assertEqual(["0.4", "0.5"], self.ids(first))
        self.assertEqual(["0.1", "0.2", "0.3", "0.4", "0.5"], self.ids(behind))
        self.assertEqual(["0.5"], self.ids(ahead))

    def test_told_twice(self) -> None:
        _, written, _ = self.follow()
        events = self.told(2)
        first = self.write(*events)
        self.clock.advance_by(EVERY)
        for _ in range(2):
            self.feed.happened(first, events)
        self.clock.advance_by(EVERY)
        self.assertEqual(["0.4", "0.5"], self.ids(written))

    def test_tenants(self) -> None:
        """Each sees its own, the later events of a message too; nobody sees what belongs to no tenant."""
        _, shop, _ = self.follow()
        _, other, _ = self.follow(tenant="other")
        mine, theirs = self.told(1), self.told(1, tenant="other")
        nobodys = self.told(2, tenant="")
        self.happen(*mine, *theirs, *nobodys)
        later = [
            DeliveredTo(at=NOW, message=one.message, recipient="a", code=250) for one in (*theirs, *mine)
        ]
        self.happen(*later)
        self.assertEqual(["0.4", "0.9"], self.ids(shop))
        self.assertEqual(["0.5", "0.8"], self.ids(other))

    def test_known_from_the_journal(self) -> None:
        """Whose a message is that was taken before anybody followed."""
        events = self.told(1, batch="b7")
        self.write(*events)
        _, written, _ = self.follow(batches=frozenset({"b7"}))
        self.happen(DeliveredTo(at=NOW, message=events[0].message, recipient="a", code=250), *self.told(1))
        self.assertEqual(["0.5"], self.ids(written))

    def test_journal_made_anew(self) -> None:
        """A place that the journal has not come to is told as a gap, and everything is shown."""
        _, written, _ = self.follow({0: 400})
        self.assertIn(b"event: gap\n", b"".join(written))
        self.assertEqual(["0.1", "0.2", "0.3"], self.ids(written))

    def test_slow_reader(self) -> None:
        """It waits in the journal, not in memory; then it gets the rest, each once; nobody waits for it."""
        slow, written, _ = self.follow()
        _, quick, _ = self.follow()
        slow.pauseProducing()
        for _ in range(40):
            self.happen(*self.told(50))
        self.assertEqual(40 * 50, len(self.ids(quick)))
        self.assertEqual([], self.ids(written))
        self.assertTrue(slow.behind)
        slow.resumeProducing()
        self.clock.settle()
        self.assertEqual(self.ids(quick), self.ids(written))
        self.happen(*self.told(1))
        self.assertEqual(self.ids(quick), self.ids(written))

    def test_reads_nothing(self) -> None:
        """It is cut off after a while."""
        slow, written, running = self.follow({0: 0})
        slow.pauseProducing()
        for _ in range(40):
            self.happen(*self.told(50))
        self.clock.advance_by(PATIENCE - 1)
        self.assertNoResult(running)
        self.clock.advance_by(1.0)
        self.successResultOf(running)
        self.assertEqual(b"cut", written[-1])
        self.assertEqual(0, self.feed.count)

    def test_heartbeat(self) -> None:
        """A quiet stream shows that it lives; one on which something happens does not need to."""
        _, written, _ = self.follow(batches=frozenset({"b1"}))
        self.clock.advance_by(1.0, 14)
        self.assertNotIn(b"heartbeat", b"".join(written))
        self.clock.advance_by(1.0, 2)
        self.assertEqual(1, b"".join(written).count(b": heartbeat\nid: 0.3\n\n"))
        self.happen(*self.told(1))
        self.clock.advance_by(1.0, 13)
        self.assertEqual(1, b"".join(written).count(b"heartbeat"))
        # What was not for it was passed over all the same.
        self.happen(*self.told(1, batch="b2"))
        self.clock.advance_by(1.0, 7)
        self.assertIn(b": heartbeat\nid: 0.5\n\n", b"".join(written))

    def test_nobody(self) -> None:
        """Nothing is looked for when nobody follows; who comes then misses nothing from there on."""
        one, _, running = self.follow()
        self.assertEqual(
            (1, 1, 0), (self.feed.count, self.feed.count_of("shop"), self.feed.count_of("other"))
        )
        one.end()
        self.clock.settle()
        self.successResultOf(running)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.happen(*self.told(2))
        _, written, _ = self.follow()
        self.happen(*self.told(1))
        self.assertEqual(["0.6"], self.ids(written))

    def test_gone_before_it_began(self) -> None:
        one, written, running = self.begin({0: 0})
        one.end()
        self.clock.settle()
        self.successResultOf(running)
        self.assertEqual([], self.ids(written))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_no_journal(self) -> None:
        """Who asks while the journals cannot be read is told so, and may come again."""
        queue = self.spool / "0" / "queue.db"
        healthy = queue.read_bytes()
        for path in queue.parent.glob("queue.db*"):
            path.unlink()
        queue.write_bytes(b"no database" * 100)
        _, _, running = self.follow()
        self.failureResultOf(running, TemporarilyUnavailable)
        self.assertEqual((0, []), (self.feed.count, self.clock.getDelayedCalls()))
        queue.write_bytes(healthy)
        self.follow()
        self.assertEqual(1, self.feed.count)

    def test_trouble(self) -> None:
        """A journal that cannot be read for a while: everything is shown when it can, once."""
        self.write(*self.told(2, 1), shard=1)
        _, written, _ = self.follow()
        pages: Any = self.feed._pages
        able, pages.next = pages.next, lambda after: self.fail_to_read()
        self.write(*self.told(2, 1), shard=1)
        self.clock.advance_by(EVERY, 20)
        self.assertEqual([], self.ids(written))
        pages.next = able
        self.happen(*self.told(1))
        self.clock.advance_by(EVERY, 60)
        self.assertEqual(["0.4", "1.3", "1.4"], sorted(self.ids(written)))
        self.assertEqual(3, len(self.ids(written)))

    def fail_to_read(self) -> Any:
        raise TemporarilyUnavailable("a disk is away")

    def test_stopped(self) -> None:
        """Streams end, so that their clients go to another process."""
        _, _, running = self.follow()
        self.successResultOf(Deferred.fromCoroutine(self.feed.stop()))
        self.successResultOf(running)
        self.assertEqual([], self.clock.getDelayedCalls())
