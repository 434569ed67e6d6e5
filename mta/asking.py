"""Runs what asks instead of doing I/O: a generator of questions, each answered by sending an answer.

SPF and DMARC are written so (``mta.judge.spf.evaluation``, ``mta.dmarc``).  Here somebody fetches
the answers, for so long at the most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar, cast

from mta.bounded import Overdue, bounded

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


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
    try:
        return await bounded(reactor, _run(asking, answer), limit)
    except Overdue:
        raise Overdue(f"the DNS did not answer all questions in {limit:g} seconds") from None


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
