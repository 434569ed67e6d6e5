"""The folders of an account: which there are, and how they are made, renamed and removed.

Directories below the Maildir are the truth (Maildir++).  A folder exists if its directory does; levels
above it need not, and then they are names that nothing can be put into.  Each change is one step on
disk, or is promised in the index before it begins (:mod:`~mta.mailbox.renaming`).

Everything here runs in a thread, with the account's index.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mta.mailbox import place, renaming, special, subscriptions
from mta.mailbox.doomed import count_in_quota
from mta.mailbox.file_name import TRASHED, flags_of, size_of, split
from mta.mailbox.folder import Folder
from mta.mailbox.index import Index
from mta.mailbox.moving import move
from mta.mailbox.names import (
    INBOX,
    LONGEST,
    SEPARATOR,
    directory_of,
    name_of,
    new_directory_of,
    parents_of,
)
from mta.mailbox.refusal import Refused

#: Folders of an account that can be made.
MOST = 10_000
#: Messages that are moved out of the inbox in one transaction.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Listed:
    """A name in the list of folders.

    :ivar directory: of the folder, below the Maildir.
    :ivar exists: whether there is a folder of this name.  Without, there are some below it, or it is
        subscribed.
    :ivar children: whether there are folders below it.
    :ivar uses: what it is for (RFC 6154), such as ``\\Sent``.
    """

    name: str
    directory: bytes
    exists: bool
    children: bool
    subscribed: bool
    uses: tuple[str, ...] = ()


class Folders:
    """See the module.

    :param usual: names by purpose (:data:`~mta.mailbox.special.USES`): the first one is made at the first
        log-in, unless there is a folder with one of the others.
    """

    def __init__(self, usual: Mapping[str, Sequence[str]]) -> None:
        self._usual = usual

    # --- which there are -------------------------------------------------------

    def listed(self, index: Index) -> list[Listed]:
        """All folders, levels above them, and names that are subscribed; by name, the inbox first.

        :raise OSError: if Maildir or subscriptions cannot be read.
        """
        self._settle(index)
        there = {name_of(one): one for one in index.directories() if not one or is_there(index, one)}
        subscribed = set(subscriptions.load(index.maildir))
        uses = special.assign(
            {name: special.marks(index.path(one)) for name, one in there.items()}, self._usual
        )
        above = {parent for name in there for parent in parents_of(name)}
        names = sorted({*there, *above, *subscribed} - {INBOX})
        return [
            Listed(
                name,
                there[name] if name in there else directory_of(name),
                name in there,
                name in above,
                name in subscribed,
                uses.get(name, ()),
            )
            for name in (INBOX, *names)
        ]

    def find(self, index: Index, name: str) -> bytes:
        """The directory of a folder that is there.

        :raise Refused: if it is not: ``NONEXISTENT``.
        """
        directory = directory_of(name)
        if directory:
            self._settle(index)
            if not is_there(index, directory):
                raise Refused("there is no folder of this name", "NONEXISTENT")
        return directory

    def of_use(self, index: Index, use: str) -> str | None:
        """The name of the folder that is for a purpose; ``None`` if there is none."""
        return next((one.name for one in self.listed(index) if use in one.uses), None)

    # --- changing them ---------------------------------------------------------

    def furnish(self, index: Index) -> None:
        """Make what a person's programs expect to find, at the first log-in; they are subscribed.

        :raise OSError: if it cannot be made.
        """
        index.refresh(b"")
        place.make_maildir(index.maildir)
        place.sweep(index.maildir)
        (furnished,) = index.connection.execute("SELECT furnished FROM account").fetchone()
        if furnished:
            return
        there = self.listed(index)
        subscriptions.change(index.maildir, INBOX, True)
        for use, names in self._usual.items():
            found = next((one.name for one in there if use in one.uses), None)
            if found is None and names:
                found = names[0]
                with suppress(FileExistsError):
                    place.make_folder(index.maildir, new_directory_of(found))
            if found is not None:
                subscriptions.change(index.maildir, found, True)
        with index.transaction():
            index.connection.execute("UPDATE account SET furnished = 1")

    def create(self, index: Index, name: str, uses: Sequence[str] = ()) -> Folder:
        """Make a folder (CREATE).

        :param name: a dot at its end says that there will be others below it; nothing is different.
        :param uses: what it is for (RFC 6154).
        :return: the folder, with its UIDVALIDITY.
        :raise Refused: if there can be none of this name, or is one.
        :raise OSError: if it cannot be made.
        """
        directory = new_directory_of(_without_end(name))
        wanted = special.asked_for(uses)
        self._settle(index)
        if not directory:
            raise Refused("the inbox is there always", "ALREADYEXISTS")
        there = index.directories()
        if len(there) > MOST:
            raise Refused(f"there are {MOST} folders, which is the most", "LIMIT")
        self._free(index, there, wanted)
        place.make_maildir(index.maildir)
        try:
            place.make_folder(index.maildir, directory, wanted)
        except FileExistsError:
            raise Refused("there is a folder of this name", "ALREADYEXISTS") from None
        return index.refresh(directory)

    @staticmethod
    def _free(index: Index, there: Sequence[bytes], uses: Sequence[str]) -> None:
        """See that no folder is marked for these purposes."""
        if uses:
            for one in there:
                for use in special.marks(index.path(one)):
                    if use in uses:
                        raise Refused(f"the folder {name_of(one)} is for {use} already", "USEATTR")

    def delete(self, index: Index, name: str) -> int:
        """Remove a folder with its messages (DELETE); those below it stay.

        :return: how many messages it had.
        :raise Refused: if there is none of this name, or it cannot be.
        :raise OSError: if it cannot be removed.
        """
        directory = directory_of(name)
        if not directory:
            raise Refused("the inbox cannot be removed", "CANNOT")
        self._settle(index)
        if not is_there(index, directory):
            start = directory + b"."
            if any(one.startswith(start) for one in index.directories()):
                raise Refused("it has folders below it, and is none itself", "HASCHILDREN")
            raise Refused("there is no folder of this name", "NONEXISTENT")
        with index.transaction():
            try:
                removed = place.take_out(index.maildir, directory)
            except FileNotFoundError:
                raise Refused("another program has removed this folder", "NONEXISTENT") from None
            count = _count(index, directory)
            index.drop(directory)
        _clear(index, directory, removed)
        return count

    def rename(self, index: Index, source: str, target: str) -> list[bytes]:
        """Rename a folder with those below it (RENAME); from the inbox, only the messages go.

        :return: directories whose sessions must look again: the old ones and the new ones.
        :raise Refused: if there is none of this name, or it cannot be renamed so.
        :raise OSError: if a directory cannot be renamed; none is.
        """
        old, new = directory_of(source), new_directory_of(_without_end(target))
        self._settle(index)
        if not new or is_there(index, new):
            raise Refused("there is a folder of this name", "ALREADYEXISTS")
        if not old:
            return self._move_inbox(index, target)
        if new.startswith(old + b"."):
            raise Refused("a folder cannot be renamed to be below itself", "CANNOT")
        start = old + b"."
        there = [one for one in index.directories() if one == old or one.startswith(start)]
        pairs = [(one, new + one[len(old) :]) for one in there if is_there(index, one)]
        if not pairs:
            raise Refused("there is no folder of this name", "NONEXISTENT")
        for _, one in pairs:
            if len(one) > LONGEST:
                raise Refused("the name of a folder below it would be too long", "CANNOT")
            if os.path.lexists(index.path(one)):
                raise Refused(f"there is a folder {name_of(one)}", "ALREADYEXISTS")
        renaming.promise(index, pairs)
        with index.transaction():
            trouble = renaming.finish(index)
        if trouble is not None:
            raise trouble
        return [one for pair in pairs for one in pair]

    def _move_inbox(self, index: Index, target: str) -> list[bytes]:
        directory = self.create(index, target).directory
        while True:
            folder = index.refresh(b"")
            rows = index.connection.execute(
                "SELECT uid FROM messages WHERE folder = ? ORDER BY uid LIMIT ?", (folder.id, _AT_ONCE)
            ).fetchall()
            if not rows or not move(index, b"", [uid for (uid,) in rows], directory).pairs:
                return [b"", directory]

    def subscribe(self, index: Index, name: str, subscribed: bool) -> bool:
        """Put a name into the list of those that programs show, or take it out.

        :return: whether it was otherwise before.
        :raise Refused: if no folder can have this name, or there are too many.
        :raise OSError: if it cannot be.
        """
        if subscribed:
            place.make_maildir(index.maildir)
        elif not os.path.isdir(index.maildir):
            return False
        return subscriptions.change(index.maildir, name, subscribed)

    @staticmethod
    def _settle(index: Index) -> None:
        """Finish what somebody began who was killed."""
        if index.connection.execute("SELECT 1 FROM renaming LIMIT 1").fetchone():
            with index.transaction():
                renaming.finish(index)


def _count(index: Index, directory: bytes) -> int:
    folder = index.known(directory)
    if folder is None:
        return 0
    query = "SELECT count(*) FROM messages WHERE folder = ?"
    return int(index.connection.execute(query, (folder.id,)).fetchone()[0])


def is_there(index: Index, directory: bytes) -> bool:
    """Whether there is a folder in a directory."""
    return place.is_folder(index.path(directory))


def _without_end(name: str) -> str:
    return name.removesuffix(SEPARATOR) if len(name) > 1 else name


def _clear(index: Index, directory: bytes, removed: bytes) -> None:
    """Remove what was in a folder, and tell the quota of it."""
    octets = count = 0
    for one in (b"/new", b"/cur"):
        names: list[bytes] = []
        with suppress(OSError):
            names = os.listdir(removed + one)
        for name in names:
            base, info = split(name)
            if flags_of(info).system & TRASHED or name.startswith(b"."):
                continue
            size = size_of(base)
            if size is None:
                with suppress(OSError):
                    size = os.lstat(removed + one + b"/" + name).st_size
            octets, count = octets + (size or 0), count + 1
    shutil.rmtree(removed, ignore_errors=True)
    if directory != b".Trash":
        count_in_quota(index.maildir, -octets, -count)
