"""Maildirs for tests, made and changed as other programs do it."""

from __future__ import annotations

import os
from pathlib import Path


class Maildir:
    """A Maildir.

    :param path: where; it is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        for place in ("tmp", "new", "cur"):
            (path / place).mkdir(parents=True)

    def put(self, name: bytes, content: bytes = b"Subject: a\n\nb\n", place: str = "new") -> bytes:
        """A message with a name; the path of its file."""
        path = os.fsencode(self.path / place) + b"/" + name
        with open(path, "wb") as file:
            file.write(content)
        return path

    def names(self, place: str = "cur") -> list[bytes]:
        """What is in a directory."""
        return sorted(os.listdir(os.fsencode(self.path / place)))

    def move(self, before: bytes, after: bytes, source: str = "new", target: str = "cur") -> None:
        """Rename a file."""
        os.rename(
            os.fsencode(self.path / source) + b"/" + before, os.fsencode(self.path / target) + b"/" + after
        )

    def remove(self, name: bytes, place: str = "new") -> None:
        """Remove a file."""
        os.unlink(os.fsencode(self.path / place) + b"/" + name)
