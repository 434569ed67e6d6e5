"""What the judge has found of each message is counted once, by day, domain and record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.dmarc_report import ledger
from mta.dmarc_report.ledger import DmarcLedger, variant_of
from mta.journal.reader import JournalReader
from mta.model.authentication import AuthenticationResult
from mta.model.dmarc_report import Reason, Row, Sender, Signature
from mta.model.event import Event, Received, Rejected
from tests.journal.shard import NOON, Shard

DAY = "2026-01-15"
RECORD = "v=DMARC1; p=reject; rua=mailto:d@bank.test"
SPF = AuthenticationResult(
    "spf", "fail", (("smtp.mailfrom", "x@crook.test"), ("smtp.helo", "mx.crook.test")), "-all"
)
HELO = AuthenticationResult("spf", "pass", (("smtp.helo", "mx.crook.test"),))
LIST = AuthenticationResult("dkim", "pass", (("header.d", "list.test"), ("header.s", "l")))
OWN = AuthenticationResult("dkim", "pass", (("header.d", "Bank.test"), ("header.s", "k")))
BROKEN = AuthenticationResult("dkim", "fail", (("header.d", "bank.test"), ("header.s", "k")), "changed")


def dmarc(disposition: str = "reject", record: str = RECORD, **detail: Any) -> AuthenticationResult:
    facts = {"domain": "bank.test", "record": record, "disposition": disposition, "dkim": False, "spf": False}
    return AuthenticationResult("dmarc", "fail", (("header.from", "bank.test"),), "", {**facts, **detail})


def told(*results: AuthenticationResult) -> list[dict[str, Any]]:
    return [one.told() for one in results]


def refused(*results: AuthenticationResult, at: float = NOON, **facts: Any) -> Rejected:
    return Rejected(
        **{
            "at": at,
            "stage": "data",
            "code": 550,
            "reply": "550 no",
            "client": "192.0.2.9",
            "sender": "x@crook.test",
            "authentication": told(*results),
            **facts,
        }
    )


def accepted(*results: AuthenticationResult, at: float = NOON, **facts: Any) -> Received:
    return Received(
        **{
            "at": at,
            "sender": "ann@bank.test",
            "recipients": ["b@example.org"],
            "client": "192.0.2.1",
            "authentication": told(*results),
            **facts,
        }
    )


class DmarcLedgerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.place = Path(self.mktemp())
        self.shards = [Shard(self.place / "spool" / str(number)) for number in range(2)]
        for shard in self.shards:
            self.addCleanup(shard.close)
        self.journal = JournalReader([shard.path for shard in self.shards])
        self.ledger = DmarcLedger(self.place / "dmarc-reports.db")

    def count(self, *events: Event) -> list[tuple[str, str, int, int]]:
        self.shards[0].write(events)
        self.ledger.count(self.journal)
        return self.ledger.totals()


class CountingTests(DmarcLedgerCase):
    def test_rows(self) -> None:
        """Accepted or refused, the facts of RFC 9990 are kept."""
        self.count(
            refused(SPF, HELO, BROKEN, LIST, dmarc()),
            refused(SPF, HELO, BROKEN, LIST, dmarc()),
            accepted(OWN, dmarc("pass", dkim=True)),
            accepted(LIST, dmarc("quarantine", reasons=[["mailing_list", ""]])),
        )
        first, *others = self.ledger.rows(DAY, "bank.test", variant_of(RECORD))
        expected = Row(
            "192.0.2.9",
            "reject",
            False,
            False,
            "bank.test",
            "crook.test",
            (),
            (Signature("list.test", "l", "pass"), Signature("bank.test", "k", "fail", "changed")),
            (Sender("crook.test", "fail", "-all"),),
            2,
        )
        self.assertEqual(expected, first)
        self.assertEqual({"pass", "quarantine"}, {row.disposition for row in others})
        self.assertIn((Reason("mailing_list"),), [row.reasons for row in others])
        self.assertEqual([(DAY, "bank.test", 1, 3)], self.ledger.totals())
        self.assertEqual({variant_of(RECORD): (RECORD, 0)}, self.ledger.records(DAY, "bank.test"))

    def test_once(self) -> None:
        """From the journals of all workers, whenever it is asked."""
        for shard in self.shards:
            shard.write([refused(dmarc())])
        for _ in range(3):
            self.ledger.count(self.journal)
        self.assertEqual([(DAY, "bank.test", 0, 2)], self.ledger.totals())

    def test_not_counted(self) -> None:
        """Who comes again, who was refused before the message, and domains that want no report."""
        self.assertEqual(
            [],
            self.count(
                refused(dmarc(), code=451),
                refused(SPF, stage="mail"),
                accepted(SPF),
                accepted(dmarc(record="v=DMARC1; p=reject")),
                accepted(dmarc(record="v=DMARC1; p=none; rua=https://bank.test/")),
                accepted(AuthenticationResult("dmarc", "none", (("header.from", "x.test"),))),
                accepted(dmarc(), client=""),
            ),
        )

    def test_records(self) -> None:
        """Another record on the same day is another report."""
        other = "v=DMARC1; p=none; rua=mailto:d@bank.test"
        self.count(refused(dmarc()), accepted(dmarc("none", other)))
        self.assertEqual({variant_of(RECORD), variant_of(other)}, set(self.ledger.records(DAY, "bank.test")))
        self.assertEqual(
            ["none"], [row.disposition for row in self.ledger.rows(DAY, "bank.test", variant_of(other))]
        )

    def test_bounded(self) -> None:
        """Whoever forges mail with ever other signatures fills no disk, and every message counts."""
        self.patch(ledger, "MOST_ROWS", 3)
        events = [
            refused(AuthenticationResult("dkim", "fail", (("header.d", f"{n}.test"),)), dmarc())
            for n in range(5)
        ]
        self.count(*events, events[0])
        self.assertEqual(3, len(self.ledger.rows(DAY, "bank.test", variant_of(RECORD))))
        self.assertEqual({variant_of(RECORD): (RECORD, 2)}, self.ledger.records(DAY, "bank.test"))

    def test_forgotten(self) -> None:
        self.count(refused(dmarc()))
        self.ledger.forget("2026-01-16")
        self.assertEqual(([], {}), (self.ledger.totals(), self.ledger.records(DAY, "bank.test")))

    def test_many_signatures(self) -> None:
        """Those that stand for the author come first, of a hundred at the most (RFC 9990, 2.1.3)."""
        crowd = [AuthenticationResult("dkim", "fail", (("header.d", f"{n}.test"),)) for n in range(200)]
        near = AuthenticationResult("dkim", "pass", (("header.d", "mail.bank.test"), ("header.s", "m")))
        self.count(accepted(*crowd, LIST, near, OWN, dmarc("pass", dkim=True)))
        [row] = self.ledger.rows(DAY, "bank.test", variant_of(RECORD))
        self.assertEqual(100, len(row.signatures))
        self.assertEqual(
            ["bank.test", "mail.bank.test", "list.test"], [one.domain for one in row.signatures[:3]]
        )
