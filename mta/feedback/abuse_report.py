"""Reads complaints in the Abuse Reporting Format (RFC 5965); pure."""

from __future__ import annotations

import re
from email.message import Message

from mta.feedback.mime import address, blocks, content, parts, words
from mta.feedback.report import Complaint

_TYPE = re.compile(r"[a-z0-9][a-z0-9\-]{0,40}")


def abuse_report(message: Message[str, str]) -> Complaint | None:
    """The complaint; ``None`` if the message is none."""
    for part in parts(message):
        if part.get_content_type() != "message/feedback-report":
            continue
        for block in blocks(content(part)):
            kind = _TYPE.match(words(block.get("feedback-type")).lower())
            if kind is None:
                continue
            recipients = [address(value) for value in block.get_all("original-rcpt-to", [])]
            return Complaint(
                type=kind[0],
                recipients=tuple(dict.fromkeys(filter(None, recipients))),
                reporter=words(block.get("user-agent"), 200),
                source=words(block.get("source-ip"), 60),
            )
    return None
