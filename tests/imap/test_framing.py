"""Where a command ends, however it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.imap.framing import LONGEST_COMMAND, LONGEST_LINE, Continue, Frame, Framing, TooLong

Found = Frame | Continue | TooLong


def framed(*pieces: bytes, inside: bool = True) -> list[Found]:
    """All that comes out, each piece read as far as it goes before the next one comes."""
    framing = Framing()
    framing.inside = inside
    found: list[Found] = []
    for piece in pieces:
        framing.feed(piece)
        while (one := framing.command()) is not None:
            found.append(one)
            if isinstance(one, Frame) and one.streamed is not None:
                framing.take(one.streamed)
    return found


class FramingTests(SynchronousTestCase):
    """See the module."""

    def test_literals(self) -> None:
        self.assertEqual(
            [Frame((b"a X {3+}", b"\r\n{", b" {0+}", b"", b""))], framed(b"a X {3+}\r\n\r\n{ {0+}\r\n\r\n")
        )
        self.assertEqual([Continue(), Frame((b"a X {1}", b"b", b""))], framed(b"a X {1}\r\n", b"b\r\n"))

    def test_held_while_it_comes(self) -> None:
        """A literal does not count among what waits: reading would stop for good."""
        framing = Framing()
        framing.inside = True
        framing.feed(b"a SEARCH TEXT {200000+}\r\n" + b"x" * 100_000)
        self.assertIsNone(framing.command())
        self.assertEqual(0, framing.held)
        framing.feed(b"x" * 100_000 + b"\r\n")
        self.assertEqual(Frame((b"a SEARCH TEXT {200000+}", b"x" * 200_000, b"")), framing.command())

    def test_streamed(self) -> None:
        self.assertEqual(
            [Frame((b"a APPEND b {3+}",), 3, False), Frame((b"",)), Frame((b"c NOOP",))],
            framed(b"a APPEND b {3+}\r\n\r\nx\r\nc NOOP\r\n"),
        )
        self.assertEqual(
            [Frame((b"a append {1+}", b"b", b" {9}"), 9, True)], framed(b"a append {1+}\r\nb {9}\r\n")
        )

    def test_message_of_no_command(self) -> None:
        """Nobody takes what belongs to no command for the next one."""
        for tag in (b"+", b"(", b"a" * 100):
            found = framed(tag + b" APPEND b {8+}\r\nc NOOP\r\n\r\n")
            self.assertEqual([Frame((tag + b" APPEND b {8+}", b"c NOOP\r\n", b""))], found)

    def test_too_long(self) -> None:
        (one,) = framed(b"a" * (LONGEST_LINE + 1))
        self.assertEqual(TooLong(b"a" * 200, False), one)
        text = b"a X {%d+}" % (LONGEST_COMMAND + 1)
        found = framed(text + b"\r\n", b"x" * (LONGEST_COMMAND + 1), b" {3+}\r\nabc\r\nb NOOP\r\n")
        self.assertEqual([TooLong(text, True), Frame((b"b NOOP",))], found)

    def test_many_literals(self) -> None:
        """Together they have a bound too."""
        found = framed(b"a X" + b" {0+}\r\n" * LONGEST_COMMAND + b"\r\nb NOOP\r\n")
        self.assertIsInstance(found[0], TooLong)
        self.assertEqual(Frame((b"b NOOP",)), found[-1])

    @given(
        st.lists(
            st.sampled_from(
                (
                    b"a X {3+}\r\n",
                    b"a X {2}\r\n",
                    b"\r",
                    b"\n",
                    b"b NOOP\r\n",
                    b"xy",
                    b" {0+}\r\n",
                    b"c APPEND d {5+}\r\n",
                    b"c APPEND {1+}\r\n",
                    b"{9000+}\r\n",
                    b"z" * 9000,
                )
            ),
            max_size=12,
        ),
        st.lists(st.integers(1, 30), min_size=1, max_size=8),
        st.booleans(),
    )
    def test_cut_anywhere(self, parts: list[bytes], lengths: list[int], inside: bool) -> None:
        """However the octets come, the same commands are in them."""
        octets, pieces, place, turn = b"".join(parts), [], 0, 0
        while place < len(octets):
            pieces.append(octets[place : place + lengths[turn % len(lengths)]])
            place, turn = place + len(pieces[-1]), turn + 1

        def read(*pieces: bytes) -> list[Found]:
            framing, found = Framing(), []
            framing.inside = inside
            missing = 0
            for piece in pieces:
                framing.feed(piece)
                while True:
                    missing -= len(framing.take(missing))
                    one = None if missing else framing.command()
                    if one is None:
                        break
                    found.append(one)
                    missing = (isinstance(one, Frame) and one.streamed) or 0
            return found

        self.assertEqual(read(octets), read(*pieces))
