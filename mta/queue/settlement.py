"""What an attempt's outcomes mean for addressees, the journal and the sender; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mta.model.bounce import Classification
from mta.model.bounce_data import classify as shipped_classify
from mta.model.catalogue import REPLIES
from mta.model.event import DeferredTo, DeliveredTo, Event, FailedTo
from mta.model.message import Addressee, Message
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply
from mta.model.sorting import Decision
from mta.queue.retry import Schedule

#: Seconds over which come back what waited for a destination that was down.
_SPREAD = 30.0

#: Attempts for which a sender that is greylisted comes back soon; later ones go by the schedule.
_SOON = 4

#: What a reply means, by the next hop as well.
Classify = Callable[[RemoteReply, str], Classification]

#: What a notification says became of a recipient (RFC 3464, 2.3.3).
Action = Literal["failed", "delayed", "delivered", "relayed"]


@dataclass(frozen=True, slots=True)
class Report:
    """What the sender is to be told of one addressee.

    :ivar action: what became of it.
    :ivar addressee: whom.
    :ivar reply: what was said.
    :ivar at: when, in seconds since 1970.
    :ivar sender: whom to tell: the reverse-path of the copy; ``""`` for the null one.
    :ivar expired: whether only time decided.
    :ivar last: what the last attempt ended with, where time decided.
    :ivar verdict: what the reply means, or the last one where time decided; ``None`` if nobody asked.
    """

    action: Action
    addressee: Addressee
    reply: RemoteReply
    at: float
    sender: str
    expired: bool = False
    last: RemoteReply | None = None
    verdict: Classification | None = None


class Settlement:
    """What is to be recorded, in two parts.

    :ivar changed: addressees delivered or put off: to be recorded now.
    :ivar events: of those.
    :ivar ended: how many of those have ended.
    :ivar successes: what the sender is told in the same transaction.
    :ivar decisions: what rules of mailboxes have decided, each with its addressee and the reverse-path.
    :ivar reports: failures and delays, to be told together when the round ends; the
        addressees that failed are recorded then.
    """

    __slots__ = ("changed", "decisions", "ended", "events", "reports", "successes")

    def __init__(self) -> None:
        self.changed: list[Addressee] = []
        self.events: list[Event] = []
        self.ended = 0
        self.successes: list[Report] = []
        self.decisions: list[tuple[Addressee, Decision, str]] = []
        self.reports: list[Report] = []


def delivered_event(message: Message, addressee: Addressee, reply: RemoteReply, now: float) -> DeliveredTo:
    """The event of an addressee that has it; ``attempts`` counts this one already."""
    return DeliveredTo(**_attempt(message, addressee, reply, now))


def failed_event(message: Message, report: Report) -> FailedTo:
    """The event of an addressee that does not get it."""
    facts = _attempt(message, report.addressee, report.reply, report.at)
    bounce_class = report.verdict.name if report.verdict is not None else ""
    return FailedTo(**facts, expired=report.expired, bounce_class=bounce_class)


def _deferred_event(
    message: Message, addressee: Addressee, reply: RemoteReply, now: float, bounce_class: str
) -> DeferredTo:
    facts = _attempt(message, addressee, reply, now)
    return DeferredTo(**facts, next_attempt=addressee.due, bounce_class=bounce_class)


def _attempt(message: Message, addressee: Addressee, reply: RemoteReply, now: float) -> dict[str, Any]:
    """What every event tells of an attempt: whose, where to, and what the other side said."""
    return {
        "at": now,
        "message": message.id,
        "session": message.client.session,
        "recipient": addressee.address,
        "original": addressee.original,
        "transport": addressee.transport,
        "next_hop": addressee.next_hop,
        "code": reply.code,
        "enhanced": reply.enhanced,
        "reply": reply.text,
        "host": reply.host,
        "command": reply.command,
        "tls": reply.tls,
        "source": reply.source,
        "attempt": addressee.attempts,
        "delay": message.waited(now),
    }


def settle_outcomes(
    message: Message,
    addressees: Sequence[Addressee],
    outcomes: Sequence[Outcome],
    now: float,
    sender: str,
    *,
    schedule: Schedule,
    warn_after: float,
    resume: float = 0.0,
    final: bool | None = None,
    classify: Classify = shipped_classify,
) -> Settlement:
    """Change addressees as the outcomes demand, and say what follows.

    What a reply means may say when to try again; only a rule of the operator has the last
    word against its code.

    :param outcomes: one for each addressee, in order.
    :param now: when the attempt ended.
    :param sender: the reverse-path of this copy.
    :param warn_after: seconds after which the sender is told of a delay; 0: never.
    :param resume: before when the destination is not tried again.
    :param final: whether the transport is the last one, so that what it delivered is
        in the mailbox; ``None``: it is if no other host answered.
    :param classify: says what a reply means.
    """
    settled = Settlement()
    for addressee, outcome in zip(addressees, outcomes, strict=True):
        reply = outcome.reply
        addressee.attempts += 1
        addressee.last_reply = str(reply)
        if isinstance(outcome, Delivered):
            addressee.state = "delivered"
            settled.ended += 1
            settled.changed.append(addressee)
            settled.events.append(delivered_event(message, addressee, reply, now))
            settled.decisions += [(addressee, decision, sender) for decision in outcome.decisions]
            if sender and not outcome.dsn and "SUCCESS" in wishes(addressee):
                relayed = bool(reply.host) if final is None else not final
                action: Action = "relayed" if relayed else "delivered"
                settled.successes.append(Report(action, addressee, reply, now, sender))
            continue
        verdict = classify(reply, addressee.next_hop)
        fails = verdict.action == "fail" if verdict.is_decided else isinstance(outcome, Failed)
        if fails:
            addressee.state = "failed"
            settled.reports.append(Report("failed", addressee, reply, now, sender, verdict=verdict))
        else:
            after = outcome.after if isinstance(outcome, Postponed) else 0.0
            _postpone(
                settled, message, addressee, reply, verdict, after, now, sender, schedule, warn_after, resume
            )
    return settled


def _postpone(
    settled: Settlement,
    message: Message,
    addressee: Addressee,
    reply: RemoteReply,
    verdict: Classification,
    after: float,
    now: float,
    sender: str,
    schedule: Schedule,
    warn_after: float,
    resume: float,
) -> None:
    warn: float | None = None
    if sender and warn_after and not addressee.warned and wants_delay(addressee):
        warn = message.starts + warn_after
    due = schedule.next_due(now, addressee.attempts, message.expires, warn)
    if due is None:
        addressee.state = "expired"
        settled.reports.append(expiry(message, addressee, reply, now, sender, verdict))
        return
    if verdict.soon and addressee.attempts <= _SOON:
        due = min(due, now + verdict.soon)
    if verdict.delay:
        # Spread, so that what was put off together does not come back together.
        due = max(due, now + verdict.delay + schedule.spread(verdict.delay * 0.1))
    if due < resume:
        due = min(resume + schedule.spread(_SPREAD), message.expires)
    due = min(max(due, now + after), message.expires)
    addressee.due = due
    settled.changed.append(addressee)
    settled.events.append(_deferred_event(message, addressee, reply, now, verdict.name))
    if warn is not None and now >= warn - 0.001:
        settled.reports.append(Report("delayed", addressee, reply, now, sender, verdict=verdict))


def put_off(
    settled: Settlement,
    message: Message,
    addressees: Sequence[Addressee],
    due: float,
    now: float,
    sender: str,
    *,
    reply: RemoteReply,
    bounce_class: str,
    warn_after: float,
) -> None:
    """Let addressees wait that have no turn now; it is no attempt.

    It is told once: not again for whoever was given this reply last.

    :param settled: is added to.
    :param due: when there may be one, in seconds since 1970.
    :param reply: why there is none.
    """
    words = str(reply)
    for addressee in addressees:
        if now >= message.expires:
            addressee.state = "expired"
            settled.reports.append(expiry(message, addressee, None, now, sender))
            continue
        warns = warn_after and sender and not addressee.warned and wants_delay(addressee)
        warn = message.starts + warn_after
        addressee.due = min(due, message.expires)
        if warns and now < warn:
            addressee.due = min(addressee.due, warn)
        settled.changed.append(addressee)
        if addressee.last_reply != words:
            addressee.last_reply = words
            settled.events.append(_deferred_event(message, addressee, reply, now, bounce_class))
        if warns and now >= warn:
            settled.reports.append(Report("delayed", addressee, reply, now, sender))


def expiry(
    message: Message,
    addressee: Addressee,
    last: RemoteReply | None,
    now: float,
    sender: str,
    verdict: Classification | None = None,
) -> Report:
    """The report of an addressee whose time is over.

    :param last: the answer of the last attempt; ``None`` if it is known by its words only.
    :param verdict: what that answer means.
    """
    words = str(last) if last is not None else addressee.last_reply or "none, it had no turn"
    reply = REPLIES.reply("expired", time=span(message.waited(now)), last=words)
    ours = RemoteReply.ours(reply)
    return Report("failed", addressee, ours, now, sender, expired=True, last=last, verdict=verdict)


def wishes(addressee: Addressee) -> frozenset[str]:
    """NOTIFY keywords of this copy; those of a list's sender are not its owner's (RFC 3461, 5.2.7)."""
    return frozenset() if "sender" in addressee.options else addressee.notify


def wants_failure(addressee: Addressee) -> bool:
    """Whether the sender is told of a failure (RFC 3461, 4.1); without NOTIFY it is."""
    wish = wishes(addressee)
    return not wish or "FAILURE" in wish


def wants_delay(addressee: Addressee) -> bool:
    """Whether the sender is told of a delay; without NOTIFY it is, by our choice."""
    wish = wishes(addressee)
    return not wish or "DELAY" in wish


def span(seconds: float) -> str:
    """A length of time as a person says it: ``5 days``, ``4 hours``, ``1 minute``, ``3 seconds``."""
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size * 0.95:
            count = max(1, round(seconds / size))
            return f"{count} {word}" if count == 1 else f"{count} {word}s"
    return "less than a second"
