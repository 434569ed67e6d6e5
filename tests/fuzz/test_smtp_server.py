"""Hostile octets for the server's grammar, framing and session.

Each test has an oracle: a plain reading of the standard, slow and by line, or
a property that must hold whatever is sent.
"""

from __future__ import annotations

import contextlib
import random
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.model.address import parse_address
from mta.model.catalogue import REPLIES
from mta.model.envelope import Envelope, Recipient
from mta.smtp.framing import ContentGate, DataReader
from mta.smtp.grammar import SyntaxProblem, UnknownParameter, mail_argument, parse_hello, recipient_argument
from mta.smtp.parameters import mail_parameters, recipient_parameters
from tests.smtp.server_fakes import Dialogue, limits

SEED = 20260117
BOUNDED = settings(max_examples=150)
TRICKY = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"\r\n.", b"\r\n.\r\n", b"a", b"bc: d", b"\0"]),
    max_size=30,
).map(b"".join)
CUTS = st.lists(st.integers(1, 7), min_size=1, max_size=40)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """``data`` in pieces of these sizes, over and over."""
    pieces, position, turn = [], 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[position : position + size])
        position, turn = position + size, turn + 1
    return pieces


def oracle(data: bytes) -> tuple[bytes | None, bytes]:
    """Content by the letter of RFC 5321, 4.5.2 (``None`` if it must be refused), and what follows."""
    lines, rest = [], data
    while True:
        line, ending, rest = rest.partition(b"\r\n")
        if line == b".":
            break
        lines.append(line[1:] if line.startswith(b".") else line)
        assert ending
    if any(re.search(rb"[\r\n\0]", line) for line in lines):
        return None, rest
    return b"".join(line + b"\r\n" for line in lines), rest


class FramingTests(SynchronousTestCase):
    """The reader of DATA beside the oracle."""

    @BOUNDED
    @given(TRICKY, CUTS)
    def test_oracle(self, data: bytes, sizes: list[int]) -> None:
        data += b"\r\n.\r\nQUIT\r\n"
        content, after = oracle(data)
        sink: list[bytes] = []
        reader = DataReader(ContentGate(sink.append, 10**6, 10**6, 99))
        rest: bytes | None = None
        for block in cut(data, sizes):
            rest = reader.feed(block) if rest is None else rest + block
        self.assertEqual(after, rest)
        if content is None:
            self.assertIsNotNone(reader.gate.fault)
        else:
            self.assertIsNone(reader.gate.fault)
            self.assertEqual(content, b"".join(sink))
            self.assertEqual(len(content), reader.gate.size)


class GrammarTests(SynchronousTestCase):
    """Whatever a parser accepts is canonical; it raises nothing but its own errors."""

    alphabet = st.sampled_from(
        [*'ab.@<>"\\[]:, +=\r\n\0%-_', "ä", "字", "\u2028", "IPv6:", "postmaster", "1"]
    )

    @BOUNDED
    @given(st.lists(alphabet, max_size=25).map("".join))
    def test_paths(self, text: str) -> None:
        for parse, word in ((mail_argument, "FROM"), (recipient_argument, "TO")):
            try:
                path, _ = parse(f"{word}:<{text}>".encode())
            except SyntaxProblem:
                continue
            self.assertTrue(not path or path.isprintable())
            if path:
                self.assertEqual(path, str(parse_address(path)))
                self.assertEqual(path, parse(f"{word}:<{path}>".encode())[0])

    @BOUNDED
    @given(st.binary(max_size=60))
    def test_octets(self, octets: bytes) -> None:
        for parse in (mail_argument, recipient_argument, parse_hello):
            for prefix in (b"", b"FROM:<", b"TO:<", b"FROM:<a@b> "):
                with contextlib.suppress(SyntaxProblem):
                    parse(prefix + octets)

    @BOUNDED
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["SIZE", "BODY", "RET", "ENVID", "AUTH", "NOTIFY", "ORCPT", "SMTPUTF8", "X"]),
                st.text(st.sampled_from("=;,+<>@a0Dutf-8rfc2 \\x{}ÄNEVER"), max_size=12),
            ),
            max_size=4,
        )
    )
    def test_parameters(self, items: list[tuple[str, str]]) -> None:
        octets = " ".join(f"{keyword}={value}" for keyword, value in items).encode()
        envelope, recipient = Envelope("a@b"), Recipient("a@b")
        with contextlib.suppress(SyntaxProblem, UnknownParameter):
            mail_parameters(octets, envelope)
        with contextlib.suppress(SyntaxProblem, UnknownParameter):
            recipient_parameters(octets, recipient)
        for text in (envelope.envid, envelope.auth, recipient.orcpt):
            self.assertTrue(text == "" or text.isprintable(), repr(text))


WORDS = [
    b"EHLO x\r\n",
    b"MAIL FROM:<a@b>\r\n",
    b"RCPT TO:<c@d>\r\n",
    b"DATA\r\n",
    b"x: y\r\n\r\nz\r\n.\r\n",
    b".\r\n",
    b"BDAT 3\r\n",
    b"BDAT 4 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"AUTH PLAIN\r\n",
    b"STARTTLS\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"GET / HTTP/1.1\r\n",
    b"QUIT\r\n",
    b"x" * 700,
]


OK = REPLIES.reply("ok")
KEPT = REPLIES.reply("queued", id="1")


class SessionTests(SynchronousTestCase):
    """Random dialogues."""

    def test_replies_do_not_depend_on_cuts(self) -> None:
        """The same octets get the same replies and leave the same messages, however they are cut."""
        chance = random.Random(SEED)
        for _ in range(250):
            data = b"".join(chance.choices(WORDS, k=chance.randrange(1, 25)))
            # STARTTLS, and DATA where it is refused, look at whether something
            # follows in the same segment; then it is the segment that decides.
            data = data.replace(b"STARTTLS\r\n", b"")
            outcomes = set()
            for sizes in ([len(data)], [1], [chance.randrange(1, 9) for _ in range(9)]):
                d = Dialogue(limits=limits(errors=8, line=600))
                text = "".join(d.send(piece) for piece in cut(data, sizes or [1]))
                messages = tuple(message.data for message in d.reception.messages)
                outcomes.add((text, messages, d.closed))
                if not d.closed:
                    self.assertLess(len(d.protocol.session.buffer), 601)
            if any("must be the last command of a group" in text for text, _, _ in outcomes):
                continue
            self.assertEqual(1, len(outcomes), data)

    def test_late_answers(self) -> None:
        """Answers that come whenever they like, time that passes, clients that go: there is one
        question at a time, nothing is said to who is gone, and nothing is left on the clock."""
        chance = random.Random(SEED + 2)
        for _ in range(150):
            d = Dialogue(role=chance.choice(["mx", "lmtp"]), limits=limits(errors=50, unknown_commands=50))
            waiting: list[tuple[Deferred[Any], Any]] = []

            def give(question: str, good: Any, waiting: list[Any] = waiting) -> Any:
                if chance.random() < 0.4:
                    return good
                answer: Deferred[Any] = Deferred()
                waiting.append((answer, good if chance.random() < 0.8 else RuntimeError(question)))
                return answer

            d.reception.answers = {
                "hello": lambda give=give: give("hello", None),
                "sender": lambda give=give: give("sender", OK),
                "recipient": lambda give=give: give("recipient", OK),
                "finish": lambda give=give: give("finish", [KEPT]),
            }
            hello = b"LHLO x\r\n" if d.factory._role == "lmtp" else b"EHLO x\r\n"
            text = d.greeting
            for _ in range(60):
                turn = chance.random()
                if turn < 0.5:
                    text += d.send(chance.choice([*WORDS[1:11], hello]))
                elif turn < 0.9 and waiting:
                    answer, value = waiting.pop(0)
                    self.assertFalse(waiting, "two questions at once")
                    if isinstance(value, Exception):
                        answer.errback(value)
                    else:
                        answer.callback(value)
                    text += d.heard()
                elif turn < 0.95:
                    d.clock.advance(chance.randrange(200))
                    text += d.heard()
            if chance.random() < 0.5:
                d.protocol.connectionLost()
                for answer, value in waiting:
                    answer.callback(None if isinstance(value, Exception) else value)
                self.assertEqual("", d.heard())
                self.assertEqual([], d.clock.getDelayedCalls())
            self.flushLoggedErrors(RuntimeError)
            for line in text.splitlines():
                self.assertRegex(line, r"[2-5][0-9]{2}[ -]")

    def test_every_reply_is_well_formed(self) -> None:
        """Random octets among commands: no exception, and replies are lines of a code and text."""
        chance = random.Random(SEED + 1)
        line = re.compile(r"[2-5][0-9]{2}[ -][ -~]{0,506}\Z")
        for _ in range(250):
            d = Dialogue(limits=limits(errors=50, unknown_commands=50))
            for _ in range(30):
                word = chance.choice(WORDS)
                if chance.random() < 0.3:
                    place = chance.randrange(len(word))
                    word = word[:place] + bytes([chance.randrange(256)]) + word[place + 1 :]
                text = d.send(word)
                if text:
                    self.assertTrue(text.endswith("\r\n"))
                    for item in text[:-2].split("\r\n"):
                        self.assertRegex(item, line)
            aborted_or_kept = [m.aborted or m in d.reception.messages for m in d.reception.incoming[:-1]]
            self.assertTrue(all(aborted_or_kept))
