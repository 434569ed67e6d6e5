"""Joins what people fetch their mail with: mailboxes, POP3, IMAP, and who wakes whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from mta.config.loading import Loaded
from mta.environment import Environment
from mta.model.event import Event
from mta.parts import Parts
from mta.smtp.connections import Connections

if TYPE_CHECKING:
    from mta.mailbox.mailroom import Mailroom
    from mta.visit.factory import VisitFactory
    from mta.visit.premises import Home, Terms

_log = Logger()

#: Roles of listeners that people fetch mail from.
ROLES = ("pop3", "pop3s", "imap", "imaps")


class Fetching:
    """What one worker has of it.

    :param parts: gives the parts in use.
    :param tls: our certificate.
    :ivar factories: by role; of those that are listened to, because the code for others takes memory.
    :ivar room: where mailboxes are opened; ``None`` if nobody can fetch mail.
    """

    def __init__(
        self,
        reactor: Any,
        loaded: Loaded,
        environment: Environment,
        parts: Callable[[], Parts],
        tls: Any,
        connections: Connections,
        session_id: Callable[[], str],
    ) -> None:
        self._parts = parts
        self._tls = tls
        self.factories: dict[str, VisitFactory] = {}
        self.room: Mailroom | None = None
        roles = [role for role in ROLES if getattr(loaded.settings.listen, role)]
        if not roles:
            return
        from mta.mailbox.mailroom import DIRECTORY, Mailroom

        settings = loaded.settings.mailbox
        self.room = Mailroom(
            reactor, loaded.state / DIRECTORY, settings.threads, settings.poll, settings.full_text
        )
        # Whoever waits for mail is woken by the delivery itself.
        environment.delivered = self.room.delivered
        for role in roles:
            self.factories[role] = _factory(role)(
                reactor, self._terms(role, loaded), self.room, connections, session_id, _noter(environment)
            )

    def _terms(self, role: str, loaded: Loaded) -> Terms:
        from mta.mailbox.folders import Folders
        from mta.visit.premises import Terms

        settings = loaded.settings
        return Terms(
            role=role,
            hostname=settings.hostname,
            settings=settings.imap if role.startswith("imap") else settings.pop3,
            limits=settings.limits,
            authenticator=self._parts().authenticator,
            tls=self._tls,
            home=self._home,
            folders=Folders(settings.mailbox.folders.by_use()),
        )

    async def _home(self, account: str) -> Home | None:
        from mta.visit.premises import Home

        route = await self._parts().domains.mailbox(account)
        return None if route is None else Home(route.next_hop, int(route.options.get("quota", 0)))

    def listening(self, role: str) -> Any:
        """What answers on the listeners of a role."""
        factory = self.factories[role]
        return TLSMemoryBIOFactory(self._tls, False, factory) if role.endswith("s") else factory

    def use(self, loaded: Loaded) -> None:
        """Go by other settings and parts from now on."""
        for role, factory in self.factories.items():
            factory.replace(self._terms(role, loaded))
        if self.room is not None:
            self.room.full_text = loaded.settings.mailbox.full_text
            Deferred.fromCoroutine(self.room.tidy()).addErrback(
                lambda failure: _log.failure("Indexes of texts were not removed", failure)
            )

    async def start(self) -> None:
        """Nothing is opened before somebody logs in; what is wanted no more is removed."""
        if self.room is not None:
            await self.room.tidy()

    async def stop(self) -> None:
        """Close what is open; after the last session."""
        if self.room is not None:
            await self.room.stop()


def _noter(environment: Environment) -> Callable[[Event], None]:
    """Puts an event into the journal, which is open by the time there are any."""
    return lambda event: environment.journal.note((event,))


def _factory(role: str) -> type[VisitFactory]:
    if role.startswith("imap"):
        from mta.imap.factory import ImapFactory

        return ImapFactory
    from mta.pop3.factory import Pop3Factory

    return Pop3Factory
