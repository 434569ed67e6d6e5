"""One connection to a filter, which runs dialogues."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mta.judge.milter.dialogue import Dialogue, Request, Send, Want
from mta.judge.milter.options import Agreed
from mta.judge.milter.packets import MilterError, Packet, PacketReader

T = TypeVar("T")

#: Packets that nobody asked for, of which no more are kept.
_MOST_UNASKED = 1000


class MilterLost(MilterError):
    """The filter closed the connection, or it broke."""


class MilterTimeout(MilterError):
    """The filter was silent for too long."""


class Body:
    """The body of a message, piece by piece.

    :param blocks: its octets.
    :param run_in_thread: where a block is read; ``None`` if it is in memory.
    """

    def __init__(
        self, blocks: Iterator[bytes], run_in_thread: Callable[..., Awaitable[Any]] | None = None
    ) -> None:
        self._blocks = blocks
        self._run = run_in_thread

    async def next(self) -> bytes:
        """The next piece; ``b""`` behind the last."""
        while True:
            if self._run is None:
                block = next(self._blocks, None)
            else:
                block = await self._run(next, self._blocks, None)
            if block is None:
                return b""
            if block:
                return bytes(block)


@implementer(IPushProducer)
class MilterConnection(Protocol):
    """See the module.  One dialogue at a time.

    :param reactor: for timeouts.
    :ivar terms: what was agreed on, once it was.
    :ivar lost: whether it is gone.
    :ivar on_lost: called when it goes.
    """

    transport: Any
    terms = Agreed()
    lost = False

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._reader = PacketReader()
        self._packets: deque[Packet] = deque()
        self._waiting: Deferred[None] | None = None
        self._shut: Deferred[None] | None = None
        self._trouble: MilterError | None = None
        self.on_lost: Callable[[], None] = lambda: None

    # --- what is done with it ----------------------------------------------------

    async def run(self, dialogue: Dialogue[T], patience: float, body: Body | None = None) -> T:
        """Run a dialogue to its end.

        :param patience: seconds to wait for each packet, and for the filter to read what we send.
        :param body: what pieces are taken from.
        :raise MilterError: if the filter does not keep to the protocol, is silent, or goes away.
        """
        given: Packet | bytes | None = None
        try:
            while True:
                try:
                    request: Request = dialogue.send(given)
                except StopIteration as end:
                    result: T = end.value
                    return result
                if isinstance(request, Send):
                    given = None
                    await self._send(request.octets, patience)
                elif request is Want.PIECE:
                    given = await body.next() if body is not None else b""
                else:
                    given = await self._receive(patience)
        finally:
            dialogue.close()

    def say(self, octets: bytes) -> None:
        """Send something that has no answer."""
        if not self.lost:
            self.transport.write(octets)

    def leave(self, octets: bytes = b"") -> None:
        """Close it, when this has been sent."""
        if not self.lost:
            if octets:
                self.transport.write(octets)
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def drop(self) -> None:
        """Close it at once."""
        if not self.lost:
            self.transport.abortConnection()

    # --- how ---------------------------------------------------------------------

    async def _send(self, octets: bytes, patience: float) -> None:
        if self._trouble is not None:
            raise self._trouble
        self.transport.write(octets)
        if self._shut is not None:
            await self._patiently(self._shut, patience)

    async def _receive(self, patience: float) -> Packet:
        if not self._packets:
            if self._trouble is not None:
                raise self._trouble
            self._waiting = Deferred()
            await self._patiently(self._waiting, patience)
        return self._packets.popleft()

    async def _patiently(self, event: Deferred[None], patience: float) -> None:
        def over() -> None:
            error = MilterTimeout(f"it was silent for {patience:g} seconds")
            self._fail(error)
            self.drop()

        call = self._reactor.callLater(patience, over)
        try:
            await event
        finally:
            if call.active():
                call.cancel()

    def _fail(self, trouble: MilterError) -> None:
        self._trouble = self._trouble or trouble
        for name in ("_waiting", "_shut"):
            event: Deferred[None] | None = getattr(self, name)
            setattr(self, name, None)
            if event is not None:
                event.errback(Failure(self._trouble))

    # --- what the transport calls ------------------------------------------------

    def connectionMade(self) -> None:
        """Be told when the filter does not read."""
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Take packets."""
        try:
            self._packets.extend(self._reader.feed(data))
            if len(self._packets) > _MOST_UNASKED:
                raise MilterError("it talks without being asked")
        except MilterError as error:
            self._fail(error)
            self.drop()
            return
        waiting = self._waiting
        if waiting is not None and self._packets:
            self._waiting = None
            waiting.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone; whoever waits is told."""
        self.lost = True
        self._fail(MilterLost("it closed the connection"))
        self.on_lost()

    def pauseProducing(self) -> None:
        """The filter does not read."""
        if self._shut is None:
            self._shut = Deferred()

    def resumeProducing(self) -> None:
        """It reads."""
        shut, self._shut = self._shut, None
        if shut is not None:
            shut.callback(None)

    def stopProducing(self) -> None:
        """The connection is gone; :meth:`connectionLost` tells."""
