from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.targets import TARGETS
from tests.fuzz.targets.target import Target

BOUNDED = settings(max_examples=150)
#: Where octets are cut out, how many, and what comes in their place; all of it over and over.
PIECES = [
    b"%{",
    b"}",
    b":",
    b"=",
    b"/",
    b"\n",
    b"\r\n",
    b" ",
    b'"',
    b"(",
    b")",
    b"\\",
    b"\xc3\xa9",
    b"0",
    b";",
]
NEW = st.one_of(st.binary(max_size=4), st.sampled_from(PIECES))
EDITS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9), NEW), max_size=8)


def edited(seed: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, gone, new in edits:
        place %= len(seed) + 1
        seed = seed[:place] + new + seed[place + gone :]
    return seed


class TargetTests(SynchronousTestCase):
    """Every target takes its seeds, and what becomes of them."""

    def check(self, target: Target) -> None:
        @BOUNDED
        @given(st.sampled_from(target.seeds), EDITS)
        def any_edit(seed: bytes, edits: list[tuple[int, int, bytes]]) -> None:
            target.run(edited(seed, edits))

        for octets in (*target.seeds, b"", b"\0", bytes(range(256))):
            target.run(octets)
        any_edit()


def test_of(target: Target) -> Callable[[TargetTests], None]:
    def test(self: TargetTests) -> None:
        self.check(target)

    test.__doc__ = target.run.__doc__
    return test


for _name, _target in TARGETS.items():
    setattr(TargetTests, f"test_{_name}", test_of(_target))
