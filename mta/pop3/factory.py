"""Makes the POP3 sessions of one listener."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ServerFactory

from mta.mailbox.mailroom import Mailroom
from mta.model.event import Event
from mta.pop3.protocol import Pop3Protocol
from mta.pop3.terms import Premises, Terms
from mta.smtp.connections import Connections


class Pop3Factory(ServerFactory):
    """See the module.

    :param reactor: time and delayed calls.
    :param terms: of new sessions.
    :param room: opens mailboxes.
    :param connections: counts sessions, for all listeners of the process.
    :param session_id: makes the id of a session.
    :param note: puts events into the journal.
    """

    noisy = False
    protocol: type[Pop3Protocol] = Pop3Protocol  # type: ignore[assignment]

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
    def sessions(self) -> set[Pop3Protocol]:
        """The protocols that are connected."""
        return self._premises.sessions

    def buildProtocol(self, addr: Any) -> Pop3Protocol:  # type: ignore[override]
        """A protocol for one client."""
        protocol = self.protocol()
        protocol.factory = self  # type: ignore[assignment]
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
        premises = self._premises
        premises.draining = True
        for session in list(premises.sessions):
            session.drain()
        if premises.sessions and grace > 0:
            empty: Deferred[None] = Deferred()
            premises.empty = empty
            timer = premises.reactor.callLater(grace, empty.callback, None)
            await empty
            premises.empty = None
            if timer.active():
                timer.cancel()
        for session in list(premises.sessions):
            session.transport.abortConnection()
