"""What the spool keeps, gives back and tells; with real files, real threads and the real reactor."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from mta.interfaces import ISpool, Result, TemporarilyUnavailable
from mta.model.event import Completed, Event, Rejected, Server
from mta.model.event_rows import BUCKET_BITS, event_of, key_of
from mta.model.ids import IdSource, created_at, decode_id, shard_of
from mta.queue import writer as writing
from mta.queue.housekeeping import too_many
from mta.queue.schema import DATABASE, MIGRATIONS
from mta.queue.spool import Spool
from mta.queue.writer import Writer
from tests.queue.spooling import NOW, Sink, SpoolCase, deferred, delivered, message, received


class KeepingTests(SpoolCase):
    """Admit, record, note."""

    async def test_round_trip(self) -> None:
        """Everything about a message comes back as it was, from another process's point of view too."""
        spool = await self.open()
        self.assertTrue(ISpool.providedBy(spool))
        sent = message(spool.new_id(), "bob@local.test", "eve@local.test", sender="ü@client.test")
        sent.addressees[1].last_reply = "bad \udcff octet"
        await spool.admit(sent, (received(sent),))
        found = await spool.get(sent.id)
        sent.addressees[1].last_reply = "bad ? octet"
        self.assertEqual(sent, found)
        await spool.stop()
        again = await self.open()
        self.assertEqual([sent], await again.claim(NOW, 10, 10**6, set()))
        self.assertEqual(
            await again.count(), {"messages": 1, "addressees": 2, "held": 0, "octets": sent.size}
        )

    async def test_delivered(self) -> None:
        """A message that is complete leaves nothing but its history."""
        spool = await self.open()
        sent = message(spool.new_id())
        await spool.admit(sent, (received(sent),))
        await spool.record(delivered(sent))
        self.assertIsNone(await spool.get(sent.id))
        self.assertIsNone(await spool.next_due())
        self.assertEqual(await spool.count(), {"messages": 0, "addressees": 0, "held": 0, "octets": 0})
        self.assertEqual([], self.rows("SELECT * FROM addressees"))
        kinds = [kind for (kind,) in self.rows("SELECT kind FROM events ORDER BY id")]
        self.assertEqual(["received", "delivered", "completed"], kinds)

    async def test_partly_delivered(self) -> None:
        """Addressees end, wait, are held, each for itself."""
        spool = await self.open()
        sent = message(spool.new_id(), "a@x.test", "b@x.test", "c@x.test")
        await spool.admit(sent, ())
        held = sent.addressees[2]
        held.state = "held"
        await gatherResults(
            [
                spool.record(delivered(sent, 0, complete=False)),
                spool.record(deferred(sent, NOW + 60, 1)),
                spool.record(Result(sent.id, [held], False, [])),
            ]
        )
        found = await spool.get(sent.id)
        assert found is not None
        self.assertEqual(sent.addressees[1:], found.addressees)
        self.assertEqual((found.addressees[0].last_reply, found.addressees[0].attempts), ("451 later", 1))
        self.assertEqual(
            await spool.count(), {"messages": 1, "addressees": 2, "held": 1, "octets": sent.size}
        )
        # A claim is for those who are queued, but brings everybody who waits.
        self.assertEqual([], await spool.claim(NOW + 59, 10, 10**6, set()))
        (claimed,) = await spool.claim(NOW + 60, 10, 10**6, set())
        self.assertEqual(["b@x.test", "c@x.test"], [addressee.address for addressee in claimed.addressees])

    async def test_last_change_counts(self) -> None:
        """Two changes of one addressee in one batch are kept in their order."""
        spool = await self.open()
        sent = message(spool.new_id())
        await spool.admit(sent, ())
        results = [spool.record(deferred(sent, NOW + number)) for number in range(1, 9)]
        await gatherResults(results)
        self.assertEqual(NOW + 8, await spool.next_due())

    async def test_record_of_nobody(self) -> None:
        """What is recorded about a message that was removed does not bring it back."""
        spool = await self.open()
        sent = message(spool.new_id())
        await spool.record(deferred(sent, NOW))
        await spool.record(delivered(sent))
        self.assertEqual(await spool.count(), {"messages": 0, "addressees": 0, "held": 0, "octets": 0})

    async def test_complete_twice(self) -> None:
        """Who says it twice does not make the totals wrong."""
        spool = await self.open()
        many = [message(spool.new_id()) for _ in range(70)]
        await gatherResults([spool.admit(each, ()) for each in many])
        await gatherResults([spool.record(delivered(each)) for each in [*many[:66], *many[:3]]])
        count = await spool.count()
        self.assertEqual((4, 4), (count["messages"], count["addressees"]))
        self.assertEqual(sum(each.size for each in many[66:]), count["octets"])

    async def test_snapshot(self) -> None:
        """What is kept is what was given, whatever the caller does to it afterwards."""
        spool = await self.open()
        sent = message(spool.new_id())
        kept = spool.admit(sent, ())
        sent.addressees[0].due = NOW + 999
        sent.addressees[0].state = "delivered"
        await kept
        self.assertEqual(NOW, await spool.next_due())

    async def test_notification(self) -> None:
        """A notification is queued in the transaction that ends its cause."""
        spool = await self.open()
        sent = message(spool.new_id())
        await spool.admit(sent, ())
        notice = message(spool.new_id(), "ann@client.test", sender="")
        result = delivered(sent)
        result.admit.append(notice)
        await spool.record(result)
        self.assertIsNone(await spool.get(sent.id))
        self.assertEqual([notice], await spool.claim(NOW, 10, 10**6, set()))

    async def test_batches(self) -> None:
        """What comes together is written together, and each is told of its own end."""
        spool = await self.open()
        serial = self.rows("SELECT serial FROM counters")[0][0]
        many = [message(spool.new_id(), data=b"%d" % number) for number in range(300)]
        await gatherResults([spool.admit(each, (received(each),)) for each in many])
        self.assertLess(self.rows("SELECT serial FROM counters")[0][0] - serial, 30)
        self.assertEqual(many, await spool.claim(NOW, 1000, 10**9, set()))
        await gatherResults([spool.record(delivered(each)) for each in many])
        self.assertEqual(0, (await spool.count())["messages"])

    async def test_large_batch(self) -> None:
        """More than one transaction holds, and more addressees than one statement."""
        spool = await self.open()
        names = [f"u{number}@x.test" for number in range(1500)]
        many = [message(spool.new_id(), *names)] + [
            message(spool.new_id(), data=b"x" * 100_000) for _ in range(300)
        ]
        await gatherResults([spool.admit(each, ()) for each in many])
        count = await spool.count()
        self.assertEqual((301, 1800), (count["messages"], count["addressees"]))
        self.assertEqual(sum(each.size for each in many), count["octets"])

    async def test_one_bad(self) -> None:
        """A duplicate and a text that cannot be kept fail alone."""
        spool = await self.open()
        good = [message(spool.new_id()) for _ in range(5)]
        await spool.admit(good[0], ())
        twice = message(good[0].id)
        unwritable = message(spool.new_id(), "bad\udcff@x.test")
        tries: list[Deferred[Any]] = [spool.admit(each, (received(each),)) for each in good[1:3]]
        bad = [spool.admit(twice, ()), spool.admit(unwritable, (received(unwritable),))]
        tries += [spool.admit(each, (received(each),)) for each in good[3:]]
        for each in bad:
            await self.assertFailure(each, TemporarilyUnavailable)
        await gatherResults(tries)
        self.assertEqual(good, await spool.claim(NOW, 100, 10**6, set()))
        self.assertEqual(4, self.rows("SELECT count(*) FROM events")[0][0])

    async def test_nonsense(self) -> None:
        """An id that is none fails at once, and breaks nothing."""
        spool = await self.open()
        await self.assertFailure(spool.admit(message("nonsense"), ()), TemporarilyUnavailable)
        spool.note([Completed(at=NOW, message="nonsense")])
        self.assertEqual(2, len(self.flushLoggedErrors(ValueError)))
        await spool.admit(message(spool.new_id()), ())

    async def test_not_open(self) -> None:
        """Before the start and after the stop nothing is taken."""
        spool = Spool(self.directory, reactor)
        await self.assertFailure(spool.admit(message(spool.new_id()), ()), TemporarilyUnavailable)
        spool = await self.open()
        sent = message(spool.new_id())
        last = spool.admit(sent, ())
        stopped = spool.stop()
        await self.assertFailure(spool.record(delivered(sent)), TemporarilyUnavailable)
        await self.assertFailure(spool.count(), TemporarilyUnavailable)
        await stopped
        self.assertIsNone(self.successResultOf(last))
        self.assertFalse(self.directory.joinpath(DATABASE + "-wal").exists())


class JournalTests(SpoolCase):
    """Events and who is told of them."""

    async def test_order(self) -> None:
        """Sinks are told in the order of the journal, after those who wait."""
        spool = await self.open()
        sink = Sink()
        end = spool.subscribe(sink)
        told: list[int] = []
        waits = []
        for number in range(50):
            sent = message(spool.new_id())
            done = spool.admit(sent, (received(sent),))
            done.addCallback(lambda _: told.append(len(sink.all)))
            spool.note([Server(at=NOW, what=str(number))])
            waits.append(done)
        await gatherResults(waits)
        await spool.admit(message(spool.new_id()), ())
        rows = self.rows("SELECT at, kind, message, session, payload FROM events ORDER BY id")
        self.assertEqual([event_of(row) for row in rows], sink.all)
        self.assertEqual(100, len(rows))
        self.assertEqual(0, told[0])
        end()
        end()
        spool.note([Server(at=NOW, what="after")])
        await spool.admit(message(spool.new_id()), ())
        self.assertEqual(100, len(sink.all))

    async def test_failing_sink(self) -> None:
        """A sink that raises is logged, and the others are told."""

        class Bad:
            def events(self, batch: Any) -> None:
                raise ValueError("bad sink")

        spool = await self.open()
        sink = Sink()
        spool.subscribe(Bad())
        spool.subscribe(sink)
        sent = message(spool.new_id())
        await spool.admit(sent, (received(sent),))
        await spool.admit(message(spool.new_id()), ())
        self.assertEqual(["received"], sink.kinds)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    async def test_keys(self) -> None:
        """Keys are written soon, in the bucket of their event; ``indexed`` says up to where."""
        spool = await self.open()
        sent = message(spool.new_id())
        await spool.admit(sent, (received(sent),))
        spool.note(
            [Rejected(at=NOW, session="s2", stage="recipient", code=550, reply="no", sender="x@y.test")]
        )
        await spool.stop()
        events, indexed = self.rows("SELECT events, indexed FROM counters")[0]
        self.assertEqual((2, 2), (events, indexed))
        for word, expected in (
            ("BOB@local.test", [1]),
            ("ann@client.test", [1]),
            ("x@y.test", [2]),
            ("s2", [2]),
        ):
            found = self.rows(
                "SELECT event FROM event_keys WHERE bucket = ? AND key = ?", 1 >> BUCKET_BITS, key_of(word)
            )
            self.assertEqual(expected, [number for (number,) in found], word)

    async def test_keys_when_idle(self) -> None:
        """A moment without work is enough."""
        spool = await self.open()
        sent = message(spool.new_id())
        await spool.admit(sent, (received(sent),))
        for _ in range(3000):
            if self.rows("SELECT indexed FROM counters") == [(1,)]:
                break
            await deferLater(reactor, 0.02)
        self.assertEqual(3, self.rows("SELECT count(*) FROM event_keys")[0][0])

    async def test_keys_after_crash(self) -> None:
        """Keys that were not written before a crash are written after the start."""
        spool = await self.open()
        sent = message(spool.new_id())
        await spool.admit(sent, (received(sent),))
        await spool.stop()
        connection = sqlite3.connect(self.directory / DATABASE)
        connection.executescript("DELETE FROM event_keys; UPDATE counters SET indexed = 0; ")
        connection.close()
        await (await self.open()).stop()
        self.assertEqual(3, self.rows("SELECT count(*) FROM event_keys")[0][0])

    async def test_many_keys(self) -> None:
        """Under load, keys do not wait for an idle moment."""
        self.patch(writing, "IDLE", 1000.0)
        spool = await self.open()
        for n in range(1000):
            spool.note(
                [Rejected(at=NOW, session=f"s{n}", stage="mail", code=550, reply="no", sender=f"{n}@x.test")]
            )
        self.assertEqual([(0,)], self.rows("SELECT indexed FROM counters"))
        for n in range(600):
            spool.note(
                [Rejected(at=NOW, session=f"t{n}", stage="mail", code=550, reply="no", sender=f"{n}@y.test")]
            )
        for _ in range(3000):
            if self.rows("SELECT indexed FROM counters") != [(0,)]:
                break
            await deferLater(reactor, 0.02)
        self.assertGreaterEqual(self.rows("SELECT count(*) FROM event_keys")[0][0], 2048)

    async def test_too_many_notes(self) -> None:
        """What waits in memory is bounded; what was lost is counted in the journal."""
        spool = await self.open()
        batch = [Server(at=NOW, what="x")] * 9000
        for _ in range(4):
            spool.note(batch)
        await spool.admit(message(spool.new_id()), ())
        await spool.admit(message(spool.new_id()), ())
        self.assertEqual(18_000, self.rows("SELECT count(*) FROM events WHERE payload LIKE '%\"x\"%'")[0][0])
        lost = self.rows("SELECT payload FROM events WHERE payload LIKE '%lost%'")
        self.assertEqual(
            "18000 events were lost: too many waited for the disk", json.loads(lost[0][0])["detail"]
        )

    async def test_prune(self) -> None:
        """Events older than ``keep`` go, with their keys; numbers are never given twice."""
        spool = await self.open()
        old: list[Event] = [
            Rejected(at=NOW, session=f"s{n}", stage="mail", code=550, reply="no")
            for n in range((1 << BUCKET_BITS) - 1)
        ]
        spool.note(old)
        spool.note([Server(at=4e9, what="young")])
        await spool.stop()
        spool = Spool(self.directory, _At(NOW + 11), keep=10.0)
        await spool.start()
        self.spools.append(spool)
        for _ in range(3000):
            left = (
                self.rows("SELECT count(*) FROM events")[0][0],
                self.rows("SELECT count(*) FROM event_keys")[0][0],
            )
            if left == (1, 0):
                break
            await deferLater(reactor, 0.02)
        self.assertEqual((1, 0), left)
        spool.note([Server(at=NOW + 11, what="next")])
        await spool.admit(message(spool.new_id()), ())
        self.assertEqual((1 << BUCKET_BITS) + 1, self.rows("SELECT max(id) FROM events")[0][0])

    async def test_prune_for_size(self) -> None:
        """More events than there is room for: the oldest go, and about what was allowed is left."""
        spool = await self.open()
        spool.note(
            [
                Rejected(at=NOW, session=f"s{n:012}", stage="mail", code=550, reply="no", client="192.0.2.1")
                for n in range(20_000)
            ]
        )
        await spool.stop()
        before = self.rows("PRAGMA page_count")[0][0] * 4096
        connection = sqlite3.connect(self.directory / DATABASE)
        self.addCleanup(connection.close)
        self.assertEqual(0, too_many(connection, before * 2))
        goes = too_many(connection, before // 2)
        self.assertTrue(8000 < goes < 13_000, goes)
        await self.open(journal_size=before // 2)
        for _ in range(3000):
            [(first, last)] = self.rows("SELECT min(id), max(id) FROM events")
            if first > goes:
                break
            await deferLater(reactor, 0.02)
        self.assertEqual((goes + 1, 20_000), (first, last))

    async def test_prune_under_load(self) -> None:
        """Work that never ends does not let the journal grow beyond its size."""
        from mta.queue import housekeeping

        self.patch(housekeeping, "PRUNE_EVERY", 0.0)
        spool = await self.open(journal_size=200_000)
        for round in range(60):
            spool.note(
                [
                    Rejected(at=NOW, session=f"s{round}", stage="mail", code=550, reply="no")
                    for _ in range(400)
                ]
            )
            await spool.admit(message(spool.new_id()), ())
        self.assertLess(self.rows("SELECT count(*) FROM events")[0][0], 4000)


class _At:
    """The reactor at another time."""

    def __init__(self, now: float) -> None:
        self._now = now

    def seconds(self) -> float:
        return self._now

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class ClaimTests(SpoolCase):
    """Who is due."""

    async def test_earliest_first(self) -> None:
        """By due time, not by id; each message once, with all its queued addressees."""
        spool = await self.open()
        late = message(spool.new_id(), "a@x.test", "b@x.test", due=NOW + 5)
        early = message(spool.new_id(), due=NOW - 5)
        never = message(spool.new_id(), due=NOW + 500)
        held = message(spool.new_id(), state="held")
        late.addressees[1].due = NOW + 900
        for each in (late, early, never, held):
            await spool.admit(each, ())
        self.assertEqual(NOW - 5, await spool.next_due())
        self.assertEqual([early, late], await spool.claim(NOW + 10, 10, 10**6, set()))
        self.assertEqual([early], await spool.claim(NOW + 10, 1, 10**6, set()))
        self.assertEqual([late], await spool.claim(NOW + 10, 10, 10**6, {early.id}))
        self.assertEqual([], await spool.claim(NOW + 10, 0, 10**6, set()))
        # A message with one who is due comes with those who are held: it is not complete without them.
        mixed = message(spool.new_id(), "a@x.test", "b@x.test", due=NOW - 9)
        mixed.addressees[1].state = "held"
        await spool.admit(mixed, ())
        self.assertEqual([mixed], await spool.claim(NOW, 1, 10**6, set()))
        # Asking for one gives those who are held too.
        self.assertEqual(held, await spool.get(held.id))
        self.assertIsNone(await spool.get("nonsense"))

    async def test_octets(self) -> None:
        """Content in memory is bounded; one message always comes; files do not count."""
        spool = await self.open()
        many = [message(spool.new_id(), data=b"x" * 1000, due=NOW + n) for n in range(4)]
        for each in many:
            await spool.admit(each, ())
        self.assertEqual(many[:1], await spool.claim(NOW + 9, 10, 1, set()))
        self.assertEqual(many[:2], await spool.claim(NOW + 9, 10, 2500, set()))
        file = spool.create_file(spool.new_id())
        file.write(b"y" * 5000)
        large = message(file.path.name, content=await file.finish(), due=NOW - 1)
        await spool.admit(large, ())
        self.assertEqual([large, *many[:2]], await spool.claim(NOW + 9, 10, 2500, set()))

    async def test_many_excluded(self) -> None:
        """A window of thousands, and messages with many addressees."""
        spool = await self.open()
        ids = [spool.new_id() for _ in range(40_000)]
        names = [f"u{number}@x.test" for number in range(700)]
        many = [message(identifier, *names) for identifier in ids[:6]]
        await gatherResults([spool.admit(each, ()) for each in many])
        self.assertEqual(many[4:], await spool.claim(NOW, 10, 10**7, {*ids[:4], *ids[6:]}))

    async def test_unreadable(self) -> None:
        """A row that cannot be read stays, and does not stand in the way of others."""
        spool = await self.open()
        bad, good = message(spool.new_id(), due=NOW - 9), message(spool.new_id())
        orphan = message(spool.new_id(), due=NOW - 8)
        for each in (bad, good, orphan):
            await spool.admit(each, ())
        connection = sqlite3.connect(self.directory / DATABASE)
        connection.execute("UPDATE messages SET facts = 'nonsense' WHERE id = ?", (decode_id(bad.id),))
        connection.execute("DELETE FROM messages WHERE id = ?", (decode_id(orphan.id),))
        connection.commit()
        connection.close()
        self.assertEqual([good], await spool.claim(NOW, 10, 10**6, set()))
        self.assertEqual(NOW, await spool.next_due())
        self.assertEqual([good], await spool.claim(NOW, 10, 10**6, set()))
        self.assertEqual(3, self.rows("SELECT count(*) FROM addressees")[0][0])

    async def test_reschedule(self) -> None:
        """Everybody who waits is due; not those who are held."""
        spool = await self.open()
        names = [f"u{number}@x.test" for number in range(3000)]
        await spool.admit(message(spool.new_id(), *names, due=NOW + 100), ())
        await spool.admit(message(spool.new_id(), due=NOW + 100, state="held"), ())
        soon = message(spool.new_id(), due=NOW - 100)
        await spool.admit(soon, ())
        self.assertEqual(3000, await spool.reschedule(NOW))
        self.assertEqual(0, await spool.reschedule(NOW))
        self.assertEqual(2, len(await spool.claim(NOW, 10, 10**7, set())))
        self.assertEqual(NOW - 100, await spool.next_due())

    async def test_reschedule_keeps_to_times(self) -> None:
        """What is scheduled is not due before its time, unless it was tried already."""
        spool = await self.open()
        later = {"release": NOW + 500}
        for number in range(2500):
            one = message(spool.new_id(), due=NOW + 500 + number % 2 * 100)
            one.attributes = dict(later)
            await spool.admit(one, ())
        retried = message(spool.new_id(), due=NOW + 600)
        retried.attributes = dict(later)
        retried.addressees[0].attempts = 1
        await spool.admit(retried, ())
        await spool.admit(message(spool.new_id(), due=NOW + 900), ())
        self.assertEqual(2, await spool.reschedule(NOW))
        self.assertEqual(NOW, await spool.next_due())
        self.assertEqual(1250, await spool.reschedule(NOW + 500.5))

    async def test_another_time(self) -> None:
        """It is kept with the message, which stays what it was, and flushes leave it to that."""
        spool = await self.open()
        sent = message(spool.new_id(), due=NOW + 5)
        sent.addressees[0].attempts = 3
        await spool.admit(sent, ())
        at = NOW + 1000.1
        sent.addressees[0].due = at
        sent.expires += 1000.1
        sent.attributes = {**sent.attributes, "release": at}
        await spool.record(Result(sent.id, sent.addressees, False, [], retimed=sent))
        self.assertEqual(sent, await spool.get(sent.id))
        self.assertEqual(0, await spool.reschedule(NOW + 500))
        await spool.stop()
        again = await self.open()
        self.assertEqual(sent, await again.get(sent.id))
        self.assertEqual(at, await again.next_due())


class StartTests(SpoolCase):
    """Opening and owning."""

    async def test_ids(self) -> None:
        """An id is new even behind a clock that was set back."""
        spool = await self.open(shard=7)
        self.assertEqual(7, shard_of(spool.new_id()))
        self.assertLess(abs(created_at(spool.new_id()) - time.time()), 60)
        future = IdSource(7).next(NOW * 2)
        await spool.admit(message(future), ())
        await spool.stop()
        again = await self.open(shard=7)
        self.assertGreater(again.new_id(), future)
        await again.record(delivered(message(future)))
        await again.stop()
        # Known from the journal alone.
        self.assertGreater((await self.open(shard=7)).new_id(), future)

    async def test_two_owners(self) -> None:
        """The second one is told who has it; when the first has gone, it may."""
        first = await self.open()
        error = await self.assertFailure(Spool(self.directory, reactor).start(), TemporarilyUnavailable)
        self.assertIn("belongs to another server", str(error))
        await first.stop()
        await self.open()

    async def test_stop_while_starting(self) -> None:
        """It starts, and stops."""
        spool = Spool(self.directory, reactor)
        spool.note([Server(at=NOW, what="before")])
        started = spool.start()
        await spool.stop()
        await started
        self.assertEqual([("server",)], self.rows("SELECT kind FROM events"))
        await self.open()
        failing = Spool(self.directory, reactor)
        started = failing.start()
        await failing.stop()
        await self.assertFailure(started, TemporarilyUnavailable)

    async def test_newer_schema(self) -> None:
        """A database of a newer program is left alone."""
        await (await self.open()).stop()
        connection = sqlite3.connect(self.directory / DATABASE)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        error = await self.assertFailure(Spool(self.directory, reactor).start(), TemporarilyUnavailable)
        self.assertIn("use a newer mta", str(error))
        # And the directory is free again.
        connection = sqlite3.connect(self.directory / DATABASE)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.close()
        await self.open()

    async def test_damaged(self) -> None:
        """A damaged database is named, with what to do."""
        self.directory.mkdir(parents=True)
        (self.directory / DATABASE).write_bytes(b"this is no database" * 1000)
        error = await self.assertFailure(Spool(self.directory, reactor).start(), TemporarilyUnavailable)
        self.assertIn("is damaged", str(error))

    async def test_no_directory(self) -> None:
        """A directory that cannot be made is named."""
        self.directory.parent.mkdir(parents=True)
        self.directory.write_bytes(b"a file")
        error = await self.assertFailure(Spool(self.directory, reactor).start(), TemporarilyUnavailable)
        self.assertIn(str(self.directory), str(error))

    async def test_start_is_constant(self) -> None:
        """A hundred thousand waiting messages do not hold up the start."""
        await (await self.open()).stop()
        connection = sqlite3.connect(self.directory / DATABASE)
        connection.executescript(
            """
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
            INSERT INTO addressees SELECT i, 0, 0, 2e9 + i, 0, 0, 'a', 't', 'h', '["a",{},[],""]', '' FROM n;
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
            INSERT INTO messages SELECT i, 0, 0, 10, '', NULL, '', x'', zeroblob(10) FROM n;
            UPDATE counters SET messages = 100000, addressees = 100000;
            """
        )
        connection.close()
        before = time.process_time()
        spool = await self.open()
        self.assertEqual(100_000, (await spool.count())["messages"])
        self.assertEqual(2e9 + 1, await spool.next_due())
        self.assertLess(time.process_time() - before, 0.5)

    async def test_room(self) -> None:
        """Room is what the file system has, less what stays free."""
        spool = await self.open()
        self.assertTrue(spool.has_room(0))
        self.assertTrue(spool.has_room(1000))
        self.assertFalse(spool.has_room(1 << 60))
        await spool.stop()
        spool = await self.open(minimum_free=1 << 60)
        self.assertFalse(spool.has_room(0))

    async def test_drained(self) -> None:
        """A queue that was large once gives its space back."""
        from mta.queue import housekeeping

        self.patch(housekeeping, "_SPARE_PAGES", 100)
        spool = await self.open()
        many = [message(spool.new_id(), data=b"x" * 50_000) for _ in range(100)]
        await gatherResults([spool.admit(each, ()) for each in many])
        await gatherResults([spool.record(delivered(each)) for each in many])
        for _ in range(3000):
            if self.rows("PRAGMA page_count")[0][0] < 400:
                break
            await deferLater(reactor, 0.02)
        self.assertLess(self.rows("PRAGMA page_count")[0][0], 400)


class WriterOfNothing(SpoolCase):
    """The writer survives what it should not meet."""

    async def test_bug(self) -> None:
        """An exception out of nowhere is trouble that ends, not the end of the thread."""
        spool = await self.open()
        original = Writer._keep
        calls = []

        def fail_once(writer: Writer, batch: Any) -> None:
            calls.append(batch)
            if len(calls) == 1:
                raise RuntimeError("bug")
            original(writer, batch)

        self.patch(Writer, "_keep", fail_once)
        sent = message(spool.new_id())
        await self.assertFailure(spool.admit(sent, ()), TemporarilyUnavailable)
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        while spool._writer.trouble is not None:
            await deferLater(reactor, 0.02)
        await spool.admit(sent, ())
