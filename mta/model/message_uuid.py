"""Queue ids as UUIDs, for programs that know messages by those.

The 63 bits of a queue id stand in a UUID of version 8 (RFC 9562, 5.8), so that nothing need be kept
to find one by the other.
"""

from __future__ import annotations

from uuid import UUID

from mta.model.ids import decode_id, encode_id

#: The upper 64 bits: "mta" and zeros, and the version.
_UPPER = 0x6D746100_0000_8000
#: The variant, in the two topmost bits of the lower 64.
_VARIANT = 0b10 << 62
_BITS = (1 << 62) - 1


def uuid_of(message: str) -> str:
    """The UUID of a queue id.

    :raise ValueError: if it is none.
    """
    number = decode_id(message)
    # Of 63 bits 62 have room below the variant; the topmost goes above.
    return str(UUID(int=(_UPPER | number >> 62) << 64 | _VARIANT | number & _BITS))


def message_of(text: str) -> str:
    """The queue id that a UUID has in it.

    :raise ValueError: if it has none.
    """
    number = UUID(text).int
    upper, lower = number >> 64, number & (1 << 64) - 1
    if upper & ~1 != _UPPER or lower & ~_BITS != _VARIANT:
        raise ValueError(f"{text[:60]!r} is not the UUID of a message of this server")
    return encode_id((upper & 1) << 62 | lower & _BITS)
