"""Mail of the server's own to the person who looks after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mta.interfaces import Answer, ISpool, Route, RouteError, TemporarilyUnavailable, settle
from mta.model.address import domain_of
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Received
from mta.model.message import InlineContent, Message
from mta.queue.rerouting import REROUTE

_DAY = 86400.0


class Letters:
    """Writes and queues them.

    :param spool: keeps them.
    :param admitted: told of each after its commit.
    :param route: finds routes, as a router does.
    :param hostname: our name.
    :param seconds: gives the time.
    """

    log = Logger()

    def __init__(
        self,
        *,
        spool: ISpool,
        admitted: Callable[[Message], None],
        route: Callable[[str], Answer[Sequence[Route] | None]],
        hostname: str,
        seconds: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._admitted = admitted
        self._route = route
        self._hostname = hostname
        self._seconds = seconds

    def send(self, to: str, subject: str, text: str) -> None:
        """Write to somebody; it goes on by itself, and what becomes of it stands in the journal or the log.

        :param to: an address, or bare ``postmaster``.
        """
        Deferred.fromCoroutine(self._send(to, subject, text))

    async def _send(self, to: str, subject: str, text: str) -> None:
        try:
            await self.write(to, subject, text)
        except TemporarilyUnavailable as trouble:
            self.log.error("{to} cannot be told: {subject}: {why}", to=to, subject=subject, why=str(trouble))
        except Exception:
            self.log.failure("{to} cannot be told: {subject}", to=to, subject=subject)

    async def write(self, to: str, subject: str, text: str) -> None:
        """Write to somebody; it is on disk then.

        :raise TemporarilyUnavailable: if it cannot be queued.
        """
        now, identifier = self._seconds(), self._spool.new_id()
        data = self._composed(identifier, to, subject, text, now)
        routes: Sequence[Route] | None = None
        try:
            routes = await settle(self._route(to))
        except (RouteError, TemporarilyUnavailable) as trouble:
            self.log.warn("{to} has no route now: {why}", to=to, why=str(trouble))
        addressees = [
            way.addressee(number, to, due=now, notify=frozenset({"NEVER"}))
            for number, way in enumerate(routes or [Route(to, REROUTE, domain_of(to))])
        ]
        message = Message(
            id=identifier,
            envelope=Envelope(
                "", [Recipient(to)], "7BIT" if data.isascii() else "8BITMIME", smtputf8=not to.isascii()
            ),
            client=Client(session="", role="local", protocol=""),
            trace=b"",
            content=InlineContent(data),
            addressees=addressees,
            created=now,
            expires=now + _DAY,
        )
        event: Any = Received(
            at=now,
            message=identifier,
            sender="",
            recipients=[to],
            size=len(data),
            role="local",
            message_id=f"<{identifier}@{self._hostname}>",
            tags={"about": subject},
        )
        await self._spool.admit(message, (event,))
        self._admitted(message)

    def _composed(self, identifier: str, to: str, subject: str, text: str, now: float) -> bytes:
        letter = EmailMessage(policy=SMTP.clone(utf8=not to.isascii()))
        letter["Date"] = format_datetime(datetime.fromtimestamp(int(now), UTC))
        letter["From"] = f"Mail server <postmaster@{self._hostname}>"
        letter["To"] = to if "@" in to else f"{to}@{self._hostname}"
        letter["Subject"] = " ".join(subject.split())
        letter["Message-ID"] = f"<{identifier}@{self._hostname}>"
        # RFC 3834, 5: no program answers it.
        letter["Auto-Submitted"] = "auto-generated"
        # Commands in it are to be copied, so no line is broken.
        letter.set_content(text, cte="7bit" if text.isascii() else "8bit")
        return bytes(letter)
