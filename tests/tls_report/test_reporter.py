"""A day of sessions becomes one report for each domain that wants it, whatever stands between."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from mta.config.settings import TlsReports
from mta.daily_report.ledger import midnight
from mta.daily_report.reporter import Means
from mta.interfaces import NoSuchDomain, Route, RouteError, TemporarilyUnavailable
from mta.model.event import Event, Operated, Received
from mta.model.event_report import TlsReportSent
from mta.model.ids import IdSource
from mta.model.message import Message
from mta.model.reply import Reply
from mta.tls_report.post import NotTaken
from mta.tls_report.reporter import TLS_OPTIONAL, TlsReporter
from tests.feedback.test_transport import MemoryJournal
from tests.journal.shard import NOON
from tests.tls_report.published import mistakes
from tests.tls_report.test_ledger import DAY, LedgerCase, session

BEFORE = "2026-01-14"
TOMORROW = midnight(DAY) + 86400


class Spool:
    """Keeps messages in a list, and their events in the journal.

    :ivar trouble: raised instead: before it keeps anything, or ``after``.
    """

    def __init__(self, journal: MemoryJournal, clock: Clock) -> None:
        self.messages: list[Message] = []
        self.trouble: Exception | None = None
        self.after = False
        self._journal = journal
        self._clock = clock
        self._ids = IdSource(0)

    def new_id(self) -> str:
        return self._ids.next(self._clock.seconds())

    async def admit(self, message: Message, events: Iterable[Event]) -> None:
        if self.trouble is not None and not self.after:
            raise self.trouble
        self.messages.append(message)
        self._journal.note(events)
        if self.trouble is not None:
            raise self.trouble


class ReporterCase(LedgerCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.advance(NOON)
        self.events = MemoryJournal([])
        self.spool = Spool(self.events, self.clock)
        self.records: dict[str, Any] = {}
        self.asked: list[str] = []
        self.posted: list[tuple[str, bytes]] = []
        self.post_trouble = ""
        self.signature: bytes | Exception = b""
        self.settings = TlsReports(contact="tls@example.org", organization="Example", spread=7200.0)
        self.reporter = self.make()

    def make(self) -> TlsReporter:
        async def at_once(function: Any, *arguments: Any) -> Any:
            return function(*arguments)

        async def post(url: str, data: bytes) -> str:
            if self.post_trouble:
                raise NotTaken(self.post_trouble)
            self.posted.append((url, data))
            return "200 OK"

        def route(address: str, sender: str) -> Any:
            self.assertEqual("tls@example.org", sender)
            if address.startswith("nobody@"):
                raise RouteError(Reply(550, ("no",), "5.1.1"), "there is nobody")
            if address.startswith("later@"):
                raise TemporarilyUnavailable("the directory is down")
            return (Route(address, "relay", address.partition("@")[2]),)

        means = Means(
            journals=lambda: self.journal,
            journal=self.events,  # type: ignore[arg-type]
            spool=self.spool,  # type: ignore[arg-type]
            admitted=lambda message: None,
            route=route,
            resolver=self,  # type: ignore[arg-type]
            run_in_thread=at_once,
            hostname="mx.example.org",
            sign=self.sign,
        )
        return TlsReporter(self.clock, means, self.ledger, self.settings, post)

    def sign(self, data: bytes, now: float) -> Any:
        """Answers later, as one who has to calculate."""
        if isinstance(self.signature, Exception):
            raise self.signature
        return succeed(self.signature)

    async def text(self, name: str) -> list[bytes]:
        self.asked.append(name)
        found = self.records.get(name.removeprefix("_smtp._tls."))
        if found is None:
            raise NoSuchDomain(name)
        if isinstance(found, Exception):
            raise found
        return [found.encode()]

    def round(self) -> float:
        return self.successResultOf(Deferred.fromCoroutine(self.reporter.round()))

    def to_reports(self) -> None:
        """From noon to a time at which all reports of the day are sent."""
        for at in (TOMORROW + 300, TOMORROW + 7500):
            self.to(at)
            self.round()

    def to(self, at: float) -> None:
        self.clock.advance(at - self.clock.seconds())

    def states(self) -> dict[str, str]:
        return {task.target or task.domain: task.state for task in self.ledger.tasks()}

    @property
    def told(self) -> list[TlsReportSent]:
        return [event for event in self.events.events if isinstance(event, TlsReportSent)]


class RoundTests(ReporterCase):
    def setUp(self) -> None:
        super().setUp()
        self.records["far.test"] = "v=TLSRPTv1; rua=mailto:r@far.test,https://far.test/r"
        self.shards[0].write([session(), session(domain="other.test")])
        self.shards[1].write([session(result="starttls-not-supported", reason="no STARTTLS")])

    def test_day(self) -> None:
        """Nothing before midnight in UTC; then each domain at its time, within the spread."""
        self.round()
        self.to(TOMORROW + 299)
        self.round()
        self.assertEqual([], self.asked)
        self.to(TOMORROW + 300)
        self.round()
        due = [task.due for task in self.ledger.tasks()]
        self.assertTrue(all(TOMORROW + 300 <= at <= TOMORROW + 300 + 7200 for at in due))
        self.assertEqual(2, len(set(due)))
        self.to(TOMORROW + 7500)
        self.round()
        self.assertEqual({"_smtp._tls.far.test", "_smtp._tls.other.test"}, set(self.asked))
        self.assertEqual(
            {"mailto:r@far.test": "sent", "https://far.test/r": "sent", "other.test": "unwanted"},
            self.states(),
        )

    def test_content(self) -> None:
        """Both ways tell the same, but for the id."""
        self.to_reports()
        [message] = self.spool.messages
        parsed = message_from_bytes(message.content.read(), policy=SMTP)
        _, part = parsed.iter_parts()  # type: ignore[attr-defined]
        mailed = json.loads(gzip.decompress(part.get_content()))
        [(url, data)] = self.posted
        posted = json.loads(gzip.decompress(data))
        self.assertEqual("https://far.test/r", url)
        for one in (mailed, posted):
            self.assertEqual([], mistakes(one))
        self.assertNotEqual(mailed.pop("report-id"), posted.pop("report-id"))
        self.assertEqual(mailed, posted)
        summary = {"total-successful-session-count": 1, "total-failure-session-count": 1}
        self.assertEqual(summary, mailed["policies"][0]["summary"])
        self.assertEqual({"queued", "posted"}, {event.action for event in self.told})

    def test_envelope(self) -> None:
        """It goes out whatever is wrong with TLS, for a day, and nobody is told of its failure."""
        self.to_reports()
        [message] = self.spool.messages
        [addressee] = message.addressees
        self.assertEqual("tls@example.org", message.envelope.reverse_path)
        self.assertEqual(("relay", "far.test"), (addressee.transport, addressee.next_hop))
        self.assertEqual({TLS_OPTIONAL: 1}, addressee.options)
        self.assertEqual({"NEVER"}, addressee.notify)
        self.assertEqual(86400, message.expires - message.created)
        [received] = [event for event in self.events.events if isinstance(event, Received)]
        self.assertEqual(message.id, received.message)

    def test_signature(self) -> None:
        """On top of the mail; without a key the journal tells."""
        self.signature = b"DKIM-Signature: v=1\r\n"
        self.to_reports()
        [message] = self.spool.messages
        self.assertEqual(self.signature, message.trace)
        [received] = [event for event in self.events.events if isinstance(event, Received)]
        self.assertEqual(message.size, received.size)
        self.assertEqual([""], [event.reason for event in self.told if event.action == "queued"])

    def test_no_key(self) -> None:
        self.to_reports()
        [reason] = [event.reason for event in self.told if event.action == "queued"]
        self.assertEqual("not signed: there is no DKIM key for example.org", reason)

    def test_once(self) -> None:
        """However often it is looked, in however many lives."""
        self.to(TOMORROW + 300)
        for _ in range(4):
            self.round()
            self.reporter = self.make()
            self.clock.advance(3600)
        self.assertEqual((1, 1), (len(self.spool.messages), len(self.posted)))

    def test_after_days(self) -> None:
        """A server that was down tells of the last days, not of all that it knows."""
        self.to(TOMORROW + 2 * 86400 + 12 * 3600)
        self.shards[0].write([session(NOON - 86400)])
        self.round()
        self.assertEqual({DAY}, {task.day for task in self.ledger.tasks()})
        # Late as it is, not all at once.
        self.assertEqual((0, 0), (len(self.posted), len(self.spool.messages)))
        self.clock.advance(7200)
        self.round()
        self.assertEqual((1, 1), (len(self.posted), len(self.spool.messages)))

    def test_off(self) -> None:
        """Without a contact nothing is counted or asked."""
        self.reporter.use(TlsReports())
        self.successResultOf(Deferred.fromCoroutine(self.reporter.start()))
        self.clock.advance(1200)
        self.assertEqual([], self.ledger.totals())
        self.reporter.use(self.settings)
        self.clock.advance(600)
        self.assertEqual(3, sum(row[4] for row in self.ledger.totals()))
        self.successResultOf(Deferred.fromCoroutine(self.reporter.stop()))
        self.assertEqual([], self.clock.getDelayedCalls())


class TroubleTests(ReporterCase):
    def setUp(self) -> None:
        super().setUp()
        self.shards[0].write([session()])

    def run_on(self, hours: int) -> None:
        """Rounds as the clock has them."""
        self.successResultOf(Deferred.fromCoroutine(self.reporter.start()))
        self.clock.pump([600.0] * (6 * hours))

    def wait_for_day(self, rua: Any) -> None:
        self.records["far.test"] = f"v=TLSRPTv1; rua={rua}" if isinstance(rua, str) else rua
        self.to(TOMORROW)

    def test_no_answer(self) -> None:
        """A resolver that is down is asked again; only a day decides."""
        self.wait_for_day(TemporarilyUnavailable("SERVFAIL"))
        self.run_on(6)
        self.assertEqual({"far.test": "ask"}, self.states())
        self.records["far.test"] = "v=TLSRPTv1; rua=mailto:r@far.test"
        self.clock.pump([600.0] * 24)
        self.assertEqual({"mailto:r@far.test": "sent"}, self.states())

    def test_given_up(self) -> None:
        """After a day of trying (5.5), and the journal has why."""
        self.post_trouble = "it answered 500"
        self.wait_for_day("https://far.test/r")
        self.run_on(12)
        self.assertEqual({"https://far.test/r": "send"}, self.states())
        self.clock.pump([600.0] * 6 * 24)
        self.assertEqual({"https://far.test/r": "failed"}, self.states())
        [event] = self.told
        self.assertEqual(("failed", "it answered 500"), (event.action, event.reason))
        [task] = self.ledger.tasks()
        self.assertIn(task.attempts, range(8, 20))

    def test_no_route(self) -> None:
        self.wait_for_day("mailto:nobody@far.test,mailto:later@far.test")
        self.run_on(12)
        self.assertEqual({"mailto:nobody@far.test": "failed", "mailto:later@far.test": "send"}, self.states())
        [event] = self.told
        self.assertIn("there is nobody", event.reason)

    def test_full_disk(self) -> None:
        """A mail that could not be queued is queued later, once."""
        self.spool.trouble = TemporarilyUnavailable("no space")
        self.wait_for_day("mailto:r@far.test")
        self.run_on(6)
        self.assertEqual([], self.spool.messages)
        self.spool.trouble = None
        self.clock.pump([600.0] * 24)
        self.assertEqual(1, len(self.spool.messages))
        self.assertEqual({"mailto:r@far.test": "sent"}, self.states())

    def test_no_signature(self) -> None:
        """A report that could not be signed waits: nobody would believe it."""
        self.signature = ZeroDivisionError("no thread")
        self.wait_for_day("mailto:r@far.test")
        self.run_on(6)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)[:1]))
        self.assertEqual([], self.spool.messages)
        self.signature = b"DKIM-Signature: v=1\r\n"
        self.clock.pump([600.0] * 24)
        self.assertEqual(1, len(self.spool.messages))

    def test_between(self) -> None:
        """When nobody knows whether it was queued, the journal does."""
        self.spool.trouble, self.spool.after = TemporarilyUnavailable("nobody knows"), True
        self.wait_for_day("mailto:r@far.test")
        self.run_on(6)
        self.assertEqual(1, len(self.spool.messages))
        self.spool.trouble = None
        self.reporter = self.make()
        self.run_on(6)
        self.assertEqual(1, len(self.spool.messages))
        self.assertEqual({"mailto:r@far.test": "sent"}, self.states())

    def test_journal_trouble(self) -> None:
        """A journal that cannot be read keeps nobody from trying again."""
        self.wait_for_day("mailto:r@far.test")
        place = Path(self.journal.paths[0])
        self.shards[0].close()
        octets = place.read_bytes()
        place.write_bytes(b"not a database, whatever it says" * 200)
        self.run_on(1)
        self.assertEqual([], self.spool.messages)
        place.write_bytes(octets)
        self.clock.pump([600.0] * 24)
        self.assertEqual(1, len(self.spool.messages))


class SendTests(ReporterCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("far.test", "near.test"):
            self.records[name] = f"v=TLSRPTv1; rua=mailto:r@{name}"
            self.shards[0].write([session(domain=name)])

    def send(self, day: str = DAY, domain: str = "") -> dict[str, str]:
        tasks = self.successResultOf(Deferred.fromCoroutine(self.reporter.send(day, domain)))
        return {task.target or task.domain: task.state for task in tasks}

    def test_now(self) -> None:
        """Before its time; and midnight sends what is left, no more."""
        self.assertEqual({"mailto:r@far.test": "sent"}, self.send(domain="FAR.test"))
        self.assertEqual({"mailto:r@far.test": "sent"}, self.send(domain="far.test"))
        acts = [event for event in self.events.events if isinstance(event, Operated)]
        self.assertEqual(
            ["of 2026-01-15 for FAR.test", "of 2026-01-15 for far.test"], [act.reason for act in acts]
        )
        self.assertEqual(1, len(self.spool.messages))
        self.to_reports()
        self.assertEqual({"mailto:r@far.test": "sent", "mailto:r@near.test": "sent"}, self.states())
        self.assertEqual(2, len(self.spool.messages))

    def test_again(self) -> None:
        """What waits for another try is tried now, once."""
        self.records["far.test"] = TemporarilyUnavailable("SERVFAIL")
        self.assertEqual({"far.test": "ask", "mailto:r@near.test": "sent"}, self.send())
        self.assertEqual(2, len(self.asked))
        self.records["far.test"] = "v=TLSRPTv1; rua=mailto:r@far.test"
        self.assertEqual({"mailto:r@far.test": "sent", "mailto:r@near.test": "sent"}, self.send())

    def test_refused(self) -> None:
        for day in ("2026-13-01", "soon"):
            self.failureResultOf(Deferred.fromCoroutine(self.reporter.send(day)), ValueError)
        self.reporter.use(TlsReports())
        failure = self.failureResultOf(Deferred.fromCoroutine(self.reporter.send(DAY)), ValueError)
        self.assertIn("has no contact", failure.getErrorMessage())

    def test_nothing(self) -> None:
        self.assertEqual({}, self.send(BEFORE))
