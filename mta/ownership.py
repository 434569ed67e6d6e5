"""The state directory, given to the user that the server runs as after root has made it.

The directory is that user's own, who may have put links into it.  Root must not
follow them: whoever had broken into the server would otherwise have every file of
the machine at its next start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: Directories in it in which something may have been made as root.
_INNER = ("spool", "tls")


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
