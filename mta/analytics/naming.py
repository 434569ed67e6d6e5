"""Names of tenants and values as numbers, as the database has them."""

from __future__ import annotations

import sqlite3


class Names:
    """Numbers of names that were looked up; for one connection."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def known(self, base: sqlite3.Connection, name: str) -> int | None:
        """The number of a name; ``None``: it has none."""
        found = self._numbers.get(name)
        if found is None:
            row = base.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            found = self._remember(name, row[0])
        return found

    def number(self, base: sqlite3.Connection, name: str) -> int:
        """The number of a name, which is given one if it has none."""
        found = self.known(base, name)
        if found is None:
            base.execute("INSERT INTO names (name) VALUES (?)", (name,))
            (made,) = base.execute("SELECT last_insert_rowid()").fetchone()
            found = self._remember(name, made)
        return found

    def _remember(self, name: str, number: int) -> int:
        if len(self._numbers) >= _MOST:
            self._numbers.clear()
        self._numbers[name] = number
        return number


#: Names that are remembered.
_MOST = 20_000
