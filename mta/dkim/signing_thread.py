"""A thread that signs, so that the reactor's thread can go on.

The calculation of an RSA signature leaves the interpreter to others.  Whatever waits is taken
together and answered together: under load, one message costs no change of threads of its own.
One thread, however many messages there are; it ends when there has been nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")

#: Jobs answered together at the most: the first one waits for the last.
BATCH = 16
#: Seconds without anything to do after which the thread ends.
IDLE = 10.0


class SigningThread:
    """See the module.

    :param reactor: runs the answers.
    :param idle: seconds without anything to do after which the thread ends.
    """

    def __init__(self, reactor: Any, idle: float = IDLE) -> None:
        self._reactor = reactor
        self._idle = idle
        self._some = Condition()
        # Guarded by the condition:
        self._waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self._running = False

    def run(self, job: Callable[[], T]) -> Deferred[T]:
        """Do something there; fires with what it answers."""
        done: Deferred[T] = Deferred()
        with self._some:
            self._waiting.append((job, done))
            begin, self._running = not self._running, True
            if not begin:
                self._some.notify()
        if begin:
            Thread(target=self._work, name="dkim-signing", daemon=True).start()
        return done

    def _work(self) -> None:
        while True:
            with self._some:
                if not self._waiting and not self._some.wait_for(self._waiting.__len__, self._idle):
                    self._running = False
                    return
                jobs, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            answers = []
            for job, done in jobs:
                try:
                    answers.append((done, job()))
                except Exception:
                    answers.append((done, Failure()))
            self._reactor.callFromThread(_answer, answers)


def _answer(answers: list[tuple[Deferred[Any], Any]]) -> None:
    for done, answer in answers:
        if not done.called:  # Nobody waits for what was cancelled.
            done.callback(answer)
