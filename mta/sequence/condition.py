"""Conditions of branches, waits and exits.

Some are about this run of the sequence, and are decided here:

``{"opened": "welcome"}``
    the message of this step was opened; so for ``clicked``, ``delivered``, ``bounced``, ``complained``
``{"event": "purchase"}``
    the application has told of it since the contact came in, with ``where`` for its properties and
    ``at_least`` for how often

``{"all": [...]}``, ``{"any": [...]}`` and ``{"not": ...}`` join them.  All others (attributes, lists,
segments, behaviour, events ``within`` a span) are those of segments, and are asked as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

#: What may have become of a message.
OUTCOMES = ("opened", "clicked", "delivered", "bounced", "complained")
#: How deep conditions may be nested, and how many there may be.
_DEEPEST, _MOST = 8, 100
_JOINTS = ("all", "any", "not")
#: Of an event in this run; with any other key it is a condition of segments.
_EVENT = frozenset({"event", "where", "at_least"})
#: How a property is compared.
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "is": lambda value, wanted: _same(value, wanted),
    "is_not": lambda value, wanted: not _same(value, wanted),
    "in": lambda value, wanted: any(_same(value, one) for one in wanted),
    "not_in": lambda value, wanted: not any(_same(value, one) for one in wanted),
    "less": lambda value, wanted: _ordered(value, wanted) and value < wanted,
    "at_most": lambda value, wanted: _ordered(value, wanted) and value <= wanted,
    "more": lambda value, wanted: _ordered(value, wanted) and value > wanted,
    "at_least": lambda value, wanted: _ordered(value, wanted) and value >= wanted,
    "contains": lambda value, wanted: isinstance(value, str | list) and wanted in value,
    "starts_with": lambda value, wanted: isinstance(value, str) and value.startswith(wanted),
    "ends_with": lambda value, wanted: isinstance(value, str) and value.endswith(wanted),
    "exists": lambda value, wanted: (value is not None) is wanted,
}


class Wrong(ValueError):
    """A condition is none.

    :param place: keys on the way to it.
    :param what: is wrong.
    :param remedy: what to do.
    """

    def __init__(self, place: Sequence[str | int], what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.place = tuple(place)
        self.what = what
        self.remedy = remedy


class Known(Protocol):
    """What conditions are about."""

    def became(self, step: str, outcome: str) -> bool:
        """Whether the message of a step was opened, and so on."""

    def happened(self, event: str, where: Mapping[str, Any]) -> int:
        """How often the application told of an event in this run."""

    def matches(self, condition: Mapping[str, Any]) -> bool:
        """Whether a condition of segments holds for the contact."""


def holds(condition: Mapping[str, Any], known: Known) -> bool:
    """Whether a condition, which was checked before, holds."""
    if "all" in condition:
        return all(holds(one, known) for one in condition["all"])
    if "any" in condition:
        return any(holds(one, known) for one in condition["any"])
    if "not" in condition:
        return not holds(condition["not"], known)
    for outcome in OUTCOMES:
        if outcome in condition:
            return known.became(condition[outcome], outcome)
    if "event" in condition and set(condition) <= _EVENT:
        count = known.happened(condition["event"], condition.get("where") or {})
        return count >= int(condition.get("at_least", 1))
    return known.matches(condition)


def check(
    condition: Any,
    steps: Collection[str],
    foreign: Callable[[Mapping[str, Any]], None],
    place: Sequence[str | int] = (),
) -> None:
    """Whether it is a condition.

    :param steps: those that send.
    :param foreign: checks one of segments.
    :raise Wrong: if it is none.
    """
    if sum(1 for _ in _parts(condition, place, 0)) > _MOST:
        raise Wrong(place, f"it has more than {_MOST} parts")
    for where, part in _parts(condition, place, 0):
        _check_one(part, steps, foreign, where)


def _parts(data: Any, place: Sequence[str | int], depth: int) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    where = tuple(place)
    if depth > _DEEPEST:
        raise Wrong(where, f"conditions are nested more than {_DEEPEST} deep")
    if not isinstance(data, Mapping) or not data:
        raise Wrong(where, "this is no condition", 'write { opened = "STEP" }, { event = "NAME" } and so on')
    joint = next((word for word in _JOINTS if word in data), "")
    if not joint:
        yield where, data
        return
    if len(data) > 1:
        extra = ", ".join(sorted(str(key) for key in data if key != joint))
        raise Wrong(where, f"{joint} stands alone, without {extra}", "join them by all = [...]")
    inside = data[joint]
    if joint == "not":
        yield from _parts(inside, (*where, joint), depth + 1)
        return
    if not isinstance(inside, list | tuple) or not inside:
        raise Wrong((*where, joint), "this is a list of conditions", f"write {joint} = [{{...}}, {{...}}]")
    for number, one in enumerate(inside):
        yield from _parts(one, (*where, joint, number), depth + 1)


def _check_one(
    data: Mapping[str, Any],
    steps: Collection[str],
    foreign: Callable[[Mapping[str, Any]], None],
    place: tuple[str | int, ...],
) -> None:
    outcome = next((word for word in OUTCOMES if word in data), "")
    if outcome:
        step = data[outcome]
        if len(data) > 1:
            raise Wrong(place, f"{outcome} stands alone", "join conditions by all = [...]")
        if step not in steps:
            there = ", ".join(sorted(steps)) or "there is none"
            raise Wrong((*place, outcome), f"no step {step!r:.80} sends anything", f"steps that do: {there}")
        return
    if "event" in data and set(data) <= _EVENT:
        name, least = data["event"], data.get("at_least", 1)
        if not isinstance(name, str) or not 0 < len(name) <= 200:
            raise Wrong((*place, "event"), "this is the name of an event")
        if not isinstance(least, int) or isinstance(least, bool) or not 1 <= least <= 1000:
            raise Wrong((*place, "at_least"), "this is a whole number from 1 to 1000")
        check_where(data.get("where", {}), (*place, "where"))
        return
    foreign_checked(data, foreign, place)


def foreign_checked(
    data: Mapping[str, Any], foreign: Callable[[Mapping[str, Any]], None], place: tuple[str | int, ...]
) -> None:
    """Check a condition of segments.

    :raise Wrong: if it is none.
    """
    try:
        foreign(data)
    except Wrong as error:
        raise Wrong((*place, *error.place), error.what, error.remedy) from None
    except (ValueError, TypeError) as error:
        raise Wrong(place, str(error)) from None


def check_where(where: Any, place: tuple[str | int, ...]) -> None:
    """Whether these are comparisons of properties: ``{"plan": "pro", "amount": {"more": 10}}``.

    :raise Wrong: if they are none.
    """
    if not isinstance(where, Mapping) or len(where) > 20:
        raise Wrong(place, "this is a table of properties, 20 at the most", 'write { plan = "pro" }')
    for name, wanted in where.items():
        if not isinstance(wanted, Mapping):
            continue
        unknown = sorted(str(word) for word in wanted if word not in COMPARISONS)
        if unknown or not wanted:
            known = ", ".join(COMPARISONS)
            raise Wrong(
                (*place, name), f"{', '.join(unknown) or 'nothing'} compares nothing", f"one of {known}"
            )
        for word, value in wanted.items():
            if word in ("in", "not_in") and not isinstance(value, list | tuple):
                raise Wrong((*place, name, word), "this is a list")
            if word == "exists" and not isinstance(value, bool):
                raise Wrong((*place, name, word), "this is true or false")
            if word in ("starts_with", "ends_with", "contains") and not isinstance(value, str):
                raise Wrong((*place, name, word), "this is text")


def fits(where: Mapping[str, Any], properties: Mapping[str, Any]) -> bool:
    """Whether properties of an event are as is wanted; all comparisons hold."""
    for name, wanted in where.items():
        value = properties.get(name)
        comparisons = wanted if isinstance(wanted, Mapping) else {"is": wanted}
        if not all(COMPARISONS[word](value, what) for word, what in comparisons.items()):
            return False
    return True


def _same(one: Any, other: Any) -> bool:
    # True is no 1 here.
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _ordered(one: Any, other: Any) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return numbers or (isinstance(one, str) and isinstance(other, str))
