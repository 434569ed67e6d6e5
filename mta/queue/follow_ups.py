"""What follows from the rules of mailboxes: copies that are forwarded, replies of a program, and the event.

They are queued in the transaction that says that the message was delivered, so there is one of each however
often the delivery was tried.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from zope.interface import implementer

from mta.interfaces import Answer, IFollowUps, Route, RouteError, TemporarilyUnavailable, settle
from mta.model.address import domain_of
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Event, Received
from mta.model.event_mailbox import Sorted
from mta.model.message import Addressee, Content, FileContent, InlineContent, Message
from mta.model.sorting import Decision
from mta.queue.rerouting import REROUTE

_FLAGS = {"D": "draft", "F": "flagged", "P": "passed", "R": "answered", "S": "seen"}
#: Seconds for which a reply is tried.
_REPLY_LIVES = 2 * 86400.0


@implementer(IFollowUps)
class FollowUps:
    """See the module.

    :param hostname: our name.
    :param new_id: gives queue ids.
    :param route: finds routes, as a router does.
    :param return_path: gives the reverse-path of a forwarded copy, as ``ReturnPaths`` does.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param sign: gives fields for the top of a letter of ours.
    :param expire: gives the seconds for which a message is tried.
    """

    def __init__(
        self,
        *,
        hostname: str,
        new_id: Callable[[], str],
        route: Callable[[str], Answer[Sequence[Route] | None]],
        return_path: Callable[[str, str, str, str], Answer[str | None]],
        run_in_thread: Callable[..., Awaitable[Any]],
        sign: Callable[[bytes, float], Answer[bytes]],
        expire: Callable[[], float],
    ) -> None:
        self._hostname = hostname
        self._new_id = new_id
        self._route = route
        self._return_path = return_path
        self._run = run_in_thread
        self._sign = sign
        self._expire = expire

    async def make(
        self, message: Message, decisions: Sequence[tuple[Addressee, Decision, str]], now: float
    ) -> tuple[list[Message], list[Event]]:
        """See :class:`~mta.interfaces.IFollowUps`.

        :raise OSError: if the content cannot be had for a copy.
        :raise TemporarilyUnavailable: if nobody can tell which reverse-path a copy has.
        """
        made: list[Message] = []
        events: list[Event] = []
        for addressee, decision, sender in decisions:
            mine: list[Message] = []
            for to in decision.forwards:
                mine.append(await self._forward(message, addressee, decision, sender, to, now))
            if decision.reply is not None:
                mine.append(await self._reply(message, decision, now))
            events.append(_sorted(message, decision, mine, now))
            events += [_received(one, now, message) for one in mine]
            made += mine
        return made, events

    async def _forward(
        self, message: Message, addressee: Addressee, decision: Decision, sender: str, to: str, now: float
    ) -> Message:
        identifier = self._new_id()
        before = message.envelope
        content = await self._shared(message.content, identifier)
        # By this a copy that comes back is known (has_been_at), and other servers know their loops by it.
        top = f"Delivered-To: {decision.account}\r\n".encode("utf-8", "surrogateescape")
        addressees = await self._addressees(to, addressee.notify - {"SUCCESS"}, now)
        for one in addressees:
            path = await settle(self._return_path(identifier, sender, decision.account, one.address))
            if path is not None:
                one.options = {**one.options, "return_path": path}
        return Message(
            id=identifier,
            envelope=Envelope(
                sender,
                [Recipient(to)],
                before.body,
                smtputf8=before.smtputf8 or not to.isascii() or not decision.account.isascii(),
                ret=before.ret,
            ),
            client=Client(session=message.client.session, role="local", protocol=""),
            trace=top + message.trace,
            content=content,
            addressees=addressees,
            created=now,
            expires=now + self._expire(),
            attributes={"about": message.id},
        )

    async def _shared(self, content: Content, identifier: str) -> Content:
        """The same content for another message: a file gets a second name, since each removes its own.

        :raise OSError: if it cannot be given one.
        """
        if not isinstance(content, FileContent):
            return content
        path = content.path.with_name(identifier)
        await self._run(_link, content.path, path)
        return FileContent(path, content.size)

    async def _reply(self, message: Message, decision: Decision, now: float) -> Message:
        reply = decision.reply
        assert reply is not None
        identifier = self._new_id()
        date = format_datetime(datetime.fromtimestamp(int(now), UTC))
        top = f"Date: {date}\r\nMessage-ID: <{identifier}@{self._hostname}>\r\n"
        data = top.encode() + reply.content
        trace = await settle(self._sign(data, now))
        return Message(
            id=identifier,
            # RFC 3834, 3.3: nobody is told of its failure, and nothing answers it.
            envelope=Envelope(
                "",
                [Recipient(reply.to)],
                "7BIT" if data.isascii() else "8BITMIME",
                smtputf8=not data.isascii() or not reply.to.isascii(),
            ),
            client=Client(session=message.client.session, role="local", protocol=""),
            trace=trace,
            content=InlineContent(data),
            addressees=await self._addressees(reply.to, frozenset({"NEVER"}), now),
            created=now,
            expires=now + _REPLY_LIVES,
            attributes={"about": message.id},
        )

    async def _addressees(self, to: str, notify: frozenset[str], now: float) -> list[Addressee]:
        routes: Sequence[Route] | None = None
        with suppress(RouteError, TemporarilyUnavailable):
            routes = await settle(self._route(to))
        # Nobody knows the way now: it is asked for at each attempt, and what comes of that is told.
        ways = routes or [Route(to, REROUTE, domain_of(to))]
        return [way.addressee(number, to, due=now, notify=notify) for number, way in enumerate(ways)]


def _link(before: Path, after: Path) -> None:
    after.unlink(missing_ok=True)
    os.link(before, after)
    directory = os.open(after.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _sorted(message: Message, decision: Decision, made: Sequence[Message], now: float) -> Sorted:
    return Sorted(
        at=now,
        message=message.id,
        session=message.client.session,
        account=decision.account,
        rules=list(decision.rules),
        folder=decision.folder,
        flags=[*(_FLAGS.get(one, one) for one in decision.flags), *decision.keywords],
        dropped=not decision.keep,
        forwarded=list(decision.forwards),
        queued=[one.id for one in made],
        answered=decision.reply.to if decision.reply is not None else "",
        notes=list(decision.notes),
    )


def _received(message: Message, now: float, before: Message) -> Received:
    return Received(
        at=now,
        message=message.id,
        session=message.client.session,
        sender=message.envelope.reverse_path,
        recipients=[one.address for one in message.envelope.recipients],
        size=message.size,
        role="local",
        tags={"about": before.id},
    )
