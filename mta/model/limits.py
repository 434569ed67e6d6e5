"""What a destination is given at the most."""

from __future__ import annotations

from dataclasses import dataclass

#: So many in so many seconds.
Rate = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for one site, from the ``[[shape]]`` tables that fit it.

    :ivar connections: at once; 0 for what the transport says.
    :ivar messages_per_connection: likewise.
    :ivar messages: rates of messages; all of them hold.
    :ivar recipients: rates of recipients; all of them hold.
    """

    connections: int = 0
    messages_per_connection: int = 0
    messages: tuple[Rate, ...] = ()
    recipients: tuple[Rate, ...] = ()


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
