"""The subject without what replies and forwards add to it (RFC 5256, section 2.1).  Pure."""

from __future__ import annotations

import re

_BLOB = r"\[[^\[\]]*\]\s*"
_LEADER = re.compile(rf"(?:{_BLOB})*(?:re|fwd?)\s*(?:{_BLOB})?:\s*|\s+", re.IGNORECASE)
_FIRST_BLOB = re.compile(_BLOB)
_FORWARD = "[fwd:"
#: Characters that are looked at; more is no subject.
_LONGEST = 2000
#: Times that something is taken away.
_MOST = 500


def base_subject(subject: str) -> str:
    """What messages of one thread have in common.

    :param subject: decoded, on one line.
    """
    text = subject[:_LONGEST]
    for _ in range(_MOST):
        before = text
        text = _without_leaders(_without_trailers(text))
        if text[:5].lower() == _FORWARD and text.endswith("]"):
            text = text[5:-1]
            continue
        if text == before:
            break
    return text


def _without_trailers(text: str) -> str:
    while True:
        text = text.rstrip()
        if text[-5:].lower() != "(fwd)":
            return text
        text = text[:-5]


def _without_leaders(text: str) -> str:
    for _ in range(_MOST):
        match = _LEADER.match(text)
        if match is None:
            match = _FIRST_BLOB.match(text)
            if match is None or match.end() == len(text):
                return text
        text = text[match.end() :]
    return text
