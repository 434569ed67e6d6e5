"""The Received-SPF field (RFC 7208, 9.1): for filters that read it in place of Authentication-Results."""

from __future__ import annotations

import re

from mta.judge.spf.evaluation import Finding, Identity

NAME = "Received-SPF"

_LONGEST = 200
_TOKEN = re.compile(r"[!#$%&'*+\-./0-9=?A-Z^_`a-z{|}~]+\Z")


def received_spf(kind: str, identity: Identity, finding: Finding) -> str:
    """The value of the field.

    :param kind: ``helo`` or ``mailfrom``.
    """
    pairs = [
        ("receiver", identity.receiver),
        ("identity", kind),
        ("client-ip", identity.client),
        ("helo", identity.helo),
        ("envelope-from", identity.sender if kind == "mailfrom" else ""),
        ("mechanism", finding.mechanism if finding.result != "none" else ""),
        ("problem", finding.reason if finding.result in ("temperror", "permerror") else ""),
    ]
    said = "; ".join(f"{name}={_value(value)}" for name, value in pairs if value)
    return f"{finding.result} ({_comment(identity.receiver + ': ' + finding.reason)}) {said}"


def _value(text: str) -> str:
    clean = _clean(text)
    if _TOKEN.match(clean):
        return clean
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _comment(text: str) -> str:
    return re.sub(r"([()\\])", r"\\\1", _clean(text))


def _clean(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:_LONGEST]
