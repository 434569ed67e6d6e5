"""Ends the sessions of a listener when the server stops, whichever protocol they speak."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from twisted.internet.defer import Deferred


class Drained(Protocol):
    """What the sessions of one listener share, as far as their end is concerned.

    :ivar draining: whether the server is about to stop.
    :ivar empty: called by the last session that ends, if somebody waits for that.
    """

    draining: bool
    empty: Deferred[None] | None

    @property
    def sessions(self) -> Collection[Any]:
        """Protocols that are connected; each can ``drain()``."""


async def drain(premises: Drained, reactor: Any, grace: float) -> None:
    """Let what is under way end, then close what is left.

    :param grace: seconds to wait at the most.
    """
    premises.draining = True
    for session in list(premises.sessions):
        session.drain()
    if premises.sessions and grace > 0:
        empty: Deferred[None] = Deferred()
        premises.empty = empty
        timer = reactor.callLater(grace, empty.callback, None)
        await empty
        premises.empty = None
        if timer.active():
            timer.cancel()
    for session in list(premises.sessions):
        session.transport.abortConnection()
