"""A whole message out of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mta.compose.fields import Mailbox, address_field, text_field
from mta.compose.parts import Part, base64_lines, file_part, several, text_part


@dataclass(frozen=True, slots=True)
class File:
    """An attachment, or with ``cid`` what HTML shows.

    :ivar encoded: its lines as they stand in a message, where they were made before; ``content`` is
        not looked at then.
    """

    name: str
    media: str
    content: bytes
    cid: str = ""
    encoded: bytes = b""


@dataclass(slots=True)
class Draft:
    """What a message is to be; whoever prepares it may change it before it is written.

    :ivar to: as it is shown; who gets it stands in the envelope.
    :ivar text: ``None``: there is none.
    :ivar html: likewise.
    :ivar headers: further fields, checked (:func:`~mta.compose.fields.checked_field`).
    """

    sender: Mailbox
    to: Sequence[Mailbox] = ()
    cc: Sequence[Mailbox] = ()
    reply_to: Sequence[Mailbox] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[File] = ()

    @property
    def utf8(self) -> bool:
        """Whether an address needs SMTPUTF8 (RFC 6531)."""
        shown = (self.sender, *self.to, *self.cc, *self.reply_to)
        return not all(mailbox.address.isascii() for mailbox in shown)


def written(draft: Draft, queue_id: str, date: str) -> bytes:
    """The message.

    :param queue_id: makes the Message-ID and the boundaries unique.
    :param date: now, as RFC 5322 writes it.
    """
    utf8 = draft.utf8
    fields = [
        address_field("From", (draft.sender,), utf8),
        address_field("Reply-To", draft.reply_to, utf8),
        address_field("To", draft.to, utf8) or ("" if draft.cc else "To: undisclosed-recipients:;\r\n"),
        address_field("Cc", draft.cc, utf8),
        text_field("Subject", draft.subject, utf8),
        f"Date: {date}\r\n",
    ]
    names = {name.lower() for name in draft.headers}
    if "message-id" not in names:
        fields.append(f"Message-ID: {message_id(draft, queue_id)}\r\n")
    fields += [text_field(name, value, utf8) for name, value in draft.headers.items()]
    fields.append("MIME-Version: 1.0\r\n")
    return b"".join(["".join(fields).encode("utf-8", "replace"), _body(draft, queue_id).encode()])


def message_id(draft: Draft, queue_id: str) -> str:
    """The Message-ID: that of the headers, or one of ours in the sender's domain."""
    for name, value in draft.headers.items():
        if name.lower() == "message-id":
            return value.strip()
    return f"<{queue_id}@{draft.sender.address.rpartition('@')[2]}>"


def _body(draft: Draft, queue_id: str) -> Part:
    texts = []
    if draft.text is not None or draft.html is None:
        texts.append(text_part(draft.text or ""))
    if draft.html is not None:
        html = text_part(draft.html, "html")
        if shown := [_part(one, one.cid) for one in draft.files if one.cid]:
            html = several("related", [html, *shown], f"=_r{queue_id}", '; type="text/html"')
        texts.append(html)
    body = texts[0] if len(texts) == 1 else several("alternative", texts, f"=_a{queue_id}")
    below = [one for one in draft.files if not one.cid or draft.html is None]
    if not below:
        return body
    return several("mixed", [body, *map(_part, below)], f"=_m{queue_id}")


def _part(file: File, cid: str = "") -> Part:
    return file_part(file.encoded or base64_lines(file.content), file.media, file.name, cid)
