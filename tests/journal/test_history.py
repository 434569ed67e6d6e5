"""The journal as plugins see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import IJournal, TemporarilyUnavailable
from mta.journal.history import History
from mta.model.event import Bounced, Received
from tests.journal.shard import NOON, Shard, ids


async def at_once(function: Any, *arguments: Any) -> Any:
    return function(*arguments)


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.spool = Path(self.mktemp())
        self.history = History(self.spool, at_once)

    def shard(self, number: int) -> Shard:
        shard = Shard(self.spool / str(number))
        self.addCleanup(shard.close)
        return shard

    def test_all_shards(self) -> None:
        """A report may come to another worker than the message did; a shard may be made later."""
        self.assertTrue(IJournal.providedBy(self.history))
        (message,) = ids(1)
        self.assertEqual([], self.successResultOf(self.history.message(message)))
        received = Received(
            at=NOON, message=message, sender="a@b.test", recipients=["x@far.test"], message_id="<m@x>"
        )
        bounced = Bounced(at=NOON + 9, message=message, recipient="x@far.test")
        self.shard(0).write([received])
        self.shard(1).write([bounced])
        self.assertEqual([received, bounced], self.successResultOf(self.history.message(message)))
        self.assertEqual([received], self.successResultOf(self.history.find("<M@x>")))
        self.assertEqual([bounced, received], self.successResultOf(self.history.find("x@far.test")))
        self.assertEqual([bounced], self.successResultOf(self.history.find("x@far.test", limit=1)))

    def test_damaged(self) -> None:
        (self.spool / "0").mkdir(parents=True)
        (self.spool / "0" / "queue.db").write_bytes(b"no database" * 1000)
        self.failureResultOf(self.history.find("x@far.test"), TemporarilyUnavailable)

    def test_note(self) -> None:
        """Without a server there is nowhere to note; with one it is the server's."""
        self.history.note([])
        noted: list[Any] = []
        self.history.note = noted.extend
        self.history.note([1])  # type: ignore[list-item]
        self.assertEqual([1], noted)
