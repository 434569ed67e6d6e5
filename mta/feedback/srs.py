"""The Sender Rewriting Scheme, as libsrs2, Mail::SRS and postsrsd write it; pure.

A forwarder sends on mail whose sender it may not send for, so SPF fails (RFC 7208, D.1 and
7.3.1).  With SRS the forwarded copy has a reverse-path of ours, in which the original stands::

    ann@far.example                  SRS0=HHHH=TT=far.example=ann@ours.example
    SRS0=HHHH=TT=far.example=ann@b.example
                                     SRS1=HHHH=b.example==HHHH=TT=far.example=ann@ours.example

``HHHH`` is the beginning of an HMAC with SHA-1 over all that follows in lower case, ``TT`` the
day modulo 1024.  SRS1 shortens a chain: whatever the number of forwarders, a bounce takes two
steps.  Servers that have the same key read each other's.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from hashlib import sha1

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_DAY = 86400.0
_HASH = 4
_MODULUS = 1024
_SRS = re.compile(r"srs([01])[=+-]", re.IGNORECASE)


class SrsError(ValueError):
    """It looks like an address of SRS, but is none that counts; the text says why."""


def is_srs(local: str) -> bool:
    """Whether a local part looks like one of SRS."""
    return _SRS.match(local) is not None


def rewritten(key: bytes, local: str, domain: str, now: float) -> str:
    """The local part that stands for a sender.

    :param key: with which it is signed.
    :param local: the sender's local part, without quotes.
    :param domain: its domain.
    :param now: seconds since 1970.
    """
    match = _SRS.match(local)
    if match is not None and match[1] == "1":
        parts = local[5:].split("=", 2)
        if len(parts) == 3 and parts[1]:
            # Who forwarded it first stays; only the hash of who forwarded it last is replaced.
            _, host, rest = parts
            return f"SRS1={_hash(key, host, rest)}={host}={rest}"
    elif match is not None and local.count("=") >= 3:
        rest = local[4:]
        return f"SRS1={_hash(key, domain, rest)}={domain}={rest}"
    day = _stamp(now)
    return f"SRS0={_hash(key, day, domain, local)}={day}={domain}={local}"


def restored(keys: Sequence[bytes], local: str, now: float, expire: float) -> tuple[str, str]:
    """The sender for whom a local part of SRS stands.

    :param keys: any of which may have signed it.
    :param now: seconds since 1970.
    :param expire: seconds for which it counts.
    :return: local part and domain: of the sender, or for SRS1 of who forwarded it first.
    :raise SrsError: if it is damaged, not signed with one of the keys, or too old.
    """
    match = _SRS.match(local)
    if match is None:
        raise SrsError("it is not of SRS")
    if match[1] == "1":
        parts = local[5:].split("=", 2)
        if len(parts) != 3 or not parts[1] or not parts[2]:
            raise SrsError("it is damaged")
        given, host, rest = parts
        _check(keys, given, host, rest)
        if rest[:1] not in "=+-":
            raise SrsError("it is damaged")
        return f"SRS0{rest}", host
    parts = local[5:].split("=", 3)
    if len(parts) != 4 or not parts[2] or not parts[3]:
        raise SrsError("it is damaged")
    given, day, domain, user = parts
    _check(keys, given, day, domain, user)
    age = _age(day, now)
    if age * _DAY > expire:
        raise SrsError(f"it is of {age} days ago")
    return user, domain


def _check(keys: Sequence[bytes], given: str, *parts: str) -> None:
    # Some servers change the case of an address; the hash is one of base64 all the same.
    if not any(hmac.compare_digest(_hash(key, *parts).lower(), given.lower()) for key in keys):
        raise SrsError("its hash is not ours")


def _hash(key: bytes, *parts: str) -> str:
    text = "".join(parts).lower().encode("utf-8", "replace")
    return base64.b64encode(hmac.new(key, text, sha1).digest()).decode()[:_HASH]


def _stamp(now: float) -> str:
    day = int(now // _DAY) % _MODULUS
    return _BASE32[day >> 5] + _BASE32[day & 31]


def _age(stamp: str, now: float) -> int:
    """Days since the stamp was made.

    :raise SrsError: if it is none.
    """
    places = [_BASE32.find(digit) for digit in stamp.upper()]
    if len(places) != 2 or min(places) < 0:
        raise SrsError("its day cannot be read")
    age = (int(now // _DAY) - (places[0] << 5 | places[1])) % _MODULUS
    # A day that begins elsewhere before it does here is not a thousand days ago.
    return 0 if age == _MODULUS - 1 else age
