"""Sequences as boxes within each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.sequence.chart import Box, chart
from mta.sequence.definition import Definition
from mta.sequence.person import check_foreign
from mta.sequence.reading import read
from mta.sequence.starting_points import STARTING_POINTS
from mta.sequence.writing import toml

WHEN = {"attribute": "plan", "is": "pro"}


def definition(*steps: dict[str, Any]) -> Definition:
    """One of steps."""
    return Definition.model_validate({"from": "a@example.org", "steps": list(steps)})


def wait(name: str, **more: Any) -> dict[str, Any]:
    """A step that only waits."""
    return {"id": name, "do": "wait", "for": "1d", **more}


def branch(name: str, then: str, otherwise: str) -> dict[str, Any]:
    """A step with two ways."""
    return {"id": name, "do": "branch", "when": WHEN, "then": then, "otherwise": otherwise}


def names(boxes: Sequence[Box]) -> Iterator[str]:
    """All of them, as they are drawn."""
    for box in boxes:
        yield box.id
        for lane in box.lanes:
            yield from names(lane.boxes)


class ChartTests(SynchronousTestCase):
    """See :func:`mta.sequence.chart.chart`."""

    def test_ways_meet(self) -> None:
        boxes = chart(definition(branch("if", "a", "b"), wait("a", next="c"), wait("b"), wait("c")))
        self.assertEqual(["if", "c"], [one.id for one in boxes])
        self.assertEqual([["a"], ["b"]], [[one.id for one in lane.boxes] for lane in boxes[0].lanes])
        self.assertEqual([True, True], [lane.meets for lane in boxes[0].lanes])
        self.assertTrue(boxes[-1].falls)

    def test_ways_end(self) -> None:
        """One way ends; what follows the other is drawn within it."""
        boxes = chart(definition(branch("if", "a", "b"), {"id": "a", "do": "exit"}, wait("b"), wait("c")))
        self.assertEqual(["if"], [one.id for one in boxes])
        self.assertFalse(boxes[0].falls)
        self.assertEqual([["a"], ["b", "c"]], [list(names(lane.boxes)) for lane in boxes[0].lanes])
        self.assertFalse(boxes[0].lanes[1].meets)

    def test_shared(self) -> None:
        """A step to which two ways lead before they meet is drawn once, and named by the other."""
        boxes = chart(
            definition(branch("if", "a", "b"), branch("a", "b", "c"), wait("b"), {"id": "c", "do": "exit"})
        )
        found = list(names(boxes))
        self.assertEqual(sorted(set(found)), sorted(found))
        self.assertEqual({"if", "a", "b", "c"}, set(found))

    def test_deep(self) -> None:
        """Every step is drawn once, however deep ways lie within ways."""
        steps = [branch(f"s{number}", f"s{number + 1}", f"x{number}") for number in range(60)]
        steps += [wait("s60"), *({"id": f"x{number}", "do": "exit"} for number in range(60))]
        found = list(names(chart(definition(*steps))))
        self.assertEqual(sorted(one["id"] for one in steps), sorted(found))

    def test_starting_points(self) -> None:
        """Each is sound, drawn whole, and the same when it was written and read again."""
        for one in STARTING_POINTS:
            made = read(one.text("example.org"), "", check_foreign)
            self.assertEqual({step.id for step in made.steps}, set(names(chart(made))))
            self.assertEqual(made, read(toml(made.to_json()), "", check_foreign))

    def test_no_null(self) -> None:
        made = definition({"id": "a", "do": "set", "attributes": {"plan": None}})
        with self.assertRaises(ValueError):
            toml(made.to_json())
