"""Which judges are asked when, and what it costs to ask nobody."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import Facts
from mta.judge.pipeline import Pipeline
from mta.model.verdict import PASS, Stage, Verdict
from tests.judge.facts import facts, verdict


class Judge:
    """Writes down where it was asked.

    :param stages: where it wants to be; ``None``: everywhere.
    """

    def __init__(self, stages: set[str] | None = None) -> None:
        if stages is not None:
            self.stages = stages
        self.asked: list[str] = []

    def judge(self, stage: Stage, now: Facts) -> Verdict:
        self.asked.append(stage)
        return Verdict("reject", "no") if now.client.helo == "bad.test" else PASS


class Quick(Judge):
    """Tells at once that it has nothing to say, but to one client."""

    def passes(self, stage: Stage, now: Facts) -> bool:
        return now.client.helo != "bad.test"


class PipelineTests(SynchronousTestCase):
    def ask(self, stage: Stage, *judges: Any, **options: Any) -> Any:
        return Pipeline([(str(number), judge) for number, judge in enumerate(judges)]).judge(
            stage, facts(**options)
        )

    def test_stages(self) -> None:
        """A judge is asked where it wants to be; where nobody wants to be the answer is there at once."""
        one, two = Judge({"mail"}), Judge()
        self.assertIs(PASS, self.ask("connect", one))
        verdict(self.ask("connect", one, two))
        verdict(self.ask("mail", one, two))
        self.assertEqual((["mail"], ["connect", "mail"]), (one.asked, two.asked))

    def test_passes(self) -> None:
        quick, slow = Quick(), Judge()
        self.assertIs(PASS, self.ask("mail", quick))
        self.assertEqual([], quick.asked)
        self.assertEqual("reject", verdict(self.ask("mail", quick, helo="bad.test")).action)
        verdict(self.ask("mail", quick, slow))
        self.assertEqual(["mail"], slow.asked)
