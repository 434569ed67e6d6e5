"""What is found in the journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from mta.journal import reader
from mta.journal.reader import JournalError, JournalReader
from mta.model.event import (
    Authenticated,
    AuthenticationFailed,
    Completed,
    DeliveredTo,
    Event,
    Received,
    Rejected,
)
from mta.model.event_rows import BUCKET_BITS
from tests.journal.shard import NOON, Shard, ids


def received(message: str, at: float = NOON, sender: str = "ann@example.org", **facts: str) -> Received:
    facts.setdefault("client", "192.0.2.1")
    return Received(at=at, message=message, sender=sender, recipients=["Bob@Example.net"], **facts)


def rejected(at: float = NOON, session: str = "s9", recipient: str = "no@example.org") -> Rejected:
    return Rejected(
        at=at, session=session, stage="recipient", code=550, reply="550 5.1.1 no", recipient=recipient
    )


class ReaderCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.place = Path(self.mktemp())
        self.shards = [Shard(self.place / str(number)) for number in range(2)]
        for shard in self.shards:
            self.addCleanup(shard.close)
        self.reader = JournalReader([shard.path for shard in self.shards])

    def events(self, records: list[reader.Record]) -> list[Event]:
        return [record.event for record in records]


class MessageTests(ReaderCase):
    def test_message(self) -> None:
        """All events of one message, oldest first, from whichever shard has them."""
        one, other = ids(2)
        story = [
            received(one),
            DeliveredTo(at=NOON + 1, message=one, recipient="bob@example.net"),
            Completed(at=NOON + 1, message=one),
        ]
        self.shards[1].write([story[0], received(other), *story[1:]])
        self.assertEqual(story, self.events(self.reader.message(one)))
        self.assertEqual(story, self.events(self.reader.message(one.upper())))

    def test_null_sender(self) -> None:
        """A bounce that comes in is found as any other message."""
        [name] = ids(1)
        self.shards[0].write([received(name, sender="")])
        [found] = self.events(self.reader.find("bob@example.net"))
        self.assertEqual(received(name, sender=""), found)

    def test_unknown(self) -> None:
        self.assertEqual([], self.reader.message(ids(1)[0]))

    def test_no_id(self) -> None:
        self.assertRaises(ValueError, self.reader.message, "ann@example.org")


class FindTests(ReaderCase):
    def test_words(self) -> None:
        """A message is found under sender, recipient, client, session and Message-ID, in any case."""
        event = received(ids(1)[0], session="S7", message_id="<M@x>")
        self.shards[0].write([event, received(ids(1)[0], sender="else@example.org", client="192.0.2.9")])
        for word in ("ann@example.org", "ANN@example.org", "s7", "<m@x>", "192.0.2.1"):
            self.assertEqual([event], self.events(self.reader.find(word)), word)
        self.assertEqual(2, len(self.reader.find("bob@example.net")))

    def test_newest_first_over_shards(self) -> None:
        names = ids(4)
        self.shards[0].write([received(names[0], NOON), received(names[2], NOON + 2)])
        self.shards[1].write([received(names[1], NOON + 1), received(names[3], NOON + 3)])
        found = [record.event.message for record in self.reader.find("ann@example.org")]
        self.assertEqual(names[::-1], found)
        found = [record.event.message for record in self.reader.find("ann@example.org", limit=2)]
        self.assertEqual(names[:1:-1], found)

    def test_not_yet_indexed(self) -> None:
        """The newest events have no keys; they are found all the same, and before the others."""
        old, new = received(ids(1)[0]), received(ids(1)[0], NOON + 1)
        self.shards[0].write([old])
        self.shards[0].write([new, received(ids(1)[0], sender="x@y.org")], indexed=False)
        self.assertEqual([new, old], self.events(self.reader.find("ann@example.org")))

    def test_buckets(self) -> None:
        """Every bucket is asked, also behind a gap."""
        first, second = received(ids(1)[0]), received(ids(1)[0], NOON + 1)
        self.shards[0].write([first])
        self.shards[0].write([second], first=(3 << BUCKET_BITS) + 5)
        self.assertEqual([second, first], self.events(self.reader.find("ann@example.org")))

    def test_time(self) -> None:
        events = [received(ids(1)[0], NOON + hour * 3600) for hour in range(50)]
        self.shards[0].write(events)
        found = self.reader.find("ann@example.org", since=NOON + 10 * 3600, until=NOON + 12 * 3600)
        self.assertEqual(events[12:9:-1], self.events(found))

    def test_rejected_only(self) -> None:
        refused = rejected()
        failed = AuthenticationFailed(at=NOON + 1, session="s9", account="no@example.org")
        welcome = Authenticated(at=NOON + 2, session="s9", account="no@example.org")
        self.shards[0].write([refused, failed, welcome])
        self.assertEqual(3, len(self.reader.find("no@example.org")))
        self.assertEqual([failed, refused], self.events(self.reader.find("no@example.org", rejected=True)))

    def test_same_hash(self) -> None:
        """Another word with the same hash is not taken for this one."""
        self.shards[0].write([received(ids(1)[0])])
        from mta.model.event_rows import key_of

        with mock.patch.object(reader, "key_of", lambda word: key_of("ann@example.org")):
            self.assertEqual([], self.reader.find("stranger@example.org"))
            self.assertEqual(1, len(self.reader.find("ann@example.org")))


class RecentTests(ReaderCase):
    def test_range(self) -> None:
        """Newest first, within the time, though a clock was set back a little."""
        order = [0, 1, 2, 4, 3, 5, 6, 7]
        events = [received(ids(1)[0], NOON + 10 * step) for step in order]
        self.shards[0].write(events)
        found = self.reader.recent(since=NOON + 30, until=NOON + 50)
        self.assertEqual([NOON + 50, NOON + 40, NOON + 30], [record.event.at for record in found])

    def test_kinds(self) -> None:
        self.shards[0].write([received(ids(1)[0]), rejected()])
        self.assertEqual([rejected()], self.events(self.reader.recent(rejected=True)))
        self.assertEqual(["received"], [r.event.kind for r in self.reader.recent(kinds=["received"])])

    def test_limit(self) -> None:
        for shard in self.shards:
            shard.write([received(ids(1)[0], NOON + step) for step in range(5)])
        self.assertEqual([NOON + 4, NOON + 4, NOON + 3], [r.event.at for r in self.reader.recent(limit=3)])

    def test_many(self) -> None:
        """The beginning of a time is found by halving, also with gaps in the numbers."""
        self.shards[0].write([received(ids(1)[0], NOON + step * 1000) for step in range(100)])
        self.shards[0].write([received(ids(1)[0], NOON + 200_000)], first=1_000_000)
        since = NOON + 97_000
        self.assertEqual(4, len(self.reader.recent(since=since)))


class TailTests(ReaderCase):
    def test_tail(self) -> None:
        """What comes after the ends, in the order of time, once."""
        self.shards[0].write([rejected()])
        ends = self.reader.ends()
        self.assertEqual(([], ends), self.reader.tail(ends))
        new = [rejected(NOON + step, f"t{step}") for step in range(4)]
        self.shards[0].write([new[0], new[2]])
        self.shards[1].write([new[1], new[3]])
        records, after = self.reader.tail(ends)
        self.assertEqual(new, self.events(records))
        self.assertEqual(([], after), self.reader.tail(after))

    def test_limit(self) -> None:
        """What is too much for one call comes with the next."""
        events = [rejected(NOON + step) for step in range(5)]
        self.shards[0].write(events)
        first, after = self.reader.tail((0, 0), limit=3)
        second, _ = self.reader.tail(after, limit=3)
        self.assertEqual(events, self.events([*first, *second]))


class FollowingTests(ReaderCase):
    """All events of one kind, of one shard, piece by piece."""

    def test_pieces(self) -> None:
        [one] = ids(1)
        self.shards[0].write([rejected(), Completed(at=NOON, message=one), rejected(NOON + 1)])
        self.shards[1].write([rejected(NOON + 9)])
        found, after = self.reader.following(0, ("rejected",), 0, span=2)
        self.assertEqual(([rejected()], 2), (self.events(found), after))
        found, after = self.reader.following(0, ("rejected",), after, span=2)
        self.assertEqual(([rejected(NOON + 1)], 3), (self.events(found), after))
        self.assertEqual(([], 3), self.reader.following(0, ("rejected",), after))

    def test_like(self) -> None:
        """Facts that look otherwise are passed over, and looked at no more."""
        self.shards[0].write([rejected(), rejected(NOON + 1, recipient="rua@example.org")])
        found, after = self.reader.following(0, ("rejected",), 0, like="%RUA@%")
        self.assertEqual(([rejected(NOON + 1, recipient="rua@example.org")], 2), (self.events(found), after))

    def test_gap(self) -> None:
        """What was pruned is not gone through piece by piece."""
        self.shards[0].write([rejected()], first=1_000_000)
        found, after = self.reader.following(0, ("rejected",), 0, span=2)
        self.assertEqual(([rejected()], 1_000_000), (self.events(found), after))
        self.shards[0].base.execute("DELETE FROM events")
        self.assertEqual(([], 1_000_000), self.reader.following(0, ("rejected",), 5, span=2))

    def test_missing(self) -> None:
        """A shard that was never started has nothing."""
        self.assertEqual(
            ([], 0), JournalReader([self.place / "7" / "queue.db"]).following(0, ("rejected",), 0)
        )


class TroubleTests(ReaderCase):
    def test_missing(self) -> None:
        """A shard that was never started has no events."""
        self.shards[0].write([rejected()])
        paths = [self.place / "7" / "queue.db", self.shards[0].path]
        self.assertEqual(1, len(JournalReader(paths).find("s9")))
        self.assertEqual((0, 1), JournalReader(paths).ends())

    def test_empty_file(self) -> None:
        """A database that is just being made."""
        path = self.place / "empty.db"
        path.touch()
        self.assertEqual([], JournalReader([path]).recent())

    def test_no_database(self) -> None:
        path = self.place / "bad.db"
        path.write_bytes(b"this is no database, but a text of some length" * 30)
        error = self.assertRaises(JournalError, JournalReader([path]).recent)
        self.assertIn("bad.db", str(error))

    def test_beside_a_writer(self) -> None:
        """An open transaction of the server keeps nobody from reading, and is not seen."""
        self.shards[0].write([rejected()])
        writer = sqlite3.connect(self.shards[0].path, isolation_level=None)
        self.addCleanup(writer.close)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM events")
        self.assertEqual(1, len(self.reader.recent()))

    def test_newer_program(self) -> None:
        """An event of a kind that this program does not know is passed over."""
        self.shards[0].write([rejected()])
        self.shards[0].base.execute("INSERT INTO events VALUES (2, ?, 'future', NULL, 's9', '{}')", (NOON,))
        self.assertEqual([rejected()], self.events(self.reader.recent()))
        self.assertEqual(1, len(self.reader.find("s9")))
        self.assertEqual((2, 0), self.reader.ends())


class BeforeTests(ReaderCase):
    """Pages of everything, newest first."""

    def filled(self) -> None:
        self.shards[0].write([rejected(NOON + at, f"a{at}") for at in range(0, 20, 2)])
        self.shards[1].write([rejected(NOON + at, f"b{at}") for at in range(1, 20, 2)])

    def walk(self, limit: int, **options: Any) -> list[float]:
        places: dict[int, int] = {}
        seen: list[float] = []
        for _ in range(100):
            page, places = self.reader.before(places, limit=limit, **options)
            seen += [record.event.at - NOON for record in page]
            if not places:
                return seen
        raise AssertionError("it has no end")

    def test_pages(self) -> None:
        """Each event once, in order, whatever the size of a page."""
        self.filled()
        for limit in (1, 3, 7, 20, 50):
            self.assertEqual([float(at) for at in range(19, -1, -1)], self.walk(limit), limit)

    def test_rare(self) -> None:
        """A page looks at so many numbers at the most; what is rare is found on a later one."""
        self.filled()
        self.shards[0].write([Authenticated(at=NOON - 5 + at, account="a") for at in range(5)])
        self.assertEqual(5, len(self.walk(4, kinds=["authenticated"], span=3)))
        page, places = self.reader.before({}, ["delivered"], 10, span=3)
        self.assertEqual(([], True), (page, bool(places)))

    def test_nothing(self) -> None:
        self.assertEqual(([], {}), self.reader.before({}))

    def test_ends_are_found_at_once(self) -> None:
        """Where a journal begins and ends is not found by reading all of it."""
        self.shards[0].write([rejected(NOON + at) for at in range(20_000)])
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        opened = reader._connect

        def counted(path: Path) -> sqlite3.Connection:
            base = opened(path)
            base.set_progress_handler(count, 100)
            return base

        with mock.patch.object(reader, "_connect", counted):
            self.reader.before({}, limit=5)
            self.reader.recent(since=NOON + 19_990, limit=5)
            self.reader.find("nobody@example.org", since=NOON + 19_990)
        self.assertLess(steps, 200)
