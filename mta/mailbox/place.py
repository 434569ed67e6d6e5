"""Directories of a Maildir: they are made whole, or not at all, and no link leads elsewhere."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress

from mta.mailbox import special

#: What each folder has.
PLACES = (b"cur", b"new", b"tmp")
#: Beginnings of names in ``tmp`` of the Maildir: of folders on their way into it, and out of it.
MADE, REMOVED = b"mta-made.", b"mta-removed."
#: Seconds after which nobody is about to put a folder in its place any more.
_LONGEST = 3600.0
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def sync(path: bytes) -> None:
    """Make what a directory holds durable.

    :raise OSError: if it cannot be.
    """
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def spare(maildir: bytes, start: bytes) -> bytes:
    """A path in ``tmp`` that nobody else uses."""
    return maildir + b"/tmp/%s%d.%d.%s" % (start, time.time(), os.getpid(), secrets.token_hex(8).encode())


def is_folder(path: bytes) -> bool:
    """Whether there is a folder; links are none, and one that is closed to us is one.

    :raise OSError: if nobody can tell.
    """
    try:
        folder = os.open(path, _DIRECTORY)
        try:
            for place in (b"cur", b"new"):
                os.close(os.open(place, _DIRECTORY, dir_fd=folder))
        finally:
            os.close(folder)
    except PermissionError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise
    return True


def make_maildir(maildir: bytes) -> None:
    """Make a Maildir, or what it lacks; owner and mode are those of the directory above.

    :raise OSError: if it cannot be made.
    """
    missing = []
    above = maildir
    while not os.path.isdir(above):
        missing.append(above)
        above = os.path.dirname(above)
    for path in reversed(missing):
        _make(path)
    made = [path for path in (maildir + b"/" + place for place in PLACES) if _make(path)]
    for path in {os.path.dirname(path) for path in (*missing, *made)}:
        sync(path)


def _make(path: bytes) -> bool:
    parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _make_in(parent, os.path.basename(path), 0o700)
    finally:
        os.close(parent)


def _make_in(parent: int, name: bytes, mode: int) -> bool:
    """A directory in another one, with the owner of that; whether it was not there."""
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        return False
    made = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        owner = os.fstat(parent)
        if mode & 0o077:
            os.fchmod(made, mode)
        if os.geteuid() == 0 and owner.st_uid:
            os.fchown(made, owner.st_uid, owner.st_gid)
    finally:
        os.close(made)
    return True


def make_folder(maildir: bytes, directory: bytes, uses: Sequence[str] = ()) -> None:
    """Make a folder, with the modes of the Maildir.

    :param uses: marks for it.
    :raise FileExistsError: if there is one.
    :raise OSError: if it cannot be made.
    """
    path = maildir + b"/" + directory
    if is_folder(path):
        raise FileExistsError(errno.EEXIST, "there is a folder", path)
    draft = spare(maildir, MADE)
    mode = os.stat(maildir).st_mode & 0o777 | 0o700
    tmp = os.open(maildir + b"/tmp", _DIRECTORY)
    try:
        _make_in(tmp, os.path.basename(draft), mode)
    finally:
        os.close(tmp)
    try:
        folder = os.open(draft, _DIRECTORY)
        try:
            for place in PLACES:
                _make_in(folder, place, mode)
            # By this empty file a reader knows that it is no Maildir by itself (Maildir++).
            file = os.open(b"maildirfolder", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=folder)
            try:
                if os.geteuid() == 0:
                    owner = os.fstat(folder)
                    os.fchown(file, owner.st_uid, owner.st_gid)
            finally:
                os.close(file)
            if uses:
                special.mark(folder, uses)
            os.fsync(folder)
        finally:
            os.close(folder)
        try:
            os.rename(draft, path)
        except OSError:
            # Others were quicker, or there is something else of this name.
            if not os.path.lexists(path):
                raise
            _complete(path, mode)
            shutil.rmtree(draft, ignore_errors=True)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync(maildir)


def _complete(path: bytes, mode: int) -> None:
    """Make a folder of a directory that is none: whoever began with it was killed, or makes it now.

    :raise FileExistsError: if it is one.
    :raise OSError: if it cannot be.
    """
    if is_folder(path):
        raise FileExistsError(errno.EEXIST, "there is a folder", path)
    folder = os.open(path, _DIRECTORY)
    try:
        for place in PLACES:
            _make_in(folder, place, mode)
        os.fsync(folder)
    finally:
        os.close(folder)


def take_out(maildir: bytes, directory: bytes) -> bytes:
    """Take a folder out of the Maildir, in one step, into ``tmp``; its path there.

    :raise FileNotFoundError: if there is none.
    :raise OSError: if it cannot be.
    """
    target = spare(maildir, REMOVED)
    with suppress(FileExistsError):
        os.mkdir(maildir + b"/tmp", 0o700)
    os.rename(maildir + b"/" + directory, target)
    sync(maildir)
    sync(maildir + b"/tmp")
    return target


def sweep(maildir: bytes) -> None:
    """Remove folders that were on their way when somebody was killed."""
    with suppress(OSError):
        for name in os.listdir(maildir + b"/tmp"):
            path = maildir + b"/tmp/" + name
            if name.startswith(REMOVED) or (name.startswith(MADE) and _is_old(path)):
                shutil.rmtree(path, ignore_errors=True)


def _is_old(path: bytes) -> bool:
    try:
        return os.lstat(path).st_mtime < time.time() - _LONGEST
    except OSError:
        return False
