"""Kind ``feedback``: reads bounces, complaints, TLS and DMARC reports, and records them in the journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Table
from mta.feedback.dmarc_report import authenticated
from mta.feedback.dmarc_report import received as aggregate
from mta.feedback.matching import Original, complainant, find_original, recipient_of
from mta.feedback.reading import LONGEST, longest, read
from mta.feedback.report import Reading, RecipientReport
from mta.feedback.tls_report import received, signed
from mta.feedback.token import Token
from mta.interfaces import (
    Delivery,
    IJournal,
    IKind,
    ITransport,
    PluginContext,
    TemporarilyUnavailable,
)
from mta.model.address import domain_of
from mta.model.bounce import Classification
from mta.model.bounce_data import classify
from mta.model.catalogue import REPLIES
from mta.model.event import Bounced, Complained, Confirmed, Event
from mta.model.header import field_value, header_section
from mta.model.message import Addressee, Message
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply

#: Of what several reports about one recipient say, the gravest counts.
_GRAVITY = ("failed", "delayed", "expanded", "relayed", "delivered")


class FeedbackSettings(Table):
    """There is nothing to set: ``[feedback]`` has what there is."""


@implementer(ITransport)
class FeedbackTransport:
    """Reads.

    An addressee's options may have ``about`` and ``who``, of a token that was verified, and
    ``copied``, where the message goes to a person as well.

    :param journal: where the original is found, and events go.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    :param seconds: tells the time.
    :param classify: says what a reply means.
    """

    log = Logger()

    def __init__(
        self,
        journal: IJournal,
        run_in_thread: Callable[..., Awaitable[Any]],
        seconds: Callable[[], float],
        classify: Callable[[RemoteReply, str], Classification] = classify,
    ) -> None:
        self._journal = journal
        self._run_in_thread = run_in_thread
        self._seconds = seconds
        self._classify = classify

    def concurrency(self, next_hop: str) -> int:
        """What takes time is done in threads, of which there are few."""
        return 4

    async def deliver(self, delivery: Delivery) -> Sequence[Outcome]:
        """See :class:`~mta.interfaces.ITransport`."""
        message = delivery.message
        octets = await self._run_in_thread(_beginning, message)
        reading = await self._run_in_thread(read, octets)
        return [await self._one(delivery, one, octets, reading) for one in delivery.addressees]

    async def _one(
        self, delivery: Delivery, addressee: Addressee, octets: bytes, reading: Reading
    ) -> Outcome:
        message, options = delivery.message, addressee.options
        if not reading.format:
            return _unread(addressee, octets)
        if reading.format == "rfc8460":
            return await self._tls(delivery, octets, reading)
        if reading.format == "rfc9990":
            return await self._dmarc(delivery, reading)
        token = None
        if options.get("about"):
            token = Token("bounce", str(options["about"]), str(options.get("who", "")))
        named = [one.original or one.recipient for one in reading.recipients]
        if reading.complaint is not None:
            named = [*reading.complaint.recipients, *reading.traces.recipients]
        try:
            original = await find_original(self._journal, token, reading.traces, message.id, named)
            events = self._events(message.id, reading, original)
            if delivery.repeat:
                events = await self._new(events)
        except TemporarilyUnavailable as trouble:
            reply = REPLIES.reply("feedback-unavailable", problem=str(trouble))
            return Postponed(RemoteReply.ours(reply))
        self._journal.note(events)
        about = f"of message {original.message}" if original else "of no message in the journal"
        return Delivered(RemoteReply(250, "2.0.0", f"Recorded as a {_what(reading)} {about}"))

    async def _tls(self, delivery: Delivery, octets: bytes, reading: Reading) -> Outcome:
        """A TLS report, which is about no message."""
        if reading.tls is None:
            reply = REPLIES.reply("tls-report-unread", problem=reading.problem)
            return Failed(RemoteReply.ours(reply))
        signers = signed(delivery.message.trace, header_section(octets), reading.tls)
        if signers.counts is False:
            # Nobody is told: whoever wrote it need not be who it says.
            said = "A TLS report without a valid signature of who reports; it does not count (RFC 8460, 3)"
            return Delivered(RemoteReply(250, "2.0.0", said))
        event = received(reading.tls, delivery.message.id, self._seconds(), signers.domains)
        return await self._record(delivery, event, "TLS report", event.organization)

    async def _dmarc(self, delivery: Delivery, reading: Reading) -> Outcome:
        """A DMARC aggregate report, likewise."""
        if reading.dmarc is None:
            reply = REPLIES.reply("dmarc-report-unread", problem=reading.problem)
            return Failed(RemoteReply.ours(reply))
        result = authenticated(delivery.message.trace)
        if result == "fail":
            said = "A DMARC report in a mail that fails DMARC itself; it does not count (RFC 9990, 2.5.2)"
            return Delivered(RemoteReply(250, "2.0.0", said))
        event = aggregate(reading.dmarc, delivery.message.id, self._seconds(), result)
        return await self._record(delivery, event, "DMARC report", event.organization)

    async def _record(self, delivery: Delivery, event: Event, what: str, by: str) -> Outcome:
        """Put a report into the journal, once."""
        if delivery.repeat:
            try:
                known = await self._journal.message(event.message)
            except TemporarilyUnavailable as trouble:
                reply = REPLIES.reply("feedback-unavailable", problem=str(trouble))
                return Postponed(RemoteReply.ours(reply))
            if any(type(one) is type(event) for one in known):
                return Delivered(RemoteReply(250, "2.0.0", f"Recorded as a {what} before"))
        self._journal.note([event])
        return Delivered(RemoteReply(250, "2.0.0", f"Recorded as a {what} of {by}"))

    async def _new(self, events: list[Event]) -> list[Event]:
        """Those that are not in the journal: an attempt before may have got that far."""
        known = await self._journal.message(events[0].message) if events else []
        return [event for event in events if not any(_same(event, other) for other in known)]

    def _events(self, own: str, reading: Reading, original: Original | None) -> list[Event]:
        common: dict[str, Any] = {
            "at": self._seconds(),
            "message": original.message if original else own,
            "notification": own,
            "matched": original.matched if original else "",
        }
        if reading.complaint is not None:
            complaint = reading.complaint
            who = complainant(original, complaint, reading.traces)
            return [
                Complained(
                    **common,
                    recipient=who,
                    type=complaint.type,
                    reporter=complaint.reporter,
                    source=complaint.source,
                )
            ]
        gravest: dict[str, RecipientReport] = {}
        for report in sorted(reading.recipients, key=lambda one: _GRAVITY.index(one.action)):
            gravest.setdefault(recipient_of(original, report), report)
        return [self._event(common, recipient, report, reading) for recipient, report in gravest.items()]

    def _event(
        self, common: dict[str, Any], recipient: str, report: RecipientReport, reading: Reading
    ) -> Bounced | Confirmed:
        reported = report.recipient if report.recipient.lower() != recipient.lower() else ""
        facts = {**common, "recipient": recipient, "reported": reported, "action": report.action}
        facts.update(status=report.status, reply=report.diagnostic, host=report.host)
        if report.action in ("failed", "delayed"):
            verdict = self._classify(report.reply, domain_of(recipient))
            return Bounced(**facts, format=reading.format, bounce_class=verdict.name)
        return Confirmed(**facts)


def _beginning(message: Message) -> bytes:
    taken: list[bytes] = []
    size = 0
    for block in message.content.blocks():
        taken.append(block)
        size += len(block)
        if size >= LONGEST and size >= longest(taken[0]):
            break
    return b"".join(taken)


def _what(reading: Reading) -> str:
    if reading.complaint is not None:
        return "complaint"
    actions = {report.action for report in reading.recipients}
    return "bounce" if actions & {"failed", "delayed"} else "confirmation"


def _same(one: Event, other: Event) -> bool:
    facts = ("kind", "notification", "recipient")
    return all(getattr(one, name) == getattr(other, name, None) for name in facts)


def _unread(addressee: Addressee, octets: bytes) -> Outcome:
    """It is neither a bounce nor a complaint; nobody is to lose it."""
    automatic = (field_value(header_section(octets), b"auto-submitted") or b"no").lower()
    if addressee.options.get("copied"):
        said = "Not a report that can be read; it goes to the sender as well"
    elif not automatic.startswith((b"no", b"auto-generated")) and addressee.options.get("about"):
        # Somebody is on holiday: a campaign gets thousands of these.
        said = "An automatic answer, which nobody waits for"
    else:
        reply = REPLIES.reply("feedback-unread", address=addressee.address)
        return Failed(RemoteReply.ours(reply))
    return Delivered(RemoteReply(250, "2.0.0", said))


@implementer(IPlugin, IKind)
class FeedbackKind:
    """Makes :class:`FeedbackTransport`."""

    seam = ITransport
    kind = "feedback"
    settings = FeedbackSettings

    def build(self, settings: FeedbackSettings, context: PluginContext) -> FeedbackTransport:
        """See :class:`~mta.interfaces.IKind`."""
        return FeedbackTransport(
            context.journal, context.run_in_thread, context.reactor.seconds, context.classify
        )


FEEDBACK = FeedbackKind()
