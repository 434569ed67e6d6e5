"""The index of one account: what its Maildir holds, brought up to date with the files.

Runs in threads, one call at a time for each account and process; other processes may work on the same
database.  Whatever is found in the files wins over what the index knows, and every step that changes
files can be cut off anywhere: the next :meth:`Index.refresh` finds what became of it.

UIDs are given when a message is first seen, in the order of delivery, and never again: UIDNEXT only
grows, and UIDVALIDITY stays as long as the index or the folder's list of UIDs
(:mod:`~mta.mailbox.uid_list`) is there.  MODSEQ begins at the time in milliseconds, so that an index made
anew begins above what the lost one had told.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from mta.deliver.disk import Disk
from mta.mailbox import arriving, keywords, listing, renaming, uid_list
from mta.mailbox.doomed import finish
from mta.mailbox.file_name import flags_of, order, size_of, split, time_of, virtual_of
from mta.mailbox.folder import FOLDER, MESSAGE, Folder, Gone, Message, Missing
from mta.mailbox.listing import TRUST, Listing, Look
from mta.mailbox.uid_list import LAST, UidList

#: Expunged UIDs that are remembered of a folder.
_REMEMBERED = 20_000
_SPARE_LINES = 1000


class Index:
    """See the module.

    :param connection: from :func:`~mta.mailbox.schema.connect`.
    :param maildir: absolute path.
    :param seconds: gives the time.
    :ivar disk: the file system.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        maildir: bytes,
        seconds: Callable[[], float] = time.time,
        disk: Disk | None = None,
    ) -> None:
        self.connection = connection
        self.maildir = maildir
        self._seconds = seconds
        self.disk = disk or Disk()
        connection.create_function("time_of", 1, time_of, deterministic=True)

    def now(self) -> int:
        """Seconds since 1970."""
        return int(self._seconds())

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    # --- folders ---------------------------------------------------------------

    def path(self, directory: bytes) -> bytes:
        """Of a folder."""
        return self.maildir + b"/" + directory if directory else self.maildir

    def known(self, directory: bytes) -> Folder | None:
        """What the index knows of a folder, whatever the files say."""
        row = self.connection.execute(
            f"SELECT {FOLDER} FROM folders WHERE directory = ?",  # noqa: S608
            (directory,),
        ).fetchone()
        return None if row is None else Folder(*row)

    def folders(self) -> list[Folder]:
        """All that the index knows."""
        rows = self.connection.execute(f"SELECT {FOLDER} FROM folders ORDER BY directory")  # noqa: S608
        return [Folder(*row) for row in rows.fetchall()]

    def directories(self) -> list[bytes]:
        """The folders that are on disk, the inbox first.

        :raise OSError: if the Maildir cannot be read.
        """
        found = []
        try:
            with os.scandir(self.maildir) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith(b".") and name.strip(b".") and entry.is_dir(follow_symlinks=False):
                        found.append(name)
        except FileNotFoundError:
            pass
        return [b"", *sorted(found)]

    def usage(self) -> tuple[int, int]:
        """Messages and octets that count against the quota, of the folders as they were last seen."""
        # Folders are counted as they change; only what is marked as deleted is looked at.
        all_of = self.connection.execute(
            "SELECT ifnull(sum(messages), 0), ifnull(sum(octets), 0) FROM folders"
            " WHERE directory <> x'2e5472617368'"
        ).fetchone()
        deleted = self.connection.execute(
            "SELECT count(*), ifnull(sum(m.size), 0) FROM messages m INDEXED BY trashed"
            " JOIN folders f ON f.id = m.folder WHERE m.flags & 32 AND f.directory <> x'2e5472617368'"
        ).fetchone()
        return int(all_of[0] - deleted[0]), int(all_of[1] - deleted[1])

    def forget(self, directory: bytes) -> None:
        """A folder was removed."""
        with self.transaction():
            self.drop(directory)

    def drop(self, directory: bytes) -> None:
        """The same within a transaction."""
        folder = self.known(directory)
        if folder is not None:
            for table in ("messages", "expunged", "doomed", "arriving"):
                self.connection.execute(f"DELETE FROM {table} WHERE folder = ?", (folder.id,))  # noqa: S608
            self.connection.execute("DELETE FROM folders WHERE id = ?", (folder.id,))

    # --- messages --------------------------------------------------------------

    def messages(self, folder: Folder, since: int = 0) -> Iterator[Message]:
        """Those of a folder, or those that have changed after MODSEQ ``since``, in the order of UIDs."""
        rows = self.connection.execute(
            f"SELECT {MESSAGE} FROM messages WHERE folder = ? AND modseq > ? ORDER BY uid",  # noqa: S608
            (folder.id, since),
        )
        for row in rows:
            yield Message(*row)

    def message(self, folder: Folder, uid: int) -> Message:
        """One message.

        :raise Gone: if the index does not know it (any more).
        """
        row = self.connection.execute(
            f"SELECT {MESSAGE} FROM messages WHERE folder = ? AND uid = ?",  # noqa: S608
            (folder.id, uid),
        ).fetchone()
        if row is None:
            raise Gone(f"there is no message {uid}")
        return Message(*row)

    def expunged(self, folder: Folder, since: int) -> list[int] | None:
        """UIDs that went after MODSEQ ``since``; ``None`` if that is too long ago to be known."""
        if since < folder.forgotten:
            return None
        rows = self.connection.execute(
            "SELECT uid FROM expunged WHERE folder = ? AND modseq > ? ORDER BY uid", (folder.id, since)
        )
        return [uid for (uid,) in rows]

    # --- up to date ------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything or nothing; only one process at a time."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            raise

    def refresh(self, directory: bytes = b"", thorough: bool = False) -> Folder:
        """Bring a folder up to date with its files.

        :param thorough: read directories whatever their times say.
        :raise Gone: if there is no such folder.
        :raise Missing: if there is no Maildir any more.
        :raise OSError: if it cannot be read.
        :raise sqlite3.Error: if the index cannot be written.
        """
        folder = self.known(directory)
        if folder is not None and not thorough and self._is_current(folder):
            return folder
        with self.transaction():
            # Another process may have done it while we waited for our turn.
            renaming.finish(self)
            folder = self.known(directory)
            there = self._exists(directory)
            if not there and directory:
                self.drop(directory)
            elif not there and folder is not None and folder.messages:
                raise Missing(errno.ENOENT, "the Maildir is gone", self.maildir)
            else:
                before: UidList | None = None
                if folder is None:
                    folder, before = self._begin(directory)
                if there:
                    arriving.finish(self, folder)
                    finish(self, folder)
                    self._scan(folder, thorough, before)
        if folder is None or not (there or not directory):
            raise Gone("there is no such folder")
        return folder

    def _exists(self, directory: bytes) -> bool:
        path = self.path(directory)
        try:
            listing.look(path + b"/cur")
            listing.look(path + b"/new")
        except FileNotFoundError:
            if directory:
                # That the folder is gone is no news while the Maildir itself cannot be seen.
                try:
                    listing.look(self.maildir)
                except FileNotFoundError:
                    raise Missing(errno.ENOENT, "the Maildir is gone", self.maildir) from None
            return False
        return True

    def _is_current(self, folder: Folder) -> bool:
        path = self.path(folder.directory)
        try:
            new = listing.look(path + b"/new")
            cur = listing.look(path + b"/cur")
        except FileNotFoundError:
            return False
        return (
            new.proves(folder.new_mark, folder.new_looked)
            and _is_known(folder, cur)
            and not self.connection.execute(
                "SELECT 1 FROM doomed WHERE folder = ?1"
                " UNION ALL SELECT 1 FROM arriving WHERE ?1 IN (folder, source) LIMIT 1",
                (folder.id,),
            ).fetchone()
        )

    def _begin(self, directory: bytes) -> tuple[Folder, UidList | None]:
        """A folder that the index does not know: it is new, or the index was lost."""
        now = self._seconds()
        (highest,) = self.connection.execute("SELECT validity FROM account").fetchone()
        # Later than any before, also of a folder of this name that was removed.
        validity, next_uid = min(max(int(now), highest + 1), LAST), 1
        before = uid_list.load(self.path(directory))
        if before is not None:
            validity, next_uid = before.validity, before.next_uid
        self.connection.execute("UPDATE account SET validity = max(validity, ?)", (validity,))
        self.connection.execute(
            "INSERT INTO folders (directory, validity, next_uid, modseq, forgotten) VALUES (?, ?, ?, ?, ?)",
            (directory, validity, next_uid, int(now * 1000), int(now * 1000)),
        )
        folder = self.known(directory)
        assert folder is not None
        return folder, before

    # --- scanning --------------------------------------------------------------

    @contextmanager
    def own(self, folder: Folder) -> Iterator[None]:
        """Change files of ``cur``, and know it afterwards without reading it; before the folder is saved.

        :raise OSError: if it cannot be seen.
        """
        path = self.path(folder.directory) + b"/cur"
        before = listing.look(path)
        ours = folder.cur_trusted and before.mark == folder.cur_mark
        known = ours or before.proves(folder.cur_mark, folder.cur_looked)
        yield
        if known:
            after = listing.look(path)
            folder.cur_mark = after.mark
            folder.cur_trusted = folder.cur_trusted if ours else after.at

    def _scan(self, folder: Folder, thorough: bool, before: UidList | None) -> None:
        anew = not folder.cur_mark
        path = self.path(folder.directory)
        found: dict[int, Listing] = {}
        new = listing.look(path + b"/new")
        if thorough or not new.proves(folder.new_mark, folder.new_looked):
            found[0] = listing.read(path + b"/new")
        # After ``new``, because readers move messages that way: none is overlooked in between.
        cur = listing.look(path + b"/cur")
        if thorough or not _is_known(folder, cur):
            found[1] = listing.read(path + b"/cur")
        self._keywords(folder, path)
        missing = self._compare(folder, found)
        if 1 not in found and any(not message.cur for message in missing):
            found[1] = listing.read(path + b"/cur")
            missing += self._compare(folder, {1: found[1]})
        made = self._settle(folder, path, found, missing, before)
        self.keep_list(folder, path, made, anew)
        for cur_too, one in found.items():
            # What was not read whole is read again.
            mark, at = (one.look.mark, one.look.at) if one.whole else ("", 0.0)
            if cur_too:
                # Nothing but our own changes since the last time: that goes on from here.
                ours = bool(folder.cur_trusted and mark and mark == folder.cur_mark)
                folder.cur_mark, folder.cur_looked, folder.cur_trusted = mark, at, at if ours else 0.0
            else:
                folder.new_mark, folder.new_looked = mark, at
        folder.save(self.connection)

    def _compare(self, folder: Folder, found: dict[int, Listing]) -> list[Message]:
        """Take out of the listings what the index knows; what it knows and is not there."""
        missing = []
        for cur, one in found.items():
            rows = self.connection.execute(
                "SELECT base, info, uid FROM messages WHERE folder = ? AND cur = ?", (folder.id, cur)
            )
            names = one.names
            lost = []
            for base, info, uid in rows:
                name = base + info
                if name in names:
                    names.discard(name)
                else:
                    lost.append(uid)
            missing += [self.message(folder, uid) for uid in lost]
        return missing

    def _settle(
        self,
        folder: Folder,
        path: bytes,
        found: dict[int, Listing],
        missing: list[Message],
        before: UidList | None,
    ) -> list[tuple[int, bytes]]:
        """Make the index what the directories are; the UIDs that were given."""
        lost = {message.base: message for message in missing}
        arrived: dict[bytes, tuple[bytes, int]] = {}
        # ``cur`` first: what is in both is on its way there.
        for cur in (1, 0):
            for name in sorted(found[cur].names) if cur in found else ():
                base, info = split(name)
                if base in lost:
                    self._moved(folder, lost.pop(base), info, cur)
                elif base in arrived:
                    self._twin(path, arrived[base], name, cur)
                else:
                    arrived[base] = (info, cur)
        made = self._add(folder, path, arrived, before)
        whole = all(one.whole for one in found.values())
        if lost and whole:
            self.remove(folder, lost.values())
        return made

    def _moved(self, folder: Folder, message: Message, info: bytes, cur: int) -> None:
        """A message has another name, or another directory."""
        flags = flags_of(info)
        if (message.flags, message.keywords) != (flags.system, flags.keywords):
            folder.modseq += 1
            message.modseq = folder.modseq
        folder.count(message, -1)
        message.info, message.cur = info, cur
        message.flags, message.keywords = flags.system, flags.keywords
        folder.count(message, 1)
        self.connection.execute(
            "UPDATE messages SET info = ?, cur = ?, flags = ?, keywords = ?, modseq = ?"
            " WHERE folder = ? AND uid = ?",
            (info, cur, message.flags, message.keywords, message.modseq, folder.id, message.uid),
        )

    def _twin(self, path: bytes, first: tuple[bytes, int], name: bytes, cur: int) -> None:
        """Two files with one base: two names of one file, or two messages; these get names of their own."""
        base, info = split(name)
        places = (b"/new/", b"/cur/")
        with suppress(OSError):
            one = os.lstat(path + places[first[1]] + base + first[0])
            other = os.lstat(path + places[cur] + name)
            if (one.st_dev, one.st_ino) != (other.st_dev, other.st_ino):
                start, comma, sizes = base.partition(b",")
                fresh = start + b"-" + secrets.token_hex(4).encode() + comma + sizes
                # It comes in with the next look: the directory has changed.
                os.rename(path + places[cur] + name, path + places[cur] + fresh + info)

    def _add(
        self,
        folder: Folder,
        path: bytes,
        arrived: dict[bytes, tuple[bytes, int]],
        before: UidList | None,
    ) -> list[tuple[int, bytes]]:
        made: list[tuple[int, bytes]] = []
        if not arrived:
            return made
        rows = []
        folder.modseq += 1
        empty = not folder.messages
        for base in sorted(arrived, key=order):
            info, cur = arrived[base]
            if not empty and self._has(folder, base):
                self._twin_of_known(folder, path, base, info, cur)
                continue
            size = size_of(base)
            if size is None:
                try:
                    size = os.lstat(path + (b"/cur/" if cur else b"/new/") + base + info).st_size
                except FileNotFoundError:
                    continue
            uid = before.uids.get(base) if before is not None else None
            if uid is None:
                if folder.next_uid >= LAST:
                    raise OSError(errno.EOVERFLOW, "the folder has used up its UIDs")
                uid = folder.next_uid
                folder.next_uid += 1
                made.append((uid, base))
            flags = flags_of(info)
            message = Message(
                uid,
                base,
                info,
                cur,
                flags.system,
                flags.keywords,
                size,
                virtual_of(base),
                None,
                folder.modseq,
            )
            folder.count(message, 1)
            rows.append(
                (
                    folder.id,
                    uid,
                    base,
                    info,
                    cur,
                    message.flags,
                    message.keywords,
                    size,
                    message.virtual,
                    message.modseq,
                    None if time_of(base) else self.now(),
                )
            )
        # In the order of UIDs the tables grow at their end.
        rows.sort(key=lambda row: row[1])
        self.connection.executemany(
            "INSERT INTO messages (folder, uid, base, info, cur, flags, keywords, size, virtual, modseq,"
            " saved) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        return made

    def _has(self, folder: Folder, base: bytes) -> bool:
        return bool(
            self.connection.execute(
                "SELECT 1 FROM messages WHERE folder = ? AND base = ?", (folder.id, base)
            ).fetchone()
        )

    def _twin_of_known(self, folder: Folder, path: bytes, base: bytes, info: bytes, cur: int) -> None:
        row = self.connection.execute(
            "SELECT info, cur FROM messages WHERE folder = ? AND base = ?", (folder.id, base)
        ).fetchone()
        self._twin(path, (row[0], row[1]), base + info, cur)

    def keep_list(self, folder: Folder, path: bytes, made: list[tuple[int, bytes]], anew: bool) -> None:
        """Have the folder itself remember its UIDs.  Without room for that the index does alone."""
        with suppress(OSError):
            enough = not anew and uid_list.lines_in(path) < 3 * folder.messages + _SPARE_LINES
            if enough and (not made or uid_list.append(path, made)):
                return
            lines = self.connection.execute(
                "SELECT uid, base FROM messages WHERE folder = ? ORDER BY uid", (folder.id,)
            )
            uid_list.write(path, folder.validity, folder.next_uid, lines)

    def _keywords(self, folder: Folder, path: bytes) -> None:
        """What the letters mean.  Others may name one after they have put it into the name of a file."""
        words, before = keywords.load(path), folder.words.split("\n")
        named = sum(
            1 << place
            for place, word in enumerate(words)
            if word and word != (before[place] if place < len(before) else "")
        )
        folder.words = "\n".join(words)
        if named:
            changed = self.connection.execute(
                "UPDATE messages SET modseq = ? WHERE folder = ? AND keywords & ?",
                (folder.modseq + 1, folder.id, named),
            )
            if changed.rowcount:
                folder.modseq += 1

    # --- removing --------------------------------------------------------------

    def remove(self, folder: Folder, messages: Iterable[Message]) -> None:
        """Their files are gone."""
        folder.modseq += 1
        gone = []
        for message in messages:
            folder.count(message, -1)
            gone.append(message.uid)
        self.connection.executemany(
            "DELETE FROM messages WHERE folder = ? AND uid = ?", [(folder.id, uid) for uid in gone]
        )
        self.connection.executemany(
            "INSERT OR IGNORE INTO expunged VALUES (?, ?, ?)",
            [(folder.id, folder.modseq, uid) for uid in gone],
        )
        (count,) = self.connection.execute(
            "SELECT count(*) FROM expunged WHERE folder = ?", (folder.id,)
        ).fetchone()
        if count > _REMEMBERED:
            row = self.connection.execute(
                "SELECT modseq FROM expunged WHERE folder = ? ORDER BY modseq DESC LIMIT 1 OFFSET ?",
                (folder.id, _REMEMBERED // 2),
            ).fetchone()
            folder.forgotten = max(folder.forgotten, int(row[0]))
            self.connection.execute(
                "DELETE FROM expunged WHERE folder = ? AND modseq <= ?", (folder.id, folder.forgotten)
            )
        folder.save(self.connection)


def _is_known(folder: Folder, cur: Look) -> bool:
    """Whether ``cur`` is as it was read, but for our own changes."""
    if cur.proves(folder.cur_mark, folder.cur_looked):
        return True
    return cur.mark == folder.cur_mark and 0 <= cur.at - folder.cur_trusted < TRUST
