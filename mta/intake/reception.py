"""Answers a session's questions: may this client, this sender, this recipient.

Nothing is refused with 5xx for trouble of our own: what cannot be decided is
put off.  Every refusal names its rule and its evidence, which the session
hands on to the journal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from mta.config.settings import Junk, Submission
from mta.intake.incoming import Incoming
from mta.intake.junk import JunkRules
from mta.intake.labels import LABELLED_ROLES, Labels
from mta.intake.linking import Linking
from mta.intake.suppressing import Suppressing
from mta.intake.trace import DateField
from mta.interfaces import (
    Answer,
    Facts,
    IPipeline,
    IReception,
    IRouter,
    ISigner,
    ISpool,
    Route,
    RouteError,
    TemporarilyUnavailable,
    settle,
)
from mta.model.address import domain_of
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Event
from mta.model.message import Message
from mta.model.network import is_within
from mta.model.options import NO_OPTIONS, Options
from mta.model.reply import Reply
from mta.model.verdict import PASS, Stage, Verdict

_SENDER_OK = REPLIES.reply("sender-ok")
_RECIPIENT_OK = REPLIES.reply("recipient-ok")

#: Roles in which the sender must belong to the account (RFC 6409, 6.1).
SUBMISSION_ROLES = frozenset({"submission", "submissions", "api"})


class Leave(Protocol):
    """See :meth:`mta.route.departure.Departures.leave`."""

    def __call__(
        self, routes: Sequence[Route], sender: str, account: str, tenant: str, steps: list[str] | None = None
    ) -> Sequence[Route]:
        """The ways of one message."""


#: Addressees that the recipients of one message may lead to before no more are taken: the
#: same large list under a thousand names would keep everybody waiting.
MOST_ADDRESSEES = 20_000

#: The ways of a recipient, or why there are none, which is told when judges have been asked.
Found = Answer[Sequence[Route] | None] | RouteError | TemporarilyUnavailable

#: By queue id, sender, forward-path and final address: the reverse-path, if it is not the sender.
ReturnPath = Callable[[str, str, str, str], Answer[str | None]]


@implementer(IReception)
class Reception:
    """What one server answers, for all its sessions.

    :param reactor: gives the time.
    :param hostname: our name.
    :param spool: keeps messages.
    :param router: finds the way for a recipient.
    :param pipeline: all judges.
    :param relay_from: networks whose clients may relay without AUTH.
    :param leave: the ways of one message, by its sender, account and tenant
        (:meth:`~mta.route.departure.Departures.leave`).
    :param inline: octets up to which content stays in memory.
    :param header_size: octets of the header section that judges see.
    :param expire: seconds for which delivery is tried.
    :param bounce_expire: the same for the null reverse-path.
    :param authserv_id: our name in Authentication-Results; ``""``: ``hostname``.
    :param labels: what those who submit may say of their messages.
    :param junk: what becomes of mail that a filter calls spam.
    :param has_room: whether the disk has room for so many octets.
    :param admitted: told of each message after its commit.
    :param return_path: gives the reverse-path of a copy, where it is not the sender's.
    :param run_in_thread: ``(callable, *args) -> Deferred``: where content is read.
    :param signer: signs what is accepted; ``None``: nobody does.
    :param suppressing: knows to whom tenants send nothing more.
    :param linking: puts links into messages that were written elsewhere; ``None``: nobody does.
    """

    log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,
        hostname: str,
        spool: ISpool,
        router: IRouter,
        pipeline: IPipeline,
        relay_from: Sequence[IPv4Network | IPv6Network] = (),
        leave: Leave = lambda routes, sender, account, tenant, steps=None: routes,
        inline: int = 64 * 1024,
        header_size: int = 256 * 1024,
        expire: float = 5 * 86400.0,
        bounce_expire: float = 86400.0,
        labels: Submission | None = None,
        junk: Junk | None = None,
        authserv_id: str = "",
        has_room: Callable[[int], bool] = lambda octets: True,
        admitted: Callable[[Message], None] = lambda message: None,
        return_path: ReturnPath | None = None,
        run_in_thread: Callable[..., Awaitable[Any]] = deferToThread,
        signer: ISigner | None = None,
        suppressing: Suppressing | None = None,
        linking: Linking | None = None,
    ) -> None:
        self.linking = linking
        self.suppressing = suppressing or Suppressing()
        self.reactor = reactor
        self.hostname = hostname
        self.spool = spool
        self.router = router
        self.pipeline = pipeline
        self.leave = leave
        self.inline = inline
        self.header_size = header_size
        self.expire = expire
        self.bounce_expire = bounce_expire
        self.admitted = admitted
        self.return_path = return_path
        self.run_in_thread = run_in_thread
        self.signer = signer
        self.dates = DateField()
        self._relay_from = tuple(relay_from)
        self._may_relay: dict[str, bool] = {}
        self._has_room = has_room
        self.authserv_id = authserv_id or self.hostname
        self.labels = Labels(labels)
        self.junk = JunkRules(junk)

    def replace(
        self,
        *,
        router: IRouter,
        pipeline: IPipeline,
        relay_from: Sequence[IPv4Network | IPv6Network],
        leave: Leave,
        header_size: int,
        expire: float,
        bounce_expire: float,
        return_path: ReturnPath | None = None,
        labels: Submission | None = None,
        junk: Junk | None = None,
        authserv_id: str = "",
        signer: ISigner | None = None,
    ) -> None:
        """Answer by other rules from the next question on; parameters as for the constructor."""
        self.router = router
        self.pipeline = pipeline
        self.leave = leave
        self.header_size = header_size
        self.expire = expire
        self.bounce_expire = bounce_expire
        self.return_path = return_path
        self.signer = signer
        self._relay_from = tuple(relay_from)
        self._may_relay = {}
        self.authserv_id = authserv_id or self.hostname
        self.labels = Labels(labels)
        self.junk = JunkRules(junk)

    # --- questions -----------------------------------------------------------

    def connect(self, client: Client) -> Answer[Reply | None]:
        """Whether the client may speak: judges decide."""
        return self._judged("connect", Facts(client, trusted=self.may_send_anywhere(client)))

    def hello(self, client: Client) -> Answer[Reply | None]:
        """Whether it may go on under this name: judges decide."""
        return self._judged("hello", Facts(client, trusted=self.may_send_anywhere(client)))

    def sender(self, client: Client, account: Any, envelope: Envelope) -> Answer[Reply]:
        """MAIL: is there room, is it the account's own address, do judges agree."""
        if not self._has_room(envelope.size):
            return REPLIES.reply("no-space")
        owned: Answer[bool] = True
        if client.role in SUBMISSION_ROLES and envelope.reverse_path:
            owned = False if account is None else account.may_send_as(envelope.reverse_path)
        facts = Facts(client, envelope, trusted=self.may_send_anywhere(client))
        verdict = self.pipeline.judge("mail", facts)
        if owned is True and verdict is PASS:
            return self._accepted(client, envelope)
        return self._sender(client, envelope, owned, verdict)

    async def _sender(
        self, client: Client, envelope: Envelope, owned: Answer[bool], verdict: Answer[Verdict]
    ) -> Reply:
        decided = await settle(verdict)
        try:
            may = await settle(owned)
        except TemporarilyUnavailable as trouble:
            reply = REPLIES.reply("directory-unavailable", address=envelope.reverse_path, ref=client.session)
            return reply.because("sender-ownership", {"why": str(trouble)})
        if not may:
            reply = REPLIES.reply(
                "sender-not-owned",
                address=envelope.reverse_path,
                account=client.account or "anybody",
                ref=client.session,
            )
            evidence = {"account": client.account, "sender": envelope.reverse_path}
            return reply.because("sender-ownership", evidence)
        refusal = self.refusal(decided, client)
        if refusal is not None:
            return refusal
        _remember(envelope, "mail", decided)
        return self._accepted(client, envelope)

    def _accepted(self, client: Client, envelope: Envelope) -> Reply:
        """The sender may send, though perhaps not as urgently as it asks (RFC 6710, 4.1)."""
        if envelope.asked is None or client.role not in SUBMISSION_ROLES:
            return _SENDER_OK
        ceiling = self.labels.ceiling(client.account)
        if envelope.asked <= ceiling:
            return _SENDER_OK
        envelope.priority = ceiling
        return REPLIES.reply("priority-lowered", priority=ceiling, account=client.account or "nobody")

    def recipient(self, client: Client, envelope: Envelope, recipient: Recipient) -> Answer[Reply]:
        """RCPT: may it be relayed, does it exist, where does it go, do judges agree."""
        domain = domain_of(recipient.address)
        if domain and not self.may_send_anywhere(client):
            try:
                local = self.router.is_local(domain)
            except TemporarilyUnavailable as trouble:
                return self._no_route(trouble, client, recipient)
            if isinstance(local, Awaitable):
                return self._if_local(local, client, envelope, recipient)
            if not local:
                return self._relay_denied(client, recipient, domain)
        return self._known(client, envelope, recipient)

    async def _if_local(
        self, local: Awaitable[bool], client: Client, envelope: Envelope, recipient: Recipient
    ) -> Reply:
        try:
            if not await local:
                return self._relay_denied(client, recipient, domain_of(recipient.address))
        except TemporarilyUnavailable as trouble:
            return self._no_route(trouble, client, recipient)
        return await settle(self._known(client, envelope, recipient))

    def _relay_denied(self, client: Client, recipient: Recipient, domain: str) -> Reply:
        reply = REPLIES.reply("relay-denied", address=recipient.address, ref=client.session)
        evidence = {"domain": domain, "authenticated": bool(client.account), "client": client.address}
        return reply.because("relay", evidence)

    def _known(self, client: Client, envelope: Envelope, recipient: Recipient) -> Answer[Reply]:
        """Where it goes, and what judges say, for a client that may send there."""
        before = envelope.recipients
        if before and sum([len(other.routes) for other in before]) >= MOST_ADDRESSEES:
            reply = REPLIES.reply("too-many-recipients", limit=len(before))
            return reply.because("addressees", {"limit": MOST_ADDRESSEES})
        routes: Found
        try:
            routes = self.router.route(recipient.address)
        except (RouteError, TemporarilyUnavailable) as trouble:
            routes = trouble
        tenant = self._tenant(client)
        suppressed = self.suppressing.at_rcpt(tenant, recipient.address, client) if tenant else None
        if suppressed is not None:
            return self._unless_suppressed(suppressed, client, envelope, recipient, routes)
        return self._routable(client, envelope, recipient, routes)

    def _tenant(self, client: Client) -> str:
        """Whose the messages of an account are, before their header says anything."""
        if not client.account or client.role not in LABELLED_ROLES:
            return ""
        return self.labels.tenant(client.account)

    async def _unless_suppressed(
        self,
        suppressed: Awaitable[Reply | None],
        client: Client,
        envelope: Envelope,
        recipient: Recipient,
        routes: Found,
    ) -> Reply:
        refusal = await suppressed
        if refusal is not None:
            if isinstance(routes, Coroutine):
                routes.close()
            return refusal
        return await settle(self._routable(client, envelope, recipient, routes))

    def _routable(
        self,
        client: Client,
        envelope: Envelope,
        recipient: Recipient,
        routes: Found,
    ) -> Answer[Reply]:
        # Judges are asked first, so that whoever they refuse learns nothing of who is here.
        facts = Facts(client, envelope, recipient, trusted=self.may_send_anywhere(client))
        verdict = self.pipeline.judge("recipient", facts)
        if verdict is PASS and not isinstance(routes, Awaitable):
            return self._routed(client, recipient, routes)
        return self._recipient(client, envelope, recipient, routes, verdict)

    async def _recipient(
        self,
        client: Client,
        envelope: Envelope,
        recipient: Recipient,
        routes: Found,
        verdict: Answer[Verdict],
    ) -> Reply:
        decided = await settle(verdict)
        found: Sequence[Route] | RouteError | TemporarilyUnavailable | None
        try:
            found = routes if isinstance(routes, Exception) else await settle(routes)
        except (RouteError, TemporarilyUnavailable) as trouble:
            found = trouble
        reply = self.refusal(decided, client) or self._routed(client, recipient, found)
        if reply.is_positive:
            _remember(envelope, "recipient", decided)
        return reply

    def _routed(
        self,
        client: Client,
        recipient: Recipient,
        routes: Sequence[Route] | RouteError | TemporarilyUnavailable | None,
    ) -> Reply:
        if isinstance(routes, RouteError | TemporarilyUnavailable):
            return self._no_route(routes, client, recipient)
        found = tuple(routes or ())
        if not found:
            reply = REPLIES.reply("mailbox-unknown", address=recipient.address, ref=client.session)
            return reply.because("route")
        # A router's slip must show now, while the client can be put off.
        if not all(isinstance(route, Route) for route in found):
            raise TypeError(f"a router answers with routes, and it was {found!r:.100}")
        recipient.routes = found
        return _RECIPIENT_OK

    def data(
        self, client: Client, envelope: Envelope, options: Options = NO_OPTIONS, identifier: str = ""
    ) -> Incoming:
        """The content begins.

        :param options: what is said of the message by who hands it over.
        :param identifier: the queue id that it has been given already.
        """
        return Incoming(self, client, envelope, options, identifier)

    def note(self, event: Event) -> None:
        """Put it into the journal."""
        self.spool.note((event,))

    def closed(self, client: Client) -> None:
        """The session is over: tell judges."""
        self.pipeline.closed(client)

    def watch(self, client: Client) -> Any:
        """What is to see a content while it is written; ``None``: nothing is."""
        return None if self.signer is None else self.signer.watch(self.may_send_anywhere(client))

    def may_send_anywhere(self, client: Client) -> bool:
        """Whether it has logged in, is a program on this machine, or is in ``access.relay_from``."""
        if client.account or client.role == "local":
            return True
        if not self._relay_from or client.role == "lmtp":
            return False
        known = self._may_relay.get(client.address)
        if known is None:
            known = is_within(client.address, self._relay_from)
            if len(self._may_relay) > 10_000:
                self._may_relay.clear()
            self._may_relay[client.address] = known
        return known

    # --- parts ---------------------------------------------------------------

    def _no_route(self, trouble: Exception, client: Client, recipient: Recipient) -> Reply:
        if isinstance(trouble, RouteError):
            name = trouble.reply.name
            reply = trouble.reply
            if name:
                values = {**trouble.values, "address": recipient.address, "ref": client.session}
                # What a router says of the codes counts more than the catalogue.
                lines = REPLIES.reply(name, **values).lines
                reply = Reply(trouble.reply.code, lines, trouble.reply.enhanced, name)
            return reply.because("route", {"why": trouble.reason})
        reply = REPLIES.reply("directory-unavailable", address=recipient.address, ref=client.session)
        return reply.because("route", {"why": str(trouble)})

    def _judged(self, stage: Stage, facts: Facts) -> Answer[Reply | None]:
        verdict = self.pipeline.judge(stage, facts)
        if verdict is PASS:
            return None
        return self._settled(verdict, stage, facts.client)

    async def _settled(self, verdict: Answer[Verdict], stage: Stage, client: Client) -> Reply | None:
        decided = await settle(verdict)
        refusal = self.refusal(decided, client)
        if refusal is None:
            # Who says EHLO again is judged again.
            client.judged = tuple(judged for judged in client.judged if judged[0] != stage)
            _remember(client, stage, decided)
        return refusal

    @staticmethod
    def refusal(verdict: Verdict, client: Client) -> Reply | None:
        """The reply of a verdict that refuses; ``None`` if it does not."""
        if verdict.action not in ("defer", "reject"):
            return None
        reply = verdict.reply
        if reply is None:
            name = "policy-defer" if verdict.action == "defer" else "policy-reject"
            reply = REPLIES.reply(name, reason=verdict.reason or "Refused by policy", ref=client.session)
        return replace(reply.because(verdict.rule, verdict.evidence), authentication=verdict.authentication)


def _remember(about: Client | Envelope, stage: Stage, verdict: Verdict) -> None:
    """Keep what was said until the message is complete."""
    if verdict is not PASS:
        about.judged = (*about.judged, (stage, verdict))
