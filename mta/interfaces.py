"""Every seam on one page; those with many methods are defined in :mod:`mta.model`.

A plugin is a class (found with ``twisted.plugin`` as an :class:`IKind`) that provides one
of these.  A method may return a ``Deferred``, be ``async``, or return the answer itself
where it knows it at once: callers accept either, written :data:`Answer` here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from twisted.cred.checkers import ICredentialsChecker as ICredentialsChecker
from zope.interface import Attribute, Interface

from mta.model.address import Address
from mta.model.bounce import Classification
from mta.model.bounce_data import classify
from mta.model.delivery import Delivery as Delivery
from mta.model.delivery import Exchanger as Exchanger
from mta.model.delivery import Result as Result
from mta.model.delivery import Route as Route
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Event
from mta.model.facts import Facts as Facts
from mta.model.ledger import Ledger as Ledger
from mta.model.outcome import Outcome, RemoteReply
from mta.model.people import Alias as Alias
from mta.model.people import HostedDomain as HostedDomain
from mta.model.people import Mailbox as Mailbox
from mta.model.queue import IQueue as IQueue
from mta.model.reply import Reply
from mta.model.resolver import IResolver as IResolver
from mta.model.resolver import Validated as Validated
from mta.model.sasl import Challenge as Challenge
from mta.model.sasl import Denied as Denied
from mta.model.sasl import Success as Success
from mta.model.shaping import IEgress as IEgress
from mta.model.shaping import IShaping as IShaping
from mta.model.signed import ISigner as ISigner
from mta.model.signed import Signed as Signed
from mta.model.sorting import IFollowUps as IFollowUps
from mta.model.sorting import ISorter as ISorter
from mta.model.spool import ISpool as ISpool
from mta.model.spool import ISpoolFile as ISpoolFile
from mta.model.tls_demand import HostTls, TlsDemand
from mta.model.verdict import Stage, Verdict

T = TypeVar("T")
Answer: TypeAlias = T | Awaitable[T]


async def settle(answer: Answer[T]) -> T:
    """The answer itself, waited for if it is not there yet."""
    if isinstance(answer, Awaitable):
        return await answer
    return answer


class TemporarilyUnavailable(Exception):
    """A directory, DNS or a disk is down.  The text is for the journal; it holds no secret."""


class RouteError(Exception):
    """A recipient has no way to go, and the reply says why.

    :param reply: the 4xx or 5xx that the client should get.
    :param reason: for the journal.
    :param values: what the fields of the reply's text in the catalogue stand for, besides
        ``address`` and ``ref``.
    """

    def __init__(self, reply: Reply, reason: str = "", values: Mapping[str, object] | None = None) -> None:
        super().__init__(reason or str(reply))
        self.reply = reply
        self.reason = reason or str(reply)
        self.values = dict(values or {})


# --- plugins -----------------------------------------------------------------


@dataclass(frozen=True)
class PluginContext:
    """What a plugin may use of the server it lives in.

    :ivar reactor: the reactor (or ``task.Clock``): time, connections, threads.
    :ivar state: absolute path of the state directory.
    :ivar base: absolute path of the directory of the configuration file;
        relative paths in settings are relative to it.
    :ivar hostname: our host name.
    :ivar resolver: asks the DNS.
    :ivar run_in_thread: ``(callable, *args) -> Deferred`` on a bounded pool.
    :ivar exchangers: finds hosts for a next hop (:class:`IExchangers`).
    :ivar shaping: what destinations are given at the most (:class:`IShaping`).
    :ivar egress: from which addresses mail leaves (:class:`IEgress`).
    :ivar journal: knows what happened (:class:`IJournal`).
    :ivar classify: ``(RemoteReply, next_hop) -> Classification``: what another server's reply means.
    :ivar tls_demands: knows which TLS is demanded of a next hop (:class:`ITlsDemands`).
    :ivar ledger: what all workers remember together; ``None`` without a server.
    :ivar delivered: told of the folders of Maildirs, by their paths, into which something came.
    :ivar sorter: knows the rules of mailboxes (:class:`ISorter`); ``None``: there are none.
    :ivar name: under which name the configuration has the plugin.
    """

    reactor: Any
    state: str
    base: str
    hostname: str
    resolver: Any
    run_in_thread: Callable[..., Awaitable[Any]]
    exchangers: Any = None
    shaping: Any = None
    egress: Any = None
    journal: Any = None
    classify: Callable[[RemoteReply, str], Classification] = classify
    tls_demands: Any = None
    ledger: Ledger | None = None
    delivered: Callable[[Iterable[bytes]], None] = lambda folders: None
    sorter: Any = None
    name: str = ""


class IKind(Interface):
    """Makes instances of one kind of plugin from their settings."""

    seam = Attribute("The interface that instances provide, such as ``IJudge``.")
    kind = Attribute("The word that stands behind ``kind =`` in the configuration.")
    settings = Attribute("A pydantic model class for everything else in its table.")

    def build(settings: Any, context: PluginContext) -> Any:
        """Make an instance.

        :param settings: an instance of ``settings``, validated.
        :raise ValueError: with a text for the operator, if it cannot be made.
        """


class IService(Interface):
    """Optional, for any plugin: be told when the server starts and stops."""

    def start() -> Answer[None]:
        """Before the first question."""

    def stop() -> Answer[None]:
        """After the last question."""


class IReloadable(Interface):
    """Optional, for any plugin: read files anew on ``mta reload`` and SIGHUP."""

    def reload() -> Answer[None]:
        """Read everything again; on an error keep what was, and raise ValueError."""


# --- people ------------------------------------------------------------------


class IDirectory(Interface):
    """Knows which addresses exist and what they are."""

    def look_up(address: Address) -> Answer[Mailbox | Alias | None]:
        """What is this address?

        :param address: without detail unless the detail is part of the name;
            callers try with the detail first.
        :return: ``None`` if this directory does not know it.
        :raise TemporarilyUnavailable: if it cannot tell.
        """

    def account(avatar: str) -> Answer[Mailbox | None]:
        """The mailbox of an account, by the avatar id that a checker returned.

        :raise TemporarilyUnavailable: if it cannot tell.
        """


class IDomains(Interface):
    """Optional, for a directory: it knows domains, too."""

    def domain(name: str) -> Answer[HostedDomain | None]:
        """A domain whose mail is kept here.

        :param name: in lower case; of an internationalised name either form may be asked for.
        :return: ``None`` if this directory does not know it.
        :raise TemporarilyUnavailable: if it cannot tell.
        """


class IAccount(Interface):
    """The avatar of an authenticated account, from the portal."""

    name = Attribute("The avatar id.")

    def may_send_as(address: str) -> Answer[bool]:
        """Whether a canonical address (or ``""``) belongs to the account.

        :raise TemporarilyUnavailable: if no directory can tell.
        """


# --- proving who one is ------------------------------------------------------


class IIdentity(Interface):
    """The seam of ``[[identity]]``: an instance provides :class:`ICredentialsChecker`
    (twisted.cred), or :class:`IDirectory`, or both."""


class IExchange(Interface):
    """One run of a SASL mechanism (RFC 4422), our side of it."""

    def step(response: bytes | None) -> Answer[Challenge | Success | Denied]:
        """Take the client's next response, base64 undone.

        :param response: ``None`` only in the first step, when AUTH came without
            an initial response; an empty initial response (``=``) is ``b""``.
        :return: after ``Success`` or ``Denied`` the exchange is over.  Never raises.
        """


class IAuthenticator(Interface):
    """Offers SASL mechanisms and runs them; ``mta.identity`` provides it."""

    def mechanisms(tls: bool, binding_available: bool) -> list[str]:
        """What to offer in EHLO, the strongest first; empty if nothing can be offered.

        :param tls: whether the session is inside TLS; without, no plaintext mechanism.
        :param binding_available: whether TLS channel binding can be had.
        """

    def begin(mechanism: str, client: Client, channel_binding: Callable[[str], bytes | None]) -> IExchange:
        """Start an exchange.

        :param mechanism: one that :meth:`mechanisms` offered, in upper case.
        :param client: ``tls_version`` tells whether the session is inside TLS.
        :param channel_binding: gives the binding of a type (``tls-exporter``,
            ``tls-server-end-point``, ``tls-unique``), or ``None`` where there is none.
        :raise ValueError: if the mechanism is not offered to such a session.
        """


# --- judging -----------------------------------------------------------------


class IJudge(Interface):
    """One policy.

    With an attribute ``stages``, a set, it is asked at those only; others cost nothing.  A method
    ``passes(stage, facts)`` may tell at once that it has nothing to say, before any judge is asked.
    """

    def judge(stage: Stage, facts: Facts) -> Answer[Verdict]:
        """Say what is to be done; ``mta.model.verdict.PASS`` for no objection.

        :raise TemporarilyUnavailable: if it cannot tell; the client gets a 4xx.
        """


class ISessionJudge(Interface):
    """Optional, for a judge: be told when a session is over, if it keeps anything about one."""

    def closed(client: Client) -> None:
        """Nothing more comes from this client; ``client.session`` is as it was at ``connect``."""


class IPipeline(Interface):
    """All judges in their order."""

    def judge(stage: Stage, facts: Facts) -> Answer[Verdict]:
        """The first ``defer``, ``reject`` or ``discard``, else ``hold``, else all tags together.

        What judges change of a message is in ``facts`` afterwards.
        """

    def closed(client: Client) -> None:
        """Tell every :class:`ISessionJudge`."""


# --- receiving ---------------------------------------------------------------


class IReception(Interface):
    """Answers the questions of a receiving session; ``mta.intake`` provides it.

    Every method answers with the reply for the client; a negative one refuses.
    Exceptions become 451, never 5xx.
    """

    def connect(client: Client) -> Answer[Reply | None]:
        """May this client speak?  ``None``: yes."""

    def hello(client: Client) -> Answer[Reply | None]:
        """``client.helo`` is known.  ``None``: go on."""

    def sender(client: Client, account: Any, envelope: Envelope) -> Answer[Reply]:
        """MAIL.  ``account`` is the avatar (:class:`IAccount`), or ``None``."""

    def recipient(client: Client, envelope: Envelope, recipient: Recipient) -> Answer[Reply]:
        """RCPT; when positive, the session adds it to the envelope."""

    def data(client: Client, envelope: Envelope) -> Any:
        """The content begins: an :class:`IIncoming` that takes it, at once."""

    def note(event: Event) -> None:
        """Something happened in the session: put it into the journal."""

    def closed(client: Client) -> None:
        """The session is over."""


class IIncoming(Interface):
    """Takes the content of one message as it comes from the network."""

    def write(block: bytes) -> None:
        """Take some octets, dots already undone.  Never blocks."""

    def register(producer: Any) -> None:
        """Give an ``IPushProducer`` to pause while the disk is slower than the network."""

    def finish() -> Answer[list[Reply]]:
        """The content is complete: judge it, commit it, answer.

        :return: one reply, or for LMTP one for each recipient in order.
        """

    def abort() -> None:
        """The message is not wanted any more; forget what was written."""


# --- routing and delivering --------------------------------------------------


class IRouter(Interface):
    """Finds the way for a recipient."""

    def route(address: str) -> Answer[Sequence[Route] | None]:
        """One or more routes.

        :param address: canonical address, or bare ``postmaster``.
        :return: ``None`` if another router should be asked.
        :raise RouteError: if there is no way.
        :raise TemporarilyUnavailable: if it cannot tell.
        """

    def is_local(domain: str) -> Answer[bool]:
        """Whether this router takes mail for the domain from anybody.

        :raise TemporarilyUnavailable: if it cannot tell.
        """


class ITransport(Interface):
    """Takes messages on their last step from here."""

    def deliver(delivery: Delivery) -> Awaitable[Sequence[Outcome]]:
        """Try.

        Never raises for what the network or the disk does: that is an outcome.  What has
        no answer for six hours is cancelled and tried again.

        :return: an outcome for each addressee, in order.
        """

    def concurrency(next_hop: str) -> int:
        """How many deliveries to one next hop may be under way at once."""


class ISites(Interface):
    """Optional, for a transport: tell which next hops are one site, and share limit and verdict."""

    def site(next_hop: str) -> Answer[Sequence[str]]:
        """Names of the hosts behind it; none if it is a site by itself."""


class IExchangers(Interface):
    """Finds the hosts behind a next hop (RFC 5321, 5.1)."""

    def find(next_hop: str) -> Awaitable[Sequence[Exchanger]]:
        """The hosts, in the order in which to try them; at least one.

        :param next_hop: a domain, whose MX records are asked for; or
            ``host:port``, ``[192.0.2.1]``, ``[192.0.2.1]:port``,
            ``[IPv6:2001:db8::1]:port``, which are taken as they stand.
        :raise RouteError: null MX, no such domain, no host, or a loop to ourselves.
        :raise TemporarilyUnavailable: if the DNS does not answer.
        """


class ITlsDemands(Interface):
    """Knows what TLS a destination demands; ``mta.route`` provides it."""

    def configured(next_hop: str) -> TlsDemand | None:
        """What ``[[tls_policy]]`` demands of the way to a next hop."""

    def demand(next_hop: str, shaped: TlsDemand | None = None) -> Answer[TlsDemand | None]:
        """What is demanded of it altogether; ``None``: what the transport's own settings say.

        :param shaped: what ``[[shape]]`` demands.
        :raise TemporarilyUnavailable: if nobody can tell; nothing must be sent then.
        """

    def of_host(demand: TlsDemand | None, next_hop: str, host: str, port: int) -> Answer[HostTls]:
        """What that comes to at one of its hosts; also, if nobody can tell."""


class NoSuchDomain(Exception):
    """The DNS says with authority that the name does not exist."""


# --- keeping -----------------------------------------------------------------


class SpoolFull(TemporarilyUnavailable):
    """There is no space left for the spool."""


class Undecided(TemporarilyUnavailable):
    """Nobody knows yet whether it was kept; its content file must stay."""


class IJournal(Interface):
    """The history of this server, all workers together."""

    def message(identifier: str) -> Awaitable[Sequence[Event]]:
        """All events of a message, oldest first.

        :param identifier: a queue id.
        :raise TemporarilyUnavailable: if it cannot be read.
        """

    def find(word: str, limit: int = 20) -> Awaitable[Sequence[Event]]:
        """Events that stand under an address or a Message-ID, newest first; errors as for ``message``."""

    def note(events: Iterable[Event]) -> None:
        """Add to it, with the next commit of this worker."""


class IEventSink(Interface):
    """Is told of events after they are on disk."""

    def events(batch: Sequence[Event]) -> None:
        """In the order of the journal, in the reactor thread; must be quick."""
