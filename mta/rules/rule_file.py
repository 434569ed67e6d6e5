"""The file of a mailbox's rules: reading, holding against its model, and writing it in one step."""

from __future__ import annotations

import errno
import os
import stat
import time
import tomllib
from contextlib import suppress

from mta.config.locations import Locations
from mta.config.problem import ConfigurationError, Problem
from mta.config.validation import validate
from mta.rules.rule import RuleFile

NAME = b"rules.toml"
LARGEST = 1 << 18
#: What tells one version from another.
Version = tuple[int, int, int, int]


def parse(text: str, file: str = "rules.toml") -> RuleFile:
    """The rules in a text.

    :param file: what it is called in messages.
    :raise ConfigurationError: with every mistake, its line and what to do.
    """
    if len(text) > LARGEST:
        raise ConfigurationError(
            [Problem(file, 0, "", f"it has more than {LARGEST} characters", "shorten it")]
        )
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = str(error) or "it is nested too deep"
        line = getattr(error, "lineno", None) or _line_in(found)
        raise ConfigurationError([Problem(file, line, "", f"it is no TOML: {found}")]) from None
    return validate(RuleFile, data, file, Locations(text))


def _line_in(words: str) -> int:
    _, _, place = words.partition("(at line ")
    number = place.partition(",")[0]
    return int(number) if number.isdecimal() else 0


def version_of(maildir: bytes) -> Version | None:
    """Which version is there; ``None``: none.

    :raise OSError: if nobody can tell.
    """
    try:
        facts = os.stat(maildir + b"/" + NAME, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return facts.st_mtime_ns, facts.st_ino, facts.st_size, facts.st_ctime_ns


def read(maildir: bytes) -> str | None:
    """The text of the file; ``None``: there is none.

    :raise OSError: if it cannot be read, or is none that we read.
    :raise UnicodeDecodeError: if it is not UTF-8.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(maildir + b"/" + NAME, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        if facts.st_size > LARGEST:
            raise OSError(errno.EFBIG, f"it has more than {LARGEST} octets")
        blocks = []
        while block := os.read(file, 1 << 16):
            blocks.append(block)
    finally:
        os.close(file)
    return b"".join(blocks).decode()


def load(maildir: bytes) -> RuleFile | None:
    """The rules of a Maildir; ``None``: it has none.

    :raise ConfigurationError: with what is wrong.
    """
    path = os.fsdecode(maildir + b"/" + NAME)
    try:
        text = read(maildir)
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8"
        raise ConfigurationError([Problem(path, 0, "", f"it cannot be read: {what}")]) from None
    return None if text is None else parse(text, path)


def write(maildir: bytes, text: str | None) -> None:
    """Put a file in the place of the one before, or take it away; whoever reads meanwhile sees one whole.

    :param text: was held against the model; ``None``: no rules.
    :raise OSError: if it cannot be written.
    """
    path = maildir + b"/" + NAME
    if text is None:
        with suppress(FileNotFoundError):
            os.unlink(path)
    else:
        _replace(maildir, path, text.encode())
    directory = os.open(maildir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _replace(maildir: bytes, path: bytes, data: bytes) -> None:
    draft = path + b".%d.%d.tmp" % (os.getpid(), time.monotonic_ns())
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            if os.geteuid() == 0:
                owner = os.stat(maildir)
                os.fchown(file, owner.st_uid, owner.st_gid)
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
