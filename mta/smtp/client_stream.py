"""Content from a file to the network: read in threads, paced by the network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from mta.smtp.client_stuffing import DotStuffer
from mta.smtp.client_transaction import Transaction


class ContentDamaged(Exception):
    """A file has not the length that the queue knows."""


@implementer(IPushProducer)
class ContentStream:
    """Sends trace and content of one message.

    While the network takes one block the next one is read, so that about two
    blocks are in memory.

    :param transaction: what to send.
    :param stuff: whether dots are doubled and the end is marked (DATA).
    :param transport: where to.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    :param progressed: called after each block.
    """

    def __init__(
        self,
        transaction: Transaction,
        stuff: bool,
        transport: Any,
        run_in_thread: Callable[..., Awaitable[Any]],
        progressed: Callable[[], None],
    ) -> None:
        message = transaction.message
        self._blocks = iter(message.content.blocks())
        self._first = message.trace
        self._left = message.content.size
        self._stuffer = DotStuffer() if stuff else None
        self._transport = transport
        self._run = run_in_thread
        self._progressed = progressed
        self._paused = False
        self._going = True
        self._resumed: Deferred[None] | None = None

    async def send(self) -> bool:
        """Send everything.

        :return: whether it was sent; not if the connection went away.
        :raise OSError: if the file cannot be read.
        :raise ContentDamaged: if it is too short or too long.
        """
        self._transport.registerProducer(self, True)
        try:
            while self._wanted():
                block, last = await self._run(self._next)
                if self._paused and self._wanted():
                    self._resumed = Deferred()
                    await self._resumed
                if not self._wanted():
                    break
                self._transport.write(block)
                if last:
                    # At once: the server may answer before a thread could say so.
                    return True
                self._progressed()
            return False
        finally:
            if self._wanted():
                self._transport.unregisterProducer()
            close = getattr(self._blocks, "close", None)
            if close is not None:
                close()

    def _wanted(self) -> bool:
        return self._going

    def _next(self) -> tuple[bytes, bool]:
        """The next block as it goes out, and whether it is the last.  Runs in a thread."""
        block = next(self._blocks, b"")
        self._left -= len(block)
        if self._left < 0 or (not block and self._left):
            raise ContentDamaged("the content is not as long as it was when it was accepted")
        data, self._first = self._first + block, b""
        if self._stuffer is not None:
            data = self._stuffer.stuff(data)
        if self._left:
            return data, False
        # Behind the last octet there must be no other: that, too, would be damage.
        if next(self._blocks, b""):
            raise ContentDamaged("the content is longer than it was when it was accepted")
        if self._stuffer is not None:
            data += self._stuffer.end()
        return data, True

    # --- IPushProducer ---------------------------------------------------------

    def pauseProducing(self) -> None:
        """The network is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The network takes more."""
        self._paused = False
        self._wake()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._going = False
        self._wake()

    def _wake(self) -> None:
        if self._resumed is not None:
            resumed, self._resumed = self._resumed, None
            resumed.callback(None)
