"""Connections of the reactor: both ends are in it, and one sees a moment later that the other has gone."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.internet.tcp import Connection

reactor: Any = _reactor


async def all_ended() -> None:
    """Wait until there are none any more."""
    while any(isinstance(one, Connection) for one in [*reactor.getReaders(), *reactor.getWriters()]):
        await deferLater(reactor, 0.001)
