"""The folder that a session has selected: what its client was told, and which number each message has.

Numbers belong to what was told.  They change only when the client is told so, whatever has become of
the folder meanwhile: a session holds the snapshot that its client knows, and goes on to the next one
when it may (:mod:`~mta.imap.updates`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mta.imap.sequence_set import SequenceSet
from mta.mailbox.mailroom import Account
from mta.mailbox.snapshot import Snapshot


class BadNumber(ValueError):
    """A number that no message has; the text is for the client."""


class Selected:
    """See the module.

    :param account: whose folder it is.
    :param name: of the folder, as clients call it.
    :param snapshot: what the client was told.
    :param read_only: whether nothing may be changed (EXAMINE).
    :param recent: UIDs that no other session was told of before: from, and up to this one.
    :ivar words: the folder's keywords, as the client was told.
    :ivar known: MODSEQs by UIDs of what this session has changed itself, and has told of.
    :ivar stale: whether the folder may have changed since it was last looked at.
    :ivar gone: whether nobody waits for answers any more.
    :ivar saved: UIDs that ``$`` stands for (RFC 5182).
    """

    __slots__ = (
        "_unwatch",
        "account",
        "gone",
        "known",
        "name",
        "read_only",
        "recent",
        "saved",
        "snapshot",
        "stale",
        "words",
    )

    def __init__(
        self, account: Account, name: str, snapshot: Snapshot, read_only: bool, recent: list[tuple[int, int]]
    ) -> None:
        self.account = account
        self.name = name
        self.snapshot = snapshot
        self.words = snapshot.words
        self.read_only = read_only
        self.recent = recent
        self.known: dict[int, int] = {}
        self.stale = False
        self.gone: Callable[[], bool] = lambda: False
        self.saved: Sequence[int] = ()
        self._unwatch: Callable[[], None] | None = None

    @property
    def directory(self) -> bytes:
        """Of the folder, below the Maildir."""
        return self.snapshot.directory

    def watch(self, told: Callable[[], None]) -> None:
        """Have ``told`` called whenever the folder may have changed."""
        self._unwatch = self.account.watch(self.directory, told)

    def close(self) -> None:
        """It is selected no more."""
        unwatch, self._unwatch = self._unwatch, None
        if unwatch is not None:
            unwatch()

    # --- numbers ---------------------------------------------------------------

    def number(self, uid: int) -> int:
        """Of a message, from 1; 0 if the client does not know it."""
        return self.snapshot.place(uid) + 1

    def places(self, wanted: SequenceSet, by_uid: bool) -> list[range]:
        """Where the messages of a set are, in rising order.

        :raise BadNumber: if it names numbers that no message has.  UIDs may be any.
        """
        uids = self.snapshot.uids
        if by_uid:
            return wanted.places(uids)
        count = len(uids)
        found = []
        for first, last in wanted.bounds(count):
            if last > count or not count:
                raise BadNumber(f"there are {count} messages, and none has the number {last}")
            found.append(range(first - 1, last))
        if not found and wanted.ranges:
            raise BadNumber("there are no messages")
        return found

    def uids(self, wanted: SequenceSet, by_uid: bool) -> list[int]:
        """The UIDs of a set, in rising order.

        :raise BadNumber: see :meth:`places`.
        """
        uids = self.snapshot.uids
        return [uid for place in self.places(wanted, by_uid) for uid in uids[place.start : place.stop]]

    def saved_set(self, by_uid: bool) -> SequenceSet:
        """What ``$`` stands for; messages that are gone are not in it."""
        numbers = ((uid, self.number(uid)) for uid in self.saved)
        return SequenceSet.of(uid if by_uid else number for uid, number in numbers if number)

    # --- recent ----------------------------------------------------------------

    def is_recent(self, uid: int) -> bool:
        """Whether this session is the first to be told of a message."""
        return any(first <= uid < end for first, end in self.recent)

    def count_recent(self) -> int:
        """How many such messages there are."""
        places = (SequenceSet(((first, end - 1),)).places(self.snapshot.uids) for first, end in self.recent)
        return sum(len(place) for found in places for place in found)

    def add_recent(self, ranges: Iterable[tuple[int, int]]) -> None:
        """More such messages: first UID, and the one behind the last."""
        for first, end in ranges:
            if self.recent and self.recent[-1][1] == first:
                self.recent[-1] = (self.recent[-1][0], end)
            else:
                self.recent.append((first, end))
