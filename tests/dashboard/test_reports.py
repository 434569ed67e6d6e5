"""Reports that others sent, by a browser without scripts; whose they are, and what is advised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.dashboard import reports
from mta.dashboard.report_advice import advice_on, remedy_for
from mta.dashboard.report_records import RecordLook
from mta.dashboard.reports import ReportPages
from mta.interfaces import NoSuchDomain
from mta.journal.dmarc_summary import Source
from mta.model.event import Event
from mta.model.event_report import DmarcReportReceived, TlsReportReceived
from mta.registry import domains
from mta.registry.database import Direct, finished
from mta.registry.domains import SendingDomains
from tests.dashboard.desk import Desk
from tests.journal.shard import Shard, ids

NOW = 1_800_000_000.0
XSS = "<script>alert(1)</script>"


class Names:
    """The DNS: TXT records, and names of addresses; a name in ``slow`` never answers."""

    def __init__(self) -> None:
        self.records: dict[str, list[bytes]] = {}
        self.slow: set[str] = set()

    def text(self, name: str) -> Any:
        """TXT."""
        if name in self.slow:
            return Deferred()
        if name not in self.records:
            return fail(NoSuchDomain(name))
        return succeed(self.records[name])

    def reverse(self, address: str) -> Any:
        """PTR."""
        return succeed(["evil.example"])


class Journals:
    """Where the journal is."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def journals(self) -> list[Path]:
        """All of one shard."""
        return list(self._paths)


def row(source: str, author: str, count: int, **more: Any) -> dict[str, Any]:
    """Of a DMARC report."""
    return {"source": source, "author": author, "count": count, "disposition": "none", **more}


class ReportCase(SynchronousTestCase):
    """A desk with these pages, a journal, and domains of two tenants."""

    def setUp(self) -> None:
        self.shard = Shard(Path(self.mktemp()))
        self.addCleanup(self.shard.close)
        database = Direct(Path(self.mktemp()), (domains.TABLES,))
        self.addCleanup(database.close)
        known = SendingDomains(database, ["example.org"])
        finished(known.add("acme", "acme.example", 1.0))
        finished(known.add("other", "sub.acme.example", 1.0))
        self.names, self.clock = Names(), Clock()
        self.addresses: tuple[list[str], list[str]] = (["d@acme.example"], ["t@acme.example"])
        self.look = RecordLook(self.names, lambda: self.addresses, self.clock)
        workers: Any = Journals([self.shard.path])
        pages = ReportPages(workers, known, self.look, lambda call, *rest: succeed(call(*rest))).pages()
        self.desk = Desk(pages)

    def page(self, path: str, role: str = "tenant", status: int = 200) -> str:
        """What it shows."""
        answer = self.desk.visitor(role).get(path)
        self.assertEqual(status, answer.status, answer)
        return answer.content.decode()

    def put(self, *events: Event) -> None:
        """Into the journal."""
        self.shard.write(list(events))


class DmarcTests(ReportCase):
    """DMARC."""

    def report(self, number: int = 0, **more: Any) -> str:
        """One that came; answers the message that brought it."""
        (message,) = ids(1, NOW - 60 + number)
        rows = [
            row("192.0.2.7", "acme.example", 40, dkim=True, spf=True),
            row("198.51.100.9", "acme.example", 3, senders=[{"domain": XSS, "result": "pass"}]),
            row("203.0.113.5", "sub.acme.example", 5),
        ]
        facts = {"organization": "Far " + XSS, "report": f"r{number}", "domain": "acme.example", "rows": rows}
        facts |= {"messages": 48, "failures": 8, "begins": NOW - 86400, "ends": NOW, **more}
        self.put(DmarcReportReceived(at=NOW - 600 + number, message=message, **facts))
        return message

    def test_whose(self) -> None:
        """A tenant sees rows of its own domains, and sums of these; staff see all; others' are not there."""
        message = self.report()
        place = f"/dashboard/reports/at/{message}"
        for path in ("/dashboard/reports", place):
            page = self.page(path)
            self.assertIn("192.0.2.7", page)
            self.assertNotIn("203.0.113.5", page)
            self.assertIn(">43<", page)
            self.assertNotIn("<script>alert", page)
            page = self.page(path, "otto@example.org")
            self.assertIn("203.0.113.5", page)
            self.assertNotIn("192.0.2.7", page)
            self.assertIn("203.0.113.5", self.page(path, "viewer"))
            self.assertIn("192.0.2.7", self.page(path, "viewer"))
        foreign = self.report(1, domain="example.org", rows=[row("192.0.2.1", "example.org", 1)])
        self.page(f"/dashboard/reports/at/{foreign}", status=404)
        self.page("/dashboard/reports/at/x", status=404)

    def test_period(self) -> None:
        """What came before it, or is about another domain, does not count; nor does what came twice."""
        self.report()
        self.report()
        self.assertIn(">43<", self.page("/dashboard/reports?days=7"))
        self.assertIn("No DMARC reports on this", self.page("/dashboard/reports?domain=x.example"))
        self.desk.clock.advance(8 * 86400)
        self.assertIn("No DMARC reports came", self.page("/dashboard/reports?days=7"))
        self.assertIn(">43<", self.page("/dashboard/reports?days=30"))

    def test_many(self) -> None:
        """All of 120 are added up, and the newest are listed; of very many rows, what was not is told."""
        for number in range(120):
            self.report(number)
        page = self.page("/dashboard/reports?days=7")
        self.assertIn(">4\u202f800<", page)
        self.assertIn("The newest 50 of 120", page)
        self.assertNotIn("the newest of more", page)
        self.patch(reports, "_MOST_ROWS", 100)
        page = self.page("/dashboard/reports?days=7")
        self.assertIn(">2\u202f000<", page)
        self.assertIn("the newest of more", page)


class TlsTests(ReportCase):
    """TLS."""

    def test_failures(self) -> None:
        """By domain and kind, with what to do; of a tenant only its own policies."""

        def policy(domain: str, bad: int) -> dict[str, Any]:
            return {
                "policy": {
                    "policy-type": "sts",
                    "policy-domain": domain,
                    "policy-string": ["version: " + XSS],
                },
                "summary": {"total-successful-session-count": 7, "total-failure-session-count": bad},
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "failed-session-count": bad,
                        "receiving-mx-hostname": f"mx.{domain}",
                    }
                ],
            }

        (message,) = ids(1, NOW - 60)
        names = ["acme.example", "example.org"]
        self.put(
            TlsReportReceived(
                at=NOW - 60,
                message=message,
                organization="Far",
                report="t1",
                domains=names,
                successes=14,
                failures=1234,
                policies=[policy(names[0], 34), policy(names[1], 1200)],
            )
        )
        for path in ("/dashboard/reports/tls", f"/dashboard/reports/at/{message}"):
            page = self.page(path)
            self.assertIn("mx.acme.example", page)
            self.assertIn(remedy_for("certificate-expired")[:30], page)
            self.assertNotIn("mx.example.org", page)
            self.assertNotIn("<script>alert", page)
            self.assertIn("mx.example.org", self.page(path, "operator"))
        self.page(f"/dashboard/reports/at/{message}", "otto@example.org", 404)


class RecordTests(ReportCase):
    """What asks for reports."""

    def states(self) -> dict[str, str]:
        """By kind, as they are shown to the tenant."""
        found = self.successResultOf(Deferred.fromCoroutine(self.look.of(["acme.example"])))
        return {one.kind: one.state for one in found}

    def test_states(self) -> None:
        """Missing, elsewhere, without rua, not agreed, set."""
        self.assertEqual({"DMARC": "missing", "TLS": "missing"}, self.states())
        self.names.records["_dmarc.acme.example"] = [b"v=DMARC1; p=none"]
        self.names.records["_smtp._tls.acme.example"] = [b"v=TLSRPTv1; rua=https://x.example/"]
        self.assertEqual({"DMARC": "no rua", "TLS": "elsewhere"}, self.states())
        self.names.records["_dmarc.acme.example"] = [b"v=DMARC1; p=none; rua=mailto:d@acme.example"]
        self.names.records["_smtp._tls.acme.example"] = [b"v=TLSRPTv1; rua=mailto:t@acme.example"]
        self.assertEqual({"DMARC": "set", "TLS": "set"}, self.states())
        self.addresses = (["d@mta.test"], [])
        self.assertEqual({"DMARC": "elsewhere", "TLS": "elsewhere"}, self.states())
        self.names.records["_dmarc.acme.example"] = [b"v=DMARC1; p=none; rua=mailto:d@mta.test"]
        self.assertEqual("not agreed", self.states()["DMARC"])
        self.names.records["acme.example._report._dmarc.mta.test"] = [b"v=DMARC1"]
        self.assertEqual("set", self.states()["DMARC"])

    def test_empty(self) -> None:
        """Where no report came, the page says what to publish for the domains of who looks."""
        for path in ("/dashboard/reports", "/dashboard/reports/tls", "/dashboard/reports/records"):
            page = self.page(path)
            self.assertIn("_dmarc.acme.example", page)
            self.assertIn("_smtp._tls.acme.example", page)
            self.assertNotIn("_dmarc.example.org", page)
            self.assertIn("_dmarc.example.org", self.page(path, "viewer"))

    def test_slow(self) -> None:
        """A DNS that does not answer does not keep the page."""
        self.names.slow = {"_dmarc.acme.example"}
        asked = Deferred.fromCoroutine(self.look.of(["acme.example"]))
        self.assertNoResult(asked)
        self.clock.advance(6)
        self.assertEqual(["not known", "missing"], [one.state for one in self.successResultOf(asked)])


class AdviceTests(SynchronousTestCase):
    """Whose server it probably is."""

    def test_advice(self) -> None:
        """From what SPF and DKIM found."""

        def words(*rows: dict[str, Any]) -> str:
            source = Source("acme.example", "192.0.2.7")
            for one in rows:
                source.add(one, "far")
            return advice_on(source).words

        good = row("", "", 3, dkim=True)
        self.assertEqual("yours", words(good))
        self.assertEqual("yours, unsigned", words(row("", "", 3, spf=True)))
        self.assertEqual("yours in part", words(good, row("", "", 1)))
        self.assertEqual("a forger, probably", words(row("", "", 1)))
        news = [{"domain": "news.example", "result": "pass"}]
        self.assertEqual("somebody else", words(row("", "", 1, senders=news)))
        self.assertEqual("a forwarder or a list", words(row("", "", 1, reasons=[{"type": "mailing_list"}])))
        own = [{"domain": "acme.example", "result": "pass"}]
        self.assertEqual("yours, not aligned", words(row("", "", 1, senders=own)))
