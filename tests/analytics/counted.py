"""Numbers as a table, for comparing; and events of a whole life."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from mta.analytics.schema import DATABASE

#: Without what is derived of it.
_ALL = """SELECT t.name, c.dimension, c.width, c.bucket, c.journal, v.name, c.measure, c.number FROM counts c
    JOIN names t ON t.id = c.tenant JOIN names v ON v.id = c.value
    WHERE c.number <> 0 AND c.width <> 3"""


def table(directory: Path) -> dict[tuple[Any, ...], int]:
    """All numbers of a shard, by what they are of."""
    with closing(sqlite3.connect(directory / DATABASE)) as base:
        return {row[:-1]: row[-1] for row in base.execute(_ALL)}


def tables(spool: Path) -> dict[tuple[Any, ...], int]:
    """Those of all shards."""
    return {
        (path.parent.name, *key): number
        for path in sorted(spool.glob(f"*/{DATABASE}"))
        for key, number in table(path.parent).items()
    }
