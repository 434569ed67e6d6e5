"""Which folders a person's programs shall show (SUBSCRIBE): the file ``subscriptions``, as Dovecot has it.

One name on a line, as its directory without the dot.  Newer files of Dovecot begin with ``V<tab>2`` and an
empty line, and part levels by tabs; they are kept so.  A name stays until somebody takes it out, whether
there is such a folder or not (RFC 9051, 6.3.7).
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress

from mta.mailbox.content import whole_of
from mta.mailbox.names import INBOX, canonical, directory_of, name_of
from mta.mailbox.place import spare, sync
from mta.mailbox.refusal import Refused

NAME = b"subscriptions"
#: What Dovecot makes while it writes, and so do we.
_LOCK = b"subscriptions.lock"
_MARK = b"mta\n"
#: Seconds after which a lock of others is one that somebody left, and those for which one is waited for.
_STALE, _PATIENCE, _PAUSE = 30.0, 5.0, 0.02
_LARGEST = 4 << 20
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
#: Names in the file.
MOST = 10_000
_SECOND = b"V\t2\n\n"
_ESCAPES = {b"\x010": b"\0", b"\x01t": b"\t", b"\x01n": b"\n", b"\x01r": b"\r", b"\x011": b"\x01"}


def load(maildir: bytes) -> list[str]:
    """The names in the file, in its order; lines that can be none are passed over.

    :raise OSError: if it is there and cannot be read.
    """
    return parse(_content(maildir))


def parse(data: bytes) -> list[str]:
    """The names in such a file."""
    found: dict[str, None] = {}
    for line in _lines(data):
        with suppress(Refused):
            found[canonical(name_of(b"." + line) if line.upper() != b"INBOX" else INBOX)] = None
    return list(found)


def change(maildir: bytes, name: str, subscribed: bool) -> bool:
    """Put a name in, or take it out; what is so already stays as it is.

    :return: whether it was otherwise before.
    :raise Refused: if no folder can have this name, or there are too many.
    :raise OSError: if the file cannot be written, or somebody else does so for too long.
    """
    line = directory_of(name)[1:] or b"INBOX"

    def changed(lines: list[bytes]) -> list[bytes] | None:
        there = [one for one in lines if one == line or (line == b"INBOX" and one.upper() == line)]
        if bool(there) == subscribed:
            return None
        if subscribed and len(lines) >= MOST:
            raise Refused(f"there are {MOST} subscriptions, which is the most", "LIMIT")
        return [*lines, line] if subscribed else [one for one in lines if one not in there]

    return _rewrite(maildir, changed)


def _rewrite(maildir: bytes, changed: Callable[[list[bytes]], list[bytes] | None]) -> bool:
    lock, path = -1, maildir + b"/" + _LOCK
    draft = spare(maildir, b"mta-subscriptions.")
    try:
        lock = _locked(path, draft)
        before = _content(maildir)
        lines = changed(_lines(before))
        if lines is not None:
            _write(maildir, draft, _written(lines, before.startswith(_SECOND)))
            os.rename(draft, maildir + b"/" + NAME)
            sync(maildir)
        return lines is not None
    finally:
        with suppress(OSError):
            os.unlink(draft)
        if lock >= 0:
            os.unlink(path)
            os.close(lock)


def _write(maildir: bytes, path: bytes, data: bytes) -> None:
    file = os.open(path, _NEW, 0o600)
    try:
        if os.geteuid() == 0:
            owner = os.stat(maildir)
            os.fchown(file, owner.st_uid, owner.st_gid)
        while data:
            data = data[os.write(file, data) :]
        os.fsync(file)
    finally:
        os.close(file)


def _locked(path: bytes, draft: bytes) -> int:
    """The lock, which is ours until it is removed; it is made with its mark in it, in one step.

    :raise OSError: if it cannot be had.
    """
    file = os.open(draft, _NEW, 0o600)
    try:
        # By these a lock is known whose owner is dead.
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, _MARK)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                os.link(draft, path)
                break
            except FileExistsError:
                if _removed(path):
                    continue
            if time.monotonic() > until:
                raise OSError(errno.EAGAIN, "another program changes the subscriptions", path)
            time.sleep(_PAUSE)
        os.unlink(draft)
    except BaseException:
        os.close(file)
        raise
    return file


def _removed(path: bytes) -> bool:
    """Remove a lock if nobody lives any more who has made it; whether it was one."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        facts = os.fstat(file)
        if os.read(file, len(_MARK)) != _MARK:
            if time.time() - facts.st_mtime <= _STALE:
                return False
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # While we hold it nobody else takes it away: it is this one still, or one that lives.
        if os.lstat(path).st_ino == facts.st_ino:
            os.unlink(path)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def _content(maildir: bytes) -> bytes:
    try:
        return whole_of(maildir + b"/" + NAME, _LARGEST)
    except FileNotFoundError:
        return b""


def _lines(data: bytes) -> list[bytes]:
    """The lines, with dots between the levels."""
    if not data.startswith(_SECOND):
        return [line for line in data.split(b"\n") if line]
    lines = data[len(_SECOND) :].split(b"\n")
    return [b".".join(map(_unescaped, line.split(b"\t"))) for line in lines if line]


def _written(lines: list[bytes], second: bool) -> bytes:
    if not second:
        return b"".join(line + b"\n" for line in lines)
    return _SECOND + b"".join(b"\t".join(map(_escaped, line.split(b"."))) + b"\n" for line in lines)


def _escaped(level: bytes) -> bytes:
    level = level.replace(b"\x01", b"\x011")
    for escape, octet in _ESCAPES.items():
        if octet != b"\x01":
            level = level.replace(octet, escape)
    return level


def _unescaped(level: bytes) -> bytes:
    for escape, octet in _ESCAPES.items():
        if octet != b"\x01":
            level = level.replace(escape, octet)
    return level.replace(b"\x011", b"\x01")
