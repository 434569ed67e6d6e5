"""Answers questions of tenants out of the indexes of all shards.

Synchronous and read-only.  Lists are in the order of message ids, which is that of time, the newest
first; a page looks at so many entries at the most, so that no question takes the disk for long.
"""

from __future__ import annotations

import heapq
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mta.interfaces import TemporarilyUnavailable
from mta.model.ids import decode_id, encode_id, shard_of
from mta.tracking.index import JOURNAL
from mta.tracking.schema import ALL, BATCH, CAMPAIGN, DATABASE, TAG, open_for_reading
from mta.tracking.state import NAMES, STATES, counted

#: Entries that one page looks at.
MOST_SEEN = 20_000
_LAST = 1 << 62
_EPOCH = 1_704_067_200
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Tracked:
    """A recipient of a message.

    :ivar state: a word of :data:`~mta.tracking.state.STATES`.
    :ivar at: when it came into that state, in seconds since 1970.
    :ivar due: when the next attempt is due; 0: unknown or none.
    """

    message: str
    address: str
    state: str
    marks: int
    at: float
    attempts: int
    due: float
    code: int
    enhanced: str
    reply: str
    host: str
    bounce_class: str


@dataclass(frozen=True, slots=True)
class TrackedMessage:
    """A message, and how its recipients stand."""

    id: str
    at: float
    sender: str
    subject: str
    message_id: str
    batch: str
    campaign: str
    tags: list[str]
    metadata: dict[str, str]
    size: int
    scheduled: float
    recipients: list[Tracked] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; ``""`` and 0 let everything through.

    :ivar address: of a recipient.
    :ivar sender: the reverse-path.
    :ivar subject: words that all stand in it; ``word*``: a beginning.
    :ivar state: of at least one recipient (the one with the address, if that is given too).
    :ivar since: and ``until``: when it was received, in seconds since 1970.
    """

    address: str = ""
    sender: str = ""
    message_id: str = ""
    subject: str = ""
    tag: str = ""
    batch: str = ""
    campaign: str = ""
    state: str = ""
    since: float = 0.0
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """A page.

    :ivar next: the id behind which the next page begins; ``""``: this is the last.
    """

    messages: list[TrackedMessage]
    next: str = ""


class TrackingReader:
    """See the module.

    :param spool: the directory of all shards.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool

    def get(self, tenant: str, identifier: str) -> TrackedMessage | None:
        """One message; ``None`` if the tenant has none of this id.

        :raise TemporarilyUnavailable: if the index cannot be read.
        """
        try:
            number, shard = decode_id(identifier), shard_of(identifier)
        except ValueError:
            return None
        found: list[TrackedMessage] = []

        def ask(base: sqlite3.Connection, owner: int) -> None:
            found.extend(_messages(base, owner, [number]))

        self._ask(tenant, ask, str(shard))
        return found[0] if found else None

    def page(self, tenant: str, wanted: Wanted, after: str = "", limit: int = 100) -> Found:
        """Messages, the newest first.

        :param after: the last id of the page before.
        :raise ValueError: if ``after`` is no queue id.
        :raise TemporarilyUnavailable: if an index cannot be read.
        """
        last = min(decode_id(after) if after else _LAST, _bound(wanted.until) if wanted.until else _LAST)
        runs: list[list[int]] = []
        reached = -1
        found: list[TrackedMessage] = []

        def ask(base: sqlite3.Connection, owner: int) -> None:
            nonlocal reached
            numbers, end = _numbers(base, owner, wanted, last, limit)
            runs.append(numbers)
            reached = max(reached, end)

        self._ask(tenant, ask)
        merged = list(heapq.merge(*runs, reverse=True))
        # Another shard was not looked at behind this.
        chosen = [number for number in merged if number >= reached][:limit]

        def read(base: sqlite3.Connection, owner: int) -> None:
            found.extend(_messages(base, owner, chosen))

        if chosen:
            self._ask(tenant, read)
        found.sort(key=lambda one: one.id, reverse=True)
        if len(chosen) == limit and (len(merged) > limit or reached >= 0):
            return Found(found, encode_id(chosen[-1]))
        return Found(found, encode_id(reached) if reached >= 0 else "")

    def recipient(self, tenant: str, address: str, after: str = "", limit: int = 100) -> list[Tracked]:
        """What was sent to an address, the newest first.

        :raise ValueError: if ``after`` is no queue id.
        :raise TemporarilyUnavailable: if an index cannot be read.
        """
        last = decode_id(after) if after else _LAST
        found: list[Tracked] = []

        def ask(base: sqlite3.Connection, owner: int) -> None:
            rows = base.execute(
                f"SELECT {_TRACKED} FROM recipients WHERE tenant = ? AND address = ? AND message < ?"  # noqa: S608
                " ORDER BY message DESC LIMIT ?",
                (owner, folded(address), last, limit),
            )
            found.extend(_tracked(row) for row in rows)

        self._ask(tenant, ask)
        return sorted(found, key=lambda one: one.message, reverse=True)[:limit]

    def counts(
        self, tenant: str, sort: int = ALL, name: str = "", since: float = 0.0, until: float = 0.0
    ) -> tuple[dict[str, int], dict[str, int]] | None:
        """How the recipients of a batch, a campaign, a tag, or of all, stand; ``None``: there were none.

        :param since: and ``until``: whole days in UTC, in seconds since 1970.
        :raise TemporarilyUnavailable: if an index cannot be read.
        """
        rows: list[tuple[int, int, int]] = []

        def ask(base: sqlite3.Connection, owner: int) -> None:
            rows.extend(
                base.execute(
                    "SELECT delivery, marks, sum(number) FROM counts"
                    " WHERE tenant = ? AND sort = ? AND name = ? AND day >= ? AND day < ?"
                    " GROUP BY delivery, marks",
                    (owner, sort, name, int(since // 86400), -int(-until // 86400) if until else _LAST),
                )
            )

        self._ask(tenant, ask)
        return counted(rows) if rows else None

    def names(self, tenant: str, sort: int, after: str = "", limit: int = 100) -> list[str]:
        """Tags or campaigns, in the order of the alphabet.

        :raise TemporarilyUnavailable: if an index cannot be read.
        """
        found: set[str] = set()

        def ask(base: sqlite3.Connection, owner: int) -> None:
            rows = base.execute(
                "SELECT DISTINCT name FROM counts WHERE tenant = ? AND sort = ? AND name > ?"
                " ORDER BY name LIMIT ?",
                (owner, sort, after, limit),
            )
            found.update(name for (name,) in rows)

        self._ask(tenant, ask)
        return sorted(found)[:limit]

    def lag(self, shard: int) -> int:
        """How many events of a shard's journal its index does not know yet.

        :raise TemporarilyUnavailable: if one of them cannot be read.
        """
        directory = self._spool / str(shard)
        try:
            with closing(open_for_reading(directory / JOURNAL)) as base:
                (last,) = base.execute("SELECT events FROM counters").fetchone()
            if not (directory / DATABASE).exists():
                return int(last)  # Somebody has just begun to need it.
            with closing(open_for_reading(directory / DATABASE)) as base:
                row = base.execute("SELECT event FROM places WHERE journal = ?", (str(shard),)).fetchone()
        except sqlite3.Error as error:
            raise TemporarilyUnavailable(f"the index in {directory} cannot be read: {error}") from error
        return max(0, int(last) - (row[0] if row else 0))

    def _ask(
        self, tenant: str, question: Callable[[sqlite3.Connection, int], None], shard: str = "*"
    ) -> None:
        for path in sorted(self._spool.glob(f"{shard}/{DATABASE}")):
            try:
                with closing(open_for_reading(path)) as base:
                    base.execute("BEGIN")
                    row = base.execute("SELECT id FROM tenants WHERE name = ?", (tenant,)).fetchone()
                    if row is not None:
                        question(base, row[0])
            except sqlite3.Error as error:
                if "no such table" not in str(error):  # It is just being made.
                    raise TemporarilyUnavailable(f"{path} cannot be read: {error}") from error


def folded(address: str) -> str:
    """An address as it is compared: as SQLite's ``lower`` has it."""
    return "".join(c.lower() if c.isascii() else c for c in address)


def _bound(at: float) -> int:
    return max(0, int((at - _EPOCH) * 1000) << 22)


_TRACKED = "message, address, state, marks, at, attempts, due, code, enhanced, reply, host, bounce_class"


def _tracked(row: Sequence[Any]) -> Tracked:
    return Tracked(encode_id(row[0]), row[1], NAMES.get(row[2], "queued"), *row[3:])


def _messages(base: sqlite3.Connection, owner: int, numbers: Sequence[int]) -> Iterator[TrackedMessage]:
    wanted = json.dumps(list(numbers))
    people: dict[str, list[Tracked]] = {}
    for row in base.execute(
        f"SELECT {_TRACKED} FROM recipients WHERE message IN (SELECT value FROM json_each(?)) AND +tenant = ?"  # noqa: S608
        " ORDER BY message, address",
        (wanted, owner),
    ):
        one = _tracked(row)
        people.setdefault(one.message, []).append(one)
    rows = base.execute(
        "SELECT id, at, sender, subject, message_id, batch, campaign, tags, metadata, size, scheduled"
        " FROM messages WHERE id IN (SELECT value FROM json_each(?)) AND +tenant = ?",
        (wanted, owner),
    )
    for number, at, sender, subject, message_id, batch, campaign, tags, metadata, size, scheduled in rows:
        name = encode_id(number)
        yield TrackedMessage(
            name,
            at,
            sender,
            subject,
            message_id,
            batch,
            campaign,
            json.loads(tags),
            json.loads(metadata),
            size,
            scheduled,
            people.get(name, []),
        )


def _numbers(
    base: sqlite3.Connection, owner: int, wanted: Wanted, last: int, limit: int
) -> tuple[list[int], int]:
    """The newest messages that fit, and the last one looked at if there may be more behind it, or -1."""
    first = _bound(wanted.since) if wanted.since else 0
    tests: list[tuple[str, tuple[Any, ...]]] = []
    drivers: list[tuple[str, tuple[Any, ...]]] = []
    if wanted.message_id:
        name = folded(wanted.message_id.strip(" <>"))
        drivers.append(
            ("SELECT id AS message FROM messages WHERE tenant = ? AND message_id = ?", (owner, name))
        )
        tests.append(
            ("EXISTS (SELECT 1 FROM messages m WHERE m.id = d.message AND m.message_id = ?)", (name,))
        )
    of_state = f" AND r.state = {STATES[wanted.state]}" if wanted.state else ""
    if wanted.address:
        address = folded(wanted.address)
        drivers.append(("SELECT message FROM recipients WHERE tenant = ? AND address = ?", (owner, address)))
        tests.append(
            (
                "EXISTS (SELECT 1 FROM recipients r WHERE r.message = d.message AND r.address = ?"  # noqa: S608
                f"{of_state})",
                (address,),
            )
        )
    for sort, name in ((BATCH, wanted.batch), (TAG, wanted.tag), (CAMPAIGN, wanted.campaign)):
        if name:
            values = (owner, sort, name)
            drivers.append(("SELECT message FROM labels WHERE tenant = ? AND sort = ? AND name = ?", values))
            tests.append(
                (
                    "EXISTS (SELECT 1 FROM labels l WHERE l.tenant = ? AND l.sort = ? AND l.name = ?"
                    " AND l.message = d.message)",
                    values,
                )
            )
    if wanted.subject:
        match = _match(owner, wanted.subject)
        if not match:
            return [], -1
        drivers.append(("SELECT rowid AS message FROM subjects WHERE subjects MATCH ?", (match,)))
        if len(drivers) > 1:
            tests.append(("d.message IN (SELECT rowid FROM subjects WHERE subjects MATCH ?)", (match,)))
    if wanted.state and not wanted.address:
        drivers.append(
            (f"SELECT message FROM recipients WHERE tenant = ? AND state = {STATES[wanted.state]}", (owner,))  # noqa: S608
        )
        tests.append((f"EXISTS (SELECT 1 FROM recipients r WHERE r.message = d.message{of_state})", ()))  # noqa: S608
    if wanted.sender:
        tests.append(
            (
                "EXISTS (SELECT 1 FROM messages m WHERE m.id = d.message AND lower(m.sender) = ?)",
                (folded(wanted.sender),),
            )
        )
    drivers.append(("SELECT id AS message FROM messages WHERE tenant = ?", (owner,)))
    # The driver's own test holds for what it finds; the first is the narrowest.
    driver, driven = drivers[0]
    column = {"SELECT id": "id", "SELECT ro": "rowid"}.get(driver[:9], "message")
    driver += f" AND {column} < ? AND {column} >= ? ORDER BY {column} DESC"
    bounds = (*driven, last, first)
    # Of a tenant only, whatever the driver finds.
    tests.append(("EXISTS (SELECT 1 FROM messages m WHERE m.id = d.message AND m.tenant = ?)", (owner,)))
    where = " AND ".join(text for text, _ in tests)
    rows = base.execute(
        f"SELECT DISTINCT d.message FROM ({driver} LIMIT {MOST_SEEN}) d WHERE {where}"  # noqa: S608
        " ORDER BY d.message DESC LIMIT ?",
        (*bounds, *(value for _, some in tests for value in some), limit),
    )
    found = [number for (number,) in rows]
    if len(found) == limit:
        return found, found[-1]
    seen, end = base.execute(
        f"SELECT count(*), min(message) FROM ({driver} LIMIT {MOST_SEEN})",  # noqa: S608
        bounds,
    ).fetchone()
    return found, end if seen == MOST_SEEN else -1


def _match(owner: int, words: str) -> str:
    """The words as FTS5 takes them."""
    found = []
    for piece in words.split()[:20]:
        parts = _WORD.findall(piece)
        star = "*" if piece.endswith("*") and parts else ""
        found += [f'"{part}"' for part in parts[:-1]] + [f'"{part}"{star}' for part in parts[-1:]]
    if not found:
        return ""
    return f"owner:t{owner} AND subject:({' AND '.join(found)})"
