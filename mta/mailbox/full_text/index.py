"""The index of what an account's messages say: SQLite's FTS5 over trigrams, beside the index of the account.

Each folder has a table of its own, with UIDs for row numbers: a search of a small folder does not pay for
a large one, and what has become useless is dropped whole.  Trigrams with their places find any substring
of three characters or more exactly, without a look at the messages.  Shorter ones are found by the
trigrams that begin with them, frequent ones first.

The index may lag, or be lost: it says which messages it knows, and whoever searches looks at the others
himself (:mod:`~mta.mailbox.finding`).  Nothing here needs to be durable.  Calls are made in threads, one
at a time for each connection; other processes may work on the same file.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path

from mta.mailbox.full_text.folding import END
from mta.mailbox.full_text.text import Text
from mta.mailbox.schema import Damaged, opened, set_aside

#: Of the tables and of how text is folded.  An index of another version is made anew.
VERSION = 2
#: Of the files, beside those of the accounts' indexes.
ENDING = ".text.db"
#: Columns of :class:`~mta.mailbox.full_text.text.Text` that can be searched for alone.
FIELDS = frozenset({"subject", "sender", "to", "cc", "bcc"})
#: What a message is sorted by.
KEYS = frozenset({"sent", "base", "from_box", "to_box", "cc_box", "from_name", "to_name"})
#: Messages that are gone and may stay in a table, besides as many as there are others.
_DEAD = 2000
#: Trigrams that are asked for at once, first and at the most.
_FIRST_TERMS, _TERMS = 4, 200
#: Messages that are rather looked at than to ask the index for all trigrams: so many, and one of so many.
_LOOKED_AT, _ONE_OF = 100, 1000
_LAST = chr(0x10FFFF)
_FREQUENT = " etaoinsrhldcumfpgwybvk.,"

_TABLES = """
CREATE TABLE folders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    directory BLOB NOT NULL UNIQUE,
    validity INTEGER NOT NULL,
    dead INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE known (
    folder INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    whole INTEGER NOT NULL,
    PRIMARY KEY (folder, uid)
) WITHOUT ROWID;
CREATE TABLE facts (
    folder INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    sent INTEGER,
    day INTEGER,
    subject TEXT NOT NULL,
    sender TEXT NOT NULL,
    "to" TEXT NOT NULL,
    cc TEXT NOT NULL,
    bcc TEXT NOT NULL,
    base TEXT NOT NULL,
    from_box TEXT NOT NULL,
    to_box TEXT NOT NULL,
    cc_box TEXT NOT NULL,
    from_name TEXT NOT NULL,
    to_name TEXT NOT NULL,
    PRIMARY KEY (folder, uid)
) WITHOUT ROWID;
"""


class TextIndex:
    """See the module.

    :param path: of its file.
    :raise sqlite3.Error: if it cannot be opened.
    :raise OSError: likewise.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[int, tuple[int, array[int]]] = {}
        try:
            # What was lost with the power is read again.
            self.connection = opened(path, "NORMAL", _make)
        except Damaged:
            # There is nothing in it that is not in the messages.
            set_aside(path)
            self.connection = opened(path, "NORMAL", _make)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self._known.clear()
            with suppress(sqlite3.Error):
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            raise

    # --- folders ---------------------------------------------------------------

    def folder(self, directory: bytes, validity: int) -> int:
        """The number of a folder here; what is known of one with another UIDVALIDITY is forgotten."""
        number = self._number(directory, validity)
        if number is None:
            with self._transaction():
                self._drop(directory, validity)
                number = self._number(directory, validity)
                if number is None:
                    cursor = self.connection.execute(
                        "INSERT INTO folders (directory, validity) VALUES (?, ?)", (directory, validity)
                    )
                    number = int(cursor.lastrowid or 0)
                    # No columns that keep the text, nor its length: places of trigrams are enough.
                    self.connection.execute(
                        f"CREATE VIRTUAL TABLE text_{number} USING fts5(header, body, content = '',"
                        " columnsize = 0, tokenize = 'trigram case_sensitive 1')"
                    )
        return number

    def _number(self, directory: bytes, validity: int) -> int | None:
        row = self.connection.execute(
            "SELECT id FROM folders WHERE directory = ? AND validity = ?", (directory, validity)
        ).fetchone()
        return None if row is None else int(row[0])

    def _drop(self, directory: bytes, validity: int | None = None) -> None:
        """Forget a folder, unless it has this UIDVALIDITY."""
        row = self.connection.execute(
            "SELECT id, validity FROM folders WHERE directory = ?", (directory,)
        ).fetchone()
        if row is None or row[1] == validity:
            return
        number = int(row[0])
        self._known.pop(number, None)
        self.connection.execute(f"DROP TABLE text_{number}")
        for table in ("known", "facts"):
            self.connection.execute(f"DELETE FROM {table} WHERE folder = ?", (number,))  # noqa: S608
        self.connection.execute("DELETE FROM folders WHERE id = ?", (number,))

    def keep(self, directories: Iterable[bytes]) -> None:
        """Forget all folders but these."""
        there = set(directories)
        rows = self.connection.execute("SELECT directory FROM folders").fetchall()
        for (directory,) in rows:
            if directory not in there:
                with self._transaction():
                    self._drop(directory)

    # --- following -------------------------------------------------------------

    def known(self, number: int) -> array[int]:
        """UIDs of a folder whose messages are here, in rising order.  Nobody changes it."""
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        before = self._known.get(number)
        if before is not None and before[0] == version:
            return before[1]
        rows = self.connection.execute("SELECT uid FROM known WHERE folder = ? ORDER BY uid", (number,))
        found = array("I", [uid for (uid,) in rows.fetchall()])
        self._known[number] = (version, found)
        return found

    def missing(self, number: int, uids: array[int]) -> list[int]:
        """UIDs of a folder whose messages are not here, the last first: new mail is what people look for."""
        known = self.known(number)
        if known == uids:
            return []
        here = set(known)
        return [uid for uid in reversed(uids) if uid not in here]

    def add(self, number: int, texts: Sequence[tuple[int, Text]]) -> None:
        """Messages have come; those that are here already stay as they are.

        :param texts: UIDs and what the messages say.
        """
        with self._transaction():
            there = self.connection.execute("SELECT 1 FROM folders WHERE id = ?", (number,)).fetchone()
            if there is None:
                # Another process has forgotten the folder.
                return
            for uid, text in sorted(texts, key=lambda one: one[0]):
                cursor = self.connection.execute(
                    "INSERT OR IGNORE INTO known VALUES (?, ?, ?)", (number, uid, text.whole)
                )
                if cursor.rowcount:
                    self._insert(number, uid, text)
            self._known.pop(number, None)

    def _insert(self, number: int, uid: int, text: Text) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                uid,
                text.sent,
                text.day,
                text.subject,
                text.sender,
                text.to,
                text.cc,
                text.bcc,
                text.base,
                *text.boxes,
                *text.names,
            ),
        )
        # Two ends, so that each character begins a trigram.
        self.connection.execute(
            f"INSERT INTO text_{number} (rowid, header, body) VALUES (?, ?, ?)",  # noqa: S608
            (uid, text.header + END, text.body + END if text.body else ""),
        )

    def forget(self, number: int, uids: Iterable[int]) -> None:
        """Messages are gone.

        Their trigrams cannot be taken out without the text, and stay until there are more of them than of
        others; then the folder is forgotten, and will be read again.
        """
        gone = [(number, uid) for uid in uids]
        with self._transaction():
            row = self.connection.execute(
                "SELECT directory, dead FROM folders WHERE id = ?", (number,)
            ).fetchone()
            if row is None:
                return
            cursor = self.connection.executemany("DELETE FROM known WHERE folder = ? AND uid = ?", gone)
            dead = row[1] + max(0, cursor.rowcount)
            self.connection.executemany("DELETE FROM facts WHERE folder = ? AND uid = ?", gone)
            self.connection.execute("UPDATE folders SET dead = ? WHERE id = ?", (dead, number))
            self._known.pop(number, None)
            (alive,) = self.connection.execute(
                "SELECT count(*) FROM known WHERE folder = ?", (number,)
            ).fetchone()
            if dead > _DEAD + alive:
                self._drop(row[0])

    # --- searching -------------------------------------------------------------

    def partial(self, number: int) -> set[int]:
        """UIDs of messages of which only the beginning is here."""
        rows = self.connection.execute("SELECT uid FROM known WHERE folder = ? AND NOT whole", (number,))
        return {uid for (uid,) in rows}

    def saying(self, number: int, wanted: str, header: bool, body: bool) -> tuple[set[int], set[int]]:
        """UIDs of messages here that say something.  Messages that are gone may be among them.

        :param wanted: folded, and not empty.
        :return: those that do, and a few others of which it is cheaper to look at the messages.
        """
        columns = {(True, True): "", (True, False): "header : ", (False, True): "body : "}[header, body]
        if len(wanted) >= 3:
            return self._matching(number, columns, [wanted]), set()
        found: set[int] = set()
        left = set(self.known(number))
        enough = min(_LOOKED_AT, len(left) // _ONE_OF)
        # Frequent ones first: nearly all messages have some of them.  The index would have to count in how
        # many messages each stands to tell that it has it.
        letters = _FREQUENT if wanted.isascii() else ""
        ends = ("".join(end) for end in product(letters, repeat=3 - len(wanted)))
        frequent = sorted((wanted + end for end in ends), key=_rarity)
        some, begin = _FIRST_TERMS, 0
        rare: list[str] | None = None
        while left:
            if rare is None and begin >= len(frequent):
                rare, begin = self._others(number, wanted, sorted(frequent)), 0
            terms = (frequent if rare is None else rare)[begin : begin + some]
            if not terms:
                break
            matching = self._matching(number, columns, terms)
            found |= matching
            left -= matching
            if len(left) <= enough:
                return found, left
            begin, some = begin + some, min(2 * some, _TERMS)
        return found, set()

    def _matching(self, number: int, columns: str, strings: Sequence[str]) -> set[int]:
        one = " OR ".join('"' + string.replace('"', '""') + '"' for string in strings)
        rows = self.connection.execute(
            f"SELECT rowid FROM text_{number} WHERE text_{number} MATCH ?",  # noqa: S608
            (f"{columns}({one})" if columns else one,),
        )
        return {uid for (uid,) in rows.fetchall()}

    def _others(self, number: int, start: str, frequent: Sequence[str]) -> list[str]:
        """The trigrams that begin so, besides these, which are in order."""
        self.connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.terms_{number}"
            f" USING fts5vocab('main', 'text_{number}', 'row')"
        )
        found: list[str] = []
        low = start
        for one in (*frequent, start + _LAST):
            # Up to what stands before it: what is counted of a frequent one takes its time.
            high = one[:-1] + chr(ord(one[-1]) - 1) + _LAST
            rows = self.connection.execute(
                f"SELECT term FROM temp.terms_{number} WHERE term >= ? AND term <= ?",  # noqa: S608
                (low, high),
            )
            found += [term for (term,) in rows.fetchall() if term.startswith(start)]
            low = one + "\0"
        return found

    def having(self, number: int, field: str, wanted: str) -> set[int]:
        """UIDs of messages here with something in a field.

        :param field: of :data:`FIELDS`.
        :param wanted: folded; ``""``: whether there is anything in it.
        """
        assert field in FIELDS
        if not wanted:
            rows = self.connection.execute(
                f"SELECT uid FROM facts WHERE folder = ? AND \"{field}\" <> ''",  # noqa: S608
                (number,),
            )
        else:
            rows = self.connection.execute(
                f'SELECT uid FROM facts WHERE folder = ? AND instr("{field}", ?)',  # noqa: S608
                (number, wanted),
            )
        return {uid for (uid,) in rows.fetchall()}

    def sent(self, number: int, first: int, last: int) -> set[int]:
        """UIDs of messages here that were sent on a day from ``first`` to ``last``."""
        rows = self.connection.execute(
            "SELECT uid FROM facts WHERE folder = ? AND day BETWEEN ? AND ?", (number, first, last)
        )
        return {uid for (uid,) in rows.fetchall()}

    def undated(self, number: int) -> set[int]:
        """UIDs of messages here whose field Date says nothing."""
        rows = self.connection.execute("SELECT uid FROM facts WHERE folder = ? AND day IS NULL", (number,))
        return {uid for (uid,) in rows.fetchall()}

    def keys(self, number: int, key: str) -> dict[int, str | int | None]:
        """What the messages here are sorted by.

        :param key: of :data:`KEYS`.
        """
        assert key in KEYS
        rows = self.connection.execute(
            f"SELECT uid, {key} FROM facts WHERE folder = ?",  # noqa: S608
            (number,),
        )
        return dict(rows.fetchall())


def remove_indexes(directory: Path) -> tuple[int, int]:
    """Remove the indexes of all accounts, also those that were put aside.

    :param directory: of the indexes of accounts.
    :return: how many there were, and octets on disk.
    :raise OSError: if they cannot be removed.
    """
    count = octets = 0
    # The database first: a log without one is nothing to SQLite, a database without its log may be damaged.
    for path in sorted(directory.glob(f"*/*{ENDING}*"), key=lambda one: len(one.name)):
        with suppress(FileNotFoundError):
            octets += path.stat().st_blocks * 512
            path.unlink()
            count += path.name.endswith(ENDING)
    return count, octets


def _rarity(term: str) -> int:
    return sum(place if (place := _FREQUENT.find(letter)) >= 0 else 50 for letter in term[1:])


def _make(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version:
        raise Damaged(f"it has version {version}, this program knows {VERSION}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not version:
            for statement in filter(None, map(str.strip, _TABLES.split(";"))):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
