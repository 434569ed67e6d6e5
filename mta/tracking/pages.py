"""Reads journals a page at a time, each page in one step of SQLite.

A row for each step would give the interpreter up and fetch it back from a busy reactor for each
event; so the database makes one text of a page.  Everything blocks.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Event, event_from
from mta.model.ids import decode_id, encode_id
from mta.tracking.index import JOURNAL
from mta.tracking.schema import open_for_reading

#: Events of a page.
PAGE = 500

_PAGE = """SELECT json_group_array(json_array(id, at, kind, message, session,
    CASE WHEN json_valid(payload) THEN json(payload) END)),
    (SELECT events FROM counters), (SELECT min(id) FROM events)
    FROM (SELECT * FROM events WHERE id > ? ORDER BY id LIMIT ?)"""
_ABOUT = """SELECT json_group_array(json_array(message, json_extract(payload, '$.tenant'),
    json_extract(payload, '$.batch'), json_extract(payload, '$.campaign'), json_extract(payload, '$.tagged')))
    FROM events WHERE kind = 'received' AND json_valid(payload)
    AND message IN (SELECT value FROM json_each(?))"""


@dataclass(frozen=True, slots=True)
class About:
    """What is to be known of a message to tell whom its events concern."""

    tenant: str
    batch: str = ""
    campaign: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Events of one shard, in order.

    :ivar events: with their numbers; those that this program does not know are left out.
    :ivar upto: the number up to which was read; that of the question: there is nothing more.
    :ivar lost: whether older ones than were asked for are gone.
    """

    events: list[tuple[int, Event]]
    upto: int
    lost: bool = False


class Pages:
    """Reads the journals of all shards.

    :param spool: the directory of all shards.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        #: Those that :meth:`next` uses, for one thread at a time.
        self._open: dict[int, sqlite3.Connection] = {}

    def shards(self) -> list[int]:
        """Those that there are."""
        found = (path.parent.name for path in self._spool.glob(f"*/{JOURNAL}"))
        return sorted(int(name) for name in found if name.isdigit())

    def ends(self) -> dict[int, int]:
        """The number of the last event of each shard."""
        return {shard: self._asked(shard, "SELECT events FROM counters", ())[0] for shard in self.shards()}

    def page(self, shard: int, after: int, limit: int = PAGE) -> JournalPage:
        """What follows a number.

        :raise TemporarilyUnavailable: if the journal cannot be read.
        """
        return _page(after, self._asked(shard, _PAGE, (after, limit)))

    def next(self, after: dict[int, int], limit: int = PAGE) -> dict[int, JournalPage]:
        """What follows in some shards; for one thread at a time, which keeps them open.

        :raise TemporarilyUnavailable: if a journal cannot be read.
        """
        found = {}
        for shard, number in after.items():
            try:
                base = self._open.get(shard)
                if base is None:
                    base = self._open[shard] = _opened(self._spool / str(shard) / JOURNAL)
                (last,) = base.execute("SELECT events FROM counters").fetchone()
                if last != number:
                    found[shard] = _page(number, base.execute(_PAGE, (number, limit)).fetchone())
            except (sqlite3.Error, OSError) as error:
                self.close()
                raise TemporarilyUnavailable(
                    f"the journal of shard {shard} cannot be read: {error}"
                ) from error
        return found

    def close(self) -> None:
        """Close what :meth:`next` has opened."""
        opened, self._open = self._open, {}
        for base in opened.values():
            base.close()

    def about(self, messages: Iterable[str]) -> dict[str, About | None]:
        """What is known of messages; ``None``: nothing, or they are no tenant's.

        :raise TemporarilyUnavailable: if a journal cannot be read.
        """
        found: dict[str, About | None] = dict.fromkeys(messages)
        by_shard: dict[int, list[int]] = {}
        for name in found:
            number = decode_id(name)
            by_shard.setdefault(number >> 16 & 63, []).append(number)
        for shard, numbers in by_shard.items():
            rows: list[Any] = json.loads(self._asked(shard, _ABOUT, (json.dumps(numbers),))[0])
            for number, tenant, batch, campaign, tags in rows:
                if tenant:
                    known = json.loads(tags) if isinstance(tags, str) else tags
                    found[encode_id(number)] = About(tenant, batch or "", campaign or "", tuple(known or ()))
        return found

    def _asked(self, shard: int, question: str, values: Collection[Any]) -> Any:
        path = self._spool / str(shard) / JOURNAL
        try:
            with closing(_opened(path)) as base:
                return base.execute(question, tuple(values)).fetchone()
        except sqlite3.OperationalError as error:
            if not path.exists() or "no such table" in str(error):
                return ("[]", 0, None) if question == _PAGE else ("[]",) if question == _ABOUT else (0,)
            raise TemporarilyUnavailable(f"{path} cannot be read: {error}") from error
        except (sqlite3.Error, OSError) as error:
            raise TemporarilyUnavailable(f"{path} cannot be read: {error}") from error


def _opened(path: Path) -> sqlite3.Connection:
    return open_for_reading(path)


def _page(after: int, row: Any) -> JournalPage:
    text, last, oldest = row
    if after > last:
        # The journal was made anew, and begins at 1 again.
        return JournalPage([], 0, True)
    rows: list[Any] = json.loads(text)
    events = []
    for number, at, kind, message, session, payload in rows:
        try:
            name = "" if message is None else encode_id(message)
            events.append((number, event_from(kind, at, name, session or "", payload or {})))
        except (KeyError, TypeError):
            continue
    upto = rows[-1][0] if rows else last
    return JournalPage(events, upto, oldest is not None and after + 1 < oldest and after > 0)
