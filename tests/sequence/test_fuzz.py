"""Definitions and facts that are made up: nothing but mistakes with a place, and no run without an end."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from mta.config.problem import ConfigurationError
from mta.sequence.definition import Definition
from mta.sequence.drawing import drawn
from mta.sequence.engine import advance, begin
from mta.sequence.enrolment import NEVER
from mta.sequence.person import check_foreign
from mta.sequence.reading import checked, read
from mta.sequence.rehearsal import Rehearsed, Supposed, rehearse
from tests.sequence.fakes import DAY, NOW, Known, at
from tests.sequence.test_reading import WELCOME

WELCOME_JSON = read(WELCOME, "w.toml", check_foreign).to_json()
_VALUES: list[Any] = [
    None,
    0,
    -1,
    1e999,
    "",
    "x",
    "2d",
    [],
    {},
    True,
    {"opened": "a"},
    [{}],
    "\ud800",
    10**30,
    "09:00",
]
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=20,
)


def mutated(random: Random, data: Any) -> Any:
    """The same with something else somewhere."""
    made = copy.deepcopy(data)
    for _ in range(random.randint(1, 3)):
        node = made
        while True:
            keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = random.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and random.random() < 0.8:
                node = node[key]
                continue
            if random.random() < 0.2:
                del node[key]
            else:
                node[key] = random.choice([*_VALUES, copy.deepcopy(node[key])])
            break
    return made


def sequence(random: Random) -> dict[str, Any]:
    """One that is right."""
    count = random.randint(1, 12)
    names = [f"s{number}" for number in range(count)]
    senders: list[str] = []
    steps: list[dict[str, Any]] = []

    def condition() -> dict[str, Any]:
        leaves: list[dict[str, Any]] = [{"event": "e"}, {"attribute": "x", "is": 1}]
        leaves += [{word: name} for name in senders[:1] for word in ("opened", "clicked", "bounced")]
        leaf = random.choice(leaves)
        return random.choice([leaf, {"not": leaf}, {"any": [leaf, random.choice(leaves)]}, {"all": [leaf]}])

    for number, name in enumerate(names):
        below = names[number + 1 :]
        kind = random.choice(["send", "wait", "time", "when", "branch", "notify", "set"])
        one: dict[str, Any] = {"id": name}
        if kind in ("send", "notify"):
            one |= {"do": kind, "template": "t"}
            senders.append(name)
        elif kind == "wait":
            one |= {"do": "wait", "for": random.choice(["1s", "3h", "9d"])}
        elif kind == "time":
            days = random.sample(["mon", "tue", "sat"], random.randint(0, 3))
            one |= {"do": "wait_until", "time": random.choice(["00:00", "02:30", "23:59"]), "days": days}
        elif kind == "set":
            one |= {"do": "set", "attributes": {"x": 1}}
        else:
            one |= {"do": "branch" if kind == "branch" else "wait_until", "when": condition()}
            if kind == "when" and random.random() < 0.7:
                one["timeout"] = "2d"
            # The next is reached by one of the ways at least.
            if below:
                one["then"] = random.choice(below)
        steps.append(one)
    made: dict[str, Any] = {"from": "a@example.org", "steps": steps}
    if random.random() < 0.5:
        made["quiet"] = {"from": "21:00", "until": "08:00"}
    if random.random() < 0.5:
        made["cap"] = {"messages": 1, "within": "1d", "over": random.choice(["wait", "skip"])}
    if random.random() < 0.3:
        made["exits"] = [{"when": condition()}]
    return made


class FuzzTests(SynchronousTestCase):
    @given(JSON)
    @settings(max_examples=300)
    def test_any_json(self, data: Any) -> None:
        """Whatever it is, it is a mistake with words."""
        for made in (data, {"steps": data}, {"steps": [data]}, {**WELCOME_JSON, "exits": [{"when": data}]}):
            if not isinstance(made, dict):
                continue
            try:
                checked(made, check_foreign)
            except ConfigurationError as error:
                self.assertTrue(all(problem.what for problem in error.problems))

    @given(some.text())
    @settings(max_examples=200)
    def test_any_text(self, text: str) -> None:
        for form in ("toml", "json", ""):
            try:
                read(text, "x", check_foreign, form)
            except ConfigurationError as error:
                self.assertTrue(error.problems)

    @given(some.randoms(use_true_random=False))
    @settings(max_examples=400)
    def test_almost_right(self, random: Random) -> None:
        """What is taken after all can be drawn, kept and read again."""
        try:
            made = checked(mutated(random, WELCOME_JSON), check_foreign)
        except ConfigurationError:
            return
        self.same(made)

    def same(self, made: Definition) -> None:
        self.assertTrue(drawn(made))
        self.assertEqual(made, checked(json.loads(json.dumps(made.to_json())), check_foreign))

    @given(some.randoms(use_true_random=False))
    @settings(max_examples=400)
    def test_runs(self, random: Random) -> None:
        """Each ends, or waits for what may never happen; and a look too many changes nothing."""
        made = checked(sequence(random), check_foreign)
        self.same(made)
        names = [one.id for one in made.steps]
        known = Known(zone=random.choice(["", "Europe/Berlin", "Asia/Kathmandu", "nowhere"]))
        now = NOW + random.randint(0, 10**7)
        run, actions = begin(at(""), made, now), []
        for _ in range(200):
            run, wanted = advance(made, run, known, now)
            actions += wanted
            known.times += [now for one in wanted if one.kind == "send"]
            self.assertEqual((run, []), advance(made, run, known, now))
            if not run.active or run.until == NEVER:
                break
            self.assertLess(now, run.until)
            self.assertEqual((run, []), advance(made, run, known, (now + run.until) / 2))
            if random.random() < 0.3:
                known.outcomes.add((random.choice(names), random.choice(["opened", "clicked"])))
                known.events.append(("e", {}))
            # Late, sometimes; and the clock is set back, sometimes.
            now = run.until + random.choice([0.0, 0.0, 1.0, 9 * DAY])
        else:
            self.fail(f"it does not end: {made.to_json()}")
        # Steps lead forward: none is done twice.
        done = [one.step for one in actions if one.kind in ("send", "set", "webhook")]
        self.assertEqual(sorted(set(done), key=names.index), done)
        supposed = [Supposed(3600.0, "opened", random.choice(names)), Supposed(DAY, event="e")]
        lines = rehearse(made, at(""), Rehearsed(supposed=supposed), NOW)
        self.assertLess(len(lines), 1000)
