"""The page for alerts: what it offers to begin with is a configuration."""

from __future__ import annotations

import tomllib

from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Alert
from mta.dashboard.alerts import EXAMPLE, _told
from mta.model.event_security import Alerted


class AlertPageTests(SynchronousTestCase):
    def test_example(self) -> None:
        rules = [Alert.model_validate(one) for one in tomllib.loads(EXAMPLE)["alert"]]
        self.assertEqual(["statistic", "statistic", "event", "disk"], [one.subject for one in rules])

    def test_cause_stands_by_itself(self) -> None:
        event = Alerted(at=1.0, rule="x", action="raised", evidence={"cause": "a list", "most": ["a", "b"]})
        told = _told(event)
        self.assertEqual(("bad", "a list", [("most", "a, b")]), (told.tone, told.cause, told.evidence))
