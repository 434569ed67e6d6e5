"""Packets: a length of four octets, a command of one, and what belongs to it."""

from __future__ import annotations

import struct
from typing import NamedTuple

#: Octets of a packet at the most.  libmilter sends 64 KiB, and up to 1 MiB if that was agreed
#: on, which we do not.
MOST_OCTETS = 1 << 20
_LENGTH = struct.Struct(">I")


class MilterError(Exception):
    """The filter did not answer, or said what the protocol does not allow.

    The text is for the journal; nothing of the message stands in it.
    """


class Packet(NamedTuple):
    """One packet, without its length."""

    command: bytes
    payload: bytes = b""

    def encode(self) -> bytes:
        """The octets that are sent."""
        return _LENGTH.pack(len(self.payload) + 1) + self.command + self.payload


class PacketReader:
    """Takes octets as they come, and gives packets."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that are complete now.

        :raise MilterError: if a length makes no sense.
        """
        buffer = self._buffer
        buffer += data
        packets = []
        position = 0
        while len(buffer) - position >= 4:
            (length,) = _LENGTH.unpack_from(buffer, position)
            if not 1 <= length <= MOST_OCTETS:
                raise MilterError(f"it sent a packet of {length} octets")
            end = position + 4 + length
            if len(buffer) < end:
                break
            packets.append(
                Packet(bytes(buffer[position + 4 : position + 5]), bytes(buffer[position + 5 : end]))
            )
            position = end
        del buffer[:position]
        return packets


def terminated(*texts: bytes) -> bytes:
    """Strings as the protocol has them: each ended by NUL, which none of them holds."""
    return b"".join(text.replace(b"\0", b"") + b"\0" for text in texts)


def strings(payload: bytes) -> list[bytes]:
    """The strings of a payload.

    :raise MilterError: if the last one has no end.
    """
    if not payload.endswith(b"\0"):
        raise MilterError("a string in its packet has no end")
    return payload[:-1].split(b"\0")
