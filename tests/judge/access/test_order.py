"""Deciding as early as can be is deciding by the first rule that fits: over rules of all sorts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import AccessRule
from mta.judge.access.patterns import Patterns, WrongPattern
from mta.judge.access.rules import Decision, Rule, decide, read_rules

BOUNDED = settings(
    max_examples=150,
)
VALUES = {
    "client": ["192.0.2.1", "198.51.100.1"],
    "reverse_name": ["mx.a.test", ""],
    "helo": ["mx.a.test", "friend"],
    "account": ["", "ann@a.test"],
    "sender": ["x@a.test", ""],
    "recipient": ["ben@b.test", "postmaster@b.test"],
}
PATTERNS = {
    "client": ["192.0.2.0/24", "198.51.100.1/32"],
    "reverse_name": [".a.test", "/^$/"],
    "helo": ["mx.a.test", "/^[^.]*$/"],
    "account": ["ann@", "*"],
    "sender": ["<>", "@a.test"],
    "recipient": ["postmaster@", "b.test"],
}
#: What is known from which stage on.
STAGES = (
    ("client",),
    ("client", "helo", "reverse_name"),
    ("client", "helo", "reverse_name", "account", "sender"),
    tuple(VALUES),
)
ACTIONS = ["accept", "reject", "defer", "hold", "tag"]


@st.composite
def rules(draw: Any) -> dict[str, Any]:
    subjects = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3, unique=True))
    made: dict[str, Any] = {subject: [draw(st.sampled_from(PATTERNS[subject]))] for subject in subjects}
    return {**made, "action": draw(st.sampled_from(ACTIONS))}


def read(tables: list[dict[str, Any]]) -> list[Rule]:
    return read_rules([AccessRule.model_validate(table) for table in tables], Path("."))


class OrderTests(SynchronousTestCase):
    @BOUNDED
    @given(
        st.lists(rules(), max_size=6),
        st.fixed_dictionaries({subject: st.sampled_from(values) for subject, values in VALUES.items()}),
    )
    def test_stages(self, tables: list[dict[str, Any]], facts: dict[str, str]) -> None:
        """Whatever is known when, the same rule decides, and the same tags are given."""
        ready = read(tables)
        expected: Decision | None = None
        tags: list[str] = []
        for rule in ready:
            if rule.fits("mx", facts) is False:
                continue
            decision = rule.decision(True, facts)
            if decision.action != "tag":
                expected = decision
                break
            tags.append(decision.rule)
        for number, subjects in enumerate(STAGES):
            known = {subject: facts[subject] for subject in subjects}
            told, decided = decide(ready, "mx", known, number == len(STAGES) - 1)
            # What is said early is never taken back.
            self.assertEqual(tags[: len(told)], [tag.rule for tag in told])
            if decided is not None:
                break
        self.assertEqual(expected, decided)
        self.assertEqual(tags, [tag.rule for tag in told])

    @BOUNDED
    @given(st.lists(st.text(max_size=12), max_size=5), st.text(max_size=30))
    def test_any_text(self, patterns: list[str], text: str) -> None:
        """Whatever somebody writes is a pattern or a mistake; whatever a stranger sends fits or does not."""
        try:
            ready = Patterns((pattern, pattern) for pattern in patterns)
        except WrongPattern:
            return
        self.assertIn(ready.find(text), [None, *patterns])
