"""Messages and addressees as rows of the database, and back; pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event_rows import clean_text, encode_json
from mta.model.ids import decode_id, encode_id
from mta.model.message import Addressee, Content, FileContent, InlineContent, Message
from mta.queue.schema import HELD, QUEUED

MESSAGE_COLUMNS = "id, created, expires, size, sender, file, facts, trace, data"
ADDRESSEE_COLUMNS = (
    "message, number, state, due, attempts, warned, address, transport, next_hop, facts, last_reply"
)

#: What an addressee's ``state`` is in the table; others have ended and have no row.
STATES = {"queued": QUEUED, "held": HELD}
_NAMES = {QUEUED: "queued", HELD: "held"}


def message_row(message: Message) -> tuple[Any, ...]:
    """The row of a message, in the order of ``MESSAGE_COLUMNS``."""
    content = message.content
    file: str | None = None
    data: bytes | None = None
    if isinstance(content, FileContent):
        file = content.path.name
    else:
        data = content.read()
    return (
        decode_id(message.id),
        message.created,
        message.expires,
        message.size,
        message.envelope.reverse_path,
        file,
        _facts(message),
        message.trace,
        data,
    )


def retimed_row(message: Message) -> tuple[float, str, int]:
    """What is kept of a message that got another time: its expiry, its facts, its number."""
    return message.expires, _facts(message), decode_id(message.id)


def _facts(message: Message) -> str:
    envelope, client = message.envelope, message.client
    facts = (
        envelope.body,
        envelope.smtputf8,
        envelope.size,
        envelope.ret,
        envelope.envid,
        envelope.auth,
        [(item.address, sorted(item.notify), item.orcpt) for item in envelope.recipients],
        (
            client.session,
            client.role,
            client.address,
            client.port,
            client.local_address,
            client.helo,
            client.protocol,
            client.tls_version,
            client.tls_cipher,
            client.account,
            client.mechanism,
            client.reverse_name,
        ),
        message.attributes,
    )
    return encode_json(facts)


def addressee_row(message: int, addressee: Addressee) -> tuple[Any, ...]:
    """The row of an addressee, in the order of ``ADDRESSEE_COLUMNS``.

    :raise KeyError: if its state has no row.
    """
    return (
        message,
        addressee.number,
        STATES[addressee.state],
        addressee.due,
        addressee.attempts,
        addressee.warned,
        addressee.address,
        addressee.transport,
        addressee.next_hop,
        encode_json((addressee.original, addressee.options, sorted(addressee.notify), addressee.orcpt)),
        clean_text(addressee.last_reply),
    )


def addressee_of(row: tuple[Any, ...]) -> Addressee:
    """The addressee of a row of ``ADDRESSEE_COLUMNS``."""
    _, number, state, due, attempts, warned, address, transport, next_hop, facts, last_reply = row
    original, options, notify, orcpt = json.loads(facts)
    return Addressee(
        number=number,
        address=address,
        original=original,
        transport=transport,
        next_hop=next_hop,
        options=options,
        notify=frozenset(notify),
        orcpt=orcpt,
        attempts=attempts,
        due=due,
        state=_NAMES[state],
        warned=bool(warned),
        last_reply=last_reply,
    )


def message_of(row: tuple[Any, ...], addressees: list[Addressee], directory: Path) -> Message:
    """The message of a row of ``MESSAGE_COLUMNS``.

    :param directory: where content files are.
    :raise ValueError: if the row cannot be read.
    """
    number, created, expires, size, sender, file, facts, trace, data = row
    body, smtputf8, declared, ret, envid, auth, recipients, client, attributes = json.loads(facts)
    content: Content = (
        InlineContent(data) if file is None else FileContent(directory / file, size - len(trace))
    )
    return Message(
        id=encode_id(number),
        envelope=Envelope(
            reverse_path=sender,
            recipients=[
                Recipient(address, frozenset(notify), orcpt) for address, notify, orcpt in recipients
            ],
            body=body,
            smtputf8=smtputf8,
            size=declared,
            ret=ret,
            envid=envid,
            auth=auth,
        ),
        client=Client(*client),
        trace=trace,
        content=content,
        addressees=addressees,
        created=created,
        expires=expires,
        attributes=attributes,
    )
