"""A message, and what was answered for it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file.

    :ivar content: its octets.
    :ivar type: media type; ``""``: by the name.
    :ivar cid: shown where the HTML has ``cid:...``.
    """

    name: str
    content: bytes
    type: str = ""
    cid: str = ""

    def encode(self) -> dict[str, Any]:
        """As it is sent."""
        content = base64.b64encode(self.content).decode()
        return without_empty({"name": self.name, "content": content, "type": self.type, "cid": self.cid})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message; addresses are ``ann@example.org`` or ``Ann <ann@example.org>``.

    :ivar sender: of a domain of the tenant.
    :ivar template: in place of subject, text and HTML, with ``data`` and ``locale``.
    :ivar send_at: not before; with a time zone.
    :ivar notify: of what a mail tells the sender: ``failure``, ``delay``, ``success``; ``None``: as the
        server does by default; empty: of nothing.
    :ivar more: further members of the request, as the server's reference has them.
    """

    sender: str
    to: Sequence[str] = ()
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    reply_to: Sequence[str] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    template: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    locale: str = ""
    attachments: Sequence[Attachment] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    campaign: str = ""
    send_at: datetime | None = None
    priority: int | None = None
    notify: Sequence[str] | None = None
    dry_run: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> dict[str, Any]:
        """As it is sent."""
        found = {
            "from": self.sender,
            "to": list(self.to),
            "cc": list(self.cc),
            "bcc": list(self.bcc),
            "reply_to": list(self.reply_to),
            "subject": self.subject,
            "template": self.template,
            "data": dict(self.data),
            "locale": self.locale,
            "attachments": [one.encode() for one in self.attachments],
            "headers": dict(self.headers),
            "tags": list(self.tags),
            "metadata": dict(self.metadata),
            "campaign": self.campaign,
            "send_at": None if self.send_at is None else self.send_at.isoformat(),
            "dry_run": self.dry_run,
        }
        # Of these an empty value says something.
        chosen: dict[str, Any] = {"text": self.text, "html": self.html, "priority": self.priority}
        chosen["notify"] = None if self.notify is None else list(self.notify)
        said = {name: value for name, value in chosen.items() if value is not None}
        return {**without_empty(found), **said, **self.more}


@dataclass(frozen=True, slots=True)
class SentTo:
    """One recipient of a message."""

    id: str
    email: str
    state: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the server has on disk.

    :ivar id: queue id, for following it.
    :ivar message_id: the Message-ID.
    :ivar state: such as ``queued``, ``scheduled`` or ``suppressed``.
    """

    id: str
    message_id: str
    state: str
    recipients: Sequence[SentTo]
    send_at: str | None = None
    dry_run: bool = False


def sent_of(value: Any) -> Sent:
    """What was answered."""
    return Sent(
        value["id"],
        value["message_id"],
        value["state"],
        tuple(sent_to_of(one) for one in value["recipients"]),
        value.get("send_at"),
        value.get("dry_run", False),
    )


def sent_to_of(value: Any) -> SentTo:
    """One recipient of what was answered."""
    return SentTo(value["id"], value["email"], value["state"])


def without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    """What says something."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {}, False)}
