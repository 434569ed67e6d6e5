"""By what the message that a report is about can be found: the header that it returns; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.message import Message
from email.utils import getaddresses

from mta.feedback.mime import content, parse, parts
from mta.feedback.report import Traces
from mta.model.ids import decode_id

_RETURNED = frozenset({"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"})
_MESSAGE_ID = re.compile(rb"(?im)^[ \t>|]*Message-ID:\s*(<[^<>\s]{1,250}>)")
_QUEUE_ID = re.compile(rb"\bid\s+([0-9a-z]{13})(?![0-9a-z])")
_OURS = re.compile(rb"(?i)\bid[ :=]+<?([0-7][0-9a-hjkmnp-tv-z]{12})(?![0-9a-z])")
#: Of each at the most.
_MOST = 20


def traces(message: Message[str, str], octets: bytes) -> Traces:
    """What a report tells of the message that it is about.

    :param octets: the whole report, for formats that return the message in their text.
    """
    message_ids: list[bytes] = []
    queue_ids: list[bytes] = []
    recipients: list[str] = []
    for part in parts(message):
        if part.get_content_type() not in _RETURNED:
            continue
        returned = content(part).lstrip(b"\r\n")
        header = re.split(rb"\r?\n\r?\n", returned, maxsplit=1)[0]
        message_ids += _MESSAGE_ID.findall(header)
        queue_ids += _QUEUE_ID.findall(header)
        recipients += _recipients(parse(header + b"\n\n"))
    # The report's own id is never that of the message; its header names others (References).
    own = str(message.get("message-id", "")).strip().encode("utf-8", "replace")
    body = re.split(rb"\r?\n\r?\n", octets, maxsplit=1)[-1]
    message_ids += _MESSAGE_ID.findall(body)
    queue_ids += _OURS.findall(body)
    for name in ("in-reply-to", "references"):
        value = str(message.get(name, "")).encode("utf-8", "replace")
        message_ids += reversed(re.findall(rb"<[^<>\s]{1,250}>", value))
    return Traces(
        tuple(_text(one) for one in _few(message_ids) if one != own),
        tuple(one.lower() for one in map(_text, _few(queue_ids)) if _is_id(one)),
        tuple(dict.fromkeys(recipients))[:_MOST],
    )


def _recipients(header: Message[str, str]) -> Iterable[str]:
    values = [str(value) for name in ("to", "cc") for value in header.get_all(name, [])]
    return [found.lower() for _, found in getaddresses(values) if "@" in found]


def _few(found: Iterable[bytes]) -> list[bytes]:
    return list(dict.fromkeys(found))[:_MOST]


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


def _is_id(text: str) -> bool:
    try:
        decode_id(text)
    except ValueError:
        return False
    return True
