"""From what came back to events of the message that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.feedback.token import who_of
from mta.feedback.transport import FeedbackTransport
from mta.interfaces import Delivery, TemporarilyUnavailable
from mta.model.envelope import Client, Envelope
from mta.model.event import Bounced, Complained, Confirmed, DeliveredTo, Event, Received
from mta.model.ids import IdSource
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Postponed
from tests.feedback.test_reading import DSN, MESSAGE

NOW = 1_800_000_000.0
IDS = IdSource(0)
FIRST, SECOND, REPORT = (IDS.next(NOW) for _ in range(3))


class MemoryJournal:
    """Keeps events in a list."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = list(events)
        self.trouble = False

    async def message(self, identifier: str) -> Sequence[Event]:
        if self.trouble:
            raise TemporarilyUnavailable("the disk is gone")
        return [event for event in self.events if event.message == identifier]

    async def find(self, word: str, limit: int = 20) -> Sequence[Event]:
        return [event for event in reversed(self.events) if word.lower() in tuple(event.keys())]

    def note(self, events: Iterable[Event]) -> None:
        self.events += events


def received(identifier: str, *recipients: str, message_id: str = "<one@example.org>") -> Received:
    return Received(
        at=NOW,
        message=identifier,
        sender="anna@example.org",
        recipients=list(recipients),
        message_id=message_id,
    )


class TransportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.journal = MemoryJournal(
            [
                received(FIRST, "rita@far.test", "friends@example.org"),
                DeliveredTo(at=NOW, message=FIRST, recipient="rita@far.test"),
                DeliveredTo(at=NOW, message=FIRST, recipient="rolf@far.test", original="friends@example.org"),
                received(SECOND, "only@far.test"),
            ]
        )
        self.before = len(self.journal.events)

    def deliver(self, content: bytes, repeat: bool = False, **options: Any) -> Any:
        async def at_once(function: Any, *arguments: Any) -> Any:
            return function(*arguments)

        transport = FeedbackTransport(self.journal, at_once, lambda: NOW)  # type: ignore[arg-type]
        addressee = Addressee(0, "bounce@example.org", "bounce@example.org", "feedback", "", options)
        message = Message(
            REPORT, Envelope(""), Client("s"), b"", InlineContent(content), [addressee], NOW, NOW + 1
        )
        attempt = transport.deliver(Delivery(message, [addressee], "", repeat))
        [outcome] = self.successResultOf(Deferred.fromCoroutine(attempt))
        return outcome

    @property
    def noted(self) -> list[Event]:
        return self.journal.events[self.before :]

    def report(
        self, *recipients: str, identifier: str = "0an2gderc0000", kind: str = "delivery-status"
    ) -> bytes:
        fields = "\n".join([MESSAGE if kind == "delivery-status" else "Feedback-Type: abuse", *recipients])
        text = DSN.format(report="x", kind=kind, fields=fields, returned="message/rfc822", encoding="")
        return text.replace("0an2gderc0000", identifier).encode()

    def failed(self, recipient: str, action: str = "failed") -> str:
        return f"Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: 5.1.1\n"

    def test_by_token(self) -> None:
        """Whoever the other side says that it was; and of two findings the graver."""
        content = self.report(self.failed("x@y.test", "delayed"), self.failed("gone@inner.test"))
        outcome = self.deliver(content, about=FIRST, who=who_of("ROLF@far.test"))
        self.assertIsInstance(outcome, Delivered)
        [event] = self.noted
        assert isinstance(event, Bounced)
        self.assertEqual((FIRST, "rolf@far.test", "token"), (event.message, event.recipient, event.matched))
        self.assertEqual(("failed", "gone@inner.test", "5.1.1"), (event.action, event.reported, event.status))
        self.assertEqual((REPORT, "bad-mailbox"), (event.notification, event.bounce_class))

    def test_by_queue_id(self) -> None:
        self.deliver(self.report(self.failed("rita@far.test"), identifier=FIRST))
        [event] = self.noted
        assert isinstance(event, Bounced)
        self.assertEqual(
            (FIRST, "rita@far.test", "queue-id"), (event.message, event.recipient, event.matched)
        )

    def test_by_message_id(self) -> None:
        """Of two messages of one Message-ID that which has the recipient."""
        self.deliver(self.report(self.failed("friends@example.org")))
        [event] = self.noted
        assert isinstance(event, Bounced)
        self.assertEqual(
            (FIRST, "rolf@far.test", "message-id"), (event.message, event.recipient, event.matched)
        )

    def test_only_one(self) -> None:
        """Of a message with one recipient it can be nobody else."""
        self.deliver(self.report(self.failed("gone@inner.test"), identifier=SECOND))
        [event] = self.noted
        assert isinstance(event, Bounced)
        self.assertEqual((SECOND, "only@far.test"), (event.message, event.recipient))

    def test_unknown(self) -> None:
        """Recorded under its own id, and found by the address."""
        self.journal.events = []
        self.before = 0
        self.deliver(self.report(self.failed("rita@far.test")))
        [event] = self.noted
        assert isinstance(event, Bounced)
        self.assertEqual((REPORT, "", ("rita@far.test",)), (event.message, event.matched, event.keys()))

    def test_confirmed(self) -> None:
        content = "Final-Recipient: rfc822; rita@far.test\nAction: delivered\nStatus: 2.0.0\n"
        self.deliver(self.report(content, identifier=FIRST))
        [event] = self.noted
        self.assertIsInstance(event, Confirmed)

    def test_complaint(self) -> None:
        self.deliver(self.report(identifier=FIRST, kind="feedback-report"))
        [event] = self.noted
        assert isinstance(event, Complained)
        self.assertEqual((FIRST, "rita@far.test", "abuse"), (event.message, event.recipient, event.type))

    def test_again(self) -> None:
        """After a crash nothing is recorded twice, and what is missing is recorded."""
        content = self.report(self.failed("rita@far.test"), self.failed("rolf@far.test"), identifier=FIRST)
        self.deliver(content)
        self.journal.events.pop()
        self.deliver(content, repeat=True)
        people = [event.recipient for event in self.noted if isinstance(event, Bounced)]
        self.assertEqual(["rita@far.test", "rolf@far.test"], people)

    def test_journal_is_down(self) -> None:
        self.journal.trouble = True
        outcome = self.deliver(self.report(self.failed("rita@far.test")), about=FIRST, who="000000")
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual([], self.noted)

    def test_unread(self) -> None:
        """Nobody's message is lost."""
        text = b"Subject: hello\r\n\r\nWhere are you?\r\n"
        away = b"Auto-Submitted: auto-replied\r\n" + text
        self.assertIsInstance(self.deliver(text), Failed)
        self.assertIsInstance(self.deliver(text, about=FIRST), Failed)
        self.assertIsInstance(self.deliver(away), Failed)
        self.assertIsInstance(self.deliver(away, about=FIRST), Delivered)
        self.assertIsInstance(self.deliver(text, about=FIRST, copied=1), Delivered)
        self.assertEqual([], self.noted)
