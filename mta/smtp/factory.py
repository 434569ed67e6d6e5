"""Makes the protocols of one listener."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.protocol import ServerFactory

from mta.config.settings import Limits, Submission
from mta.interfaces import IAuthenticator, IReception
from mta.smtp.connections import Connections
from mta.smtp.draining import drain
from mta.smtp.protocol import Premises, SmtpProtocol
from mta.smtp.terms import SUBMISSION_ROLES, Terms

#: Roles in which STARTTLS makes sense: not inside TLS, not on a socket of this machine.
_STARTTLS_ROLES = frozenset({"mx", "submission", "lmtp"})


class SmtpFactory(ServerFactory):
    """One listener's factory.

    :param reactor: time and delayed calls.
    :param role: ``mx``, ``submission``, ``submissions``, ``lmtp`` or ``local``.
    :param hostname: our name.
    :param reception: answers the sessions' questions.
    :param authenticator: runs SASL in the submission roles; the others offer no AUTH.
    :param tls: context factory for STARTTLS; ``None`` for none.  For
        ``submissions`` the listener wraps TLS around this factory.
    :param limits: bounds for each session.
    :param connections: counts sessions, for all listeners of the process.
    :param submission: what is offered in the submission roles.
    :param session_id: makes the id of a session.
    """

    noisy = False
    protocol = SmtpProtocol

    def __init__(
        self,
        *,
        reactor: Any,
        role: str,
        hostname: str,
        reception: IReception,
        authenticator: IAuthenticator | None = None,
        tls: IOpenSSLContextFactory | None = None,
        limits: Limits,
        connections: Connections,
        session_id: Callable[[], str],
        submission: Submission | None = None,
    ) -> None:
        self._reactor = reactor
        self._role = role
        self._hostname = hostname
        self._premises = Premises(
            reactor,
            self._terms(reception, authenticator, tls, limits, submission),
            session_id,
            tls,
            connections,
        )

    def _terms(
        self, reception: Any, authenticator: Any, tls: Any, limits: Limits, submission: Submission | None
    ) -> Terms:
        return Terms(
            role=self._role,
            hostname=self._hostname,
            reception=reception,
            limits=limits,
            seconds=self._reactor.seconds,
            authenticator=authenticator if self._role in SUBMISSION_ROLES else None,
            starttls=tls is not None and self._role in _STARTTLS_ROLES,
            submission=submission,
        )

    @property
    def sessions(self) -> set[SmtpProtocol]:
        """The protocols that are connected."""
        return self._premises.sessions

    def buildProtocol(self, addr: Any) -> SmtpProtocol:
        """A protocol for one client."""
        protocol = self.protocol()
        protocol.factory = self
        protocol.premises = self._premises
        protocol.peer = addr
        return protocol

    def replace(
        self,
        *,
        reception: IReception,
        authenticator: IAuthenticator | None,
        tls: IOpenSSLContextFactory | None,
        limits: Limits,
        submission: Submission | None = None,
    ) -> None:
        """New terms for sessions that begin from now on; those under way keep theirs.

        How many there may be holds at once, for all listeners that share the count.
        """
        if self._premises.connections is not None:
            self._premises.connections.limits = limits
        self._premises.tls = tls
        self._premises.terms = self._terms(reception, authenticator, tls, limits, submission)

    async def drain(self, grace: float) -> None:
        """Take no new transactions, let those under way end, then close what is left.

        Idle sessions are told 421 at once, others at their next command;
        content under way is read, kept and answered.

        :param grace: seconds to wait at the most.
        """
        await drain(self._premises, self._reactor, grace)
