"""The negotiation: what we can, what the filter wants of it (SMFIC_OPTNEG)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag

from mta.judge.milter.packets import MilterError, Packet

VERSION = 6
#: The oldest that anything still speaks (Sendmail 8.12).
OLDEST_VERSION = 2
#: From here on a connection may serve one session after the other (SMFIC_QUIT_NC).
REUSE_VERSION = 6
_NUMBERS = struct.Struct(">III")


class Actions(IntFlag):
    """What a filter may do to a message (SMFIF_...)."""

    ADD_FIELDS = 0x1
    CHANGE_BODY = 0x2
    ADD_RECIPIENT = 0x4
    REMOVE_RECIPIENT = 0x8
    CHANGE_FIELDS = 0x10
    QUARANTINE = 0x20
    CHANGE_SENDER = 0x40
    ADD_RECIPIENT_WITH = 0x80
    CHOOSE_MACROS = 0x100


class Protocol(IntFlag):
    """Steps that a filter does not want to hear of, or will not answer (SMFIP_...)."""

    NO_CONNECT = 0x1
    NO_HELLO = 0x2
    NO_MAIL = 0x4
    NO_RECIPIENT = 0x8
    NO_BODY = 0x10
    NO_HEADER = 0x20
    NO_END_OF_HEADER = 0x40
    SILENT_HEADER = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    #: It may answer a piece of the body with "no more of it".
    SKIP = 0x400
    SILENT_CONNECT = 0x1000
    SILENT_HELLO = 0x2000
    SILENT_MAIL = 0x4000
    SILENT_RECIPIENT = 0x8000
    SILENT_DATA = 0x10000
    SILENT_UNKNOWN = 0x20000
    SILENT_END_OF_HEADER = 0x40000
    SILENT_BODY = 0x80000
    #: Values of header fields with the white space before them.
    LEADING_SPACE = 0x100000


ALL_ACTIONS = Actions(0x1FF)
NOTHING = Protocol(0)
ALL_STEPS = NOTHING
for _one in Protocol:
    ALL_STEPS |= _one


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a negotiation came to.

    :ivar version: of the protocol.
    :ivar actions: what the filter may do.
    :ivar protocol: what it does not want to hear, or to answer.
    :ivar macros: names of macros that it wants, by step number, where it said so.
    """

    version: int = VERSION
    actions: Actions = ALL_ACTIONS
    protocol: Protocol = NOTHING
    macros: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def may_be_reused(self) -> bool:
        """Whether another session may follow on the same connection."""
        return self.version >= REUSE_VERSION


def offer() -> Packet:
    """What we say first."""
    return Packet(b"O", _NUMBERS.pack(VERSION, ALL_ACTIONS, ALL_STEPS))


def agreed(packet: Packet) -> Agreed:
    """What the filter's answer means.

    :raise MilterError: if it is none, or one that we cannot keep to.
    """
    if packet.command != b"O" or len(packet.payload) < _NUMBERS.size:
        raise MilterError(f"it answered the negotiation with {packet.command!r}")
    version, actions, protocol = _NUMBERS.unpack_from(packet.payload)
    if not OLDEST_VERSION <= version <= VERSION:
        raise MilterError(f"it speaks version {version} of the protocol")
    if actions & ~int(ALL_ACTIONS):
        raise MilterError(f"it wants actions that nobody knows: {actions:#x}")
    if protocol & ~int(ALL_STEPS):
        # Who does not answer where we wait for it would have us wait for ever.
        raise MilterError(f"it wants steps that were not offered: {protocol:#x}")
    macros = _macros(packet.payload[_NUMBERS.size :])
    return Agreed(version, Actions(actions), Protocol(protocol), macros)


def _macros(rest: bytes) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    while rest:
        end = rest.find(b"\0", 4)
        if end < 0:
            raise MilterError("its list of macros has no end")
        names = rest[4:end].decode("ascii", "replace").replace(",", " ").split()
        found[int.from_bytes(rest[:4], "big")] = tuple(names[:200])
        rest = rest[end + 1 :]
    return found
