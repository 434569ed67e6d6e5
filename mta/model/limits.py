"""What a destination is given at the most."""

from __future__ import annotations

from dataclasses import dataclass

#: So many in so many seconds.
Rate = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a peer at each stage (RFC 5321, 4.5.3.2); 0 for what the transport says.

    :ivar connect: for a connection.
    :ivar greeting: for the greeting.
    :ivar hello: for the replies to EHLO, STARTTLS and AUTH.
    :ivar mail: to MAIL.
    :ivar recipient: to RCPT.
    :ivar data: to DATA.
    :ivar block: for a block of content to be taken.
    :ivar end: for the reply to the end of the content.
    """

    connect: float = 0.0
    greeting: float = 0.0
    hello: float = 0.0
    mail: float = 0.0
    recipient: float = 0.0
    data: float = 0.0
    block: float = 0.0
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for one site, from the ``[[shape]]`` tables that fit it.

    :ivar connections: at once; 0 for what the transport says.
    :ivar messages_per_connection: likewise.
    :ivar messages: rates of messages; all of them hold.
    :ivar recipients: rates of recipients; all of them hold.
    :ivar timeouts: how long to wait; ``None`` for what the transport says.
    """

    connections: int = 0
    messages_per_connection: int = 0
    messages: tuple[Rate, ...] = ()
    recipients: tuple[Rate, ...] = ()
    timeouts: Timeouts | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A rate that some of a site's messages share: those to one domain, or of one tenant.

    :ivar key: the same for all that share it.
    :ivar messages: see :class:`Limits`.
    :ivar recipients: likewise.
    """

    key: tuple[str, ...]
    messages: tuple[Rate, ...] = ()
    recipients: tuple[Rate, ...] = ()


NO_LIMITS = Limits()
