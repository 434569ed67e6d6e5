"""Writes a long answer no faster than the client reads it."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer


@implementer(IPushProducer)
class Paced:
    """A request's transport, as a producer that waits while it is full.

    :param request: of Twisted; use it in a ``with``.
    """

    def __init__(self, request: Any) -> None:
        self._request = request
        self._paused: Deferred[None] | None = None

    def __enter__(self) -> Paced:
        self._request.registerProducer(self, True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._request.unregisterProducer()

    async def write(self, octets: bytes) -> None:
        """Write; waits while the client has not read what was written before."""
        if octets:
            self._request.write(octets)
        if self._paused is not None:
            await self._paused

    def pauseProducing(self) -> None:
        """It is full."""
        if self._paused is None:
            self._paused = Deferred()

    def resumeProducing(self) -> None:
        """There is room."""
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.callback(None)

    def stopProducing(self) -> None:
        """The client is gone; whoever writes is cancelled."""
