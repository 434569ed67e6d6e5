"""How a worker and its renderer talk: JSON values, each after its length in four octets."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

#: Octets of one value.
MOST_FRAME = 256 << 20
_LENGTH = struct.Struct("!I")


class FrameError(ValueError):
    """What came is no frame."""


def frame(value: Any) -> bytes:
    """A value as it is sent."""
    data = json.dumps(value, separators=(",", ":")).encode()
    return _LENGTH.pack(len(data)) + data


def read_frame(stream: BinaryIO) -> Any:
    """The next value of a blocking stream.

    :raise EOFError: if it has ended.
    """
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return json.loads(_exactly(stream, length))


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


class Frames:
    """Puts values together of octets as they come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def receive(self, data: bytes) -> list[Any]:
        """The values that are complete now.

        :raise FrameError: if what comes is none.
        """
        self._pieces.append(data)
        self._size += len(data)
        found: list[Any] = []
        while self._size >= _LENGTH.size:
            if len(self._pieces[0]) < _LENGTH.size:
                self._pieces = [b"".join(self._pieces)]
            (length,) = _LENGTH.unpack_from(self._pieces[0])
            if length > MOST_FRAME:
                raise FrameError(f"a frame of {length} octets")
            end = _LENGTH.size + length
            if self._size < end:
                break
            whole = b"".join(self._pieces)
            try:
                found.append(json.loads(whole[_LENGTH.size : end]))
            except ValueError as error:
                raise FrameError(str(error)) from None
            self._pieces = [whole[end:]]
            self._size -= end
        return found
