"""What a step of a SASL exchange comes to (RFC 4422)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Challenge:
    """The client must answer this; ``data`` is not yet base64."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Success:
    """The client has proved who it is; ``account`` is the avatar (:class:`~mta.interfaces.IAccount`)."""

    account: Any


@dataclass(frozen=True, slots=True)
class Denied:
    """The client has not proved who it is.

    :ivar temporary: nobody could say: 454 4.7.0, never 535.
    :ivar reason: for the journal, never for the client; holds no secret.
    :ivar account: whom the client claimed to be, if it came to that.
    :ivar malformed: the response was not what the mechanism demands: 501 5.5.2.
    :ivar wait: seconds before which nothing is looked at, after many failures; then ``temporary``.
    """

    temporary: bool
    reason: str
    account: str = ""
    malformed: bool = False
    wait: float = 0.0
