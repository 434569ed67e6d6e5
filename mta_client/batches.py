"""A message for many, and what was answered for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mta_client.messages import Attachment, SentTo, sent_to_of, without_empty


@dataclass(frozen=True, slots=True)
class Recipient:
    """One who gets it.

    :ivar data: for the template, over that of the batch.
    :ivar metadata: beside that of the batch.
    :ivar attachments: likewise.
    """

    email: str
    name: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    locale: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()

    def encode(self) -> dict[str, Any]:
        """As it is sent."""
        return without_empty(
            {
                "email": self.email,
                "name": self.name,
                "data": dict(self.data),
                "locale": self.locale,
                "metadata": dict(self.metadata),
                "attachments": [one.encode() for one in self.attachments],
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A message for up to 10,000; either a template, or subject and bodies in Jinja2.

    :ivar attachments: that go with every copy.
    :ivar unsubscribe: the list that may be left with one click; ``""``: all the tenant's mail;
        ``None``: no link is added.
    :ivar all_or_nothing: whether one that is wrong stops all.
    :ivar more: further members of the request, as the server's reference has them.
    """

    sender: str
    recipients: Sequence[Recipient]
    reply_to: Sequence[str] = ()
    template: str | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    campaign: str = ""
    send_at: datetime | None = None
    unsubscribe: str | None = None
    all_or_nothing: bool = False
    dry_run: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> dict[str, Any]:
        """As it is sent."""
        found = {
            "from": self.sender,
            "recipients": [one.encode() for one in self.recipients],
            "reply_to": list(self.reply_to),
            "template": self.template,
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "data": dict(self.data),
            "attachments": [one.encode() for one in self.attachments],
            "headers": dict(self.headers),
            "tags": list(self.tags),
            "metadata": dict(self.metadata),
            "campaign": self.campaign,
            "send_at": None if self.send_at is None else self.send_at.isoformat(),
            "all_or_nothing": self.all_or_nothing,
            "dry_run": self.dry_run,
        }
        said = {} if self.unsubscribe is None else {"unsubscribe": self.unsubscribe}
        return {**without_empty(found), **said, **self.more}


@dataclass(frozen=True, slots=True)
class BatchError:
    """Why one recipient gets nothing.

    :ivar place: position in ``recipients``.
    :ivar kind: ``address``, ``template``, ``refused``, ``suppressed`` or ``unavailable``.
    """

    place: int
    email: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch.

    :ivar id: for following it.
    :ivar recipients: only right after sending; else empty.
    """

    id: str
    state: str
    total: int
    accepted: int
    refused: int
    suppressed: int
    waiting: int
    errors: Sequence[BatchError]
    recipients: Sequence[SentTo] = ()


def batch_of(value: Any) -> BatchResult:
    """What was answered."""
    names = ("id", "state", "total", "accepted", "refused", "suppressed", "waiting")
    facts: dict[str, Any] = {name: value[name] for name in names}
    errors = [BatchError(one["place"], one["email"], one["kind"], one["detail"]) for one in value["errors"]]
    people = [sent_to_of(one) for one in value.get("recipients", ())]
    return BatchResult(**facts, errors=tuple(errors), recipients=tuple(people))
