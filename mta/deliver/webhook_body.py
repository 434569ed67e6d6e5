"""What is posted to an application: the message as it is, or taken apart as JSON.

Either says in the body itself for whom it is, because only the body is signed.  What
comes from a file stays in one: the raw message is read again as it is sent, and JSON is
written to a temporary file.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import decode_header
from email.message import Message as Part
from email.parser import BytesFeedParser, BytesHeaderParser
from email.utils import getaddresses
from itertools import chain
from tempfile import TemporaryFile
from typing import Any

from mta.deliver.local_copy import top_fields, whole_content
from mta.model.message import BLOCK, Addressee, InlineContent, Message

#: Octets of a header section that are read of a message that is not taken apart.
_HEADER = 1024 * 1024
#: Attributes of a message that are told; docs/guides/webhook.rst says what they are.
_PUBLIC = ("tenant", "campaign", "priority")
_ADDRESS_FIELDS = ("from", "sender", "reply-to", "to", "cc")


@dataclass(slots=True)
class Body:
    """One body, which can be read more than once.

    :ivar type: for ``Content-Type``.
    :ivar length: octets.
    :ivar blocks: begins to read it; not in the reactor thread unless it is ``inline``.
    :ivar inline: whether it is in memory.
    :ivar close: lets go of what it is read from.
    """

    type: str
    length: int
    blocks: Callable[[], Iterator[bytes]]
    inline: bool
    close: Callable[[], None] = lambda: None


# --- as it is -----------------------------------------------------------------


def raw_body(
    message: Message, addressee: Addressee, sender: str, *, return_path: bool, delivered_to: bool
) -> Body:
    """The message with the fields of its final place on top, lines ended by CRLF."""
    fields = top_fields(sender, addressee.address).splitlines(keepends=True)
    top = (fields[0] if return_path else b"") + (fields[1] if delivered_to else b"") + message.trace
    content = message.content
    if isinstance(content, InlineContent):
        whole = top + content.data
        return Body("message/rfc822", len(whole), lambda: iter((whole,)), True)

    def blocks() -> Iterator[bytes]:
        yield top
        yield from whole_content(message.content)

    return Body("message/rfc822", len(top) + content.size, blocks, False)


# --- taken apart --------------------------------------------------------------


def json_body(
    message: Message,
    addressee: Addressee,
    sender: str,
    *,
    attachment_limit: int,
    parse_limit: int,
    directory: str,
) -> Body:
    """The message as JSON.  Not in the reactor thread.

    :param attachment_limit: octets above which the content of an attachment is left out.
    :param parse_limit: octets above which nothing but the header is taken apart.
    :param directory: where a temporary file may be.
    """
    document = {
        "type": "message.received",
        "timestamp": _time(message.created),
        "data": {
            "id": message.id,
            "envelope": {
                "sender": sender,
                "recipient": addressee.address,
                "original": addressee.original,
                "detail": str(addressee.options.get("detail", "")),
            },
            "client": {
                "address": message.client.address,
                "name": message.client.reverse_name,
                "helo": message.client.helo,
                "protocol": message.client.protocol,
                "tls": message.client.tls_version,
                "account": message.client.account,
            },
            "attributes": _attributes(message),
            "size": message.size,
            **_parts(message, attachment_limit, parse_limit),
        },
    }
    encoder = json.JSONEncoder(separators=(",", ":"), default=str)
    if isinstance(message.content, InlineContent):
        whole = encoder.encode(document).encode("ascii")
        return Body("application/json", len(whole), lambda: iter((whole,)), True)
    file = TemporaryFile(dir=directory, buffering=BLOCK)  # noqa: SIM115 -- Body.close
    try:
        for text in encoder.iterencode(document):
            file.write(text.encode("ascii"))
        length = file.tell()
    except BaseException:
        file.close()
        raise

    def blocks() -> Iterator[bytes]:
        file.seek(0)
        while block := file.read(BLOCK):
            yield block

    return Body("application/json", length, blocks, False, file.close)


def _attributes(message: Message) -> dict[str, Any]:
    """What an application may rely on; whatever else is known of a message is for us."""
    found = {name: message.attributes[name] for name in _PUBLIC if name in message.attributes}
    if message.attributes.get("release"):
        found["scheduled"] = _time(message.attributes["release"])
    return found


def _parts(message: Message, attachment_limit: int, parse_limit: int) -> dict[str, Any]:
    octets: Iterable[bytes] = chain((message.trace,), whole_content(message.content))
    parsed = message.size <= parse_limit
    try:
        if parsed:
            parser = BytesFeedParser()
            for block in octets:
                parser.feed(block)
            root = parser.close()
        else:
            root = BytesHeaderParser().parsebytes(_start(octets))
        found = {**_header(root), "complete": parsed, "text": None, "html": None, "attachments": []}
        if parsed:
            _sort(root, found, attachment_limit)
        return found
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, AssertionError):
        # What the parser of the standard library does not survive is still a message.
        return {"headers": [], "complete": False, "text": None, "html": None, "attachments": []}


def _start(blocks: Iterable[bytes]) -> bytes:
    """The header section, or enough of it."""
    start = b""
    for block in blocks:
        start += block
        if len(start) >= _HEADER or b"\r\n\r\n" in start:
            break
    return start.partition(b"\r\n\r\n")[0][:_HEADER] + b"\r\n\r\n"


def _header(root: Part) -> dict[str, Any]:
    fields = [(name, _decoded(str(value))) for name, value in root.raw_items()]
    found: dict[str, Any] = {"headers": [{"name": _clean(name), "value": value} for name, value in fields]}
    values: dict[str, list[str]] = {}
    for name, value in root.raw_items():
        values.setdefault(name.lower(), []).append(_unfolded(str(value)))
    for name in ("message-id", "subject", "date"):
        found[name.replace("-", "_")] = _decoded(values[name][0]) if name in values else None
    for name in _ADDRESS_FIELDS:
        # Decoded after it is taken apart: an encoded word may hold a comma or an address.
        people = getaddresses(values.get(name, []))
        found[name.replace("-", "_")] = [
            {"name": _decoded(who), "address": _clean(address)} for who, address in people if address or who
        ]
    return found


def _sort(part: Part, found: dict[str, Any], limit: int) -> None:
    """Find the place of each part: the text, the HTML, or the attachments."""
    kind = part.get_content_type()
    if part.is_multipart() and not kind.startswith("message/"):
        for inner in part.get_payload():
            if isinstance(inner, Part):
                _sort(inner, found, limit)
        return
    name = part.get_filename()
    disposition = part.get_content_disposition() or ""
    place = {"text/plain": "text", "text/html": "html"}.get(kind)
    if place and found[place] is None and disposition != "attachment" and not name:
        found[place] = _text(part)
        return
    found["attachments"].append(_attachment(part, kind, name, disposition, limit))


def _attachment(part: Part, kind: str, name: str | None, disposition: str, limit: int) -> dict[str, Any]:
    content = _octets(part)
    identity = part.get("Content-ID")
    size = None if content is None else len(content)
    kept = content is not None and len(content) <= limit
    return {
        "name": None if name is None else _decoded(name),
        "type": _clean(kind),
        "disposition": _clean(disposition),
        "content_id": None if identity is None else _clean(str(identity)).strip().strip("<>"),
        "size": size,
        "content": b64encode(content).decode("ascii") if kept and content is not None else None,
        "omitted": None if kept else "unreadable" if content is None else "too large",
    }


def _octets(part: Part) -> bytes | None:
    """What a part holds, its transfer encoding undone; ``None`` if that cannot be told."""
    with suppress(RecursionError, ValueError, LookupError, TypeError, AttributeError):
        if part.is_multipart():
            return b"\r\n".join(inner.as_bytes() for inner in part.get_payload() if isinstance(inner, Part))
        payload = part.get_payload(decode=True)
        return payload if isinstance(payload, bytes) else None
    return None


def _text(part: Part) -> str:
    octets = _octets(part) or b""
    try:
        return octets.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        return octets.decode("utf-8", "replace")


def _unfolded(value: str) -> str:
    return value.replace("\r\n", "").replace("\n", "").strip()


def _decoded(value: str) -> str:
    """A field's value as a person reads it (RFC 2047); as it stands if it cannot be decoded."""
    plain = _unfolded(value)
    if "=?" not in plain:
        return _clean(plain)
    try:
        return "".join(
            _clean(piece) if isinstance(piece, str) else piece.decode(charset or "utf-8", "replace")
            for piece, charset in decode_header(_clean(plain))
        )
    except (LookupError, ValueError):
        return _clean(plain)


def _clean(value: str) -> str:
    """Text that is Unicode: octets above ASCII, which should not be there, taken as UTF-8."""
    if value.isascii():
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
