"""What folders are for (RFC 6154): by a mark in the folder, or by its name.

Programs that make a folder for a purpose (CREATE with USE) leave the file ``mta-use`` in it, which
moves and goes with it.  For a purpose that no folder is marked for, the first folder counts that has one
of the usual names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from mta.mailbox.content import beginning_of
from mta.mailbox.refusal import Refused

NAME = b"mta-use"
#: The purposes that there are.
USES = ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash")
_LARGEST = 1024
_BY_LOWER = {use.lower(): use for use in USES}


def asked_for(uses: Iterable[str]) -> tuple[str, ...]:
    """The purposes that a client names.

    :raise Refused: if there are others among them.
    """
    found = []
    for use in uses:
        known = _BY_LOWER.get(use.lower())
        if known is None:
            raise Refused(f"folders can be for {', '.join(USES)}, and not for {use[:40]}", "USEATTR")
        found.append(known)
    return tuple(sorted(set(found)))


def marks(folder: bytes) -> tuple[str, ...]:
    """What a folder is marked for."""
    words = beginning_of(folder + b"/" + NAME, _LARGEST).decode("latin-1").lower().split()
    return tuple(use for use in USES if use.lower() in words)


def mark(folder: int, uses: Iterable[str]) -> None:
    """Mark a new folder.

    :param folder: descriptor of its directory.
    :raise OSError: if it cannot be.
    """
    file = os.open(NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        if os.geteuid() == 0:
            owner = os.fstat(folder)
            os.fchown(file, owner.st_uid, owner.st_gid)
        os.write(file, "".join(use + "\n" for use in uses).encode())
        os.fsync(file)
    finally:
        os.close(file)


def assign(
    marked: Mapping[str, Sequence[str]], usual: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """What the folders are for.

    :param marked: purposes that folders are marked for, by the names of all that there are.
    :param usual: names by purpose, the best first.
    :return: by name; only those that are for anything.
    """
    found: dict[str, list[str]] = {name: list(uses) for name, uses in marked.items()}
    taken = {use for uses in marked.values() for use in uses}
    for use, names in usual.items():
        if use not in taken:
            for name in names:
                if name in found:
                    found[name].append(use)
                    break
    return {name: tuple(sorted(uses)) for name, uses in found.items() if uses}
