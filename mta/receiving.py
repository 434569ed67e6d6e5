"""Joins what mail is brought in with: the sessions of SMTP and LMTP, of one worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.protocols.tls import TLSMemoryBIOFactory

from mta.config.settings import Settings
from mta.environment import ROLES
from mta.intake.reception import Reception
from mta.parts import Parts
from mta.smtp.connections import Connections
from mta.smtp.factory import SmtpFactory


class Receiving:
    """What one worker has of it.

    :param reactor: the reactor.
    :param settings: the configuration.
    :param reception: answers what sessions ask.
    :param parts: gives the parts in use.
    :param tls: our certificate.
    :param connections: counts sessions.
    :param session_id: gives ids of sessions.
    :ivar factories: by role; ``local`` is the socket in the state directory.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        reception: Reception,
        parts: Callable[[], Parts],
        tls: Any,
        connections: Connections,
        session_id: Callable[[], str],
    ) -> None:
        self._parts = parts
        self._reception = reception
        self._tls = tls
        self.factories = {
            role: SmtpFactory(
                reactor=reactor,
                role=role,
                hostname=settings.hostname,
                connections=connections,
                session_id=session_id,
                **self._terms(role, settings),
            )
            for role in (*ROLES, "local")
        }

    def _terms(self, role: str, settings: Settings) -> dict[str, Any]:
        """What may be another after a reload."""
        return {
            "reception": self._reception,
            "authenticator": self._parts().authenticator if role.startswith("submission") else None,
            "tls": None if role == "local" else self._tls,
            "limits": settings.limits,
            "submission": settings.submission,
        }

    def listening(self, role: str) -> Any:
        """What answers on the listeners of a role."""
        factory = self.factories[role]
        return TLSMemoryBIOFactory(self._tls, False, factory) if role == "submissions" else factory

    def use(self, settings: Settings) -> None:
        """Go by other settings and parts from now on."""
        for role, factory in self.factories.items():
            factory.replace(**self._terms(role, settings))
