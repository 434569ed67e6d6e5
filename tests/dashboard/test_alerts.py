"""The page for alerts: what it offers to begin with is a configuration."""

from __future__ import annotations

import tomllib
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Alert
from mta.dashboard import alerts
from mta.dashboard.alerts import EXAMPLE, AlertPages, _told
from mta.model.event_security import Alerted
from tests.dashboard.desk import Desk


class AlertPageTests(SynchronousTestCase):
    def test_example(self) -> None:
        rules = [Alert.model_validate(one) for one in tomllib.loads(EXAMPLE)["alert"]]
        self.assertEqual(["statistic", "statistic", "event", "disk"], [one.subject for one in rules])

    def test_cause_stands_by_itself(self) -> None:
        event = Alerted(at=1.0, rule="x", action="raised", evidence={"cause": "a list", "most": ["a", "b"]})
        told = _told(event)
        self.assertEqual(("bad", "a list", [("most", "a, b")]), (told.tone, told.cause, told.evidence))

    def test_evidence_of_each(self) -> None:
        """One rule that is told of a hundred times hides the evidence of no other."""
        at = 1_700_000_000.0
        events = [Alerted(at=at, rule="quiet", action="raised", evidence={"cause": "the quiet one's"})]
        events += [
            Alerted(at=at + number, rule="loud", action="raised", evidence={"cause": f"no. {number}"})
            for number in range(100)
        ]

        class Journal:
            def __init__(self, paths: Any) -> None:
                pass

            def find(self, word: str, limit: int) -> list[Any]:
                mine = [one for one in reversed(events) if one.rule == word]
                return [SimpleNamespace(event=one) for one in mine[:limit]]

        self.patch(alerts, "JournalReader", Journal)
        rule: dict[str, Any] = {"raised": True, "found": "7 within 10 m", "raised_by": "1 of x within 10 m"}
        rule |= {"since": at, "told": at, "to": []}
        rules = [{**rule, "rule": name} for name in ("loud", "quiet")]
        workers: Any = SimpleNamespace(journals=list, alerts=lambda: succeed(rules))
        pages = AlertPages(workers, self.fail, lambda call, *rest: succeed(call(*rest)))
        shown = Desk(pages.pages()).visitor("operator").get("/dashboard/alerts").content.decode()
        raised = shown.partition("What was told")[0]
        for cause in ("the quiet one&#39;s", "no. 99"):
            self.assertIn(cause, raised)
        self.assertEqual(50, shown.count("Probably: "))
