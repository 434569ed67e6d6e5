"""The local part of an address to which the bounces of one copy come back; pure.

``bounce-01k5zq4t9d1237h3k2p-4xv0qe8m1t``: the queue id of the message (13 digits), a hash of
the recipient (6), and a signature over both (10), in lower case, because servers on the way
may change the case of an address.  The queue id has the time in it, so a token knows its age.

``bounce-`` marks a copy sent with VERP, ``return-`` one that was forwarded and whose sender's
address was too long for SRS.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Literal

from mta.model.ids import created_at

Purpose = Literal["bounce", "return"]

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_WHO, _SIGNATURE = 6, 10
_FORM = re.compile(
    rf"(bounce|return)-([0-7][{_DIGITS}]{{12}})([{_DIGITS}]{{{_WHO}}})-([{_DIGITS}]{{{_SIGNATURE}}})\Z"
)
#: Seconds by which a clock may be behind that of the worker that made the token.
_SLACK = 3600.0


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says.

    :ivar purpose: what it was made for.
    :ivar message: queue id of the message.
    :ivar who: hash of the recipient; see :meth:`recipient`.
    """

    purpose: Purpose
    message: str
    who: str

    def recipient(self, candidates: Iterable[str]) -> str:
        """Whom of these it was made for; ``""`` if none of them."""
        return next((address for address in candidates if who_of(address) == self.who), "")


class TokenError(ValueError):
    """It looks like a token of ours, but is none that counts; the text says why."""


def who_of(address: str) -> str:
    """The hash of a recipient, six digits."""
    return _written(blake2b(address.lower().encode("utf-8", "replace"), digest_size=8).digest(), _WHO)


def make_token(key: bytes, purpose: Purpose, message: str, recipient: str) -> str:
    """The local part for one copy.

    :param key: with which it is signed.
    :param message: queue id.
    :param recipient: address of the copy.
    """
    body = f"{message}{who_of(recipient)}"
    return f"{purpose}-{body}-{_signature(key, purpose, body)}"


def read_token(keys: Sequence[bytes], local: str, now: float, expire: float) -> Token | None:
    """What a local part says.

    :param keys: any of which may have signed it.
    :param now: seconds since 1970.
    :param expire: seconds for which a token counts.
    :return: ``None`` if it does not look like a token at all.
    :raise TokenError: if it was not signed with one of the keys, or is too old.
    """
    match = _FORM.match(local.lower())
    if match is None:
        return None
    purpose: Purpose = "bounce" if match[1] == "bounce" else "return"
    body = match[2] + match[3]
    if not any(hmac.compare_digest(_signature(key, purpose, body), match[4]) for key in keys):
        raise TokenError("its signature is not ours")
    age = now - created_at(match[2])
    if not -_SLACK <= age <= expire:
        raise TokenError(f"it is of a message from {age / 86400:.0f} days ago")
    return Token(purpose, match[2], match[3])


def _signature(key: bytes, purpose: str, body: str) -> str:
    return _written(hmac.new(key, f"{purpose}-{body}".encode(), sha256).digest(), _SIGNATURE)


def _written(octets: bytes, digits: int) -> str:
    number = int.from_bytes(octets[:8], "big")
    return "".join(_DIGITS[number >> 5 * place & 31] for place in range(digits))
