"""Conditions of segments as data: checked once, with the place of each mistake; pure.

::

    {"all": [{"attribute": "plan", "in": ["pro", "team"]},
             {"not": {"behaviour": "opened", "within": "30d"}},
             {"event": "bought", "at_least": 2, "where": {"amount": {"more": 10}}}]}
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from mta.audience.contact import ATTRIBUTE
from mta.audience.facts import KINDS
from mta.audience.memberships import STATES

#: Conditions in one, and how deep they lie in each other.
MOST = 200
DEEPEST = 10
#: Values of one ``in``, and characters of one text.
MOST_VALUES = 1000
LONGEST = 1000

#: What values may be asked for.
_VALUES = ("is", "is_not")
_SEVERAL = ("in", "not_in")
_NUMBERS = ("less", "at_most", "more", "at_least")
_TEXTS = ("contains", "starts_with", "ends_with")
_TIMES = ("before", "after")
OPERATORS = (*_VALUES, *_SEVERAL, *_NUMBERS, *_TEXTS, *_TIMES, "exists")
#: Fields of a contact.
TEXT_FIELDS = ("address", "domain", "name", "locale", "time_zone", "channel", "source")
TIME_FIELDS = ("created", "changed", "consented")
_OF_TEXT = (*_VALUES, *_SEVERAL, *_TEXTS, "exists")
_OF_TIME = (*_TIMES, "exists")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_RELATIVE = re.compile(r"now(?:([+-])([0-9]{1,9}[smhdw]))?")


class ConditionError(ValueError):
    """A condition is wrong.

    :ivar where: such as ``all[1].within``; ``""``: all of it.
    :ivar what: is wrong there.
    """

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.where = where
        self.what = what


@dataclass(frozen=True, slots=True)
class Moment:
    """A time: ``base`` seconds since 1970, or that long after (before) it is asked.

    :ivar relative: whether it is counted from then.
    """

    base: float
    relative: bool = False

    def at(self, now: float) -> float:
        """In seconds since 1970."""
        return now + self.base if self.relative else self.base


@dataclass(frozen=True, slots=True)
class Test:
    """One test of a value.

    :ivar operator: of :data:`OPERATORS`.
    :ivar value: JSON value, several of them, or a :class:`Moment`.
    """

    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Both:
    """All of these, or any of them."""

    every: bool
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not this."""

    part: Condition


@dataclass(frozen=True, slots=True)
class OfAttribute:
    """What an attribute is like; all tests must hold."""

    path: tuple[str, ...]
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class OfField:
    """What a field of the contact is like; all tests must hold."""

    name: str
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class OnList:
    """Whether the contact is on a list in one of these states."""

    name: str
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Did:
    """How often something happened.

    :ivar kind: of :data:`~mta.audience.facts.KINDS`.
    :ivar name: of the event.
    :ivar since: not before this; ``None``: whenever.
    :ivar until: not after this; ``None``: until now.
    :ivar least: times at the least.
    :ivar most: times at the most; ``None``: any number.
    :ivar where: tests of properties, by their path.
    """

    kind: str
    name: str = ""
    since: Moment | None = None
    until: Moment | None = None
    least: int = 1
    most: int | None = None
    campaign: str = ""
    message: str = ""
    list: str = ""
    link: str = ""
    where: tuple[tuple[tuple[str, ...], tuple[Test, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class InSegment:
    """Whether the condition of another segment holds."""

    name: str


Condition: TypeAlias = Both | Not | OfAttribute | OfField | OnList | Did | InSegment


def parse(data: Any) -> Condition:
    """A condition out of JSON values.

    :raise ConditionError: with the place of what is wrong, and what is.
    """
    return _Parser().condition(data, "", 1)


def duration(text: Any, where: str) -> float:
    """Seconds: ``30d``, ``12h``.

    :raise ConditionError: if it is none.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ConditionError(where, "it is a number and s, m, h, d or w, such as 30d")
    return int(match[1]) * _SECONDS[match[2]]


def moment(text: Any, where: str) -> Moment:
    """A time: ``2027-01-31``, ``2027-01-31T08:00:00Z``, ``now``, ``now-30d``.

    :raise ConditionError: if it is none.
    """
    if isinstance(text, str):
        match = _RELATIVE.fullmatch(text)
        if match is not None:
            length = duration(match[2], where) if match[2] else 0.0
            return Moment(-length if match[1] == "-" else length, True)
        try:
            at = datetime.fromisoformat(text)
            return Moment((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            pass
    raise ConditionError(where, "it is a time, such as 2027-01-31T08:00:00Z, 2027-01-31, now or now-30d")


class _Parser:
    """Counts what it reads."""

    def __init__(self) -> None:
        self._count = 0

    def condition(self, data: Any, where: str, depth: int) -> Condition:
        if not isinstance(data, Mapping) or not data:
            raise ConditionError(where, 'it is an object, such as {"attribute": "plan", "is": "pro"}')
        self._count += 1
        if self._count > MOST:
            raise ConditionError(where, f"there are more than {MOST} conditions")
        if depth > DEEPEST:
            raise ConditionError(where, f"conditions lie deeper than {DEEPEST} in each other")
        readers = {
            "all": self._both,
            "any": self._both,
            "not": self._not,
            "attribute": self._attribute,
            "field": self._field,
            "list": self._list,
            "behaviour": self._did,
            "event": self._did,
            "segment": self._segment,
        }
        # A list is also where something was done.
        found = [name for name in readers if name in data and not (name == "list" and "behaviour" in data)]
        if len(found) != 1:
            said = f"it has {' and '.join(found)}" if found else f"it has {', '.join(map(str, data))[:100]}"
            raise ConditionError(where, f"it has one of {', '.join(readers)}, and {said}")
        return readers[found[0]](data, where, depth, found[0])

    def _both(self, data: Mapping[str, Any], where: str, depth: int, word: str) -> Condition:
        _only(data, where, (word,))
        parts, place = data[word], _at(where, word)
        if not isinstance(parts, list) or not parts:
            raise ConditionError(place, "it is a list of conditions, of one at the least")
        made = tuple(
            self.condition(part, f"{place}[{number}]", depth + 1) for number, part in enumerate(parts)
        )
        return Both(word == "all", made)

    def _not(self, data: Mapping[str, Any], where: str, depth: int, word: str) -> Condition:
        _only(data, where, (word,))
        return Not(self.condition(data[word], _at(where, word), depth + 1))

    def _attribute(self, data: Mapping[str, Any], where: str, depth: int, word: str) -> Condition:
        return OfAttribute(_path(data[word], _at(where, word)), self._tests(data, where, (word,), OPERATORS))

    def _field(self, data: Mapping[str, Any], where: str, depth: int, word: str) -> Condition:
        name = data[word]
        if name in TIME_FIELDS:
            return OfField(name, self._tests(data, where, (word,), _OF_TIME))
        if name in TEXT_FIELDS:
            return OfField(name, self._tests(data, where, (word,), _OF_TEXT))
        raise ConditionError(_at(where, word), f"it is one of {', '.join((*TEXT_FIELDS, *TIME_FIELDS))}")

    def _list(self, data: Mapping[str, Any], where: str, depth: int, word: str) -> Condition:
        _only(data, where, (word, "state"))
        asked = data.get("state", "subscribed")
        states = tuple(asked) if isinstance(asked, list) else (asked,)
        if not states or any(state not in STATES for state in states):
            raise ConditionError(_at(where, "state"), f"it is one of {', '.join(STATES)}, or a list of those")
        return OnList(_text(data[word], _at(where, word)), states)

    def _segment(self, data: Mapping[str, Any], where: str, depth: int, word: str) -> Condition:
        _only(data, where, (word,))
        return InSegment(_text(data[word], _at(where, word)))

    def _did(self, data: Mapping[str, Any], where: str, depth: int, word: str) -> Condition:
        known = ["within", "since", "until", "at_least", "at_most", "exactly"]
        known += ["where"] if word == "event" else ["campaign", "message", "list", "link"]
        _only(data, where, (word, *known))
        kind, name = "event", ""
        if word == "event":
            name = _text(data[word], _at(where, word))
        else:
            kind = data[word]
            if kind not in KINDS[:-1]:
                raise ConditionError(_at(where, word), f"it is one of {', '.join(KINDS[:-1])}")
        if "link" in data and kind != "clicked":
            raise ConditionError(_at(where, "link"), "only what was clicked has a link")
        since = moment(data["since"], _at(where, "since")) if "since" in data else None
        if "within" in data:
            if since is not None:
                raise ConditionError(_at(where, "within"), "there is a `since` already")
            since = Moment(-duration(data["within"], _at(where, "within")), True)
        until = moment(data["until"], _at(where, "until")) if "until" in data else None
        least, most = self._counts(data, where)
        texts = {
            one: _text(data[one], _at(where, one))
            for one in ("campaign", "message", "list", "link")
            if one in data
        }
        return Did(kind, name, since, until, least, most, **texts, where=self._where(data, where))

    def _counts(self, data: Mapping[str, Any], where: str) -> tuple[int, int | None]:
        found = {name: data[name] for name in ("at_least", "at_most", "exactly") if name in data}
        for name, value in found.items():
            if type(value) is not int or not 0 <= value <= 1_000_000:
                raise ConditionError(_at(where, name), "it is a number of times, from 0 to 1000000")
        if "exactly" in found:
            if len(found) > 1:
                raise ConditionError(_at(where, "exactly"), "nothing stands beside it")
            return found["exactly"], found["exactly"]
        most = found.get("at_most")
        # "At most" alone is also never.
        least = found.get("at_least", 1 if most is None else 0)
        if most is not None and most < least:
            raise ConditionError(_at(where, "at_most"), f"it is less than at_least, {least}")
        return least, most

    def _where(
        self, data: Mapping[str, Any], where: str
    ) -> tuple[tuple[tuple[str, ...], tuple[Test, ...]], ...]:
        if "where" not in data:
            return ()
        place, asked = _at(where, "where"), data["where"]
        if not isinstance(asked, Mapping) or not asked:
            raise ConditionError(place, 'it is an object, such as {"amount": {"more": 10}}')
        found = []
        for name, tests in asked.items():
            here = _at(place, str(name))
            self._count += 1
            if not isinstance(tests, Mapping) or not tests:
                # {"currency": "EUR"} is short for {"currency": {"is": "EUR"}}.
                tests = {"is": tests}
            found.append((_path(name, here), self._tests(tests, here, (), OPERATORS)))
        if self._count > MOST:
            raise ConditionError(place, f"there are more than {MOST} conditions")
        return tuple(found)

    def _tests(
        self, data: Mapping[str, Any], where: str, besides: tuple[str, ...], known: tuple[str, ...]
    ) -> tuple[Test, ...]:
        _only(data, where, (*besides, *known))
        found = tuple(
            Test(name, _value(name, value, _at(where, name)))
            for name, value in data.items()
            if name not in besides
        )
        if not found:
            raise ConditionError(where, f"it says nothing of the value: {', '.join(known)}")
        return found


def _value(operator: str, value: Any, where: str) -> Any:
    if operator == "exists":
        if not isinstance(value, bool):
            raise ConditionError(where, "it is true or false")
        return value
    if operator in _TIMES:
        return moment(value, where)
    if operator in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConditionError(where, "it is a number; times are compared with before and after")
        return _scalar(value, where)
    if operator in _SEVERAL:
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_VALUES:
            raise ConditionError(where, f"it is a list of 1 to {MOST_VALUES} values")
        return tuple(_scalar(one, f"{where}[{number}]") for number, one in enumerate(value))
    if operator in ("starts_with", "ends_with"):
        return _text(value, where)
    return _scalar(value, where)


def _scalar(value: Any, where: str) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) <= 2**53:
        return value
    if isinstance(value, str):
        return _text(value, where, empty=True)
    raise ConditionError(where, "it is a text, a number, true or false")


def _text(value: Any, where: str, empty: bool = False) -> str:
    if not isinstance(value, str) or len(value) > LONGEST or not (value or empty):
        raise ConditionError(where, f"it is a text of at most {LONGEST} characters")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ConditionError(where, "there is a character in it that no text has")
    return value


def _path(value: Any, where: str) -> tuple[str, ...]:
    parts = value.split(".") if isinstance(value, str) else []
    if not 1 <= len(parts) <= 5 or not all(ATTRIBUTE.fullmatch(part) for part in parts):
        raise ConditionError(where, "it is the name of an attribute, such as plan or home.city")
    return tuple(parts)


def _only(data: Mapping[str, Any], where: str, known: tuple[str, ...]) -> None:
    unknown = [str(name) for name in data if name not in known]
    if unknown:
        raise ConditionError(_at(where, unknown[0][:80]), f"it is nothing here; there are {', '.join(known)}")


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
