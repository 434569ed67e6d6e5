"""How full a Maildir is: the file ``maildirsize`` and the counting of messages."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

from mta.deliver.maildir_name import is_trashed, size_in
from mta.deliver.quota import Usage, header, line, must_recount, parse


def folders(root: bytes) -> Iterator[bytes]:
    """The Maildir itself and its Maildir++ folders.

    :raise OSError: if the Maildir cannot be read.
    """
    yield root
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.name.startswith(b".") and entry.is_dir(follow_symlinks=False):
                    yield entry.path
    except FileNotFoundError:
        return


class MaildirQuota:
    """The quota of one Maildir, for the length of one batch.

    :param root: the Maildir.
    :param quota: octets.
    :param mode: of a new ``maildirsize``.
    """

    __slots__ = ("_added", "_mode", "_path", "_quota", "_reserved", "_root", "_usage")

    def __init__(self, root: bytes, quota: int, mode: int = 0o600) -> None:
        self._root = root
        self._quota = quota
        self._mode = mode
        self._path = root + b"/maildirsize"
        self._usage: Usage | None = None
        self._reserved = 0
        self._added = Usage(0, 0)

    def reserve(self, octets: int) -> bool:
        """Whether a message of this size fits; if so, it is counted in.

        :raise OSError: if neither file nor Maildir can be read.
        """
        usage = self._usage
        if usage is None or (not usage.counted and usage.octets + self._reserved + octets > self._quota):
            usage = self._usage = self._read(self._reserved + octets)
        if usage.octets + self._reserved + octets > self._quota:
            return False
        self._reserved += octets
        return True

    def usage(self) -> Usage:
        """How full it is, without what is counted in.

        :raise OSError: if neither file nor Maildir can be read.
        """
        return self._read(0)

    def release(self, octets: int) -> None:
        """A message that was counted in did not arrive."""
        self._reserved -= octets

    def add(self, octets: int) -> None:
        """A message arrived."""
        self._added.octets += octets
        self._added.count += 1

    def save(self) -> None:
        """Append what arrived to the file.  An error is passed over: counting will mend it."""
        if not self._added.count:
            return
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.write(file, line(self._added.octets, self._added.count))
            finally:
                os.close(file)
        except OSError:
            pass

    def _read(self, octets: int) -> Usage:
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return self._recount()
        try:
            data = os.read(file, 1 << 16)
            age = time.time() - os.fstat(file).st_mtime
        finally:
            os.close(file)
        usage = parse(data, self._quota)
        if usage is None:
            return self._recount()
        if usage.octets + octets > self._quota and must_recount(data.count(b"\n"), age):
            return self._recount()
        return usage

    def _recount(self) -> Usage:
        before = self._times()
        usage = Usage(0, 0, counted=True)
        for folder in folders(self._root):
            if folder == self._root + b"/.Trash":
                continue  # Neither does what the owner has thrown away count.
            for place in (b"/new", b"/cur"):
                self._count(folder + place, usage)
        self._write(usage)
        if self._times() != before:
            # Somebody moved or removed messages meanwhile: good enough for now, not for later.
            with suppress(OSError):
                os.unlink(self._path)
        return usage

    def _times(self) -> list[int]:
        times = []
        for folder in folders(self._root):
            for place in (b"/new", b"/cur"):
                try:
                    times.append(os.stat(folder + place).st_mtime_ns)
                except OSError:
                    times.append(0)
        return times

    @staticmethod
    def _count(directory: bytes, usage: Usage) -> None:
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if name.startswith(b".") or is_trashed(name):
                continue
            size = size_in(name)
            if size is None:
                try:
                    size = os.lstat(directory + b"/" + name).st_size
                except OSError:
                    continue  # It was moved away meanwhile.
            usage.octets += size
            usage.count += 1

    def _write(self, usage: Usage) -> None:
        """Put a new file in the place of the old one; without one, every delivery counts anew."""
        name = self._root + b"/tmp/maildirsize.%d.%d" % (os.getpid(), time.monotonic_ns())
        try:
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._mode)
            try:
                if os.geteuid() == 0:
                    owner = os.stat(self._root)
                    os.fchown(file, owner.st_uid, owner.st_gid)
                os.write(file, header(self._quota) + line(usage.octets, usage.count))
            finally:
                os.close(file)
            os.rename(name, self._path)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
