"""The page of numbers, by a browser without scripts."""

from __future__ import annotations

import csv
import json
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from mta.analytics.tallied import Breakdown, Row, Tally
from mta.dashboard.analytics import AnalyticsPages
from tests.dashboard.desk import Desk

DOMAINS = 2500


class Reader:
    """Has numbers of many domains."""

    def breakdown(self, *_: Any, limit: int = 100, **__: Any) -> Breakdown:
        rows = [Row(f"d{number}.example", Tally({0: 1})) for number in range(DOMAINS)]
        return Breakdown(rows[:limit], limit < DOMAINS, DOMAINS)


class ExportTests(SynchronousTestCase):
    """What is saved as a file is everything."""

    def export(self, form: str) -> str:
        reader: Any = Reader()
        pages = AnalyticsPages(reader, lambda: succeed(None), lambda call, *rest: succeed(call(*rest)))
        answer = (
            Desk(pages.pages())
            .visitor("viewer")
            .get(f"/dashboard/analytics/export?what=breakdown&format={form}")
        )
        self.assertEqual(200, answer.status, answer)
        return answer.content.decode()

    def test_csv(self) -> None:
        rows = list(csv.DictReader(self.export("csv").splitlines()))
        self.assertEqual((DOMAINS, "d2499.example"), (len(rows), rows[-1]["value"]))

    def test_ndjson(self) -> None:
        rows = [json.loads(line) for line in self.export("ndjson").splitlines()]
        self.assertEqual((DOMAINS, "d2499.example"), (len(rows), rows[-1]["value"]))
