"""Runs what asks instead of doing I/O: a generator of questions, each answered by sending an answer.

SPF and DMARC are written so (``mta.judge.spf.evaluation``, ``mta.dmarc``).  Here somebody fetches
the answers, for so long at the most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


class Overdue(Exception):
    """The answers took too long; the text says how long was waited."""


async def asked(
    reactor: Any,
    asking: Generator[Question, Answer, Result],
    answer: Callable[[Question], Awaitable[Answer]],
    limit: float,
) -> Result:
    """What a generator returns in the end.

    :param reactor: gives timers.
    :param asking: is closed when it takes too long.
    :param answer: finds the answer to a question.
    :param limit: seconds for all questions together.
    :raise Overdue: if they were not enough.
    """
    work = Deferred.fromCoroutine(_run(asking, answer))
    overdue = False

    def expire() -> None:
        nonlocal overdue
        overdue = True
        work.cancel()

    timer = reactor.callLater(limit, expire)
    try:
        return await work
    except CancelledError:
        if not overdue:
            raise
        raise Overdue(f"the DNS did not answer all questions in {limit:g} seconds") from None
    finally:
        if timer.active():
            timer.cancel()


async def _run(
    asking: Generator[Question, Answer, Result], answer: Callable[[Question], Awaitable[Answer]]
) -> Result:
    try:
        question = next(asking)
        while True:
            question = asking.send(await answer(question))
    except StopIteration as end:
        return cast(Result, end.value)
    finally:
        asking.close()
