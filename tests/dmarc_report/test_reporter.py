"""A day of mail in somebody's name becomes a report to whoever the record names."""

from __future__ import annotations

import gzip
from email import message_from_bytes
from email.policy import SMTP
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from mta.config.settings import DmarcReports
from mta.daily_report.ledger import midnight
from mta.daily_report.reporter import Means
from mta.dmarc_report.reporter import DmarcReporter
from mta.interfaces import NoSuchDomain, Route, TemporarilyUnavailable
from mta.model.dmarc_report import DmarcReport
from mta.model.event import Received
from mta.model.event_report import DmarcReportSent
from tests.dmarc_report.published import mistakes
from tests.dmarc_report.test_ledger import DAY, RECORD, DmarcLedgerCase, accepted, dmarc, refused
from tests.feedback.test_transport import MemoryJournal
from tests.journal.shard import NOON
from tests.tls_report.test_reporter import Spool

TOMORROW = midnight(DAY) + 86400
SIGNATURE = b"DKIM-Signature: v=1\r\n"


class ReporterTests(DmarcLedgerCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.advance(NOON)
        self.events = MemoryJournal([])
        self.spool = Spool(self.events, self.clock)
        self.records: dict[str, Any] = {}
        self.settings = DmarcReports(contact="dmarc@example.org", organization="Example", spread=7200.0)  # type: ignore[call-arg]
        self.reporter = self.make()

    def make(self) -> DmarcReporter:
        async def at_once(function: Any, *arguments: Any) -> Any:
            return function(*arguments)

        means = Means(
            journals=lambda: self.journal,
            journal=self.events,  # type: ignore[arg-type]
            spool=self.spool,  # type: ignore[arg-type]
            admitted=lambda message: None,
            route=lambda address, sender: (Route(address, "relay", address.partition("@")[2]),),
            resolver=self,  # type: ignore[arg-type]
            run_in_thread=at_once,
            hostname="mx.example.org",
            sign=lambda data, now: succeed(SIGNATURE),
        )
        return DmarcReporter(self.clock, means, self.ledger, self.settings)

    async def text(self, name: str) -> list[bytes]:
        found = self.records.get(name)
        if found is None:
            raise NoSuchDomain(name)
        if isinstance(found, Exception):
            raise found
        return [found.encode()]

    def next_day(self) -> None:
        for at in (TOMORROW + 300, TOMORROW + 7500):
            self.clock.advance(at - self.clock.seconds())
            self.successResultOf(Deferred.fromCoroutine(self.reporter.round()))

    def states(self) -> dict[str, str]:
        return {task.target or task.domain: task.state for task in self.ledger.tasks()}

    def sent(self) -> list[tuple[str, DmarcReport]]:
        """To whom, and what."""
        found = []
        for message in self.spool.messages:
            parsed: Any = message_from_bytes(message.content.read(), policy=SMTP)
            data = gzip.decompress(list(parsed.iter_parts())[1].get_content())
            self.assertEqual([], mistakes(data))
            found.append((message.addressees[0].address, DmarcReport.read(data)))
        return found

    def test_day(self) -> None:
        self.shards[0].write([refused(dmarc()), accepted(dmarc("pass", dkim=True))])
        self.shards[1].write([refused(dmarc())])
        self.next_day()
        [(to, report)] = self.sent()
        self.assertEqual(("d@bank.test", 3, 2), (to, report.messages, report.failures))
        self.assertEqual({"192.0.2.9", "192.0.2.1"}, {row.source for row in report.rows})
        [message] = self.spool.messages
        self.assertEqual((SIGNATURE, "dmarc@example.org"), (message.trace, message.envelope.reverse_path))
        self.assertEqual({}, message.addressees[0].options)
        [event] = [one for one in self.events.events if isinstance(one, DmarcReportSent)]
        self.assertEqual(
            ("queued", message.id, 3, 2, ""),
            (event.action, event.message, event.messages, event.failures, event.reason),
        )
        [received] = [one for one in self.events.events if isinstance(one, Received)]
        self.assertEqual({"dmarc-report": f"for bank.test on {DAY}"}, received.tags)

    def test_once(self) -> None:
        self.shards[0].write([refused(dmarc())])
        for _ in range(3):
            self.next_day()
            self.reporter = self.make()
        self.assertEqual(1, len(self.spool.messages))

    def test_records(self) -> None:
        """A record for each of two reports, to where each of them asks for."""
        other = "v=DMARC1; p=none; rua=mailto:new@bank.test"
        self.shards[0].write(
            [refused(dmarc()), accepted(dmarc("none", other)), accepted(dmarc("none", other))]
        )
        self.next_day()
        found = {to: (report.published.policy, report.messages) for to, report in self.sent()}
        self.assertEqual({"d@bank.test": ("reject", 1), "new@bank.test": ("none", 2)}, found)
        self.assertEqual(2, len({report.report for _, report in self.sent()}))

    def test_external(self) -> None:
        """Nobody gets reports who does not say so; whether they do is asked until it is known."""
        record = RECORD.replace("d@bank.test", "d@far.example")
        self.shards[0].write([refused(dmarc(record=record))])
        name = "bank.test._report._dmarc.far.example"
        self.records[name] = TemporarilyUnavailable("SERVFAIL")
        self.next_day()
        self.assertEqual({"bank.test": "ask"}, self.states())
        self.records[name] = "v=DMARC1"
        self.clock.advance(3600)
        self.successResultOf(Deferred.fromCoroutine(self.reporter.round()))
        self.assertEqual({"mailto:d@far.example": "sent"}, self.states())

    def test_not_agreed(self) -> None:
        record = RECORD.replace("d@bank.test", "d@victim.example")
        self.shards[0].write([refused(dmarc(record=record))])
        self.next_day()
        self.assertEqual({"bank.test": "unwanted"}, self.states())
        self.assertIn("victim.example does not say", self.ledger.tasks()[0].detail)
        self.assertEqual([], self.spool.messages)

    def test_size(self) -> None:
        self.settings = DmarcReports(contact="dmarc@example.org", max_size=10_000, spread=7200.0)
        self.reporter = self.make()
        events = [refused(dmarc(), client=f"2001:db8::{n:x}:{n * 7919 % 65536:x}") for n in range(4000)]
        self.shards[0].write(events)
        self.next_day()
        [(_, report)] = self.sent()
        self.assertIn("no room for", report.error)
        [event] = [one for one in self.events.events if isinstance(one, DmarcReportSent)]
        self.assertEqual(4000, event.messages)
