"""What the sessions of one listener have in common, whichever protocol it speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from mta.config.settings import Imap, Limits, Pop3
from mta.mailbox.folders import Folders
from mta.mailbox.mailroom import Mailroom
from mta.model.event import Event
from mta.smtp.connections import Connections

if TYPE_CHECKING:
    from mta.visit.visit import Visit


@dataclass(frozen=True, slots=True)
class Home:
    """Where the mail of an account is.

    :ivar quota: octets that it may have; 0: any number.
    """

    maildir: str
    quota: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """Of new sessions; those under way keep theirs.

    :ivar role: of the listener: ``pop3``, ``pop3s``, ``imap``, ``imaps``.
    :ivar settings: of the protocol.
    :ivar authenticator: runs SASL; ``None``: nobody can log in.
    :ivar tls: context factory for STARTTLS; ``None``: none.
    :ivar home: of an account; ``None`` if it has none here.  Raises ``TemporarilyUnavailable`` if nobody
        can tell.
    :ivar folders: what is done with folders.
    """

    role: str
    hostname: str
    settings: Pop3 | Imap
    limits: Limits
    authenticator: Any
    tls: Any
    home: Callable[[str], Awaitable[Home | None]]
    folders: Folders

    @property
    def implicit(self) -> bool:
        """Whether there is TLS from the first byte."""
        return self.role.endswith("s")


@dataclass(slots=True)
class Premises:
    """What the protocols of one listener share.

    :ivar note: puts events into the journal.
    :ivar sessions: protocols that are connected.
    :ivar draining: whether the server is about to stop.
    :ivar empty: called when the last session has gone, if somebody waits for that.
    :ivar turned_away: when an event last told of a client without room, and how many there were since.
    """

    reactor: Any
    terms: Terms
    room: Mailroom
    connections: Connections
    session_id: Callable[[], str]
    note: Callable[[Event], None]
    sessions: set[Visit] = field(default_factory=set)
    draining: bool = False
    empty: Deferred[None] | None = None
    turned_away: tuple[float, int] = (0.0, 0)
