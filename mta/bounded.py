"""Waits for work, for so long at the most."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

Result = TypeVar("Result")


class Overdue(Exception):
    """It took too long; the text says how long was waited."""


async def bounded(reactor: Any, work: Coroutine[Any, Any, Result], limit: float) -> Result:
    """What the work comes to; it is cancelled when its time is over.

    :param reactor: gives timers.
    :param limit: seconds.
    :raise Overdue: if they were not enough, whatever the work makes of being cancelled.
    """
    waiting = Deferred.fromCoroutine(work)
    overdue = False

    def expire() -> None:
        nonlocal overdue
        overdue = True
        waiting.cancel()

    timer = reactor.callLater(limit, expire)
    try:
        return await waiting
    except Exception:
        # Who was cancelled may say so in words of its own, as an HTTP agent does.
        if not overdue:
            raise
        raise Overdue(f"no answer in {limit:g} seconds") from None
    finally:
        if timer.active():
            timer.cancel()
