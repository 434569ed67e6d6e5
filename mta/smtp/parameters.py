"""What the parameters of MAIL and RCPT mean, written into envelope and recipient."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import cast

from mta.config.settings import Submission
from mta.model.envelope import BodyType, Envelope, Notify, Recipient
from mta.smtp.grammar import (
    Parameters,
    SyntaxProblem,
    UnknownParameter,
    decode_xtext,
    parse_parameters,
    parse_path,
)

_BODIES = frozenset({"7BIT", "8BITMIME", "BINARYMIME"})
_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_NOTIFY_NEVER: frozenset[str] = frozenset({"NEVER"})
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")

#: RFC 4865, 3: a number without a zero in front, and a time as RFC 3339 writes it (erratum 2040).
_INTERVAL = re.compile(r"[1-9][0-9]{0,8}\Z")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})\Z"
)
#: RFC 6710, 7.
_PRIORITY = re.compile(r"(?:-?[1-9]|0)\Z")
#: Seconds by which a client's clock may be behind ours, or it may be late.
_GRACE = 60.0

#: RFC 3461, 4.4: octets of ENVID as sent.
MAX_ENVID = 100
#: RFC 3461, 4.2: octets of ORCPT with its keyword.
MAX_ORCPT = 500


class PriorityProblem(SyntaxProblem):
    """The value of MT-PRIORITY is wrong, which has an enhanced code of its own (RFC 6710, 4.1)."""


def mail_parameters(
    octets: bytes, envelope: Envelope, submission: Submission | None = None, now: float = 0.0
) -> None:
    """Read the parameters of MAIL into the envelope.

    :param submission: what is offered to those who submit; ``None``: nothing.
    :param now: seconds since 1970.
    :raise SyntaxProblem: if a value is wrong.
    :raise UnknownParameter: if we did not offer one.
    """
    for keyword, value in parse_parameters(octets):
        if keyword == "SIZE":
            if value is None or not (value.isascii() and value.isdigit()) or len(value) > 20:
                raise SyntaxProblem("SIZE is a number of octets")
            envelope.size = int(value)
        elif keyword == "BODY":
            body = (value or "").upper()
            if body not in _BODIES:
                raise SyntaxProblem("BODY is 7BIT, 8BITMIME or BINARYMIME")
            envelope.body = cast(BodyType, body)
        elif keyword == "SMTPUTF8":
            if value is not None:
                raise SyntaxProblem("SMTPUTF8 takes no value")
            envelope.smtputf8 = True
        elif keyword == "RET":
            ret = (value or "").upper()
            if ret not in ("FULL", "HDRS"):
                raise SyntaxProblem("RET is FULL or HDRS")
            envelope.ret = ret
        elif keyword == "ENVID":
            if not value or len(value) > MAX_ENVID:
                raise SyntaxProblem(f"ENVID has 1 to {MAX_ENVID} octets")
            envelope.envid = decode_xtext(value, "ENVID")
        elif keyword == "AUTH":
            envelope.auth = _identity(value)
        elif keyword in ("HOLDFOR", "HOLDUNTIL") and submission is not None and submission.future_release:
            if envelope.release:
                raise SyntaxProblem("there is HOLDFOR or HOLDUNTIL, and not both")
            envelope.release = _release(keyword, value or "", now, submission.future_release)
            envelope.hold = f"{keyword[4:].lower()};{value}"
        elif keyword == "MT-PRIORITY" and submission is not None and submission.priorities:
            if not _PRIORITY.match(value or ""):
                raise PriorityProblem("MT-PRIORITY is a number from -9 to 9")
            envelope.asked = envelope.priority = int(value or 0)
        else:
            raise UnknownParameter(keyword)


def _release(keyword: str, value: str, now: float, longest: float) -> float:
    """RFC 4865, 3 and 4.2: so many seconds from now, or a time that is to come; no later than was offered."""
    if keyword == "HOLDFOR":
        if not _INTERVAL.match(value):
            raise SyntaxProblem("HOLDFOR is a number of seconds, at least 1")
        if int(value) > int(longest):
            raise SyntaxProblem(f"HOLDFOR is too long; at most {int(longest)} seconds")
        release = now + int(value)
    else:
        moment = value.upper()
        if not _MOMENT.match(moment):
            raise SyntaxProblem("HOLDUNTIL is a time such as 2027-01-31T08:00:00Z")
        try:
            release = datetime.fromisoformat(moment).timestamp()
        except (ValueError, OverflowError):
            raise SyntaxProblem("HOLDUNTIL is a time that does not exist") from None
        if release > latest(now, longest):
            raise SyntaxProblem(f"HOLDUNTIL is too far ahead; {utc(latest(now, longest))} at the latest")
        if release < now - _GRACE:
            # A wrong year must not send at once what was to wait.
            raise SyntaxProblem(f"HOLDUNTIL has passed; it is {utc(now)}")
    return max(release, 1.0)


def latest(now: float, longest: float) -> float:
    """The time that is offered (RFC 4865, 3: max-future-release-date-time), by the minute."""
    return now // 60 * 60 + longest


def utc(moment: float) -> str:
    """A time as RFC 3339 writes it, in UTC.

    :param moment: seconds since 1970.
    """
    return datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z")


def _identity(value: str | None) -> str:
    """RFC 4954, 5: an address in xtext, or ``<>``."""
    if value == "<>":
        return value
    if not value:
        raise SyntaxProblem("AUTH is an address or <>")
    return parse_path(decode_xtext(value, "AUTH"))


def recipient_parameters(octets: bytes, recipient: Recipient) -> None:
    """Read the parameters of RCPT into the recipient.

    :raise SyntaxProblem: if a value is wrong.
    :raise UnknownParameter: if we did not offer one.
    """
    parameters: Parameters = parse_parameters(octets)
    for keyword, value in parameters:
        if keyword == "NOTIFY":
            recipient.notify = cast("frozenset[Notify]", _notify(value))
        elif keyword == "ORCPT":
            recipient.orcpt = _original(value)
        else:
            raise UnknownParameter(keyword)


def _notify(value: str | None) -> frozenset[str]:
    words = (value or "").upper().split(",")
    if words == ["NEVER"]:
        return _NOTIFY_NEVER
    found = frozenset(words)
    if not found <= _NOTIFY or len(found) != len(words):
        raise SyntaxProblem("NOTIFY is NEVER, or some of SUCCESS, FAILURE and DELAY with commas between")
    return found


def _original(value: str | None) -> str:
    kind, semicolon, address = (value or "").partition(";")
    if not semicolon or not address or not _ADDRESS_TYPE.match(kind):
        raise SyntaxProblem("ORCPT is a type, a semicolon and an address, such as rfc822;user@example.org")
    if len((value or "").encode()) > MAX_ORCPT:
        raise SyntaxProblem(f"ORCPT is longer than {MAX_ORCPT} octets")
    if kind.lower() != "utf-8":
        return f"{kind};{decode_xtext(address, 'ORCPT')}"
    # RFC 6533, 3: utf-8-addr-xtext writes characters as \x{HEX}; unitext has them as they are.
    if "\\" in _EMBEDDED.sub("", address):
        raise SyntaxProblem("the value of ORCPT is not utf-8-addr-xtext")
    try:
        text = _EMBEDDED.sub(lambda match: chr(int(match[1], 16)), address)
        text.encode()
    except (ValueError, OverflowError):
        raise SyntaxProblem("ORCPT names a character that does not exist") from None
    if not text.isprintable():
        raise SyntaxProblem("ORCPT holds a character that cannot be printed")
    return f"{kind};{text}"
