"""Where content ends, and what it may hold."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from mta.smtp.framing import ChunkReader, ContentGate, DataReader
from tests.smtp.server_fakes import Dialogue, codes, limits


def gate(sink: list[bytes] | None = None, size: int = 10**6, **options: object) -> ContentGate:
    settings = {"header_size": 10**5, "hops": 50, **options}
    return ContentGate(([] if sink is None else sink).append, size, **settings)  # type: ignore[arg-type]


def read(*blocks: bytes, **options: int) -> tuple[bytes, bytes | None, str]:
    """Content, what follows its end (``None`` if it has none), and the name of the fault."""
    sink: list[bytes] = []
    reader = DataReader(gate(sink, **options))
    rest: bytes | None = None
    for number, block in enumerate(blocks):
        rest = reader.feed(block)
        if rest is not None:
            rest += b"".join(blocks[number + 1 :])
            break
    fault = reader.gate.fault
    return b"".join(sink), rest, fault.name if fault else ""


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Every way to cut into two or three, and octet by octet."""
    for first in range(1, len(data)):
        yield [data[:first], data[first:]]
        for second in range(first + 1, len(data)):
            yield [data[:first], data[first:second], data[second:]]
    yield [data[n : n + 1] for n in range(len(data))]


def cut_evenly(data: bytes, size: int) -> list[bytes]:
    return [data[n : n + size] for n in range(0, len(data), size)]


GOOD = (
    (b".\r\n", b""),
    (b"\r\n.\r\n", b"\r\n"),
    (b"a: b\r\n\r\nx\r\n.\r\n", b"a: b\r\n\r\nx\r\n"),
    (b"..\r\n.\r\n", b".\r\n"),
    (b"...\r\n.\r\n", b"..\r\n"),
    (b".a\r\n.\r\n", b"a\r\n"),
    (b"a\r\n..\r\n..\r\n.\r\n", b"a\r\n.\r\n.\r\n"),
    (b"a.\r\n.\r\n", b"a.\r\n"),
    (b"\r\n\r\n.\r\n", b"\r\n\r\n"),
)

SMUGGLED = (
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\n.\r",
    b"\r.\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r\r\n",
    b"\n\n.\r\n",
    b"\r\n\r.\r\n",
    b"\r\n.\n\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
)


class DataTests(SynchronousTestCase):
    """The reader behind DATA."""

    def test_every_cut(self) -> None:
        """Content and end are the same wherever the network cuts."""
        for data, content in GOOD:
            for blocks in cuts(data + b"RSET\r\n"):
                self.assertEqual((content, b"RSET\r\n", ""), read(*blocks), blocks)

    def test_no_end(self) -> None:
        """Everything but CR LF . CR LF goes on."""
        for data in (b"a", b"a\r\n", b"a\r\n.", b"a\r\n.\r", b".", b".\r", b"\r\n..\r\n", b"a.\r\n"):
            for blocks in [[data], *cuts(data)]:
                self.assertIsNone(read(*blocks)[1], blocks)

    def test_false_ends(self) -> None:
        """What others may take for the end neither ends a message nor gets through."""
        for false in SMUGGLED:
            data = b"a: b\r\n\r\nx" + false + b"MAIL FROM:<evil@x>\r\nDATA\r\n.\r\nNOOP\r\n"
            fault = "nul-octet" if b"\0" in false else "bare-line-ending"
            for blocks in [[data], *list(cuts(data))[::7]]:
                content, rest, found = read(*blocks)
                self.assertEqual((fault, b"NOOP\r\n"), (found, rest), (false, blocks))
                self.assertNotIn(b"evil", content)

    def test_bare_at_the_end(self) -> None:
        """A CR or LF alone is found in the last place too."""
        for data in (b"x\r\r\n.\r\n", b"x\n\r\n.\r\n", b"\n\r\n.\r\n", b"\r\r\n.\r\n"):
            for blocks in [[data], *cuts(data)]:
                self.assertEqual("bare-line-ending", read(*blocks)[2], blocks)

    def test_evidence(self) -> None:
        """Which octet, and where."""
        reader = DataReader(gate())
        reader.feed(b"abc\r\n")
        reader.feed(b"x\ny\r\n.\r\n")
        assert reader.gate.fault is not None
        self.assertEqual({"octet": "LF", "offset": 6}, reader.gate.fault.evidence)

    def test_size(self) -> None:
        """The limit holds to the octet, dots undone, and the end is still found."""
        self.assertEqual("", read(b"..34\r\n.\r\nx", size=5)[2])
        self.assertEqual("message-too-large", read(b"123456\r\n.\r\n", size=7)[2])
        self.assertEqual((b"", b"x", "message-too-large"), read(b"1234567\r\n.\r\nx", size=8))

    def test_header(self) -> None:
        """The header section has a limit, the body none of that kind."""
        self.assertEqual("", read(b"a: 34\r\n\r\n" + b"x" * 99 + b"\r\n.\r\n", header_size=5)[2])
        data = b"a: 345\r\n\r\nx\r\n.\r\n"
        for blocks in [[data], *cuts(data)]:
            self.assertEqual("", read(*blocks, header_size=6)[2])
            self.assertEqual("header-too-large", read(*blocks, header_size=5)[2], blocks)
        endless = [b"x:" + b"x" * 8] * 10
        self.assertEqual("header-too-large", read(*endless, header_size=50)[2])
        folded = [b"a: b\r\n\tc"] * 10
        self.assertEqual("header-too-large", read(b"a: b\r\n", b" x" * 30, header_size=50)[2])
        self.assertEqual("header-too-large", read(*folded, header_size=50)[2])
        self.assertEqual("header-too-large", read(b"a: 34567\r\n.\r\n", header_size=5)[2])

    def test_no_header(self) -> None:
        """A body alone is none, however long it is; nor is one right behind the fields."""
        for data in (b"hello world\r\n" * 100, b"x" * 1000 + b"\r\n", b"a: b\r\nno field\r\n" * 100):
            for blocks in ([data + b".\r\n"], cut_evenly(data + b".\r\n", 7)):
                self.assertEqual("", read(*blocks, header_size=100)[2])

    def test_hops(self) -> None:
        """Received fields count in the header section only, in any case, however it is cut."""
        data = b"Received: a\r\nRECEIVED: b\r\n\tReceived: no\r\nX-Received: no\r\n\r\nReceived: no\r\n.\r\n"
        for blocks in [[data], *list(cuts(data))[::5]]:
            self.assertEqual("", read(*blocks, hops=2)[2])
            self.assertEqual("routing-hops", read(*blocks, hops=1)[2], blocks)
        self.assertEqual("", read(b"\r\nReceived: a\r\n.\r\n", hops=0)[2])
        self.assertEqual("routing-hops", read(b"Received: a\r\n.\r\n", hops=0)[2])


class ChunkTests(SynchronousTestCase):
    """The reader behind BDAT."""

    def test_count(self) -> None:
        """Exactly so many octets belong to it."""
        sink: list[bytes] = []
        reader = ChunkReader(5, gate(sink))
        self.assertIsNone(reader.feed(b"ab"))
        self.assertEqual(b"NOOP\r\n", reader.feed(b"cdeNOOP\r\n"))
        self.assertEqual(b"abcde", b"".join(sink))

    def test_line_end_between_chunks(self) -> None:
        """CR in one, LF in the next is a line end; CR at the very end is not."""
        g = gate()
        first = ChunkReader(2, g)
        first.feed(b"a\r")
        second = ChunkReader(3, g, first.held)
        second.feed(b"\nb\r")
        self.assertIsNone(g.fault)
        second.end()
        assert g.fault is not None
        self.assertEqual("bare-line-ending", g.fault.name)

    def test_binary(self) -> None:
        """BINARYMIME may hold anything."""
        sink: list[bytes] = []
        reader = ChunkReader(7, gate(sink, binary=True))
        reader.feed(b"\r\n\n\r\0.\r")
        reader.end()
        self.assertIsNone(reader.gate and reader.gate.fault)
        self.assertEqual(b"\r\n\n\r\0.\r", b"".join(sink))


class SmugglingDialogueTests(SynchronousTestCase):
    """The same in a dialogue."""

    def test_one_refusal(self) -> None:
        """One reply, after the true end; nothing kept; the session goes on."""
        for false in SMUGGLED:
            d = Dialogue().hello().begin()
            d.say("DATA")
            inner = b"MAIL FROM:<evil@x>\r\nRCPT TO:<ann@local.test>\r\nDATA\r\nFrom: evil\r\n"
            self.assertEqual("", d.send(b"a: b\r\n\r\nx" + false + inner), false)
            text = d.send(b".\r\nNOOP\r\n")
            self.assertEqual(["550", "250"], codes(text), false)
            self.assertEqual([], d.reception.messages)
            self.assertTrue(d.reception.incoming[0].aborted)
            (event,) = d.events
            self.assertEqual("data", event.stage)
            self.assertIn(event.rule, ("bare-line-ending", "nul-octet"))
            d.begin()

    def test_too_large(self) -> None:
        """Read to its end and refused; far beyond, the line is closed."""
        d = Dialogue(limits=limits(message_size=1000)).hello().begin()
        d.say("DATA")
        self.assertEqual("", d.send(b"x" * 990 + b"\r\n" + b"y" * 500 + b"\r\n"))
        self.assertTrue(d.reception.incoming[0].aborted)
        self.assertEqual(["552", "250"], codes(d.say(".", "NOOP")))
        d.begin()
        d.say("DATA")
        self.assertEqual(["552"], codes(d.send(b"x" * 2100)))
        self.assertTrue(d.protocol.session.closing)

    def test_last_words_are_heard(self) -> None:
        """Who is still sending when we close gets time to read why, but not for ever."""
        d = Dialogue(limits=limits(message_size=1000)).hello().begin()
        d.say("DATA")
        d.send(b"x" * 2100)
        self.assertFalse(d.closed)
        for _ in range(29):
            d.clock.advance(1.0)
            self.assertEqual("", d.send(b"x" * 2100))
        self.assertFalse(d.closed)
        d.clock.advance(1.0)
        self.assertTrue(d.closed)

    def test_no_limit(self) -> None:
        """A size of 0 is none, as EHLO says it."""
        d = Dialogue(limits=limits(message_size=0))
        self.assertIn("250-SIZE 0\r\n", d.say("EHLO x.test"))
        self.assertEqual(["250"], codes(d.say(f"MAIL FROM:<a@b> SIZE={10**12}")))

    def test_lost_in_content(self) -> None:
        """What is not complete is dropped."""
        d = Dialogue().hello().begin()
        d.say("DATA")
        d.send(b"half")
        d.protocol.connectionLost()
        self.assertTrue(d.reception.incoming[0].aborted)
