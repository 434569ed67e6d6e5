"""A message that is handed over whole, by a program: the same questions as a session asks, at once.

Nothing is taken unless every recipient is.  What is refused is in the journal as a refusal of a
session would be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta.intake.reception import Reception
from mta.interfaces import Answer, settle
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.linked import Linked
from mta.model.message import Message
from mta.model.options import Options
from mta.model.rejection import rejection
from mta.model.reply import Reply

#: From a queue id and the date, the content.
Compose = Callable[[str, str], Answer[bytes]]


@dataclass(slots=True)
class Handed:
    """What became of it.

    :ivar reply: as a session would say it; positive: it is on disk.
    :ivar id: queue id.
    :ivar message: as it is kept; ``None``: it is not, and was not to be, or was thrown away by a judge.
    :ivar refused: position and reply of each recipient that was refused.
    :ivar size: octets of the content.
    :ivar linked: which links were put into it, if any were wanted.
    """

    reply: Reply
    id: str = ""
    message: Message | None = None
    refused: list[tuple[int, Reply]] = field(default_factory=list)
    size: int = 0
    linked: Linked | None = None


async def hand_over(
    reception: Reception,
    client: Client,
    account: Any,
    envelope: Envelope,
    recipients: Sequence[Recipient],
    compose: Compose,
    options: Options,
    *,
    most: int,
    dry: bool = False,
    identifier: str = "",
) -> Handed:
    """Take a message.

    :param client: its role is ``api``.
    :param account: see :class:`~mta.interfaces.IAccount`.
    :param envelope: without recipients.
    :param compose: makes the content.
    :param most: octets that a message may have.
    :param dry: ask all questions, keep nothing.
    :param identifier: its queue id, if one was given to it before.
    """
    try:
        return await _taken(
            reception, client, account, envelope, recipients, compose, options, most, dry, identifier
        )
    finally:
        reception.closed(client)


async def _taken(
    reception: Reception,
    client: Client,
    account: Any,
    envelope: Envelope,
    recipients: Sequence[Recipient],
    compose: Compose,
    options: Options,
    most: int,
    dry: bool,
    identifier: str,
) -> Handed:
    def refused(stage: str, reply: Reply, recipient: str = "") -> Handed:
        if not dry:
            at = reception.reactor.seconds()
            reception.note(rejection(at, client, envelope, stage, reply, recipient))
        return Handed(reply)

    for stage, question in (("connect", reception.connect), ("hello", reception.hello)):
        answer = question(client)
        barred = answer if answer is None or isinstance(answer, Reply) else await answer
        if barred is not None and not barred.is_positive:
            return refused(stage, barred)
    reply = await settle(reception.sender(client, account, envelope))
    if not reply.is_positive:
        return refused("mail", reply)
    troubles = []
    for position, recipient in enumerate(recipients):
        answered = reception.recipient(client, envelope, recipient)
        reply = answered if isinstance(answered, Reply) else await settle(answered)
        if reply.is_positive:
            envelope.recipients.append(recipient)
        else:
            refused("recipient", reply, recipient.address)
            troubles.append((position, reply))
    if troubles:
        # Whoever may try again later should, even if one of them is refused for good.
        first = next((reply for _, reply in troubles if not reply.is_permanent), troubles[0][1])
        return Handed(first, refused=troubles)
    incoming = reception.data(client, envelope, options, identifier)
    content = await settle(compose(incoming.id, reception.dates.at(reception.reactor.seconds())))
    if len(content) > most:
        incoming.abort()
        return refused("message", REPLIES.reply("message-too-large", limit=most, ref=client.session))
    incoming.dry = dry
    incoming.write(content)
    (reply,) = await incoming.finish()
    if not reply.is_positive:
        return refused("message", reply)
    return Handed(reply, incoming.id, incoming.message, size=len(content), linked=incoming.linked)
