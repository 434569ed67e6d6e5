"""Conditions as SQL, with every value as a parameter, and who is selected by them, piece by piece."""

# ruff: noqa: S608 -- no text in these statements comes from outside.

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from mta.audience import condition as c
from mta.audience.condition import Condition, ConditionError, Test
from mta.audience.contact import Contact
from mta.audience.contacts import COLUMNS, contact_of

#: Contacts that one piece looks at.
SPAN = 5000
#: Segments that one leads to through others.
_DEEPEST = 10

_TEXT_FIELDS = {
    **{name: f"contacts.{name}" for name in c.TEXT_FIELDS},
    "domain": "substr(contacts.address, instr(contacts.address, '@') + 1)",
}
_COMPARED = {"less": "<", "at_most": "<=", "more": ">", "at_least": ">="}


class Query:
    """A condition as SQL over the table ``contacts``.

    :param base: has the segments that it leads to.
    :param now: when it is asked, in seconds since 1970.
    :ivar text: the expression.
    :ivar values: its parameters.
    :raise ConditionError: if it leads to a segment that is not there, or to itself.
    """

    def __init__(self, base: sqlite3.Connection, tenant: str, condition: Condition, now: float) -> None:
        self._base = base
        self._tenant = tenant
        self._now = now
        self._within: tuple[str, ...] = ()
        self.values: list[Any] = []
        self.text = self._condition(condition)

    def _put(self, value: Any) -> str:
        self.values.append(value)
        return "?"

    def _condition(self, one: Condition) -> str:
        if isinstance(one, c.Both):
            joint = " AND " if one.every else " OR "
            return f"({joint.join([self._condition(part) for part in one.parts])})"
        if isinstance(one, c.Not):
            return f"NOT coalesce({self._condition(one.part)}, 0)"
        if isinstance(one, c.OfAttribute):
            return self._all([self._json("contacts.attributes", one.path, test) for test in one.tests])
        if isinstance(one, c.OfField):
            return self._all([self._field(one.name, test) for test in one.tests])
        if isinstance(one, c.OnList):
            return (
                "EXISTS (SELECT 1 FROM memberships JOIN lists ON lists.id = memberships.list"
                f" WHERE memberships.contact = contacts.id AND lists.tenant = {self._put(self._tenant)}"
                f" AND lists.name = {self._put(one.name)}"
                f" AND memberships.state IN ({', '.join([self._put(state) for state in one.states])}))"
            )
        if isinstance(one, c.Did):
            return self._did(one)
        return self._segment(one.name)

    def _segment(self, name: str) -> str:
        if name in self._within or len(self._within) >= _DEEPEST:
            raise ConditionError("", f"the segment {name} leads to itself, or through too many others")
        query = "SELECT condition FROM segments WHERE tenant = ? AND name = ?"
        row = self._base.execute(query, (self._tenant, name)).fetchone()
        if row is None:
            raise ConditionError("", f"there is no segment {name}")
        before, self._within = self._within, (*self._within, name)
        text = self._condition(c.parse(json.loads(row[0])))
        self._within = before
        return text

    @staticmethod
    def _all(parts: list[str]) -> str:
        return f"({' AND '.join(parts)})"

    # --- values ------------------------------------------------------------------

    def _field(self, name: str, test: Test) -> str:
        if name in c.TIME_FIELDS:
            column = f"contacts.{name}"
            if test.operator == "exists":
                return f"({column} > 0) = {self._put(test.value)}"
            sign = "<" if test.operator == "before" else ">"
            return f"({column} > 0 AND {column} {sign} {self._put(test.value.at(self._now))})"
        column = _TEXT_FIELDS[name]
        if test.operator == "exists":
            return f"({column} <> '') = {self._put(test.value)}"
        if test.operator in ("is", "is_not"):
            return f"{column} {'=' if test.operator == 'is' else '<>'} {self._put(test.value)}"
        if test.operator in ("in", "not_in"):
            word = "IN" if test.operator == "in" else "NOT IN"
            return f"{column} {word} (SELECT value FROM json_each({self._put(json.dumps(test.value))}))"
        return self._part_of_text(column, (), test)

    def _json(self, column: str, path: Sequence[str], test: Test) -> str:
        # Names have no quotes (ATTRIBUTE), and stand in a parameter all the same.
        where = "$" + "".join(f'."{name}"' for name in path)
        kind = f"json_type({column}, {self._put(where)})"
        if test.operator == "exists":
            return f"(ifnull({kind}, 'null') <> 'null') = {self._put(test.value)}"
        if test.operator in ("is", "is_not"):
            found = self._equal(kind, column, where, (test.value,))
            return found if test.operator == "is" else f"NOT coalesce({found}, 0)"
        if test.operator in ("in", "not_in"):
            found = self._equal(kind, column, where, test.value)
            return found if test.operator == "in" else f"NOT coalesce({found}, 0)"
        if test.operator in _COMPARED:
            value = f"json_extract({column}, {self._put(where)})"
            sign = _COMPARED[test.operator]
            return f"({kind} IN ('integer', 'real') AND {value} {sign} {self._put(test.value)})"
        if test.operator in ("before", "after"):
            # SQLite reads times as ISO 8601 writes them; a mere number would be a Julian day.
            value = f"json_extract({column}, {self._put(where)})"
            again = f"json_extract({column}, {self._put(where)})"
            sign = "<" if test.operator == "before" else ">"
            at = self._put(test.value.at(self._now))
            return f"({kind} = 'text' AND {value} GLOB '[0-9]*-*-*' AND unixepoch({again}) {sign} {at})"
        if test.operator == "contains":
            each = f"json_each({column}, {self._put(where)})"
            member = f"({kind} = 'array' AND EXISTS (SELECT 1 FROM {each} AS one WHERE {self._member(test)}))"
            if not isinstance(test.value, str):
                return member
            kind = f"json_type({column}, {self._put(where)})"
            return f"({member} OR ({kind} = 'text' AND {self._part_of_text(column, (where,), test)}))"
        return f"({kind} = 'text' AND {self._part_of_text(column, (where,), test)})"

    def _member(self, test: Test) -> str:
        if isinstance(test.value, bool):
            return f"one.type = {self._put('true' if test.value else 'false')}"
        return f"(one.type NOT IN ('true', 'false') AND one.value = {self._put(test.value)})"

    def _equal(self, kind: str, column: str, where: str, values: Sequence[Any]) -> str:
        """A value is one of these: true is no 1, and "1" is none."""
        truths = ["true" if value else "false" for value in values if isinstance(value, bool)]
        others = [value for value in values if not isinstance(value, bool)]
        parts = []
        if truths:
            parts.append(f"{kind} IN (SELECT value FROM json_each({self._put(json.dumps(truths))}))")
        if others:
            if truths:
                kind = f"json_type({column}, {self._put(where)})"
            value = f"json_extract({column}, {self._put(where)})"
            some = f"SELECT value FROM json_each({self._put(json.dumps(others))})"
            parts.append(f"({kind} IN ('text', 'integer', 'real') AND {value} IN ({some}))")
        return f"({' OR '.join(parts)})"

    def _part_of_text(self, column: str, where: tuple[str, ...], test: Test) -> str:
        """Capitals of ASCII are small letters here."""

        def value() -> str:
            text = f"json_extract({column}, {self._put(where[0])})" if where else column
            return f"lower({text})"

        wanted = str(test.value)
        if test.operator == "contains":
            return f"instr({value()}, lower({self._put(wanted)})) > 0"
        length = len(wanted)
        if test.operator == "starts_with":
            return f"substr({value()}, 1, {self._put(length)}) = lower({self._put(wanted)})"
        return f"substr({value()}, {self._put(-length)}) = lower({self._put(wanted)})"

    # --- what was done -------------------------------------------------------------

    def _did(self, one: c.Did) -> str:
        parts = [
            "facts.contact = contacts.id",
            f"facts.kind = {self._put(one.kind)}",
            f"facts.at >= {self._put(one.since.at(self._now) if one.since else 0.0)}",
            f"facts.at <= {self._put(one.until.at(self._now) if one.until else self._now)}",
        ]
        names = {"name": one.name or one.link, "campaign": one.campaign, "list": one.list}
        names["message"] = one.message
        parts += [f"facts.{column} = {self._put(value)}" for column, value in names.items() if value]
        for path, tests in one.where:
            parts += [self._json("facts.properties", path, test) for test in tests]
        # Nobody counts further than needed.
        enough = one.least if one.most is None else one.most + 1
        some = f"SELECT 1 FROM facts WHERE {' AND '.join(parts)} LIMIT {self._put(max(1, enough))}"
        count = f"(SELECT count(*) FROM ({some}))"
        if one.most is None:
            return f"{count} >= {self._put(one.least)}"
        return f"{count} BETWEEN {self._put(one.least)} AND {self._put(one.most)}"


def matches(base: sqlite3.Connection, tenant: str, condition: Condition, contact: int, now: float) -> bool:
    """Whether a condition holds for one contact.

    :raise ConditionError: see :class:`Query`.
    """
    query = Query(base, tenant, condition, now)
    text = f"SELECT 1 FROM contacts WHERE contacts.id = ? AND contacts.tenant = ? AND {query.text}"
    return base.execute(text, (contact, tenant, *query.values)).fetchone() is not None


def piece(
    base: sqlite3.Connection,
    tenant: str,
    condition: Condition,
    after: int,
    limit: int,
    now: float,
    span: int = SPAN,
) -> tuple[list[Contact], int | None]:
    """Some of those for whom a condition holds, by number.

    :param after: the number that the piece before ended with; 0: the first piece.
    :param limit: contacts at the most.
    :param span: contacts that are looked at, at the most.
    :return: them, and ``after`` of the next piece; ``None``: there is no more.
    :raise ConditionError: see :class:`Query`.
    """
    last = _reach(base, tenant, after, span)
    if last is None:
        return [], None
    query = Query(base, tenant, condition, now)
    text = (
        f"SELECT {COLUMNS} FROM contacts WHERE contacts.tenant = ? AND contacts.id > ? AND contacts.id <= ?"
        f" AND {query.text} ORDER BY contacts.id LIMIT ?"
    )
    rows = base.execute(text, (tenant, after, last, *query.values, limit)).fetchall()
    found = [contact_of(row) for row in rows]
    return found, found[-1].id if len(found) == limit else last


def counted(
    base: sqlite3.Connection, tenant: str, condition: Condition, after: int, now: float, span: int = SPAN
) -> tuple[int, int | None]:
    """How many of one piece a condition holds for, and ``after`` of the next; see :func:`piece`."""
    last = _reach(base, tenant, after, span)
    if last is None:
        return 0, None
    query = Query(base, tenant, condition, now)
    text = (
        "SELECT count(*) FROM contacts WHERE contacts.tenant = ? AND contacts.id > ? AND contacts.id <= ?"
        f" AND {query.text}"
    )
    (count,) = base.execute(text, (tenant, after, last, *query.values)).fetchone()
    return int(count), last


def _reach(base: sqlite3.Connection, tenant: str, after: int, span: int) -> int | None:
    """The number up to which a piece goes; ``None``: there is nobody any more."""
    query = "SELECT max(id) FROM (SELECT id FROM contacts WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?)"
    (last,) = base.execute(query, (tenant, after, span)).fetchone()
    return None if last is None else int(last)
