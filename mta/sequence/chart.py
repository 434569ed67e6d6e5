"""A sequence as boxes within each other: what comes after what, and the ways of each condition side by side.

Ways lie side by side up to the step at which all of them meet again.  A step that more than one way
leads to before that is drawn once; the other ways name it.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mta.sequence.definition import AnyStep, Branch, Definition, Exit, WaitUntil
from mta.sequence.drawing import step_words

#: As deep as ways lie within ways; what is deeper is written below.
_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class Lane:
    """One way.

    :ivar word: ``yes``, ``no``, ``too late``.
    :ivar way: ``then`` or ``otherwise``.
    :ivar boxes: what is done there, in order.
    :ivar leads: the step that follows, where it is drawn elsewhere; ``""``: the end.
    :ivar meets: whether it goes on below, where the ways meet.
    """

    word: str
    way: str
    boxes: Sequence[Box]
    leads: str
    meets: bool


@dataclass(frozen=True, slots=True)
class Box:
    """One step.

    :ivar words: what it does.
    :ivar lanes: its ways, where it has two.
    :ivar leads: the step that follows, where it is not the one that is drawn below; ``""``: the end.
    :ivar falls: whether what is drawn below follows.
    """

    id: str
    do: str
    title: str
    words: str
    lanes: Sequence[Lane] = field(default_factory=tuple)
    leads: str = ""
    falls: bool = True


def chart(definition: Definition) -> list[Box]:
    """The boxes of a sequence, in order."""
    drawn = _Drawing(definition)
    boxes = drawn.run(definition.steps[0].id, "", 0)
    # What only lanes lead to that were cut off.
    for one in definition.steps:
        if one.id not in drawn.done:
            boxes += drawn.run(one.id, "", 0)
    return boxes


def ways(definition: Definition, step: AnyStep) -> list[tuple[str, str, str]]:
    """The ways out of a step: word, ``then`` or ``otherwise`` or ``""``, and the step; ``""``: the end."""
    if isinstance(step, Exit):
        return []
    if isinstance(step, Branch) or (isinstance(step, WaitUntil) and step.when is not None):
        late = "no" if isinstance(step, Branch) else "too late"
        return [
            ("yes", "then", definition.after(step, step.then)),
            (late, "otherwise", definition.after(step, step.otherwise)),
        ]
    return [("", "", definition.after(step))]


class _Drawing:
    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._steps: Mapping[str, AnyStep] = {one.id: one for one in definition.steps}
        self._meets = _meetings(definition)
        self.done: set[str] = set()

    def run(self, at: str, until: str, depth: int) -> list[Box]:
        """The boxes from one step up to another."""
        found: list[Box] = []
        while at and at != until and at not in self.done:
            self.done.add(at)
            step = self._steps[at]
            out = ways(self._definition, step)
            if len(out) == 2 and out[0][2] != out[1][2]:
                below = self._meets[at]
                deep = depth >= _DEEPEST
                lanes = [self._lane(*one, below, depth + 1, deep) for one in out]
                found.append(self._box(step, lanes, falls=bool(below) and not deep))
                if deep:
                    for _, _, target in out:
                        found += self.run(target, below, depth)
            else:
                below = out[0][2] if out else ""
                there = not below or below in self.done
                # Where the ways meet is drawn by who has opened them.
                falls = bool(out) and (below == until or not there)
                found.append(self._box(step, (), below if not falls else "", falls))
            at = below
        return found

    def _lane(self, word: str, way: str, target: str, below: str, depth: int, deep: bool) -> Lane:
        meets = bool(target) and target == below and not deep
        if deep or not target or meets or target in self.done:
            return Lane(word, way, (), "" if meets else target, meets)
        boxes = self.run(target, below, depth)
        return Lane(word, way, boxes, "", boxes[-1].falls and bool(below))

    def _box(self, step: AnyStep, lanes: Sequence[Lane], leads: str = "", falls: bool = True) -> Box:
        return Box(step.id, step.do, step.title, step_words(step), tuple(lanes), leads, falls)


def _meetings(definition: Definition) -> dict[str, str]:
    """For each step the first that all ways from it come to; ``""``: they meet at the end only."""
    after: dict[str, set[str]] = {"": {""}}
    place = {one.id: number for number, one in enumerate(definition.steps)}
    found = {}
    for one in reversed(definition.steps):
        common: set[str] = set.intersection(
            *(after[target] for _, _, target in ways(definition, one) or [("", "", "")])
        )
        found[one.id] = min((name for name in common if name), key=lambda name: place[name], default="")
        after[one.id] = common | {one.id}
    return found
