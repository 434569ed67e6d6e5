"""The file ``mta-uids`` in a folder: UIDs by file name, for the day when the index is lost.

The index is made anew from the Maildir, and clients must not fetch everything again, or take one
message for another.  So a folder knows by itself what its UIDs are, as Dovecot's and Courier's do::

    mta-uids 1 1755000000 4711          format, UIDVALIDITY, UIDNEXT when it was written
    4709 1755000001.M1Q...N0.mx         UID, base of the file name
    4711 1755000002.M2Q...N0.mx         appended as messages come

It is appended to before the index keeps a UID, and written anew when most of its lines are of
messages that are gone.  Where there is none, Dovecot's ``dovecot-uidlist`` is read, so that mailboxes
that come from there keep their UIDs.  What stands in either may be anything: lines that are none are
passed over, and numbers that cannot be make all of it unusable.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from mta.mailbox.content import whole_of

NAME = b"mta-uids"
DOVECOT = b"dovecot-uidlist"
#: The last UID and UIDVALIDITY that there can be (RFC 9051, 2.3.1.1).
LAST = 0xFFFFFFFF
#: Octets that are read of a file of strangers: some 500,000 messages.
_LARGEST = 64 << 20
#: A UIDNEXT from which on another UIDVALIDITY is the better way.
_HIGHEST = 0xF0000000
# Whatever lies in its place, such as a pipe, keeps nobody waiting.
_APPEND = os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW

_HEADER = re.compile(rb"mta-uids 1 (\d{1,10}) (\d{1,10})\Z")
_LINE = re.compile(rb"(\d{1,10}) (.*)\Z", re.DOTALL)
_DOVECOT_HEADER = re.compile(rb"3 (?:[A-Z]\S* )*?V(\d{1,10}) N(\d{1,10})(?: |\Z)")
_DOVECOT_LINE = re.compile(rb"(\d{1,10}) (?:[^:]* )?:(.+)\Z", re.DOTALL)


@dataclass(slots=True)
class UidList:
    """What was known of a folder.

    :ivar next_uid: no message has had this UID or a higher one.
    :ivar uids: by base.
    """

    validity: int
    next_uid: int
    uids: dict[bytes, int] = field(default_factory=dict)


def load(folder: bytes) -> UidList | None:
    """What a folder knows of itself; ``None`` if it knows nothing that can be used."""
    own = _parse(_content(folder + b"/" + NAME), _HEADER, _LINE)
    return own or _parse(_content(folder + b"/" + DOVECOT), _DOVECOT_HEADER, _DOVECOT_LINE)


def append(folder: bytes, made: Iterable[tuple[int, bytes]]) -> bool:
    """Add lines; whether there is a file to add them to: a link or a pipe in its place is none.

    :raise OSError: if they cannot be written.
    """
    try:
        # Written only at its end, and read there: a crash, or a full disk, may have left half a line.
        file = os.open(folder + b"/" + NAME, _APPEND)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return False
        raise
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            return False
        lines = b"".join(map(_line, made))
        if lines and facts.st_size and os.pread(file, 1, facts.st_size - 1) != b"\n":
            lines = b"\n" + lines
        _write(file, lines)
    finally:
        os.close(file)
    return True


def write(folder: bytes, validity: int, next_uid: int, lines: Iterable[tuple[int, bytes]]) -> None:
    """Write the file anew.

    :raise OSError: if it cannot be.
    """
    draft = folder + b"/" + NAME + b".%d.%d.tmp" % (os.getpid(), time.monotonic_ns())
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            _write(file, b"mta-uids 1 %d %d\n" % (validity, next_uid))
            block: list[bytes] = []
            for line in lines:
                block.append(_line(line))
                if len(block) >= 4096:
                    _write(file, b"".join(block))
                    block.clear()
            _write(file, b"".join(block))
            if os.geteuid() == 0:
                owner = os.lstat(folder)
                os.fchown(file, owner.st_uid, owner.st_gid)
            # In the place of the old one it must not be empty after the power was cut.
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(draft, folder + b"/" + NAME)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise


def lines_in(folder: bytes) -> int:
    """How many lines the file has, about: by its size."""
    try:
        return os.lstat(folder + b"/" + NAME).st_size // 60
    except OSError:
        return 0


def _line(made: tuple[int, bytes]) -> bytes:
    # A line feed in a name would be another line: such a message gets another UID when the index is lost.
    return b"%d %s\n" % made if b"\n" not in made[1] else b""


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _content(path: bytes) -> bytes:
    try:
        return whole_of(path, _LARGEST)
    except OSError:
        return b""


def _parse(data: bytes, header: re.Pattern[bytes], line: re.Pattern[bytes]) -> UidList | None:
    first, _, rest = data.partition(b"\n")
    start = header.match(first)
    if start is None:
        return None
    found = UidList(int(start[1]), max(int(start[2]), 1))
    for one in rest.split(b"\n"):
        match = line.match(one)
        if match is None:
            continue
        uid = int(match[1])
        if not 0 < uid < LAST:
            continue
        found.uids[match[2].partition(b":")[0]] = uid
        found.next_uid = max(found.next_uid, uid + 1)
    if not 0 < found.validity <= LAST or found.next_uid > _HIGHEST:
        return None
    if len(set(found.uids.values())) < len(found.uids):
        _drop_twins(found)
    return found


def _drop_twins(found: UidList) -> None:
    """No two messages have one UID: of twins, the last line counts."""
    names = {uid: base for base, uid in found.uids.items()}
    found.uids = {base: uid for uid, base in names.items()}
