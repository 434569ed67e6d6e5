"""What judges make of a message that came: another content, in a file of the spool; further recipients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from mta.interfaces import IRouter, RouteError, TemporarilyUnavailable, settle
from mta.model.catalogue import REPLIES
from mta.model.envelope import Recipient
from mta.model.message import Content
from mta.model.reply import Reply


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


async def route_added(router: IRouter, recipients: Iterable[Recipient], ref: str) -> Reply | None:
    """Find the ways of recipients that a judge has added; a reply if there is none.

    :param ref: what the reply is known by: the id of the session.
    """
    for recipient in recipients:
        if recipient.routes:
            continue
        why = "nobody knows the way there"
        try:
            found = await settle(router.route(recipient.address))
            recipient.routes = tuple(found or ())
        except (RouteError, TemporarilyUnavailable) as trouble:
            why = str(trouble)
        if not recipient.routes:
            # It is our filter that is wrong, not the client.
            reply = REPLIES.reply("added-recipient", ref=ref)
            return reply.because("revision", {"recipient": recipient.address, "why": why})
    return None


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
