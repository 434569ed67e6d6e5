"""What can happen, each as one typed event; the journal keeps them in order.

An event is written in the transaction of the state that it changes.  Log,
trace, tracking, metrics and webhooks read events; nothing else records history.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, cast

from mta.model.tls_result import PolicyType, ResultType, TlsResult

_KINDS: dict[str, type[Event]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Anything that happens.

    :ivar at: when, in seconds since 1970.
    :ivar message: queue id; ``""`` when it concerns no accepted message.
    :ivar session: id of the receiving session, as it stands in replies.
    """

    kind: ClassVar[str] = ""
    #: Whether a person looks for this event by its own addresses; events of an
    #: accepted message are found through the message instead.
    indexed: ClassVar[bool] = False

    at: float
    message: str = ""
    session: str = ""

    def __init_subclass__(cls, **options: Any) -> None:
        # super() does not work in a class that dataclass(slots=True) makes anew.
        _KINDS[cls.kind] = cls

    def payload(self) -> dict[str, Any]:
        """Everything but ``at``, ``message`` and ``session``; empty values left out."""
        return {name: value for name in _payload_names(type(self)) if (value := getattr(self, name))}

    def keys(self) -> tuple[str, ...]:
        """The words under which a person would look for it, in lower case."""
        return ()


_NAMES: dict[str, tuple[str, ...]] = {}


def _payload_names(cls: type[Event]) -> tuple[str, ...]:
    names = _NAMES.get(cls.kind)
    if names is None:
        own = (item.name for item in fields(cls))
        names = tuple(name for name in own if name not in ("at", "message", "session"))
        _NAMES[cls.kind] = names
    return names


def event_kinds() -> frozenset[str]:
    """The kinds that this program knows."""
    return frozenset(kind for kind in _KINDS if kind)


def event_from(kind: str, at: float, message: str, session: str, payload: dict[str, Any]) -> Event:
    """Build the event again from what the journal keeps.

    Unknown fields are passed over, so that an older program reads a newer journal.

    :raise KeyError: if this program knows no such kind.
    """
    cls = _KINDS[kind]
    known = {item.name for item in fields(cls)}
    kept = {name: value for name, value in payload.items() if name in known}
    return cls(at=at, message=message, session=session, **kept)


def lower_words(*words: str) -> tuple[str, ...]:
    """Words by which an event is found (:meth:`Event.keys`)."""
    return tuple(dict.fromkeys(word.lower() for word in words if word))


@dataclass(frozen=True, slots=True, kw_only=True)
class Received(Event):
    """A message was accepted: it is on disk, and its 250 follows.

    ``scheduled`` is when it is to be sent on, if not at once.  ``asked`` is the priority that was
    asked for, where the account may not have it; ``claimed`` the tenant that the header named,
    where the account is not believed; ``junk`` the header field by which a filter calls it spam.
    ``subject``, ``tagged`` (its tags), ``metadata``, ``batch``, ``template`` (its name) and ``key`` (of the
    API) are those of a tenant's message.
    ``authentication`` is what was found out about who sent it, as
    :meth:`~mta.model.authentication.AuthenticationResult.told` tells it.
    """

    kind: ClassVar[str] = "received"
    indexed: ClassVar[bool] = True

    # What is empty is left out of the journal, so it needs a default here.
    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    size: int = 0
    role: str = ""
    client: str = ""
    helo: str = ""
    protocol: str = ""
    tls: str = ""
    account: str = ""
    message_id: str = ""
    held: str = ""
    junk: str = ""
    scheduled: float = 0.0
    priority: int = 0
    asked: str = ""
    tenant: str = ""
    claimed: str = ""
    campaign: str = ""
    subject: str = ""
    tagged: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    batch: str = ""
    template: str = ""
    key: str = ""
    tags: dict[str, Any] = field(default_factory=dict)
    authentication: list[dict[str, Any]] = field(default_factory=list)

    def keys(self) -> tuple[str, ...]:
        """Addresses, Message-ID, client and session."""
        return lower_words(self.sender, *self.recipients, self.client, self.message_id, self.session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Event):
    """A client was refused, at some stage, with the reply that it was given.

    ``authentication`` is that of :class:`Received`, as far as it was known by then.
    """

    kind: ClassVar[str] = "rejected"
    indexed: ClassVar[bool] = True

    stage: str
    code: int
    reply: str
    name: str = ""
    rule: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    authentication: list[dict[str, Any]] = field(default_factory=list)
    role: str = ""
    client: str = ""
    helo: str = ""
    tls: str = ""
    account: str = ""
    sender: str = ""
    recipient: str = ""

    def keys(self) -> tuple[str, ...]:
        """Addresses, client and session."""
        return lower_words(self.sender, self.recipient, self.client, self.account, self.session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated(Event):
    """A client proved who it is."""

    kind: ClassVar[str] = "authenticated"
    indexed: ClassVar[bool] = True

    account: str
    mechanism: str = ""
    client: str = ""
    tls: str = ""

    def keys(self) -> tuple[str, ...]:
        """Account, client and session."""
        return lower_words(self.account, self.client, self.session)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationFailed(Event):
    """A client did not prove who it is, or nobody could say."""

    kind: ClassVar[str] = "authentication-failed"
    indexed: ClassVar[bool] = True

    account: str = ""
    mechanism: str = ""
    client: str = ""
    tls: str = ""
    reason: str = ""
    temporary: bool = False
    code: int = 0
    reply: str = ""
    name: str = ""

    def keys(self) -> tuple[str, ...]:
        """Account, client and session."""
        return lower_words(self.account, self.client, self.session)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt(Event):
    """What the three ends of an attempt have in common.

    ``source`` is where it left from, with address and EHLO name, where ``[[egress]]`` has a say.
    """

    recipient: str
    original: str = ""
    transport: str = ""
    next_hop: str = ""
    code: int = 0
    enhanced: str = ""
    reply: str = ""
    host: str = ""
    command: str = ""
    tls: str = ""
    source: str = ""
    attempt: int = 0
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredTo(_Attempt):
    """A recipient has it.  ``delay`` is seconds since acceptance."""

    kind: ClassVar[str] = "delivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredTo(_Attempt):
    """An attempt did not succeed; ``next_attempt`` is when the next is due.

    ``bounce_class`` is the class of the reply (:mod:`mta.model.bounce_classes`).
    """

    kind: ClassVar[str] = "deferred"

    next_attempt: float = 0.0
    bounce_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTo(_Attempt):
    """A recipient will not get it; ``expired`` if only time decided that.

    ``bounce_class`` is the class of the reply, or of the last one before the time was over.
    """

    kind: ClassVar[str] = "failed"

    expired: bool = False
    bounce_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified(Event):
    """A delivery status notification (RFC 3464) was queued about this message.

    ``action`` is ``failed``, ``delayed`` or ``delivered``; ``notification`` is
    its queue id.
    """

    kind: ClassVar[str] = "notified"

    action: str
    notification: str
    recipients: list[str] = field(default_factory=list)
    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded(Event):
    """It was thrown away: a notification that nobody wants (a bounce of a bounce), or, if
    ``what`` is ``message``, one that a judge wanted so."""

    kind: ClassVar[str] = "discarded"

    reason: str
    recipients: list[str] = field(default_factory=list)
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Feedback(Event):
    """What came back about a message from where it was delivered to.

    ``notification`` is the queue id of what came; ``matched`` tells by what the message was found:
    ``token`` (signed), ``queue-id``, ``message-id``, or nothing, and then ``message`` is the
    notification itself.
    """

    indexed: ClassVar[bool] = True

    recipient: str = ""
    notification: str = ""
    matched: str = ""

    def keys(self) -> tuple[str, ...]:
        """The recipient."""
        return lower_words(self.recipient)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounced(_Feedback):
    """Another server took it, and tells later that it could not deliver it.

    ``action`` is ``failed`` or ``delayed``; ``reported`` is the recipient as the other side calls it;
    ``bounce_class`` is the class of the reply.
    """

    kind: ClassVar[str] = "bounced"

    action: str = "failed"
    reported: str = ""
    status: str = ""
    reply: str = ""
    host: str = ""
    format: str = ""
    bounce_class: str = ""

    def keys(self) -> tuple[str, ...]:
        """The recipient, under both names."""
        return lower_words(self.recipient, self.reported)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed(_Feedback):
    """Another server took it, and tells later that it was ``delivered``, ``relayed`` or ``expanded``."""

    kind: ClassVar[str] = "confirmed"

    action: str = "delivered"
    reported: str = ""
    status: str = ""
    reply: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complained(_Feedback):
    """A recipient called it spam, or worse; ``type`` is the Feedback-Type of RFC 5965."""

    kind: ClassVar[str] = "complained"

    type: str = "abuse"
    reporter: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operated(Event):
    """A person changed the queue.

    ``action`` is hold, release, retry, reschedule, move, bounce, remove, flush, suspend, resume, or again.
    ``target`` is the transport and the next hop of a move, what is suspended, or the id of the message by
    which it was sent again; ``until`` when a
    suspension ends by itself, or the time that messages were given, in seconds since 1970.
    """

    kind: ClassVar[str] = "operated"

    action: str
    by: str = ""
    reason: str = ""
    target: str = ""
    until: float = 0.0
    recipients: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Administered(Event):
    """Somebody changed what a tenant has: ``action`` is such as ``key create`` or ``tenant add``.

    ``target`` is what it was done to: the id of a key, the name of a domain.  Found by tenant; without
    one it is the server's.
    """

    kind: ClassVar[str] = "administered"
    indexed: ClassVar[bool] = True

    action: str
    tenant: str = ""
    target: str = ""
    by: str = ""
    reason: str = ""

    def keys(self) -> tuple[str, ...]:
        """Tenant and target."""
        return lower_words(self.tenant, self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSession(Event):
    """An attempt to open a session to an MX host ended; the fields are those of ``TlsResult``.

    ``tls`` tells in words what was found and demanded.  Failures are found by domain and host.
    """

    kind: ClassVar[str] = "tls-session"
    indexed: ClassVar[bool] = True

    policy: str
    domain: str
    host: str = ""
    sending: str = ""
    receiving: str = ""
    result: str = "success"
    strings: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    helo: str = ""
    reason: str = ""
    tls: str = ""

    @classmethod
    def of(cls, result: TlsResult, at: float, tls: str = "") -> TlsSession:
        """The event about a result."""
        return cls(
            at=at,
            policy=result.policy,
            domain=result.domain,
            host=result.host,
            sending=result.sending,
            receiving=result.receiving,
            result=result.result,
            strings=list(result.strings),
            patterns=list(result.patterns),
            helo=result.helo,
            reason=result.reason,
            tls=tls,
        )

    def found(self) -> TlsResult:
        """What it is about."""
        return TlsResult(
            policy=cast(PolicyType, self.policy),
            domain=self.domain,
            host=self.host,
            sending=self.sending,
            receiving=self.receiving,
            result=cast(ResultType, self.result),
            strings=tuple(self.strings),
            patterns=tuple(self.patterns),
            helo=self.helo,
            reason=self.reason,
        )

    def keys(self) -> tuple[str, ...]:
        """Domain and host of a failure; nobody looks for what went well."""
        return () if self.result == "success" else lower_words(self.domain, self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Automated(Event):
    """A reply to this message made a site rest, or take less, for a while.

    ``rule`` is the rule's name; ``action`` is ``suspend`` or ``slow``; ``site`` are the site's hosts, or
    the next hop; ``source`` is where it left from, if only that is concerned.
    """

    kind: ClassVar[str] = "automated"

    rule: str
    action: str
    site: str
    source: str = ""
    until: float = 0.0
    effect: str = ""
    host: str = ""
    reply: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(Event):
    """No recipient waits any more; the message left the queue."""

    kind: ClassVar[str] = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Event):
    """The server itself: ``started``, ``stopping``, ``reloaded``, ``trouble``, ``recovered``."""

    kind: ClassVar[str] = "server"

    what: str
    detail: str = ""
