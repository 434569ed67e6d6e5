"""Hostile packets of a milter: whatever it says, a message is judged, or the default action is taken.

``MTA_FUZZ`` says how many sessions; ``make fuzz`` makes it 20,000.
"""

from __future__ import annotations

import os
import random
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.judge.milter.options import ALL_ACTIONS, agreed
from mta.judge.milter.packets import MilterError, Packet, PacketReader
from mta.judge.milter.replies import decision, modification
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.facts import Facts
from mta.model.message import InlineContent
from mta.model.verdict import Verdict
from tests.judge.milter.filters import MemoryFilter, judge_with, options

SESSIONS = int(os.environ.get("MTA_FUZZ", "300"))
BOUNDED = settings(
    max_examples=max(SESSIONS, 300),
)
_PIECES = [
    *(b"", b"\0", b"A", b"a@b.test", b"<a@b.test>", b"<>", b"550 5.7.1 x", b"250 ok"),
    *(b"\0\0\0\1", b"\xff", b"\r\n", b"%", b"NOTIFY=", b"-", b" ", b"\n\n"),
]
PAYLOADS = st.lists(st.sampled_from(_PIECES), max_size=8).map(b"".join)
COMMANDS = st.sampled_from([bytes([octet]) for octet in b"carftdsyp4fhimb+2-eqlOXZ\0"])
PACKETS = st.builds(Packet, COMMANDS, PAYLOADS)
STEPS = st.sampled_from([bytes([octet]) for octet in b"CHMRTLNBE"])


class CoreTests(SynchronousTestCase):
    """One packet, or octets that are none."""

    @BOUNDED
    @given(st.binary(max_size=200), st.lists(st.integers(1, 9), min_size=1, max_size=20))
    def test_octets(self, data: bytes, cuts: list[int]) -> None:
        """In pieces or at once, they are the same packets, or the same mistake."""

        def read(pieces: list[bytes]) -> tuple[list[Packet], bool]:
            reader, found = PacketReader(), []
            try:
                for piece in pieces:
                    found += reader.feed(piece)
            except MilterError:
                return [], True
            return found, False

        pieces, position, turn = [], 0, 0
        while position < len(data):
            pieces.append(data[position : position + cuts[turn % len(cuts)]])
            position += len(pieces[-1])
            turn += 1
        self.assertEqual(read([data]), read(pieces))

    @BOUNDED
    @given(PACKETS)
    def test_packet(self, packet: Packet) -> None:
        """It is understood, or it is a mistake of the filter's; a reply can be sent as it is."""
        for read in (agreed, decision, lambda one: modification(one, ALL_ACTIONS)):
            try:
                found = read(packet)
            except MilterError:
                continue
            reply = getattr(found, "reply", None)
            if reply is not None:
                self.assertIn(reply.code // 100, (4, 5))
                self.assertTrue(all(line.isprintable() and len(line) <= 400 for line in reply.lines))


class SessionTests(SynchronousTestCase):
    """Whole sessions, in which the filter says anything."""

    @BOUNDED
    @given(
        st.dictionaries(
            st.sampled_from([b"C", b"H", b"M", b"R", b"T", b"L", b"N", b"B", b"E"]), st.lists(PACKETS)
        ),
        st.integers(0, 0x1FFFFF),
        st.sampled_from(["tempfail", "accept", "quarantine", "reject"]),
    )
    def test_sessions(self, answers: dict[bytes, list[Packet]], protocol: int, default: str) -> None:
        """Never an exception, never a wait without end, never anything left open."""
        clock, filter = Clock(), MemoryFilter()
        filter.answers = {**answers, b"O": [options(protocol=protocol)]}
        judge = judge_with(filter, clock, default_action=default, command_timeout=5, content_timeout=5)
        client = Client("s1", address="192.0.2.1", helo="client.test")
        one = Recipient("ann@x.test")
        envelope = Envelope("a@b.test", [one])
        header = b"From: a@b.test\r\nX:\r\n folded\r\n"
        content = InlineContent(header + b"\r\nbody\r\n")
        for stage, facts in (
            ("connect", Facts(client)),
            ("hello", Facts(client)),
            ("mail", Facts(client, Envelope("a@b.test"))),
            ("recipient", Facts(client, Envelope("a@b.test"), one)),
            ("message", Facts(client, envelope, None, header, content, id="0abc")),
        ):
            waiting = Deferred.fromCoroutine(judge.judge(stage, facts))  # type: ignore[arg-type]
            for _ in range(20):
                if waiting.called:
                    break
                clock.advance(6)
            verdict: Verdict = self.successResultOf(waiting)
            if verdict.changes:
                try:
                    facts.revise(verdict.changes)
                except ValueError:
                    continue  # The pipeline puts the client off.
                assert facts.content is not None
                # No field of a filter ends the header section, or begins the body.
                self.assertTrue(facts.content.read().startswith(facts.header))
                self.assertNotIn(b"\r\n\r\n", facts.header)
        judge.closed(client)
        judge.stop()
        self.assertEqual(([], []), (filter.connections, clock.getDelayedCalls()))

    def test_memory(self) -> None:
        """A thousand sessions with anything leave nothing behind."""
        random.seed(20261125)
        filter, clock = MemoryFilter(), Clock()
        judge = judge_with(filter, clock, default_action="accept", command_timeout=1, content_timeout=1)
        sizes = []
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for number in range(1000):
            filter.heard.clear()
            filter.answers = {
                bytes([letter]): [Packet(bytes([random.choice(b"carty4spd")]), random.choice(_PIECES))]
                for letter in random.sample(b"CHMRTLNBE", 3)
            }
            filter.answers[b"O"] = [options()]
            client = Client(f"s{number}", address="192.0.2.1", helo="client.test")
            content = InlineContent(b"A: b\r\n\r\nbody\r\n")
            facts = Facts(client, Envelope("a@b.test", [Recipient("c@d.test")]), None, b"A: b\r\n", content)
            waiting = Deferred.fromCoroutine(judge.judge("message", facts))
            while not waiting.called:
                clock.advance(2)
            judge.closed(client)
            clock.advance(20)
            if number in (300, 999):
                sizes.append(tracemalloc.get_traced_memory()[0])
        self.assertLess(sizes[1] - sizes[0], 100_000)
