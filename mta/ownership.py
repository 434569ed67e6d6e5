"""The state directory, given to the user that the server runs as after root has made it.

What an earlier server made that ran as root altogether is not given away but named: its
files lie deeper, and there may be a million of them.

The directory is that user's own, who may have put links into it.  Root must not
follow them: whoever had broken into the server would otherwise have every file of
the machine at its next start.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: Directories in it in which something may have been made as root.
_INNER = ("spool", "tls", "dkim")


def give_away(state: Path, owner: tuple[int, int]) -> None:
    """Give it and what is in it to a user and group.

    :param state: the state directory; it may be a link, as the operator's own are followed.
    """
    os.chown(state, *owner)
    with _opened(str(state)) as directory:
        _give_entries(directory, owner)
        for name in _INNER:
            with suppress(FileNotFoundError, NotADirectoryError), _opened(name, directory) as inner:
                _give_entries(inner, owner)


def foreign(state: Path, user: int) -> Path | None:
    """Something in it that the server cannot use, because it belongs to somebody else.

    :param user: whom the server will run as.
    :return: the first that is found; ``None`` if there is none.
    """
    for path in (state, state / "identity.secret", state / "run", state / "spool"):
        if not _usable(path, user):
            return path
    for pattern in ("*", "*/*"):
        for path in sorted((state / "spool").glob(pattern)):
            if not _usable(path, user):
                return path
    return None


def _usable(path: Path, user: int) -> bool:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return True
    except PermissionError:
        return False
    if stat.S_ISLNK(facts.st_mode) or facts.st_uid == user:
        return True
    if user != os.geteuid():
        # Root that will be somebody else: what is not root's may be shared by a group.
        return facts.st_uid != 0
    return os.access(path, os.R_OK | os.W_OK | (os.X_OK if stat.S_ISDIR(facts.st_mode) else 0))


@contextmanager
def _opened(name: str, above: int | None = None) -> Iterator[int]:
    """A descriptor of a directory; within another one, links are none."""
    file = os.open(name, _DIRECTORY if above is None else _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
    try:
        yield file
    finally:
        os.close(file)


def _give_entries(directory: int, owner: tuple[int, int]) -> None:
    for name in os.listdir(directory):
        with suppress(FileNotFoundError):
            os.chown(name, *owner, dir_fd=directory, follow_symlinks=False)
