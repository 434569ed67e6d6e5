"""Notifications by request: a sequence of one step, which nobody comes into but those it was asked for.

So each is promised in the transaction of the request, sent once across a crash, looked at again by who has
left or is suppressed, tried for days, told to the journal and forgotten with the contact, as all that
sequences send.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mta.audience import contacts
from mta.audience.contact import Contact
from mta.sequence import enrolments, outbox
from mta.sequence.definition import Definition
from mta.sequence.enrolment import Action, Enrolment
from mta.sequence.outbox import Promise
from mta.sequence.telling import stepped, tell

#: What the names of these sequences begin with; no other's can.
PREFIX = "notification/"
#: The step of each.
STEP = "notify"
#: Seconds for which they are remembered, and how many are forgotten at once.
REMEMBERED, _FORGOTTEN = 30 * 86400.0, 20


@dataclass(frozen=True, slots=True)
class Notified:
    """How one person was told, or is to be.

    :ivar id: queue id of the message, or ``webhook-id`` of the post; ``""``: nothing is sent.
    :ivar waits: whether it is not on its way yet.
    :ivar why: nothing is sent.
    """

    address: str
    channel: str
    id: str = ""
    waits: bool = False
    why: str = ""


class NoNotification(LookupError):
    """The tenant has none of this id, or it is forgotten."""


def definition_of(
    template: str, *, sender: str, reply_to: str, mailing: str, subject: str, data: Mapping[str, Any]
) -> Definition:
    """What is to be done."""
    step = {"id": STEP, "do": "notify", "template": template, "subject": subject, "data": dict(data)}
    return Definition.model_validate(
        {"from": sender, "reply_to": reply_to, "list": mailing, "steps": [step], "reentry": "always"}
    )


def ask(
    base: sqlite3.Connection,
    tenant: str,
    identifier: str,
    definition: Definition,
    people: Sequence[tuple[Contact, str]],
    now: float,
    who: str,
) -> None:
    """Promise a notification.

    :param identifier: its id.
    :param people: each once, with the id of what is sent.
    """
    name = PREFIX + identifier
    _forget(base, tenant, now - REMEMBERED)
    base.execute(
        "INSERT INTO sequence_versions VALUES (NULL, ?, ?, 1, ?, ?, '', ?)",
        (tenant, name, now, who, json.dumps(definition.to_json())),
    )
    for contact, message in people:
        # It may have been forgotten since it was read.
        if contacts.get(base, tenant, contact.id) is None:
            continue
        run = Enrolment(
            0,
            tenant,
            name,
            1,
            contact.id,
            STEP,
            since=now,
            until=now,
            entered=now,
            ended=now,
            outcome="finished",
            messages={STEP: message},
        )
        number = enrolments.add(base, run)
        outbox.add(
            base, Promise(message, contact.channel, tenant, name, 1, STEP, number, contact.id, now, now)
        )
        action = Action("send", STEP, way=contact.channel)
        tell(base, [stepped(run, action, contact.address, now, by=who, message=message)])


def of(base: sqlite3.Connection, tenant: str, identifier: str) -> list[Notified]:
    """How those of one notification were told.

    :raise NoNotification: if there is none.
    """
    name = PREFIX + identifier
    query = "SELECT id FROM sequence_versions WHERE tenant = ? AND name = ? AND version = 1"
    if base.execute(query, (tenant, name)).fetchone() is None:
        raise NoNotification(f"there is no notification {identifier!r:.80}")
    found, after = [], 0
    while page := enrolments.page(base, tenant, name, after, 500):
        after = page[-1].id
        for run in page:
            contact = contacts.get(base, tenant, run.contact)
            message = run.messages.get(STEP, "")
            query = "SELECT way FROM sequence_outbox WHERE id = ?"
            row = base.execute(query, (message,)).fetchone()
            address = contact.address if contact is not None else ""
            channel = row[0] if row else contact.channel if contact is not None else ""
            found.append(Notified(address, channel, message, row is not None))
    return found


def _forget(base: sqlite3.Connection, tenant: str, before: float) -> None:
    """Forget some that are old: what became of them is in the journal."""
    query = (
        "SELECT name FROM sequence_versions WHERE tenant = ? AND name >= ? AND name < ? AND created < ?"
        " LIMIT ?"
    )
    values = (tenant, PREFIX, PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1), before, _FORGOTTEN)
    for (name,) in base.execute(query, values).fetchall():
        base.execute("DELETE FROM sequence_versions WHERE tenant = ? AND name = ?", (tenant, name))
        enrolments.remove(base, tenant, name)
