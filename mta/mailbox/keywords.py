"""The keywords of a folder: which small letter of a file name means which.

The file ``dovecot-keywords`` is shared with Dovecot: ``0 $Junk`` on a line makes ``a`` stand for
``$Junk``.  A folder has 26 of them; what more there is lives in no file name.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress

from mta.mailbox.content import beginning_of
from mta.mailbox.file_name import KEYWORDS

NAME = b"dovecot-keywords"
_LINE = re.compile(r"(\d{1,2}) ([^\s\x00-\x1f\x7f]{1,200})\Z")
_LARGEST = 1 << 16


def load(folder: bytes) -> list[str]:
    """The keywords by number, ``""`` where there is none; nothing for a file that cannot be read."""
    return parse(beginning_of(folder + b"/" + NAME, _LARGEST))


def parse(data: bytes) -> list[str]:
    """The keywords in such a file."""
    found: dict[int, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        match = _LINE.match(line)
        if match and int(match[1]) < KEYWORDS:
            found[int(match[1])] = match[2]
    return [found.get(number, "") for number in range(max(found, default=-1) + 1)]


def save(folder: bytes, keywords: Sequence[str]) -> None:
    """Write the file anew.

    :raise OSError: if it cannot be.
    """
    data = "".join(f"{number} {word}\n" for number, word in enumerate(keywords) if word).encode()
    draft = folder + b"/" + NAME + b".%d.%d.tmp" % (os.getpid(), time.monotonic_ns())
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            os.write(file, data)
            # In the place of the old one it must not be empty after the power was cut.
            os.fsync(file)
            if os.geteuid() == 0:
                owner = os.lstat(folder)
                os.fchown(file, owner.st_uid, owner.st_gid)
        finally:
            os.close(file)
        os.rename(draft, folder + b"/" + NAME)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise


def bit_of(keywords: list[str], word: str) -> int | None:
    """The bit of a keyword; it is put into ``keywords`` if it is not there; ``None`` if none is free."""
    lower = word.lower()
    for number, known in enumerate(keywords):
        if known.lower() == lower:
            return 1 << number
    for number, known in enumerate(keywords):
        if not known:
            keywords[number] = word
            return 1 << number
    if len(keywords) < KEYWORDS:
        keywords.append(word)
        return 1 << (len(keywords) - 1)
    return None
