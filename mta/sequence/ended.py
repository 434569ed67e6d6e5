"""Runs that ended long ago: all but a contact's last are forgotten, and stay in the counts.

The last one of each contact in each sequence is kept, because ``reentry`` asks for it.  Functions of a
connection, for the transactions of whoever calls them.
"""

from __future__ import annotations

import sqlite3

#: Runs that are looked at in one transaction.
PIECE = 500

#: Up to where runs were looked at: in :data:`mta.sequence.enrolments.TABLES`, ``sequence_places``.
_TIME, _NUMBER = "ended time", "ended number"


def forget(base: sqlite3.Connection, before: float) -> int:
    """Look at some runs that ended before a time, in their order, and forget those that were not the last.

    :param before: in seconds since 1970.
    :return: how many were looked at; less than :data:`PIECE`: there are no more for now.
    """
    place = _place(base)
    rows = base.execute(
        "SELECT ended, id, EXISTS (SELECT 1 FROM enrolments later WHERE later.contact = e.contact"
        " AND later.sequence = e.sequence AND later.tenant = e.tenant AND later.id > e.id)"
        " FROM enrolments e WHERE outcome <> '' AND ended < ? AND (ended, id) > (?, ?)"
        " ORDER BY ended, id LIMIT ?",
        (before, *place, PIECE),
    ).fetchall()
    _forget(base, [number for _, number, later in rows if later])
    if rows:
        base.executemany(
            "INSERT OR REPLACE INTO sequence_places VALUES (?, ?)",
            [(_TIME, rows[-1][0]), (_NUMBER, float(rows[-1][1]))],
        )
    return len(rows)


def forget_passed(base: sqlite3.Connection, tenant: str, sequence: str, contact: int) -> None:
    """Forget what :func:`forget` has left of a contact that comes in once more."""
    rows = base.execute(
        "SELECT id FROM enrolments WHERE contact = ? AND tenant = ? AND sequence = ?"
        " AND outcome <> '' AND (ended, id) <= (?, ?)",
        (contact, tenant, sequence, *_place(base)),
    )
    _forget(base, [number for (number,) in rows])


def counts(base: sqlite3.Connection, tenant: str, sequence: str) -> dict[str, int]:
    """How many that are forgotten had ended how."""
    query = "SELECT outcome, count FROM sequence_ended WHERE tenant = ? AND sequence = ?"
    return dict(base.execute(query, (tenant, sequence)).fetchall())


def _place(base: sqlite3.Connection) -> tuple[float, float]:
    query = "SELECT name, value FROM sequence_places WHERE name IN (?, ?)"
    places = dict(base.execute(query, (_TIME, _NUMBER)).fetchall())
    return places.get(_TIME, 0.0), places.get(_NUMBER, 0.0)


def _forget(base: sqlite3.Connection, numbers: list[int]) -> None:
    for number in numbers:
        base.execute(
            "INSERT INTO sequence_ended SELECT tenant, sequence, outcome, 1 FROM enrolments WHERE id = ?"
            " ON CONFLICT DO UPDATE SET count = count + 1",
            (number,),
        )
        base.execute("DELETE FROM enrolments WHERE id = ?", (number,))
