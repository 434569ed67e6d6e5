"""Milters: packets, and what they say."""

from __future__ import annotations

from contextlib import suppress

from mta.judge.milter.options import ALL_ACTIONS, agreed
from mta.judge.milter.packets import MilterError, Packet, PacketReader
from mta.judge.milter.replies import decision, modification
from tests.fuzz.targets.target import Target


def milter_packet(octets: bytes) -> None:
    """Octets are packets, or a mistake; a packet is understood, or a mistake."""
    packets = [Packet(octets[:1], octets[1:])] if octets else []
    with suppress(MilterError):
        packets += PacketReader().feed(octets)
    for packet in packets:
        with suppress(MilterError):
            agreed(packet)
        with suppress(MilterError):
            modification(packet, ALL_ACTIONS)
        with suppress(MilterError):
            reply = getattr(decision(packet), "reply", None)
            assert reply is None or reply.code // 100 in (4, 5)


TARGETS = (
    Target(
        "milter-packet",
        milter_packet,
        (
            b"\0\0\0\x0fy550 5.7.1 no\0\0\0\0\0\1c\0\0\0\x0dO\0\0\0\6\0\0\1\xff\0\x1f\xff\xff",
            b"m\0\0\0\1Subject\0new\0",
            b"hX-Spam\0yes\0",
            b"+<a@b.test>\0",
            b"\0\0\0\5bbody",
        ),
    ),
)
