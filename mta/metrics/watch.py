"""Counts what the journal tells of, as it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zope.interface import implementer

from mta.interfaces import IEventSink
from mta.metrics.counts import Counter, Histogram
from mta.model.event import (
    Authenticated,
    AuthenticationFailed,
    Bounced,
    Complained,
    DeferredTo,
    DeliveredTo,
    Event,
    FailedTo,
    Notified,
    Received,
    Rejected,
    TlsSession,
)
from mta.model.event_access import Banned, Suspended
from mta.model.event_engagement import Clicked, Opened, Unsubscribed

#: Seconds from acceptance to delivery.
DELAYS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600, 14400, 86400)
#: Seconds of a commit.
COMMITS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)
#: Seconds of an answer.
ANSWERS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
_MECHANISMS = frozenset(
    {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "EXTERNAL", "PASS", "key"}
)


@implementer(IEventSink)
class Watch:
    """See the module."""

    def __init__(self) -> None:
        self.received = Counter("mta_messages_received", "Messages accepted", ["role", "tls"])
        self.recipients = Counter("mta_recipients_received", "Recipients of accepted messages", ["role"])
        self.octets = Counter("mta_octets_received", "Octets of accepted messages", ["role"])
        self.rejected = Counter(
            "mta_rejections", "Refusals of clients, by class of the reply", ["stage", "reply"]
        )
        self.attempts = Counter("mta_deliveries", "Ends of attempts", ["transport", "outcome"])
        self.delays = Histogram(
            "mta_delivery_delay_seconds", "From acceptance to delivery", DELAYS, ["transport"]
        )
        self.replies = Counter("mta_remote_replies", "Replies of other servers to attempts", ["reply"])
        self.bounces = Counter("mta_bounces", "Recipients that failed for good, by class", ["bounce_class"])
        self.deferrals = Counter("mta_deferrals", "Attempts put off, by class", ["bounce_class"])
        self.notifications = Counter("mta_notifications", "Notifications that were queued", ["action"])
        self.complaints = Counter("mta_complaints", "Complaints about messages")
        self.tls = Counter("mta_tls_sessions", "TLS of sessions to MX hosts", ["policy", "result"])
        self.authentications = Counter("mta_authentications", "Log-ins", ["mechanism", "result"])
        self.bans = Counter("mta_bans", "Networks that were banned")
        self.suspensions = Counter("mta_suspensions", "Accounts that were suspended")
        self.engagement = Counter("mta_engagement", "Opens, clicks and unsubscriptions", ["kind", "sort"])
        self.written = Counter("mta_journal_events", "Events written to the journal", ["kind"])
        self.requests = Counter("mta_api_requests", "Requests to the API", ["method", "route", "status"])
        self.answers = Histogram("mta_api_request_seconds", "Until the answer", ANSWERS, ["method", "route"])

    def all(self) -> list[Counter | Histogram]:
        """Everything that is counted."""
        return list(vars(self).values())

    def events(self, batch: Sequence[Event]) -> None:
        """See :class:`~mta.interfaces.IEventSink`."""
        written = self.written.values
        for event in batch:
            key = (event.kind,)
            written[key] = written.get(key, 0) + 1
            count = _COUNTS.get(type(event))
            if count is not None:
                count(self, event)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request to the API has its answer."""
        self.requests.add(method, route, str(status))
        self.answers.observe(seconds, method, route)

    # --- events ------------------------------------------------------------------

    def _received(self, event: Received) -> None:
        self.received.add(event.role or "none", event.tls.partition(" ")[0] or "none")
        self.recipients.add(event.role or "none", count=len(event.recipients))
        self.octets.add(event.role or "none", count=event.size)

    def _rejected(self, event: Rejected) -> None:
        self.rejected.add(event.stage, f"{event.code // 100}xx")

    def _delivered(self, event: DeliveredTo) -> None:
        self.attempts.add(event.transport, "delivered")
        self.delays.observe(event.delay, event.transport)
        self._replied(event)

    def _deferred(self, event: DeferredTo) -> None:
        self.attempts.add(event.transport, "deferred")
        self.deferrals.add(event.bounce_class or "none")
        self._replied(event)

    def _failed(self, event: FailedTo) -> None:
        self.attempts.add(event.transport, "expired" if event.expired else "failed")
        self.bounces.add(event.bounce_class or "none")
        self._replied(event)

    def _replied(self, event: Any) -> None:
        if event.host and event.code:
            self.replies.add(f"{event.code // 100}xx")

    def _bounced(self, event: Bounced) -> None:
        if event.action == "failed":
            self.bounces.add(event.bounce_class or "none")

    def _notified(self, event: Notified) -> None:
        self.notifications.add(event.action)

    def _complained(self, event: Complained) -> None:
        self.complaints.add()

    def _tls(self, event: TlsSession) -> None:
        self.tls.add(event.policy, event.result)

    def _authenticated(self, event: Authenticated) -> None:
        self.authentications.add(_known(event.mechanism), "accepted")

    def _unauthenticated(self, event: AuthenticationFailed) -> None:
        self.authentications.add(_known(event.mechanism), "unavailable" if event.temporary else "refused")

    def _banned(self, event: Banned) -> None:
        if event.action == "banned":
            self.bans.add()

    def _suspended(self, event: Suspended) -> None:
        if event.action == "suspended":
            self.suspensions.add()

    def _engaged(self, event: Opened | Clicked) -> None:
        self.engagement.add(event.kind, event.sort)

    def _unsubscribed(self, event: Unsubscribed) -> None:
        if event.action == "unsubscribe":
            self.engagement.add(event.kind, "human")


def _known(mechanism: str) -> str:
    # Names that strangers invent must not become labels.
    return mechanism if mechanism in _MECHANISMS else "other"


_COUNTS: dict[type[Event], Any] = {
    Received: Watch._received,
    Rejected: Watch._rejected,
    DeliveredTo: Watch._delivered,
    DeferredTo: Watch._deferred,
    FailedTo: Watch._failed,
    Bounced: Watch._bounced,
    Notified: Watch._notified,
    Complained: Watch._complained,
    TlsSession: Watch._tls,
    Authenticated: Watch._authenticated,
    AuthenticationFailed: Watch._unauthenticated,
    Banned: Watch._banned,
    Suspended: Watch._suspended,
    Opened: Watch._engaged,
    Clicked: Watch._engaged,
    Unsubscribed: Watch._unsubscribed,
}
