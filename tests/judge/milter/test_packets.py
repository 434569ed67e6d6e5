"""Octets of the milter protocol: packets, negotiation, answers, macros."""

from __future__ import annotations

import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.judge.milter import macros, steps
from mta.judge.milter.options import ALL_ACTIONS, Actions, Agreed, Protocol, agreed, offer
from mta.judge.milter.packets import MOST_OCTETS, MilterError, Packet, PacketReader, strings
from mta.judge.milter.replies import BodyPiece, Quarantine, decision, modification
from mta.model.change import (
    AddField,
    AddRecipient,
    ChangeField,
    ChangeSender,
    InsertField,
    RemoveField,
    RemoveRecipient,
)
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.reply import Reply
from tests.judge.milter.filters import options


class PacketTests(SynchronousTestCase):
    def test_in_pieces(self) -> None:
        """However the octets come, the packets are the same."""
        packets = [Packet(b"c"), Packet(b"h", b"A\0b\0"), Packet(b"b", b"x" * 1000)]
        data = b"".join(packet.encode() for packet in packets)
        for size in (1, 3, 7, 100, len(data)):
            reader = PacketReader()
            found = []
            for start in range(0, len(data), size):
                found += reader.feed(data[start : start + size])
            self.assertEqual(packets, found)

    def test_senseless_lengths(self) -> None:
        for length in (0, MOST_OCTETS + 1, 0xFFFFFFFF):
            self.assertRaises(MilterError, PacketReader().feed, struct.pack(">I", length))

    def test_strings(self) -> None:
        self.assertEqual([b"a", b"", b"b"], strings(b"a\0\0b\0"))
        for payload in (b"", b"a"):
            self.assertRaises(MilterError, strings, payload)


class NegotiationTests(SynchronousTestCase):
    def test_offer(self) -> None:
        """Version 6, every action, and nothing of rejected recipients or larger packets."""
        version, actions, protocol = struct.unpack(">III", offer().payload)
        self.assertEqual((6, 0x1FF, 0x1FF7FF), (version, actions, protocol))

    def test_agreed(self) -> None:
        lists = b"\0\0\0\0{client_addr} j\0" + b"\0\0\0\x05i,{x}\0"
        terms = agreed(options(6, 0x31, 0x300, lists))
        self.assertEqual(Actions.ADD_FIELDS | Actions.CHANGE_FIELDS | Actions.QUARANTINE, terms.actions)
        self.assertEqual(Protocol.NO_DATA | Protocol.NO_UNKNOWN, terms.protocol)
        self.assertEqual({0: ("{client_addr}", "j"), 5: ("i", "{x}")}, terms.macros)
        self.assertTrue(terms.may_be_reused)
        self.assertFalse(agreed(options(2)).may_be_reused)

    def test_not_agreed(self) -> None:
        """Whoever wants what we did not offer would not be understood later."""
        for packet in (
            Packet(b"c"),
            Packet(b"O", b"\0\0\0\x06"),
            options(version=7),
            options(version=1),
            options(actions=0x200),
            options(protocol=0x800),
            options(protocol=0x10000000),
            options(macros=b"\0\0\0\0j"),
        ):
            self.assertRaises(MilterError, agreed, packet)


class StepTests(SynchronousTestCase):
    def test_clients(self) -> None:
        for client, payload in (
            (Client("s", address="192.0.2.1", port=258), b"[192.0.2.1]\x004\x01\x02192.0.2.1\0"),
            (
                Client("s", address="2001:db8::1", reverse_name="a.test"),
                b"a.test\x006\0\x002001:db8::1\0",
            ),
            (Client("s", role="local"), b"localhost\x004\0\x00127.0.0.1\0"),
        ):
            self.assertEqual(payload, steps.connected(client).payload)

    def test_paths(self) -> None:
        envelope = Envelope("a@b.test", body="8BITMIME", size=9, smtputf8=True, ret="HDRS", envid="x y+")
        self.assertEqual(
            b"<a@b.test>\0SIZE=9\0BODY=8BITMIME\0SMTPUTF8\0RET=HDRS\0ENVID=x+20y+2B\0",
            steps.sender(envelope).payload,
        )
        self.assertEqual(b"<>\0", steps.sender(Envelope("")).payload)
        one = Recipient("ann@x.test", frozenset({"DELAY", "FAILURE"}), "rfc822;b@c.test")
        self.assertEqual(
            b"<ann@x.test>\0NOTIFY=DELAY,FAILURE\0ORCPT=rfc822;b@c.test\0", steps.recipient(one).payload
        )

    def test_fields(self) -> None:
        for octets, plain, spaced in (
            (b"A: b\r\n", b"A\0b\0", b"A\0 b\0"),
            (b"A:\tb\r\n c\r\n", b"A\0\tb\n c\0", b"A\0\tb\n c\0"),
            (b"A :  b\0\r\n", b"A\0 b\0", b"A\0  b\0"),
            (b"A:\r\n", b"A\0\0", b"A\0\0"),
        ):
            self.assertEqual(Packet(b"L", plain), steps.field(octets, False))
            self.assertEqual(Packet(b"L", spaced), steps.field(octets, True))
        for octets in (b"no field\r\n", b"a b: c\r\n", b": x\r\n", b"\r\n"):
            self.assertIsNone(steps.field(octets, False))


class DecisionTests(SynchronousTestCase):
    def test_words(self) -> None:
        for command, word in (
            (b"c", "continue"),
            (b"a", "accept"),
            (b"r", "reject"),
            (b"t", "tempfail"),
            (b"d", "discard"),
            (b"s", "skip"),
        ):
            self.assertEqual(word, decision(Packet(command)).decision)
            self.assertRaises(MilterError, decision, Packet(command, b"x"))

    def test_replies(self) -> None:
        for payload, expected in (
            (b"550 5.7.1 Spam\0", Reply(550, ("Spam",), "5.7.1")),
            (b"451 4.7.1 Later", Reply(451, ("Later",), "4.7.1")),
            (b"554 100%% sure%\0", Reply(554, ("100% sure",), "5.7.1")),
            (b"554-5.7.0 One\r\n554 5.7.0 Two\0", Reply(554, ("One", "Two"), "5.7.0")),
            (b"421 4.3.2\0", Reply(421, ("Refused",), "4.3.2")),
            (b"550 2.0.0 x\0", Reply(550, ("2.0.0 x",), "5.7.1")),
            (b"550 \x07\xff\0", Reply(550, ("\ufffd",), "5.7.1")),
        ):
            said = decision(Packet(b"y", payload))
            self.assertEqual(expected, said.reply, payload)
            self.assertEqual("reject" if expected.code >= 500 else "tempfail", said.decision)
        for payload in (b"", b"250 2.0.0 ok\0", b"5xx no\0", b"55\0", b"550-a\r\n551 b\0", b"550-a\r\nb\0"):
            self.assertRaises(MilterError, decision, Packet(b"y", payload))

    def test_the_rest(self) -> None:
        """Shutdown closes the session; "connection failure" is trouble, and so is what nobody knows."""
        shutdown = decision(Packet(b"4"))
        assert shutdown.reply is not None
        self.assertEqual((421, "tempfail"), (shutdown.reply.code, shutdown.decision))
        for command in (b"f", b"h", b"O", b"?"):
            self.assertRaises(MilterError, decision, Packet(command))


class ModificationTests(SynchronousTestCase):
    TABLE: tuple[tuple[bytes, bytes, Any], ...] = (
        (b"h", b"A\0b\0", AddField("A", "b")),
        (b"h", b"A\0\xff\n c\0", AddField("A", "\udcff\n c")),
        (b"i", b"\0\0\0\0A\0b\0", InsertField("A", "b", 0)),
        (b"i", b"\0\0\0\x01A\0b\0", InsertField("A", "b", 0)),
        (b"i", b"\0\0\0\x05A\0b\0", InsertField("A", "b", 4)),
        (b"m", b"\0\0\0\x02A\0b\0", ChangeField("A", "b", 2)),
        (b"m", b"\0\0\0\0A\0b\0", ChangeField("A", "b", 1)),
        (b"m", b"\0\0\0\x02A\0\0", RemoveField("A", 2)),
        (b"b", b"x\0", BodyPiece(b"x\0")),
        (b"+", b"<a@b.test>\0", AddRecipient("a@b.test")),
        (
            b"2",
            b"<a@b.test>\0NOTIFY=FAILURE,DELAY ORCPT=rfc822;c@d.test\0",
            AddRecipient("a@b.test", frozenset({"FAILURE", "DELAY"}), "rfc822;c@d.test"),
        ),
        (b"2", b"a@b.test\0", AddRecipient("a@b.test")),
        (b"-", b"<a@b.test>\0", RemoveRecipient("a@b.test")),
        (b"e", b"<>\0", ChangeSender("")),
        (b"e", b"<a@b.test>\0SIZE=1\0", ChangeSender("a@b.test")),
        (b"q", b"looks\nbad\0", Quarantine("looks bad")),
        (b"q", b"", Quarantine("no reason given")),
    )

    def test_table(self) -> None:
        for command, payload, expected in self.TABLE:
            packet = Packet(command, payload)
            self.assertEqual(expected, modification(packet, ALL_ACTIONS), packet)
            self.assertRaises(MilterError, modification, packet, Actions(0))

    def test_malformed(self) -> None:
        for command, payload in (
            *((b"h", payload) for payload in (b"", b"A\0", b"A\0b", b"\0b\0", b"A\0b\0c\0")),
            *((b"i", payload) for payload in (b"", b"\0\0\0", b"\0\0\0\0A\0")),
            *((b"m", payload) for payload in (b"\0\0\0\0", b"A\0b\0")),
            *((command, b"a@b.test") for command in (b"+", b"-", b"e", b"2")),
            (b"2", b"a@b.test\0NOTIFY=WHENEVER\0"),
        ):
            self.assertRaises(MilterError, modification, Packet(command, payload), ALL_ACTIONS)

    def test_decisions_are_none(self) -> None:
        for command in (b"c", b"a", b"y", b"4", b"?"):
            self.assertIsNone(modification(Packet(command), ALL_ACTIONS))


#: What is known.
VALUES = {"j": "mx.test", "client_addr": "192.0.2.1", "i": "0abc", "rcpt_addr": ""}


class MacroTests(SynchronousTestCase):
    def test_usual(self) -> None:
        """What is known of what Postfix sends; nothing for a step that has none."""
        found = macros.packet(steps.CONNECT, Agreed(), VALUES)
        self.assertEqual(Packet(b"D", b"Cj\0mx.test\0{client_addr}\x00192.0.2.1\0").encode(), found)
        self.assertEqual(b"", macros.packet(steps.HEADER, Agreed(), VALUES))
        self.assertEqual(b"", macros.packet(steps.HELLO, Agreed(), VALUES))

    def test_chosen(self) -> None:
        terms = Agreed(macros={5: ("j", "{unknown}", "{rcpt_addr}")})
        self.assertEqual(
            Packet(b"D", b"Ej\0mx.test\0").encode(), macros.packet(steps.END_OF_MESSAGE, terms, VALUES)
        )
