"""Files that go with the copies of a batch.

What renders copies is told of names and types alone, and leaves a mark where a file belongs; its lines
are put there when the copy is handed over.  So a file goes through no pipe, and is made lines of once
for all copies.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from mta.compose.message import File
from mta.compose.parts import base64_lines
from mta.interfaces import Answer, settle

#: Octets from which on lines are made in a thread.
_LARGE = 128 * 1024


class Marks:
    """The marks of one batch, which nobody can guess.

    :param files: that go with every copy.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(self, files: Sequence[File], run_in_thread: Callable[..., Answer[Any]]) -> None:
        token = secrets.token_hex(16)
        self._format = f"={token}.{{}}"
        self._pattern = re.compile(rb"=%s\.(\d+)\r\n" % token.encode())
        self._files = tuple(files)
        self._run = run_in_thread
        self._lines: list[bytes] = []

    async def prepare(self) -> None:
        """Make lines of what goes with every copy."""
        self._lines = [await self._encoded(file) for file in self._files]

    @property
    def common(self) -> list[list[str]]:
        """What is told of the files of every copy, JSON values."""
        return [self._told(number, file) for number, file in enumerate(self._files)]

    def own(self, files: Sequence[File]) -> list[list[str]]:
        """What is told of one recipient's files, JSON values."""
        return [self._told(number, file) for number, file in enumerate(files, len(self._files))]

    def _told(self, number: int, file: File) -> list[str]:
        return [file.name, file.media, file.cid, self._format.format(number)]

    async def put(self, content: bytes, files: Sequence[File]) -> bytes:
        """A copy with its files in place of the marks.

        :param files: of this recipient.
        """
        if not self._files and not files:
            return content
        lines = [*self._lines, *[await self._encoded(file) for file in files]]
        pieces = self._pattern.split(content)
        pieces[1::2] = [lines[int(number)] for number in pieces[1::2]]
        return b"".join(pieces)

    async def _encoded(self, file: File) -> bytes:
        if len(file.content) < _LARGE:
            return base64_lines(file.content)
        found: bytes = await settle(self._run(base64_lines, file.content))
        return found


def marked(told: Sequence[Sequence[str]]) -> list[File]:
    """Files for a copy that is put together, with marks for lines.

    :param told: see :class:`Marks`.
    """
    return [File(name, media, b"", cid, f"{mark}\r\n".encode()) for name, media, cid, mark in told]
