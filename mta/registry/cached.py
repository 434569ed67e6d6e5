"""What was read of the registry, kept in memory until it changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

from mta.interfaces import Answer
from mta.registry.database import IDatabase

T = TypeVar("T")


class Cached(Generic[T]):
    """A value that is made of one noun's rows.

    :param database: has them.
    :param noun: whose rows.
    :param load: makes the value; in the database's thread.
    """

    def __init__(self, database: IDatabase, noun: str, load: Callable[[sqlite3.Connection], T]) -> None:
        self._database = database
        self._noun = noun
        self._load = load
        self._version = -1
        self._value: T | None = None
        self._waiting: list[Deferred[None]] | None = None

    def get(self) -> Answer[T]:
        """The value: at once unless it has changed.

        :raise TemporarilyUnavailable: by the awaitable, if it cannot be read.
        """
        version = self._database.version(self._noun)
        if version == self._version and version >= 0:
            return self._value  # type: ignore[return-value]
        return self._renewed(version)

    async def _renewed(self, version: int) -> T:
        while self._waiting is not None:
            # Somebody reads it just now; many requests read it once.
            turn: Deferred[None] = Deferred()
            self._waiting.append(turn)
            await turn
            now = self._database.version(self._noun)
            if now == self._version and now >= 0:
                return self._value  # type: ignore[return-value]
            version = now
        self._waiting = []
        try:
            value = await self._database.read(self._load)
            # A change since the version was asked makes it read once more, which does no harm.
            self._value, self._version = value, version
            return value
        finally:
            waiting, self._waiting = self._waiting, None
            for turn in waiting:
                turn.callback(None)
