"""What may happen to a report on its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st


@st.composite
def damaged(draw: st.DrawFn, report: bytes, packers: Sequence[Callable[[bytes], bytes]]) -> bytes:
    """A report with other octets here and there, packed, and perhaps with a wrong octet after that."""
    octets = bytearray(report)
    for _ in range(draw(st.integers(0, 5))):
        place = draw(st.integers(0, len(octets) - 1))
        octets[place : place + draw(st.integers(0, 20))] = draw(st.binary(max_size=20))
    packed = bytearray(draw(st.sampled_from(packers))(bytes(octets)))
    if packed and draw(st.booleans()):
        packed[draw(st.integers(0, len(packed) - 1))] ^= draw(st.integers(1, 255))
    return bytes(packed)
