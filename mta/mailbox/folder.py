"""A folder of an index, and a message, as they are read from the tables."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from mta.mailbox.file_name import SEEN, TRASHED

FOLDER = (
    "id, directory, validity, next_uid, modseq, messages, octets, unseen, keywords, "
    "new_mark, cur_mark, new_looked, cur_looked, cur_trusted, forgotten"
)
#: When a message came into its folder, in seconds since 1970; ``NULL``: nobody knows.
SAVED = "coalesce(saved, time_of(base))"
MESSAGE = "uid, base, info, cur, flags, keywords, size, virtual, received, modseq"


class Gone(Exception):
    """The folder, or the message, is not there any more."""


class Missing(OSError):
    """The whole Maildir is not there although it had messages: a disk that is not mounted, perhaps."""


@dataclass(slots=True)
class Folder:
    """What the index knows of a folder.

    :ivar directory: below the Maildir; ``b""`` for the inbox.
    :ivar validity: UIDVALIDITY.
    :ivar modseq: of the last change, HIGHESTMODSEQ (RFC 7162).
    :ivar unseen: messages without the flag seen.
    :ivar words: its keywords by number, ended by line feeds.
    :ivar cur_trusted: since when changes of ``cur`` were ours alone, as far as we know; 0: there were none.
    :ivar forgotten: expunged UIDs are known from the change after this one on.
    """

    id: int
    directory: bytes
    validity: int
    next_uid: int
    modseq: int
    messages: int
    octets: int
    unseen: int
    words: str
    new_mark: str
    cur_mark: str
    new_looked: float
    cur_looked: float
    cur_trusted: float
    forgotten: int

    @property
    def keywords(self) -> list[str]:
        """The keywords by number, ``""`` where there is none."""
        return self.words.split("\n") if self.words else []

    def named(self, bits: int) -> tuple[str, ...]:
        """The keywords that bits stand for; nobody knows what others may mean."""
        return tuple(word for number, word in enumerate(self.keywords) if word and bits >> number & 1)

    def count(self, message: Message, sign: int) -> None:
        """Add (1) or take away (-1) a message."""
        self.messages += sign
        self.octets += sign * message.size
        if not message.flags & SEEN:
            self.unseen += sign

    def save(self, connection: sqlite3.Connection) -> None:
        """Keep it."""
        connection.execute(
            "UPDATE folders SET validity = ?, next_uid = ?, modseq = ?, messages = ?, octets = ?, unseen = ?,"
            " keywords = ?, new_mark = ?, cur_mark = ?, new_looked = ?, cur_looked = ?, cur_trusted = ?,"
            " forgotten = ?"
            " WHERE id = ?",
            (
                self.validity,
                self.next_uid,
                self.modseq,
                self.messages,
                self.octets,
                self.unseen,
                self.words,
                self.new_mark,
                self.cur_mark,
                self.new_looked,
                self.cur_looked,
                self.cur_trusted,
                self.forgotten,
                self.id,
            ),
        )


@dataclass(slots=True)
class Message:
    """What the index knows of a message.

    :ivar cur: whether it is in ``cur``, else in ``new``.
    :ivar flags: bits of :data:`~mta.mailbox.file_name.LETTERS`.
    :ivar keywords: bits by the folder's keywords.
    :ivar size: octets of the file.
    :ivar virtual: octets with CRLF at each line's end; ``None``: nobody has counted them yet.
    :ivar received: seconds since 1970; ``None``: nobody has looked yet.
    """

    uid: int
    base: bytes
    info: bytes
    cur: int
    flags: int
    keywords: int
    size: int
    virtual: int | None
    received: int | None
    modseq: int

    @property
    def name(self) -> bytes:
        """Of its file."""
        return self.base + self.info

    @property
    def place(self) -> bytes:
        """Where its file is, below the folder."""
        return (b"cur/" if self.cur else b"new/") + self.base + self.info

    @property
    def counts(self) -> bool:
        """Whether it counts against the quota: what is marked as deleted does not (Maildir++)."""
        return not self.flags & TRASHED
