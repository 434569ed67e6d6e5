"""Definitions in files, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.config.problem import ConfigurationError
from mta.sequence.condition import Wrong
from mta.sequence.person import check_foreign
from mta.sequence.reading import checked, read
from mta.sequence.reference import lines
from tests.sequence.fakes import anything

ROOT = Path(__file__).resolve().parent.parent.parent

WELCOME = """
title = "Welcome"
from = "Shop <hello@shop.example>"
list = "customers"

[[triggers]]
event = "signed_up"
where = { plan = "free", amount = { more = 3 } }

[[exits]]
when = { event = "purchase" }
goal = true

[quiet]
from = "21:00"
until = "08:00"

[cap]
messages = 2
within = "1d"

[[steps]]
id = "welcome"
do = "send"
template = "welcome"

[[steps]]
id = "pause"
do = "wait"
for = "2d"

[[steps]]
id = "opened"
do = "branch"
when = { opened = "welcome" }
then = "tips"
otherwise = "again"

[[steps]]
id = "again"
do = "send"
template = "welcome-again"
next = "bye"

[[steps]]
id = "tips"
do = "send"
template = "tips"

[[steps]]
id = "bye"
do = "wait_until"
time = "09:00"
days = ["mon"]
"""


class PageTests(SynchronousTestCase):
    def test_reference(self) -> None:
        """docs/reference/sequences.rst; ``python -m mta.sequence.reference`` prints it."""
        page = (ROOT / "docs" / "reference" / "sequences.rst").read_text("utf-8")
        self.assertEqual("\n".join(lines()) + "\n", page)
        self.assertNotIn("None", page)

    def test_guide(self) -> None:
        """The example of docs/guides/sequences.rst is a sequence."""
        page = (ROOT / "docs" / "guides" / "sequences.rst").read_text("utf-8")
        example = page.partition(".. code-block:: toml\n")[2].partition("\n\nEvery step")[0]
        made = read(dedent(example), "welcome.toml", check_foreign)
        self.assertGreater(len(made.steps), 8)


class ReadingTests(SynchronousTestCase):
    def problems(self, text: str) -> list[str]:
        error = self.assertRaises(ConfigurationError, read, text, "w.toml", anything)
        return [str(one) for one in error.problems]

    def replaced(self, old: str, new: str) -> list[str]:
        self.assertIn(old, WELCOME)
        return self.problems(WELCOME.replace(old, new, 1))

    def test_round_trip(self) -> None:
        """What is kept says the same; JSON as well as TOML."""
        made = read(WELCOME, "w.toml", anything)
        self.assertEqual(made, checked(made.to_json(), anything))
        self.assertEqual(made, read(json.dumps(made.to_json()), "w.json", anything))

    def test_place_and_remedy(self) -> None:
        table = [
            (
                '"wait"',
                '"wiat"',
                "29: steps[2].do (pause): there is no such step: 'wiat': did you mean 'wait'?",
            ),
            ("messages = 2", "mesages = 2", "19: cap.mesages: unknown key: did you mean 'messages'?"),
            ('"09:00"', '"9"', "53: steps[6].time (bye): it is no time of day, such as"),
            (
                '"again"',
                '"agian"',
                "37: steps[3].otherwise (opened): there is no step 'agian': did you mean 'again'?",
            ),
            (
                'then = "tips"',
                'then = "welcome"',
                "36: steps[3].then (opened): 'welcome' does not stand below: steps lead forward only; "
                'to begin again, there is reentry = "after_end"',
            ),
            (
                'opened = "welcome"',
                'opened = "pause"',
                "35: steps[3].when.opened (opened): no step 'pause' sends anything: "
                "steps that do: again, tips, welcome",
            ),
            ('"2d"', '"0s"', "30: steps[2].for (pause): it is longer than nothing, and at most ten years"),
            (
                "more = 3",
                "above = 3",
                "8: triggers[1].where.amount: above compares nothing: one of is, is_not, in, not_in",
            ),
        ]
        for old, new, told in table:
            found = self.replaced(old, new)
            self.assertTrue(any(one.startswith(f"w.toml:{told}") for one in found), f"{told}: {found}")

    def test_further_mistakes(self) -> None:
        table = {
            ('next = "bye"\n', ""): None,
            ('otherwise = "again"', 'otherwise = "tips"'): "nothing leads to this step",
            ('from = "Shop <hello@shop.example>"', ""): "it is not said from whom the message is",
            ("hello@shop.example", "hello"): "it is no address",
            ('event = "signed_up"', 'event = "x"\nlist = "y"'): "a trigger is one of event, list and segment",
            ('until = "08:00"', 'until = "21:00"'): "these hours begin when they end",
            ('id = "tips"', 'id = "again"'): "again is the name of step 4, too",
            ('days = ["mon"]', 'days = ["mon"]\nthen = "x"'): "timeout, then and otherwise belong to when",
            ('time = "09:00"\ndays = ["mon"]', ""): "it waits for a time, or for a condition",
            (
                'days = ["mon"]',
                'days = ["mon"]\nzone = "Europe/Berln"',
            ): "there is no time zone 'Europe/Berln'",
            ('{ opened = "welcome" }', "{ all = [] }"): "this is a list of conditions",
            (
                '{ opened = "welcome" }',
                '{ all = [{ opened = "welcome" }], x = 1 }',
            ): "all stands alone, without x",
            ('do = "send"\ntemplate = "tips"', 'do = "webhook"'): "it posts to an endpoint, or to a url",
            ('do = "send"\ntemplate = "tips"', ""): "it is not said what this step does",
            ("[[steps]]", "[[steps]"): "this is no TOML",
        }
        for (old, new), told in table.items():
            text = WELCOME.replace(old, new, 1)
            self.assertNotEqual(WELCOME, text, old)
            if told is None:
                read(text, "w.toml", anything)
                continue
            found = self.problems(text)
            self.assertTrue(any(told in one for one in found), f"{told}: {found}")

    def test_conditions_of_segments(self) -> None:
        """They are checked by whoever knows them, with the place inside."""

        def foreign(data: Mapping[str, Any]) -> None:
            raise Wrong(("within",), "this is no span", "write 30d")

        data = {
            "exits": [{"when": {"not": {"attribute": "x", "within": 1}}}],
            "steps": [{"id": "a", "do": "exit"}],
        }
        error = self.assertRaises(ConfigurationError, checked, data, foreign)
        self.assertEqual("exits[1].when.not.within", error.problems[0].key)

    def test_bounds(self) -> None:
        deep: Any = {"event": "x"}
        for _ in range(30):
            deep = {"not": deep}
        for condition in (deep, {"any": [{"event": "x"}] * 101}):
            data = {"steps": [{"id": "a", "do": "branch", "when": condition}]}
            self.assertRaises(ConfigurationError, checked, data, anything)
        many = {"steps": [{"id": f"a{number}", "do": "exit"} for number in range(201)]}
        self.assertRaises(ConfigurationError, checked, many, anything)
        large = {
            "steps": [{"id": "a", "do": "webhook", "url": "https://a.example/", "data": {"x": "y" * 300_000}}]
        }
        self.assertRaises(ConfigurationError, checked, large, anything)

    def test_said_once(self) -> None:
        """A list of which every entry is wrong is not told to be too short as well."""
        self.assertEqual(
            ["w.toml:2: steps[1].do (a): there is no such step: 'wiat': did you mean 'wait'?"],
            self.problems('[[steps]]\ndo = "wiat"\nid = "a"'),
        )
        self.assertEqual(
            ["w.toml:1: steps: there is nothing in it: add [[steps]]"], self.problems("steps = []")
        )

    def test_not_a_table(self) -> None:
        for text in (
            "[]",
            "{",
            "null",
            "{}",
            '{"steps": 1}',
            '{"steps": [1]}',
            '{"steps": [{"do": 1}]}',
            "[" * 5000,
        ):
            self.assertRaises(ConfigurationError, read, text, "w.json", anything, "json")
