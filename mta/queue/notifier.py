"""Who is told of what became of a message: notifications as queued messages of their own.

Nothing here loops.  A notification has the null reverse-path, so that nobody is
told of its own failure but the postmaster, in one more that carries a mark; and
what carries the mark is discarded with an event when it fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.logger import Logger

from mta.config.settings import Queue
from mta.interfaces import Answer, Route, RouteError, TemporarilyUnavailable, settle
from mta.model.address import domain_of
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Discarded, Event, Notified, Received
from mta.model.header import header_section
from mta.model.message import Addressee, Content, InlineContent, Message
from mta.queue.dsn import HEADER, Notice, compose, has_long_lines
from mta.queue.rerouting import REROUTE
from mta.queue.settlement import Report, wants_failure

#: Octets of a message that is returned whole: where RET=FULL asks for it, and where nobody asks.
WHOLE = 1 << 20
WHOLE_UNASKED = 64 * 1024

#: The attribute that marks what is not told to anybody when it fails.
LAST_RESORT = "last-resort"


class Notifier:
    """Makes notifications.

    :param hostname: our name.
    :param new_id: gives queue ids.
    :param route: finds routes, as a router does.
    :param run_in_thread: ``(callable, *args) -> Deferred``, for reading files.
    :param settings: postmaster, expiry.
    :param sign: gives fields for the top of a notification, by which others know that it is ours.
    :ivar settings: may be replaced at any time.
    """

    log = Logger()

    def __init__(
        self,
        *,
        hostname: str,
        new_id: Callable[[], str],
        route: Callable[[str], Answer[Sequence[Route] | None]],
        run_in_thread: Callable[..., Awaitable[Any]],
        settings: Queue,
        sign: Callable[[bytes, float], Answer[bytes]] = lambda data, now: b"",
    ) -> None:
        self.settings = settings
        self._hostname = hostname
        self._new_id = new_id
        self._route = route
        self._run_in_thread = run_in_thread
        self._sign = sign

    async def tell(
        self, message: Message, reports: Sequence[Report], now: float
    ) -> tuple[list[Message], list[Event]]:
        """Notifications of what the reports say, to those who want to know.

        Never raises: what is wrong with a message or its file must not keep it in the queue.

        :param message: what the reports are about.
        :param now: seconds since 1970.
        :return: messages to be queued, and what the journal says of it.
        """
        groups: dict[tuple[str, str], list[Report]] = {}
        for report in reports:
            if report.action == "failed" and not wants_failure(report.addressee):
                continue
            action = "delivered" if report.action == "relayed" else report.action
            groups.setdefault((report.sender, action), []).append(report)
        made: list[Message] = []
        events: list[Event] = []
        for (sender, _), group in groups.items():
            if sender:
                await self._tell(message, group, sender, now, made, events)
            else:
                await self._tell_postmaster(message, group, now, made, events, "the reverse-path is null")
        return made, events

    async def _tell(
        self,
        message: Message,
        group: list[Report],
        sender: str,
        now: float,
        made: list[Message],
        events: list[Event],
    ) -> None:
        addressees, problem = await self._addressees(sender)
        if addressees:
            await self._make(message, group, sender, addressees, now, made, events)
        elif group[0].action == "failed":
            await self._tell_postmaster(message, group, now, made, events, problem)
        else:
            events.append(_discarded(message, group, problem, now))

    async def _tell_postmaster(
        self,
        message: Message,
        group: list[Report],
        now: float,
        made: list[Message],
        events: list[Event],
        reason: str,
    ) -> None:
        if group[0].action != "failed":
            return
        if message.attributes.get(LAST_RESORT):
            reason = "it was for the postmaster, in place of a sender who could not be told"
        elif self.settings.double_bounce == "postmaster":
            postmaster = self.settings.postmaster or "postmaster"
            addressees, problem = await self._addressees(postmaster)
            if addressees:
                await self._make(message, group, postmaster, addressees, now, made, events, True)
                return
            reason = f"{reason}; nor can the postmaster be told: {problem}"
        events.append(_discarded(message, group, reason, now))

    async def _make(
        self,
        message: Message,
        group: list[Report],
        to: str,
        addressees: list[Addressee],
        now: float,
        made: list[Message],
        events: list[Event],
        postmaster: bool = False,
    ) -> None:
        whole = 0
        if group[0].action == "failed" and not postmaster:
            # RFC 3461, 4.3: only failures return the whole; ours alone is the choice without RET.
            whole = {"FULL": WHOLE, "HDRS": 0}.get(message.envelope.ret, WHOLE_UNASKED)
        original, is_whole = await self._original(message, whole)
        identifier = self._new_id()
        notice = Notice(
            identifier=identifier,
            hostname=self._hostname,
            to=to,
            now=now,
            message=message,
            reports=group,
            original=original,
            whole=is_whole,
            postmaster=postmaster,
        )
        data = compose(notice)
        trace = await self._signature(data, now)
        for addressee in addressees:
            addressee.due = now
        made.append(
            Message(
                id=identifier,
                envelope=Envelope(
                    reverse_path="",
                    recipients=[Recipient(to)],
                    body="7BIT" if data.isascii() else "8BITMIME",
                    smtputf8=not to.isascii(),
                ),
                client=Client(session=message.client.session, role="local", protocol=""),
                trace=trace,
                content=InlineContent(data),
                addressees=addressees,
                created=now,
                expires=now + self.settings.bounce_expire,
                attributes=_attributes(message, postmaster),
            )
        )
        recipients = [report.addressee.address for report in group]
        session = message.client.session
        events.append(
            Notified(
                at=now,
                message=message.id,
                session=session,
                action=notice.action,
                notification=identifier,
                recipients=recipients,
                to=to,
            )
        )
        events.append(
            Received(
                at=now,
                message=identifier,
                session=session,
                sender="",
                recipients=[to],
                size=len(trace) + len(data),
                role="local",
                message_id=f"<{identifier}@{self._hostname}>",
                tags={"about": message.id, "action": notice.action},
            )
        )

    async def _signature(self, data: bytes, now: float) -> bytes:
        """Fields for its top; none if that fails: a bounce without them is better than none."""
        try:
            return await settle(self._sign(data, now))
        except Exception:
            self.log.failure("A notification could not be signed")
            return b""

    async def _addressees(self, address: str) -> tuple[list[Addressee], str]:
        """Where a notification goes; none and the reason if it goes nowhere."""
        try:
            routes = await settle(self._route(address))
        except RouteError as error:
            if error.reply.is_permanent:
                return [], f"<{address}> has no route: {error.reason}"
            routes = None
        except TemporarilyUnavailable:
            routes = None
        except Exception:
            self.log.failure("No route could be found for a notification to {address}", address=address)
            routes = None
        else:
            if not routes:
                return [], f"<{address}> has no route"
        if routes is None:
            # Nobody can tell now: it is asked again at each attempt.
            routes = [Route(address, REROUTE, domain_of(address))]
        # Whose list it is does not matter: a notification keeps its null reverse-path.
        return [way.addressee(number, address) for number, way in enumerate(routes)], ""

    async def _original(self, message: Message, whole: int) -> tuple[bytes, bool]:
        """Trace and content up to ``whole`` octets, else the header section; and which it is."""
        content = message.content
        wanted = message.size <= whole and message.envelope.body != "BINARYMIME"
        if isinstance(content, InlineContent):
            data = content.data
        else:
            try:
                data = await self._run_in_thread(
                    content.read if wanted else _start, *(() if wanted else (content,))
                )
            except Exception:
                # The message fails anyway; what is known of it is told without it.
                self.log.failure("The content of {id} cannot be read for a notification", id=message.id)
                return message.trace, False
        if wanted and b"\0" not in data and not has_long_lines(data):
            return message.trace + data, True
        return message.trace + header_section(data[:HEADER]), False


def _attributes(message: Message, postmaster: bool) -> dict[str, Any]:
    """Of a notification about a message: it is as urgent as that (RFC 6710, 4.6)."""
    found: dict[str, Any] = {"about": message.id}
    if postmaster:
        found[LAST_RESORT] = True
    priority = message.attributes.get("priority")
    if priority:
        found["priority"] = priority
    return found


def _start(content: Content) -> bytes:
    """As much as a header section has."""
    for block in content.blocks():
        return block
    return b""


def _discarded(message: Message, group: Sequence[Report], reason: str, now: float) -> Discarded:
    return Discarded(
        at=now,
        message=message.id,
        session=message.client.session,
        reason=reason,
        recipients=[report.addressee.address for report in group],
    )
