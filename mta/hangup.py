"""SIGHUP asks for a reload; while the server starts, it is kept until there is something to reload."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def kept_back() -> Iterator[None]:
    """Processes that are started meanwhile are given the signal when they listen, and not before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Hangup:
    """Hears the signal from :meth:`listen` on, and passes it on from :meth:`serve` on.

    It works in the main thread, where Python runs handlers of signals.
    """

    def __init__(self) -> None:
        self._reload: Callable[[], None] | None = None
        self._early = False

    def listen(self) -> None:
        """Hear it from now on; what it does by default is end the process."""
        signal.signal(signal.SIGHUP, self._heard)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def serve(self, reload: Callable[[], None]) -> None:
        """Have it reload, at once if it has come already.

        :param reload: may be called between any two steps of the program.
        """
        self._reload = reload
        self.listen()
        if self._early:
            self._early = False
            reload()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._reload is None:
            self._early = True
        else:
            self._reload()
