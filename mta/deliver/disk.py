"""The few things that delivery into a Maildir asks of the file system.

Names are octets.  Tests put a disk that fails in the place of this one.

Making many files durable: with one ``fsync`` each, every file costs a flush of the device.
``syncfs`` makes all of them durable with one, which is two to four times as fast for a third of
the CPU.  It also waits for what others have written to the file system, so it is used only for
several files at once, only where it reports errors (Linux 5.8) and is known to be cheap, and
for a minute not at all after it was slow.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress

_CHEAP = frozenset({"ext4", "xfs", "f2fs", "tmpfs"})
_NOREPLACE = 1
_SLOW = 1.0
_PAUSE = 60.0
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _release() -> tuple[int, int]:
    """The kernel's version, if it is Linux."""
    system = os.uname()
    try:
        major, minor = system.release.split(".")[:2]
        return (int(major), int(minor)) if system.sysname == "Linux" else (0, 0)
    except ValueError:
        return (0, 0)


def _find(name: str, since: tuple[int, int]) -> Callable[..., int] | None:
    """A function of the C library, if it and this version of Linux are there."""
    if _release() < since:
        return None
    try:
        call: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    return call


def _types() -> dict[int, str]:
    """File system types by device number, of what is mounted now."""
    found: dict[int, str] = {}
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            for row in table:
                left, _, right = row.partition(" - ")
                major, _, minor = left.split()[2].partition(":")
                found[os.makedev(int(major), int(minor))] = right.split()[0]
    except (OSError, ValueError, IndexError):
        pass
    return found


class Disk:
    """The real file system.

    :param durable: ``False`` leaves out every sync: what was delivered may be lost with
        the power.
    """

    def __init__(self, durable: bool = True) -> None:
        self.durable = durable
        self._syncfs = _find("syncfs", (5, 8))
        self._renameat2 = _find("renameat2", (3, 15))
        self._types: dict[int, str] = {}
        self._slow_until = 0.0
        self._is_root = os.geteuid() == 0

    # --- directories ---------------------------------------------------------

    def open_directory(self, path: bytes, parent: int | None = None) -> int:
        """A descriptor of a directory; a symbolic link in its place is an error."""
        return os.open(path, _DIRECTORY, dir_fd=parent)

    def make_directory(self, path: bytes, mode: int) -> None:
        """Make a directory unless it exists; root gives it to the owner of its parent.

        By descriptors: the parent may be a person's own, who could put a link to anything
        into the place of what root has just made.
        """
        above, name = os.path.split(path)
        parent = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                os.mkdir(name, mode, dir_fd=parent)
            except FileExistsError:
                return
            made = self.open_directory(name, parent)
            try:
                if mode & 0o077:
                    os.fchmod(made, mode)
                owner = os.fstat(parent)
                if self._is_root and owner.st_uid:
                    os.fchown(made, owner.st_uid, owner.st_gid)
            finally:
                os.close(made)
        finally:
            os.close(parent)

    def names(self, path: bytes) -> list[bytes]:
        """What is in a directory; nothing if there is none."""
        try:
            return os.listdir(path)
        except (FileNotFoundError, NotADirectoryError):
            return []

    # --- files ---------------------------------------------------------------

    def create(self, name: bytes, directory: int, mode: int, owner: os.stat_result) -> int:
        """A new file, open for writing; what a crash left under the name is removed.

        :param owner: of the directory; root gives the file to the same.
        """
        try:
            file = os.open(name, _CREATE, mode, dir_fd=directory)
        except FileExistsError:
            os.unlink(name, dir_fd=directory)
            file = os.open(name, _CREATE, mode, dir_fd=directory)
        try:
            if mode & 0o077:
                os.fchmod(file, mode)
            if self._is_root and owner.st_uid:
                os.fchown(file, owner.st_uid, owner.st_gid)
        except OSError:
            os.close(file)
            raise
        return file

    def write(self, file: int, data: bytes) -> None:
        """All of it."""
        written = os.write(file, data)
        if written < len(data):
            view = memoryview(data)
            while written < len(data):
                written += os.write(file, view[written:])

    def move(self, name: bytes, source: int, target_name: bytes, target: int) -> bool:
        """Give a file its final name; never in the place of another.

        :return: ``False`` if the name is taken; the file stays where it was.
        """
        done = self._moved(name, source, target_name, target)
        return self._link(name, source, target_name, target) if done is None else done

    def rename(self, name: bytes, source: int, target_name: bytes, target: int) -> bool:
        """The same, and the file never has two names, so that nobody ever sees it twice.

        Where the kernel cannot see whether the name is taken, it is looked for before.
        """
        done = self._moved(name, source, target_name, target)
        if done is not None:
            return done
        with suppress(FileNotFoundError):
            os.stat(target_name, dir_fd=target, follow_symlinks=False)
            return False
        os.rename(name, target_name, src_dir_fd=source, dst_dir_fd=target)
        return True

    def _moved(self, name: bytes, source: int, target_name: bytes, target: int) -> bool | None:
        """In one call, if there is one: ``None`` if not."""
        if self._renameat2 is None:
            return None
        if self._renameat2(source, name, target, target_name, _NOREPLACE) == 0:
            return True
        number = ctypes.get_errno()
        if number == errno.EEXIST:
            return False
        # EPERM: containers that do not know the call forbid it.
        if number in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
            return None
        raise OSError(number, os.strerror(number), target_name)

    def _link(self, name: bytes, source: int, target_name: bytes, target: int) -> bool:
        """The same where a file cannot be renamed so that it replaces nothing."""
        try:
            os.link(name, target_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            # A file system without hard links.  Nobody else makes our names.
            os.rename(name, target_name, src_dir_fd=source, dst_dir_fd=target)
            return True
        self.remove(name, source)
        return True

    def remove(self, name: bytes, directory: int) -> None:
        """Remove a file, if it is there and may be removed."""
        with suppress(OSError):  # What stays in tmp is swept later.
            os.unlink(name, dir_fd=directory)

    # --- durability ----------------------------------------------------------

    def hint(self, file: int) -> None:
        """Let the writing begin, so that several files share what their syncs cost."""
        if self.durable:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self, file: int) -> None:
        """Make a file or a directory durable."""
        if self.durable:
            os.fsync(file)

    def syncs_whole(self, device: int) -> bool:
        """Whether :meth:`sync_whole` is the better way on this device now."""
        if not self.durable:
            return True
        if self._syncfs is None or time.monotonic() < self._slow_until:
            return False
        known = self._types.get(device)
        if known is None:
            self._types = {device: "?", **_types()}
            known = self._types[device]
        return known in _CHEAP

    def sync_whole(self, directory: int) -> None:
        """Make everything durable that was written to the directory's file system.

        Errors are told of what happened since the directory was opened.
        """
        if not self.durable or self._syncfs is None:
            return
        begin = time.monotonic()
        if self._syncfs(directory) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        end = time.monotonic()
        if end - begin > _SLOW:
            self._slow_until = end + _PAUSE
