"""The journal as plugins see it: they ask without blocking, and add to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mta.interfaces import IJournal
from mta.journal.reader import JournalReader
from mta.model.event import Event, Received

T = TypeVar("T")


def _nowhere(events: Iterable[Event]) -> None:
    """Without a server there is no journal to add to."""


@implementer(IJournal)
class History:
    """Reads the journals of all shards, and writes to that of this worker.

    :param spool: the directory of all shards.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    :ivar note: see :class:`~mta.interfaces.IJournal`; a server with a spool gives its own.
    """

    def __init__(self, spool: Path, run_in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._spool = spool
        self._run_in_thread = run_in_thread
        self.note: Callable[[Iterable[Event]], None] = _nowhere

    def message(self, identifier: str) -> Awaitable[Sequence[Event]]:
        """See :class:`~mta.interfaces.IJournal`."""
        return self._ask(lambda reader: [record.event for record in reader.message(identifier)])

    def find(self, word: str, limit: int = 20) -> Awaitable[Sequence[Event]]:
        """See :class:`~mta.interfaces.IJournal`."""
        return self._ask(lambda reader: [record.event for record in reader.find(word, limit=limit)])

    async def accepted(self, identifiers: Collection[str]) -> Collection[str]:
        """Which of these messages were accepted; see :meth:`JournalReader.accepted`.

        :raise TemporarilyUnavailable: if a journal cannot be read.
        """
        found: Collection[str] = await self._run_in_thread(
            lambda: JournalReader(sorted(self._spool.glob("*/queue.db"))).accepted(identifiers)
        )
        return found

    async def received(self, identifiers: Iterable[str]) -> Sequence[Received]:
        """How messages were accepted, as far as the journal knows.

        :raise TemporarilyUnavailable: if a journal cannot be read.
        """
        found: list[Received] = []
        for identifier in identifiers:
            found += [event for event in await self.message(identifier) if isinstance(event, Received)]
        return found

    def _ask(self, question: Callable[[JournalReader], list[Event]]) -> Awaitable[Sequence[Event]]:
        return Deferred.fromCoroutine(self._answer(question))

    async def _answer(self, question: Callable[[JournalReader], list[Event]]) -> Sequence[Event]:
        found: Sequence[Event] = await self._run_in_thread(self._answered, question)
        return found

    def _answered(self, question: Callable[[JournalReader], list[Event]]) -> list[Event]:
        # Another start may have more shards.
        return question(JournalReader(sorted(self._spool.glob("*/queue.db"))))
