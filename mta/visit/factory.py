"""Makes the sessions of one listener."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.protocol import ServerFactory

from mta.mailbox.mailroom import Mailroom
from mta.model.event import Event
from mta.smtp.connections import Connections
from mta.smtp.draining import drain
from mta.visit.premises import Premises, Terms
from mta.visit.visit import Visit


class VisitFactory(ServerFactory):
    """See the module.  Whoever inherits says which ``visit`` is made.

    :param reactor: time and delayed calls.
    :param terms: of new sessions.
    :param room: opens mailboxes.
    :param connections: counts sessions, for all listeners of the process.
    :param session_id: makes the id of a session.
    :param note: puts events into the journal.
    """

    noisy = False
    visit: ClassVar[type[Visit]]

    def __init__(
        self,
        reactor: Any,
        terms: Terms,
        room: Mailroom,
        connections: Connections,
        session_id: Callable[[], str],
        note: Callable[[Event], None],
    ) -> None:
        self._premises = Premises(reactor, terms, room, connections, session_id, note)

    @property
    def sessions(self) -> set[Visit]:
        """The protocols that are connected."""
        return self._premises.sessions

    def buildProtocol(self, addr: Any) -> Any:
        """A protocol for one client."""
        protocol: Any = self.visit()
        protocol.factory = self
        protocol.premises = self._premises
        protocol.peer = addr
        return protocol

    def replace(self, terms: Terms) -> None:
        """New terms for sessions that begin from now on."""
        self._premises.terms = terms

    async def drain(self, grace: float) -> None:
        """Let answers that are under way end, then close what is left.

        :param grace: seconds to wait at the most.
        """
        await drain(self._premises, self._premises.reactor, grace)
