"""A clock and a pool of threads without threads, so that tests say when something is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure


class Moments(Clock):
    """A reactor whose time passes when a test says so."""

    def callFromThread(self, what: Callable[..., Any], *args: Any) -> None:
        """Do it in the next turn, as a reactor does."""
        self.callLater(0, what, *args)

    def settle(self) -> None:
        """Let everything be done that needs no time."""
        while any(call.getTime() <= self.seconds() for call in self.getDelayedCalls()):
            self.advance(0)

    def advance_by(self, seconds: float, times: int = 1) -> None:
        """Let time pass, and everything be done."""
        for _ in range(times):
            self.advance(seconds)
            self.settle()


class SameThread:
    """Takes the place of a ``ThreadPool``.

    :ivar held: work that waits for :meth:`go_on`; ``None``: everything is done at once.
    :ivar late: answers that wait for it.
    :ivar running: whether it was started, and not stopped.
    """

    def __init__(self, *args: Any) -> None:
        self.running = False
        self.held: list[Callable[[], None]] | None = None
        self.late: list[Callable[[], None]] | None = None

    def start(self) -> None:
        """See ``ThreadPool``."""
        self.running = True

    def stop(self) -> None:
        """See ``ThreadPool``."""
        self.running = False

    def hold(self) -> None:
        """Do nothing until :meth:`go_on`."""
        self.held = []

    def hold_answers(self) -> None:
        """Do what comes, but tell nobody until :meth:`go_on`."""
        self.late = []

    def go_on(self) -> None:
        """Do what has waited, and what comes."""
        waiting = [*(self.held or []), *(self.late or [])]
        self.held = self.late = None
        for work in waiting:
            work()

    def callInThreadWithCallback(
        self, answer: Callable[[bool, Any], None], work: Callable[..., Any], *args: Any, **options: Any
    ) -> None:
        """See ``ThreadPool``."""

        def do() -> None:
            try:
                found = True, work(*args, **options)
            except Exception:
                found = False, Failure()
            if self.late is None:
                answer(*found)
            else:
                self.late.append(lambda: answer(*found))

        if self.held is None:
            do()
        else:
            self.held.append(do)
