"""Writes a content that judges have made of the one that came into a file of the spool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from mta.model.message import Content


async def rewritten(content: Content, file: Any, run_in_thread: Callable[..., Awaitable[Any]]) -> Content:
    """Write it; what it answers with is on disk.

    :param file: an ``ISpoolFile``, which the caller aborts if this fails.
    :raise TemporarilyUnavailable: if it cannot be written.
    """
    tap = _Tap()
    file.register(tap)
    blocks = content.blocks()
    while (block := await run_in_thread(next, blocks, None)) is not None:
        file.write(block)
        if tap.shut is not None:
            await tap.shut
    written: Content = await file.finish()
    return written


@implementer(IPushProducer)
class _Tap:
    """Lets the disk keep us from reading faster than it writes."""

    shut: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        if self.shut is None:
            self.shut = Deferred()

    def resumeProducing(self) -> None:
        shut, self.shut = self.shut, None
        if shut is not None:
            shut.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()
