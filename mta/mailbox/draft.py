"""Messages on their way into a folder: files in its ``tmp``, whole and durable before they have a name.

Everything here blocks: threads run it.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from mta.deliver.disk import Disk
from mta.deliver.maildir_name import host_part
from mta.mailbox.folder import Gone

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: A CRLF that is the end of a line, and no more.
_PAIR = re.compile(rb"(?<!\r)\r\n")
#: Numbers commands of this process, so that no two have one name.
_COMMANDS = itertools.count()


class OpenFolder:
    """The directories of a folder, open: no link leads out of it, and a folder that is renamed stays itself.

    :ivar new: descriptor.
    :ivar cur: likewise.
    :ivar tmp: likewise.
    :ivar mode: of new files, as the folder has it.
    :raise Gone: if it is not there.
    :raise OSError: if it cannot be opened.
    """

    def __init__(self, maildir: bytes, directory: bytes) -> None:
        self.directory = directory
        self._path = maildir + b"/" + directory if directory else maildir
        self.new = self.cur = self.tmp = -1
        try:
            root = os.open(maildir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                folder = os.open(directory or b".", _DIRECTORY, dir_fd=root)
            finally:
                os.close(root)
            try:
                self.new = os.open(b"new", _DIRECTORY, dir_fd=folder)
                self.cur = os.open(b"cur", _DIRECTORY, dir_fd=folder)
                with suppress(FileExistsError):
                    os.mkdir(b"tmp", 0o700, dir_fd=folder)
                self.tmp = os.open(b"tmp", _DIRECTORY, dir_fd=folder)
            finally:
                os.close(folder)
            self.owner = os.fstat(self.cur)
        except FileNotFoundError:
            self.close()
            raise Gone("there is no such folder") from None
        except BaseException:
            self.close()
            raise
        self.mode = stat.S_IMODE(self.owner.st_mode) & 0o666

    def is_there(self) -> bool:
        """Whether it is still what is found by its name."""
        try:
            now = os.stat(self._path + b"/cur", follow_symlinks=False)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (self.owner.st_dev, self.owner.st_ino)

    def place(self, cur: int) -> int:
        """The descriptor of ``cur``, or of ``new``."""
        return self.cur if cur else self.new

    def close(self) -> None:
        """Give the descriptors back."""
        files, self.new, self.cur, self.tmp = (self.new, self.cur, self.tmp), -1, -1, -1
        for file in files:
            if file >= 0:
                os.close(file)


def names() -> Iterator[bytes]:
    """Beginnings of file names that nothing else has, in an order that is that of their UIDs."""
    now = time.time()
    start = b"%d.M%dP%dC%dR%s" % (
        now,
        now % 1 * 1_000_000,
        os.getpid(),
        next(_COMMANDS),
        secrets.token_hex(4).encode(),
    )
    host = host_part(socket.gethostname())
    for number in itertools.count():
        yield b"%sN%06d.%s" % (start, number, host)


@dataclass(slots=True)
class Draft:
    """A message that is whole, and in no folder yet.

    :ivar name: of its file in ``tmp``.
    :ivar base: that it will have.
    :ivar flags: bits of :data:`~mta.mailbox.file_name.LETTERS`.
    :ivar words: its keywords.
    :ivar other: letters of its name that nobody here knows.
    :ivar virtual: octets with CRLF at each line's end, if the name tells.
    :ivar received: seconds since 1970.
    :ivar like: folder and UID of the message that it is a copy of.
    :ivar moved: whether that one goes when this has come.
    """

    name: bytes
    base: bytes
    flags: int
    words: tuple[str, ...]
    size: int
    virtual: int | None
    received: int | None
    other: bytes = b""
    like: tuple[int, int] | None = None
    moved: bool = False


class DraftFile:
    """The file of a message that comes in pieces; line ends become LF, as delivery writes them.

    A CRLF behind another CR stays, because a LF there would be read as CRLF, and an octet be lost.

    :param folder: where it will be.
    :param name: of its file.
    :raise OSError: if it cannot be made.
    """

    def __init__(self, disk: Disk, folder: OpenFolder, name: bytes) -> None:
        self.name = name
        self._disk = disk
        self._folder = folder
        self._held = b""
        self._last = b"\n"
        # Those that are ended by LF.
        self._lines = 0
        self._size = 0
        self._file = disk.create(name, folder.tmp, folder.mode, folder.owner)

    def write(self, block: bytes) -> None:
        """The next octets.

        :raise OSError: if they cannot be written.
        """
        block = self._held + block
        self._held = b"\r" if block.endswith(b"\r") else b""
        if self._held:
            # Whether a LF follows decides what it is.
            block = block[:-1]
        before = self._last if self._last == b"\r" else b""
        block = before + block
        block = _PAIR.sub(b"\n", block) if b"\r\r\n" in block else block.replace(b"\r\n", b"\n")
        self._put(block[len(before) :], before)

    def _put(self, block: bytes, before: bytes = b"") -> None:
        if block:
            self._disk.write(self._file, block)
            self._size += len(block)
            self._lines += block.count(b"\n") - (before + block).count(b"\r\n")
            self._last = block[-1:]

    def end(self, flags: int, words: tuple[str, ...], received: float) -> Draft:
        """That was all: make it durable.

        :param received: INTERNALDATE, seconds since 1970.
        :raise OSError: if it cannot be.
        """
        self._put(self._held)
        self._held = b""
        when = int(received)
        os.utime(self._file, (when, when))
        self._disk.sync(self._file)
        self.close()
        # Of a last line without an end, programs disagree on what its size is.
        virtual = self._size + self._lines if self._last == b"\n" else None
        return Draft(
            self.name, sized(self.name, self._size, virtual), flags, words, self._size, virtual, when
        )

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def remove(self) -> None:
        """Nothing becomes of it."""
        self.close()
        self._disk.remove(self.name, self._folder.tmp)


def sized(start: bytes, size: int, virtual: int | None) -> bytes:
    """The base of a message's name, which tells sizes so that nobody has to open the file for them."""
    return b"%s,S=%d" % (start, size) if virtual is None else b"%s,S=%d,W=%d" % (start, size, virtual)
