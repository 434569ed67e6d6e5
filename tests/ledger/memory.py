"""A ledger in memory, which answers at once."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from mta.interfaces import TemporarilyUnavailable
from mta.ledger.book import Book, open_book
from mta.ledger.view import View


class MemoryLedger:
    """Runs questions where they are asked.

    :param clock: gives the time.
    :ivar down: whether it fails.
    :ivar asked: how many questions there were.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.down = False
        self.asked = 0
        self.patience: float | None = None
        self._views: dict[str, View] = {}
        with tempfile.TemporaryDirectory() as place:
            source = open_book(Path(place) / "x.db")
            self.connection = sqlite3.connect(":memory:", isolation_level=None)
            source.backup(self.connection)
            source.close()

    def ask(self, question: Callable[[Any], Any], patience: float | None = None) -> Deferred[Any]:
        self.asked += 1
        self.patience = patience
        if self.down:
            return fail(TemporarilyUnavailable("the disk is gone"))
        book = Book(self.connection, self._clock.seconds())
        answer = question(book)
        for kind in book.changed & self._views.keys():
            entries = {key: (value, end) for key, value, end in book.entries(kind)}
            self._views[kind].replace(entries)
        return succeed(answer)

    def view(self, kind: str) -> View:
        return self._views.setdefault(kind, View(self._clock.seconds))

    @property
    def book(self) -> Book:
        return Book(self.connection, self._clock.seconds())
