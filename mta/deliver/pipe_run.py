"""One program at work: feeding it, listening to it, and ending it with all that it has started."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

#: Seconds between SIGTERM and SIGKILL.
KILL_AFTER = 5.0
#: Seconds for which others may hold the output of a program open that has ended.
LINGER = 1.0


@implementer(IPushProducer)
class Run(ProcessProtocol):
    """One program at work.

    :param timeout: seconds after which it is ended.
    :param max_output: octets of its output that are kept.
    :param output_limit: octets of output after which it is ended; 0: never.
    :param own_group: whether it gets a process group of its own.
    :ivar ended: fires when it has ended and its output is read.
    :ivar gone: likewise, for whoever stops it.
    :ivar reason: then, how it ended.
    :ivar overdue: why we ended it, in words; ``""`` if we did not.
    """

    reason: Failure

    def __init__(
        self, reactor: Any, timeout: float, max_output: int, output_limit: int, own_group: bool
    ) -> None:
        self.ended: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self.output = b""
        self.overdue = ""
        self._read = 0
        self._output_limit = output_limit
        self._reactor = reactor
        self._max_output = max_output
        self._own_group = own_group
        self._timer: Any = reactor.callLater(
            timeout, self.expire, f"it ran for longer than {timeout:g} seconds"
        )
        self._drained: Deferred[None] | None = None
        self._deaf = False
        self._exited = False

    # --- feeding it ----------------------------------------------------------

    async def feed(self, blocks: Iterator[bytes], run: Callable[..., Any]) -> None:
        """Write blocks that are read in a thread, no faster than the program takes them.

        :raise OSError: if they cannot be read; the program is killed first, because it must
            not take half a message for a whole one.
        """
        pipe = self.transport.pipes.get(0)  # type: ignore[union-attr]
        if pipe is None:
            return
        pipe.registerProducer(self, True)
        try:
            while not self._deaf:
                block = await run(next, blocks, None)
                if block is None:
                    break
                if not self._deaf:
                    pipe.write(block)
                if self._drained is not None:
                    await self._drained
        except BaseException:
            self.kill(signal.SIGKILL)
            raise
        finally:
            if not self._deaf:
                pipe.unregisterProducer()
        self.close()

    def give(self, data: bytes) -> None:
        """Write it all at once."""
        self.transport.write(data)  # type: ignore[union-attr]
        self.close()

    def close(self) -> None:
        """That was the message."""
        if not self._deaf:
            self.transport.closeStdin()  # type: ignore[union-attr]

    def pauseProducing(self) -> None:
        """The pipe is full."""
        if self._drained is None:
            self._drained = Deferred()

    def resumeProducing(self) -> None:
        """It is not any more."""
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    def stopProducing(self) -> None:
        """The program reads no more; its exit status tells whether that is right."""
        self._deaf = True
        self.resumeProducing()

    def inConnectionLost(self) -> None:
        """Likewise."""
        self.stopProducing()

    # --- listening to it -----------------------------------------------------

    def outReceived(self, data: bytes) -> None:
        """Keep the start of its output; read the rest, so that it does not block."""
        room = self._max_output - len(self.output)
        if room > 0:
            self.output += data[:room]
        self._read += len(data)
        if self._output_limit and self._read > self._output_limit and not self.overdue and not self._exited:
            self.expire(f"it wrote more than {self._output_limit} octets")

    errReceived = outReceived

    # --- its end -------------------------------------------------------------

    def kill(self, number: int) -> None:
        """Send a signal to the program and what it has started."""
        pid = getattr(self.transport, "pid", None)
        if pid is None or self._exited:
            return
        try:
            if self._own_group:
                os.killpg(pid, number)
                return
        except OSError:
            # It has no group of its own yet, so the program has not begun.  Between fork and
            # exec a process still has our handler of SIGTERM, which takes it and does nothing.
            number = signal.SIGKILL
        with suppress(OSError):
            os.kill(pid, number)

    def expire(self, why: str) -> None:
        """End it.

        :param why: in words.
        """
        self.forget()
        self.overdue = why
        self.kill(signal.SIGTERM)
        self._timer = self._reactor.callLater(KILL_AFTER, self._expire_at_last)

    def _expire_at_last(self) -> None:
        self._timer = None
        self.kill(signal.SIGKILL)

    def processExited(self, reason: Failure) -> None:
        """Wait only a little for others that hold its output open."""
        self.forget()
        pid = getattr(self.transport, "pid", None)
        if self.overdue and self._own_group and pid is not None:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        self._exited = True
        self._timer = self._reactor.callLater(LINGER, self._leave)

    def _leave(self) -> None:
        self._timer = None
        self.transport.loseConnection()  # type: ignore[union-attr]

    def forget(self) -> None:
        """No more timeouts: it has ended, or was never started."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def processEnded(self, reason: Failure) -> None:
        """All is read."""
        self.forget()
        self.stopProducing()
        self.reason = reason
        self.ended.callback(None)
        self.gone.callback(None)
