"""What signs posts, and how one takes another's place; pure."""

from __future__ import annotations

import base64
import json
import secrets as random
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Secret:
    """What signs, until it expires; it is kept as it is, for it has to sign.

    :ivar octets: the secret.
    :ivar expires: in seconds since 1970; 0: never.
    """

    octets: bytes
    expires: float = 0.0

    def __repr__(self) -> str:
        return f"<Secret until {self.expires}>"

    @property
    def text(self) -> str:
        """As Standard Webhooks writes it."""
        return f"whsec_{base64.b64encode(self.octets).decode()}"


def new_secret() -> Secret:
    """One that nobody guesses."""
    return Secret(random.token_bytes(32))


def rotated(secrets: Sequence[Secret], now: float, overlap: float) -> tuple[Secret, ...]:
    """A new one before others, which sign, too, for some seconds more."""
    until = now + overlap
    old = [
        replace(one, expires=min(one.expires, until) if one.expires else until)
        for one in secrets
        if not one.expires or one.expires > now
    ]
    return new_secret(), *(one for one in old if one.expires > now)


def signing(secrets: Sequence[Secret], now: float) -> list[bytes]:
    """Those that sign now: while one is exchanged, two do."""
    return [one.octets for one in secrets if not one.expires or one.expires > now]


def kept(secrets: Sequence[Secret]) -> str:
    """As the database has them."""
    return json.dumps([(base64.b64encode(one.octets).decode(), one.expires) for one in secrets])


def read(text: str) -> tuple[Secret, ...]:
    """What :func:`kept` made."""
    return tuple(Secret(base64.b64decode(octets), expires) for octets, expires in json.loads(text))
