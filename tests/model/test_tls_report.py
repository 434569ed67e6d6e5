"""Reports of others as JSON: the RFC's own, those that differ, and hostile ones."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.model.tls_report import BadTlsReport, TlsReport
from tests.tls_report.published import EXAMPLE, mistakes


def example(**changes: Any) -> dict[str, Any]:
    return {**json.loads(EXAMPLE), **changes}


def policy(**changes: Any) -> dict[str, Any]:
    """The example with its one policy changed."""
    report = example()
    report["policies"][0].update(changes)
    return report


class ReadingTests(SynchronousTestCase):
    def read(self, report: Any) -> TlsReport:
        return TlsReport.read(json.dumps(report).encode())

    def test_example(self) -> None:
        """Appendix B is valid by the schema, is read, and comes out as it went in."""
        self.assertEqual([], mistakes(json.loads(EXAMPLE)))
        report = TlsReport.read(EXAMPLE)
        self.assertEqual(("Company-X", "company-y.example"), (report.organization_name, *report.domains))
        self.assertEqual((5326, 303), (report.successes, report.failures))
        self.assertEqual(datetime(2016, 4, 1, tzinfo=UTC), report.date_range.start_datetime)
        details = report.policies[0].failure_details
        self.assertEqual([100, 200, 3], [one.failed_session_count for one in details])
        self.assertEqual(json.loads(EXAMPLE), json.loads(report.written()))

    def test_different(self) -> None:
        """As some write it: one string for several, nothing for an empty list, fields of their own."""
        one = policy(
            policy={
                "policy-type": "sts",
                "policy-domain": "A.test",
                "policy-string": "x",
                "mx-host": "*.a.test",
            },
            **{"failure-details": None, "x-more": {"a": [1]}},
        )
        report = self.read(
            {
                **one,
                "date-range": {
                    "start-datetime": "2016-04-01T02:00:00+02:00",
                    "end-datetime": "2016-04-01T23:59:59",
                },
            }
        )
        found = report.policies[0]
        self.assertEqual((["x"], ["*.a.test"]), (found.policy.policy_string, found.policy.mx_host))
        self.assertEqual([], found.failure_details)
        self.assertEqual(["a.test"], list(report.domains))
        written = json.loads(report.written())["date-range"]
        self.assertEqual(
            {"start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z"}, written
        )

    def test_texts(self) -> None:
        """Nothing that a terminal obeys, and not more than anybody reads."""
        report = self.read(example(**{"organization-name": "a\x1b[2Jb\nc" + "x" * 5000}))
        self.assertTrue(report.organization_name.startswith("a [2Jb cxx"))
        self.assertEqual(1000, len(report.organization_name))

    def test_bad(self) -> None:
        """Each with words that say where it is wrong."""
        dates = {"start-datetime": "2016-04-02T00:00:00Z", "end-datetime": "2016-04-01T00:00:00Z"}
        summary = {"total-successful-session-count": -1}
        table: list[tuple[Any, str]] = [
            ([], "Input should be an object"),
            ({}, "date-range: Field required, and 2 more"),
            (example(policies={}), "policies: Input should be a valid array"),
            (example(**{"report-id": 7}), "report-id: Input should be a valid string"),
            (example(**{"date-range": dates}), "date-range: it ends before it begins"),
            (example(**{"date-range": {"start-datetime": "soon"}}), "date-range.start-datetime: "),
            (policy(summary=summary), "policies.0.summary.total-successful-session-count: "),
            (policy(summary={"total-failure-session-count": 10**30}), "total-failure-session-count: "),
            (policy(summary={"total-failure-session-count": "many"}), "total-failure-session-count: "),
            (policy(policy="sts"), "policies.0.policy: "),
            (policy(**{"failure-details": [{}]}), "policies.0.failure-details.0.result-type: "),
        ]
        for report, words in table:
            error = self.assertRaises(BadTlsReport, self.read, report)
            self.assertIn(words, str(error))

    def test_hostile(self) -> None:
        """What is deep, endless or no JSON at all costs little and is refused."""
        many = b'{"result-type":"x"},' * 200_000
        texts = [
            b"",
            b"\xff\xfe",
            b"{",
            b"[" * 1_000_000,
            b'{"policies":' * 40_000,
            EXAMPLE.replace(b'"failure-details": [', b'"failure-details": [' + many),
            EXAMPLE.replace(b'"policies": [', b'"policies": [' + b"1," * 600_000),
            EXAMPLE.replace(b"5326", b"9" * 5000),
            EXAMPLE.replace(b"5326", b"NaN"),
            EXAMPLE.replace(b"Company-X", b"\\ud800"),
        ]
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for text in texts:
            error = self.assertRaises(BadTlsReport, TlsReport.read, text)
            self.assertTrue(0 < len(str(error)) <= 300)
        self.assertLess(tracemalloc.get_traced_memory()[1], 100_000_000)
