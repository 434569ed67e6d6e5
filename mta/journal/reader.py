"""Finds events in the journals of all shards.

Synchronous and read-only.  Every question opens the databases anew, which
costs a fraction of a millisecond, so that one reader may be used from any
thread, before a shard has been made, and after its file was replaced.
"""

from __future__ import annotations

import heapq
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Event
from mta.model.event_rows import BUCKET_BITS, event_of, key_of
from mta.model.ids import decode_id
from mta.private_file import uri_of

#: Kinds of events that refuse somebody.
REFUSALS = ("rejected", "authentication-failed")

#: Commits may come in another order than the clock reads of their events, and
#: a clock may be set back by NTP: seconds by which a search by time begins early.
SLACK = 60.0

#: Numbers in one ``IN (...)``.
_BATCH = 500

_COLUMNS = "id, at, kind, message, session, payload"


class JournalError(TemporarilyUnavailable):
    """A journal cannot be read; the text names the file and what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """An event and where it stands.

    :ivar shard: position of its file in the reader's paths.
    :ivar number: its number there; grows.
    """

    event: Event
    shard: int
    number: int

    @property
    def order(self) -> tuple[float, int, int]:
        """Sorts records of all shards by time."""
        return self.event.at, self.shard, self.number


class JournalReader:
    """See the module.

    :param paths: the ``queue.db`` of each shard; one that is not there has no events.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, in the order of shards."""
        return self._paths

    # --- questions -----------------------------------------------------------

    def message(self, identifier: str) -> list[Record]:
        """All events of one message, oldest first.

        :param identifier: a queue id.
        :raise ValueError: if it is none.
        :raise JournalError: if a journal cannot be read.
        """
        number = decode_id(identifier)
        found: list[Record] = []
        query = f"SELECT {_COLUMNS} FROM events WHERE message = ? ORDER BY id"  # noqa: S608
        self._ask(lambda shard, base: found.extend(_records(shard, base.execute(query, (number,)))))
        return sorted(found, key=_order)

    def accepted(self, identifiers: Collection[str]) -> set[str]:
        """Which of these messages were accepted.

        :param identifiers: queue ids.
        :raise ValueError: if one is none.
        :raise JournalError: if a journal cannot be read.
        """
        numbers = {decode_id(one): one for one in identifiers}
        wanted = list(numbers)
        found: set[str] = set()

        def ask(shard: int, base: sqlite3.Connection) -> None:
            for start in range(0, len(wanted), _BATCH):
                some = wanted[start : start + _BATCH]
                marks = ",".join("?" * len(some))
                query = f"SELECT message FROM events WHERE message IN ({marks}) AND kind = 'received'"  # noqa: S608
                found.update(numbers[number] for (number,) in base.execute(query, some))

        self._ask(ask)
        return found

    def find(
        self,
        word: str,
        *,
        since: float = 0.0,
        until: float = float("inf"),
        rejected: bool = False,
        limit: int = 100,
    ) -> list[Record]:
        """Events that stand under a word, newest first.

        :param word: an address, a Message-ID, an IP address, a session id, or
            an account; case does not matter.
        :param since: seconds since 1970.
        :param until: seconds since 1970.
        :param rejected: only events that refuse somebody.
        :param limit: records at the most.
        :raise JournalError: if a journal cannot be read.
        """
        key, wanted = key_of(word), word.lower()
        found: list[Record] = []

        def fits(record: Record) -> bool:
            event = record.event
            if not since <= event.at <= until or (rejected and event.kind not in REFUSALS):
                return False
            # Otherwise it is another word with the same hash.
            return event.indexed and wanted in (event.session.lower(), *event.keys())

        def ask(shard: int, base: sqlite3.Connection) -> None:
            fitting = filter(fits, self._by_key(shard, base, key, since))
            found.extend(islice(fitting, limit))

        self._ask(ask)
        return sorted(found, key=_order, reverse=True)[:limit]

    def recent(
        self,
        *,
        since: float = 0.0,
        until: float = float("inf"),
        kinds: Collection[str] = (),
        rejected: bool = False,
        limit: int = 1000,
    ) -> list[Record]:
        """Events of a time, newest first.

        :param since: seconds since 1970.
        :param until: seconds since 1970.
        :param kinds: only these; empty for all.
        :param rejected: only events that refuse somebody.
        :param limit: records at the most.
        :raise JournalError: if a journal cannot be read.
        """
        chosen = set(REFUSALS if rejected else kinds)
        found: list[Record] = []
        marks = f" AND kind IN ({','.join('?' * len(chosen))})" if chosen else ""
        query = (
            f"SELECT {_COLUMNS} FROM events WHERE id BETWEEN ? AND ? "  # noqa: S608
            f"AND at >= ? AND at <= ?{marks} ORDER BY id DESC LIMIT ?"
        )

        def ask(shard: int, base: sqlite3.Connection) -> None:
            first = _first_since(base, since - SLACK)
            last = _first_since(base, until + SLACK)
            values = (first, last, since, until, *chosen, limit)
            found.extend(_records(shard, base.execute(query, values)))

        self._ask(ask)
        return sorted(found, key=_order, reverse=True)[:limit]

    def before(
        self, places: Mapping[int, int], kinds: Collection[str] = (), limit: int = 50, span: int = 200_000
    ) -> tuple[list[Record], dict[int, int]]:
        """A page of all shards, newest first.

        :param places: by shard the number before which to begin; one that is not there: at its end.
        :param kinds: only these; empty for all.
        :param limit: records at the most.
        :param span: numbers looked at in each shard: no page takes longer, however rare a kind is.
        :return: the records, and the places of the next page; empty: there is none.
        :raise JournalError: if a journal cannot be read.
        """
        found: list[Record] = []
        looked: dict[int, tuple[int, int, int]] = {}
        marks = f" AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        query = f"SELECT {_COLUMNS} FROM events WHERE id >= ? AND id < ?{marks} ORDER BY id DESC LIMIT ?"  # noqa: S608

        def ask(shard: int, base: sqlite3.Connection) -> None:
            oldest, newest = base.execute(
                "SELECT (SELECT min(id) FROM events), (SELECT max(id) FROM events)"
            ).fetchone()
            if oldest is None:
                return
            end = min(places.get(shard, newest + 1), newest + 1)
            first = max(oldest, end - span)
            rows = base.execute(query, (first, end, *kinds, limit)).fetchall()
            # Up to where everything was looked at.
            looked[shard] = (end, rows[-1][0] if len(rows) == limit else first, oldest)
            found.extend(_records(shard, rows))

        self._ask(ask)
        found.sort(key=_order, reverse=True)
        page = found[:limit]
        following: dict[int, int] = {}
        for shard, (end, reached, _) in looked.items():
            left = [record.number for record in found[limit:] if record.shard == shard]
            # What did not find room comes first on the next page.
            following[shard] = max(left) + 1 if left else min(reached, end)
        more = any(following[shard] > oldest for shard, (_, _, oldest) in looked.items())
        return page, following if more else {}

    def ends(self) -> tuple[int, ...]:
        """The number of the newest event of each shard, for :meth:`tail`."""
        ends = [0] * len(self._paths)

        def ask(shard: int, base: sqlite3.Connection) -> None:
            (ends[shard],) = base.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()

        self._ask(ask)
        return tuple(ends)

    def tail(self, after: Sequence[int], limit: int = 1000) -> tuple[list[Record], tuple[int, ...]]:
        """What was written after these numbers, in the order of time.

        :param after: one number for each shard, from :meth:`ends` or the last call.
        :param limit: records of each shard at the most.
        :return: the records, and the numbers for the next call.
        :raise JournalError: if a journal cannot be read.
        """
        ends = list(after)
        runs: list[list[Record]] = []
        query = f"SELECT {_COLUMNS} FROM events WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608

        def ask(shard: int, base: sqlite3.Connection) -> None:
            rows = base.execute(query, (after[shard], limit)).fetchall()
            if rows:
                ends[shard] = rows[-1][0]
                runs.append(sorted(_records(shard, rows), key=_order))

        self._ask(ask)
        return list(heapq.merge(*runs, key=_order)), tuple(ends)

    def following(
        self, shard: int, kinds: Collection[str], after: int, span: int = 200_000, *, like: str = "%"
    ) -> tuple[list[Record], int]:
        """Events of some kinds of one shard that were written after a number, the oldest first.

        :param shard: position of its file in the paths.
        :param span: numbers looked at.
        :param like: how their facts look, as SQL compares; what does not is not even read.
        :return: the records, and the number up to which was looked; ``after`` when there is no more.
        """
        found: list[Record] = []
        upto = after

        def ask(shard: int, base: sqlite3.Connection) -> None:
            nonlocal upto
            base.execute("BEGIN")  # One view of everything, until it is closed.
            (last,) = base.execute("SELECT events FROM counters").fetchone()
            # A database that was made anew begins at 1 again.
            first = after if after <= last else 0
            (oldest,) = base.execute("SELECT min(id) FROM events WHERE id > ?", (first,)).fetchone()
            upto = last if oldest is None else min(last, max(first, oldest - 1) + span)
            marks = ",".join("?" * len(kinds))
            query = (
                f"SELECT {_COLUMNS} FROM events WHERE id > ? AND id <= ? AND kind IN ({marks})"  # noqa: S608
                " AND payload LIKE ? ORDER BY id"
            )
            found.extend(_records(shard, base.execute(query, (first, upto, *kinds, like))))

        self._ask(ask, (shard,))
        return found, upto

    # --- parts ---------------------------------------------------------------

    def _ask(self, question: Callable[[int, sqlite3.Connection], None], shards: Collection[int] = ()) -> None:
        """Put a question to each shard that there is, or to some."""
        for shard, path in enumerate(self._paths):
            if (shards and shard not in shards) or not _exists(path):
                continue
            try:
                with closing(_connect(path)) as base:
                    question(shard, base)
            except sqlite3.DatabaseError as error:
                if "no such table" not in str(error):  # The server is just making it.
                    raise JournalError(f"{path}: {error}; starting the server tells what to do") from error

    def _by_key(self, shard: int, base: sqlite3.Connection, key: int, since: float) -> Iterator[Record]:
        """Records that may stand under a key, newest first, bucket by bucket.

        The newest events have no keys yet (``mta.queue.schema`` says why), so all of those are given.
        """
        base.execute("BEGIN")  # One view of everything, until it is closed.
        (last,) = base.execute("SELECT max(id) FROM events").fetchone()
        if last is None:
            return
        (indexed,) = base.execute("SELECT indexed FROM counters").fetchone()
        fresh = f"SELECT {_COLUMNS} FROM events WHERE id > ? ORDER BY id DESC"  # noqa: S608
        yield from _records(shard, base.execute(fresh, (indexed,)))
        first = _first_since(base, since - SLACK)
        last = min(last, indexed)
        query = "SELECT event FROM event_keys WHERE bucket = ? AND key = ? ORDER BY event DESC"
        for bucket in range(last >> BUCKET_BITS, (first >> BUCKET_BITS) - 1, -1):
            numbers = [number for (number,) in base.execute(query, (bucket, key))]
            for start in range(0, len(numbers), _BATCH):
                some = numbers[start : start + _BATCH]
                marks = ",".join("?" * len(some))
                rows = base.execute(
                    f"SELECT {_COLUMNS} FROM events WHERE id IN ({marks}) ORDER BY id DESC",  # noqa: S608
                    some,
                )
                yield from _records(shard, rows)


def _order(record: Record) -> tuple[float, int, int]:
    return record.order


def _records(
    shard: int, rows: Sequence[tuple[int, float, str, int | None, str | None, str]] | sqlite3.Cursor
) -> Iterator[Record]:
    for number, at, kind, message, session, payload in rows:
        event = event_of((at, kind, message, session, payload))
        if event is not None:
            yield Record(event, shard, number)


def _first_since(connection: sqlite3.Connection, at: float) -> int:
    """The number of the first event not before a time: times grow with numbers, so halve."""
    low, high = connection.execute(
        "SELECT (SELECT min(id) FROM events), (SELECT max(id) FROM events)"
    ).fetchone()
    if low is None:
        return 0
    high += 1
    query = "SELECT id, at FROM events WHERE id >= ? ORDER BY id LIMIT 1"
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(query, (middle,)).fetchone()
        if row is None or row[1] >= at:
            high = middle
        else:
            low = row[0] + 1
    return int(low)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise JournalError(
            f"{path}: permission denied; be root, or the user that the server runs as"
        ) from error
    return True


def _connect(path: Path) -> sqlite3.Connection:
    """Open one database for reading.

    ``mode=rw`` with ``query_only``: a reader of a WAL database must be able to
    make its shared-memory file, and may be the first to come after a crash.
    Who may only read needs it to be there.
    """
    try:
        return _opened(path, "rw")
    except sqlite3.OperationalError:
        try:
            return _opened(path, "ro")
        except sqlite3.OperationalError as error:
            raise JournalError(f"{path}: {error}; {_unreadable(path)}") from error


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    base = sqlite3.connect(uri_of(path, mode), uri=True, timeout=10.0, isolation_level=None)
    try:
        base.execute("PRAGMA query_only = ON")
        base.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except BaseException:
        base.close()
        raise
    return base


def _unreadable(path: Path) -> str:
    """What to do about a database that SQLite cannot open for reading."""
    try:
        owner = path.owner()
    except (KeyError, OSError):
        owner = "its owner"
    if os.geteuid() == 0 or os.access(path.parent, os.W_OK):
        # It makes a file for the memory that its readers share.
        return "it cannot be read where the file system is read-only, or full"
    return "be root" if owner == "root" else f"be root, or {owner}, the user of the server"
