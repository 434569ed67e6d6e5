"""Names in a Maildir: of messages and of folders.  Pure.

A message's name begins with what only this message and this addressee have, so that a
redelivery finds the file of an earlier attempt, wherever a reader has moved it and whatever
flags it has now::

    1900000000.M123456Q0a1b2c3d4e5f6N0.mx.example.org,S=4021,W=4100
    created    µs     queue id     number  host       size  size with CRLF

``S`` and ``W`` spare readers and quotas from opening the file (Maildir++ and Dovecot).
"""

from __future__ import annotations

import re
from functools import lru_cache

from mta.model import utf7

#: Octets of a folder's name on disk; file systems take 255.
MAX_FOLDER = 200
_MAX_HOST = 120
_SIZE = re.compile(rb",S=(\d{1,19})")
_FLAGS = re.compile(rb":2,([A-Za-z]*)\Z")
_UNSAFE = re.compile(rb"[^A-Za-z0-9._-]")


@lru_cache(maxsize=16)
def host_part(hostname: str) -> bytes:
    """The host name as it may stand in a file name."""
    return _UNSAFE.sub(b"_", hostname.encode("utf-8", "surrogateescape"))[:_MAX_HOST] or b"localhost"


def unique_part(created: float, queue_id: str, number: int) -> bytes:
    """The start of the name, dot included; nothing else ever has it.

    :param created: when the message was accepted, seconds since 1970.
    """
    seconds = int(created)
    micros = int((created - seconds) * 1_000_000)
    return f"{seconds}.M{micros}Q{queue_id}N{number}.".encode()


def full_name(unique: bytes, host: bytes, octets: int, virtual: int) -> bytes:
    """The name under ``new``.

    :param octets: the file's size.
    :param virtual: the size with every line ended by CRLF.
    """
    return b"%s%s,S=%d,W=%d" % (unique, host, octets, virtual)


def size_in(name: bytes) -> int | None:
    """The size that a file name tells, if it does."""
    match = _SIZE.search(name)
    return None if match is None else int(match[1])


def is_trashed(name: bytes) -> bool:
    """Whether a message in ``cur`` is marked as deleted."""
    match = _FLAGS.search(name)
    return match is not None and b"T" in match[1]


@lru_cache(maxsize=4096)
def folder_directory(folder: str, nested: bool = False) -> bytes | None:
    """The directory of a Maildir++ folder, below the Maildir.

    :param folder: its name; ``""`` and ``INBOX`` are the Maildir itself.
    :param nested: whether ``.`` and ``/`` part levels; without, such a name is no folder,
        because it comes from a stranger's envelope.
    :return: ``b""`` for the Maildir itself, ``None`` for a name that cannot be a folder.
    """
    if not folder or folder.upper() == "INBOX":
        return b""
    if any(character < " " or character == "\x7f" for character in folder):
        return None
    levels = folder.replace("/", ".").split(".")
    if not all(levels) or (len(levels) > 1 and not nested):
        return None
    try:
        name = b"." + utf7.encode(".".join(levels))
    except UnicodeEncodeError:
        return None
    return name if len(name) <= MAX_FOLDER else None
