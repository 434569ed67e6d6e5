"""What a client session tells or asks the protocol around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from mta.model.outcome import RemoteReply
from mta.smtp.client_transaction import Transaction


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a connection takes no mail, or no more.

    :ivar reply: for the outcomes of those who waited for it.
    :ivar kind: ``reply``: a negative reply to greeting or hello; ``tls``: it has
        not the TLS that is demanded; ``handshake``: TLS was begun and failed;
        ``auth``: our credentials are not taken; ``protocol``: it speaks something
        else; ``lost``: it closed or fell silent; ``connect``: never connected.
    :ivar problem: of a handshake, what it failed over.
    """

    reply: RemoteReply
    kind: Literal["reply", "tls", "handshake", "auth", "protocol", "lost", "connect"]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """Greeting, hello, TLS and AUTH are done: the server waits for messages."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """Begin TLS now; then call ``tls_established``."""


@dataclass(frozen=True, slots=True)
class Derive:
    """Compute the salted password of SCRAM in a thread; then call ``derived``."""

    salt: bytes
    iterations: int


@dataclass(frozen=True, slots=True)
class Examine:
    """Read the content for 8-bit octets in a thread; then call ``examined``."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Stream:
    """Send trace and content now, with back-pressure; then call ``streamed``.

    :ivar stuff: whether dots are to be doubled and the end marked, as DATA does.
    """

    transaction: Transaction
    stuff: bool


class Ended:
    """Every addressee of the transaction has its outcome."""

    __slots__ = ("transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction


@dataclass(frozen=True, slots=True)
class Over:
    """Close the connection: nothing more will come of it.

    :ivar trouble: why; ``None`` after our own QUIT.
    """

    trouble: Trouble | None


SessionEvent: TypeAlias = Ready | StartTls | Derive | Examine | Stream | Ended | Over
