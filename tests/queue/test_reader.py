"""A look at the queue from outside, beside a running spool and on a stopped one."""

from __future__ import annotations

from pathlib import Path

from mta.interfaces import TemporarilyUnavailable
from mta.model.message import FileContent, Message
from mta.queue.reader import QueueReader
from tests.queue.spooling import SpoolCase, delivered, message


class ReaderTests(SpoolCase):
    """Pages, filters, one message, totals."""

    async def filled(self) -> list[Message]:
        self.spool = spool = await self.open()
        file = spool.create_file(spool.new_id())
        file.write(b"x" * 70_000)
        many = [
            message(file.path.name, "Bob@Local.test", content=await file.finish()),
            message(spool.new_id(), "eve@other.test", "bob@local.test", sender="Zoe@client.test"),
            message(spool.new_id(), "carl@sub.local.test", sender="", state="held"),
            message(spool.new_id(), "dora_x@local-test.test"),
        ]
        many[3].addressees[0].original = "List@local.test"
        for each in many:
            await spool.admit(each, ())
        self.reader = QueueReader(self.directory)
        self.addCleanup(self.reader.close)
        return many

    async def test_pages(self) -> None:
        """By id, each page behind the last."""
        many = await self.filled()
        ids = [each.id for each in many]
        self.assertEqual(ids, [each.id for each in self.reader.page()])
        self.assertEqual(ids[:2], [each.id for each in self.reader.page(limit=2)])
        self.assertEqual(ids[2:], [each.id for each in self.reader.page(after=ids[1], limit=2)])
        self.assertEqual([], self.reader.page(after=ids[3]))
        self.assertEqual([], self.reader.page(limit=0))
        self.assertRaises(ValueError, self.reader.page, after="nonsense")

    async def test_oldest(self) -> None:
        """Since when the one waits that waits longest; the held, and those for later, do not."""
        self.spool = spool = await self.open()
        reader = QueueReader(self.directory)
        self.addCleanup(reader.close)
        self.assertEqual(0.0, reader.oldest(2e9))
        created = (1.0e9, 1.1e9, 1.2e9, 1.3e9)
        for number, at in enumerate(created):
            one = message(spool.new_id(), "bob@local.test", state="held" if number == 0 else "queued")
            one.created = at
            one.attributes = {"release": 1.5e9} if number == 1 else {}
            await spool.admit(one, ())
        self.assertEqual(1.2e9, reader.oldest(1.4e9))
        self.assertEqual(1.2e9, reader.oldest(1.6e9))

    async def test_waiting(self) -> None:
        """What waits by transport and next hop; the messages of one of them."""
        many = await self.filled()
        found = self.reader.waiting(1000)
        self.assertEqual(
            sum(len(each.addressees) for each in many), sum(one.recipients + one.held for one in found)
        )
        self.assertEqual(1, sum(one.held for one in found))
        way = many[1].addressees[0].transport, many[1].addressees[0].next_hop
        chosen = self.reader.page(way=way)
        self.assertIn(many[1].id, [each.id for each in chosen])
        self.assertEqual([], self.reader.page(way=(way[0], "nowhere")))
        self.assertEqual(2, sum(one.recipients + one.held for one in self.reader.waiting(2)))

    async def test_filters(self) -> None:
        """Each alone and together."""
        many = await self.filled()
        for expected, filters in (
            ([0, 1], {"recipient": "bob@LOCAL.test"}),
            ([3], {"recipient": "list@local.test"}),
            ([1], {"sender": "zoe@CLIENT.test"}),
            ([2], {"sender": "<>"}),
            ([2], {"state": "held"}),
            ([0, 1, 3], {"state": "queued"}),
            ([0, 1], {"domain": "local.TEST"}),
            ([2], {"domain": "sub.local.test"}),
            ([], {"domain": "local%test"}),
            ([], {"domain": "local_test.test"}),
            ([3], {"domain": "local-test.test"}),
            ([1], {"sender": "zoe@client.test", "domain": "local.test", "state": "queued"}),
            ([], {"sender": "<>", "state": "queued"}),
            # One addressee must fit in every respect.
            ([], {"recipient": "eve@other.test", "domain": "local.test"}),
        ):
            found = [each.id for each in self.reader.page(**filters)]
            self.assertEqual([many[index].id for index in expected], found, filters)
        self.assertRaises(ValueError, self.reader.page, state="nonsense")

    async def test_whole(self) -> None:
        """A message as it is, its content when it is asked for."""
        many = await self.filled()
        for sent in many:
            found = self.reader.get(sent.id)
            assert found is not None
            self.assertEqual(sent.size, found.size)
            self.assertEqual(sent.content.read(), found.content.read())
            self.assertEqual(b"".join(sent.content.blocks()), b"".join(found.content.blocks()))
            self.assertEqual(isinstance(sent.content, FileContent), isinstance(found.content, FileContent))
            found.content = sent.content
            self.assertEqual(sent, found)
        self.assertIsNone(self.reader.get(self.spool.new_id()))
        self.assertRaises(ValueError, self.reader.get, "nonsense")
        found = self.reader.get(many[1].id)
        assert found is not None
        await self.spool.record(delivered(many[1]))
        self.assertRaises(TemporarilyUnavailable, found.content.read)

    async def test_changes_are_seen(self) -> None:
        """Beside a running spool, what was committed is there."""
        many = await self.filled()
        self.assertEqual({"messages": 4, "addressees": 5, "held": 1}, without_octets(self.reader.count()))
        await self.spool.record(delivered(many[0]))
        self.assertEqual({"messages": 3, "addressees": 4, "held": 1}, without_octets(self.reader.count()))

    async def test_stopped(self) -> None:
        """Without a server too, and nothing is left behind."""
        many = await self.filled()
        self.reader.close()
        await self.spool.stop()
        with QueueReader(self.directory) as reader:
            self.assertEqual([each.id for each in many], [each.id for each in reader.page()])
            self.assertEqual(sum(each.size for each in many), reader.count()["octets"])
        self.assertEqual({"content", "lock", "queue.db"}, {path.name for path in self.directory.iterdir()})

    async def test_no_queue(self) -> None:
        """A directory without a queue is said to be one, and not made one."""
        reader = QueueReader(Path(self.mktemp()))
        self.assertIn("there is no queue", str(self.assertRaises(TemporarilyUnavailable, reader.page)))
        self.assertRaises(TemporarilyUnavailable, reader.count)
        self.directory.mkdir(parents=True)
        (self.directory / "queue.db").write_bytes(b"nonsense" * 1000)
        self.assertRaises(TemporarilyUnavailable, QueueReader(self.directory).page)


def without_octets(count: dict[str, int]) -> dict[str, int]:
    """The totals that do not depend on sizes."""
    return {name: value for name, value in count.items() if name != "octets"}
