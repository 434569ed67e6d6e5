"""What judges may change of a message, and what then is of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.model.change import (
    AddField,
    AddRecipient,
    ChangeField,
    ChangeSender,
    InsertField,
    RemoveField,
    RemoveRecipient,
    ReplaceBody,
    words,
)
from mta.model.envelope import Envelope, Recipient
from mta.model.header import header_fields, header_section
from mta.model.message import InlineContent
from mta.model.revision import Composed, Revision, field_octets

HEADER = b"Received: a\r\n\tb\r\nSubject: x\r\nreceived : c\r\n"


def revise(*changes: Any, header: bytes = HEADER, body: bytes = b"\r\nbody\r\n", **terms: Any) -> Revision:
    envelope = Envelope("a@b.test", [Recipient("ann@local.test")], **terms)
    return Revision(header, InlineContent(header + body), envelope).revised(changes)


class HeaderTests(SynchronousTestCase):
    def test_on_top(self) -> None:
        """The content stays as it is."""
        found = revise(InsertField("A", "1"), InsertField("B", "2", 1), InsertField("C", "3"))
        self.assertEqual(b"C: 3\r\nA: 1\r\nB: 2\r\n", found.above)
        self.assertFalse(found.rewritten)
        self.assertEqual(found.above + HEADER, found.header)
        self.assertEqual(found.above + HEADER + b"\r\nbody\r\n", found.content.read())
        self.assertEqual(HEADER + b"\r\nbody\r\n", found.below.read())

    def test_below(self) -> None:
        for changes, expected in (
            ((AddField("A", "1"),), HEADER + b"A: 1\r\n"),
            ((InsertField("A", "1", 1),), b"Received: a\r\n\tb\r\nA: 1\r\nSubject: x\r\nreceived : c\r\n"),
            ((InsertField("A", "1", 99),), HEADER + b"A: 1\r\n"),
            ((ChangeField("RECEIVED", "n", 2),), b"Received: a\r\n\tb\r\nSubject: x\r\nRECEIVED: n\r\n"),
            ((ChangeField("X", "n"),), HEADER + b"X: n\r\n"),
            ((RemoveField("received"),), b"Subject: x\r\n"),
            ((RemoveField("Received", 1),), b"Subject: x\r\nreceived : c\r\n"),
            ((RemoveField("Received", 3),), HEADER),
            ((InsertField("A", "1"), ChangeField("a", "2")), b"a: 2\r\n" + HEADER),
            ((InsertField("A", "1"), AddField("A", "2"), RemoveField("A")), HEADER),
        ):
            found = revise(*changes)
            self.assertEqual(expected, found.header, changes)
            self.assertEqual(expected + b"\r\nbody\r\n", found.content.read(), changes)
            self.assertEqual(len(found.content.read()), found.content.size)

    def test_values(self) -> None:
        """No value begins a field of its own, or ends the header section."""
        for value, expected in (
            ("a\r\nBcc: b", b"A: a\r\n\tBcc: b\r\n"),
            ("a\n b\r\tc", b"A: a\r\n b\r\n\tc\r\n"),
            ("a\r\n\r\nbody", b"A: a\r\n\tbody\r\n"),
            ("a\n \n\tb\n", b"A: a\r\n\tb\r\n"),
            (" a\0", b"A: a \r\n"),
            ("", b"A: \r\n"),
            ("\udcff", b"A: \xff\r\n"),
        ):
            self.assertEqual(expected, field_octets("A", value), value)
        for name in ("", "a b", "a:", "ä", "a\r\nb", "x" * 300):
            self.assertRaises(ValueError, field_octets, name, "1")

    @given(st.lists(st.sampled_from([b"A: 1", b"\r\n", b" ", b"\t", b"x", b"\r", b"\n", b":"])))
    def test_fields(self, parts: list[bytes]) -> None:
        """Whatever stands there is one of the fields, and only once."""
        header = header_section(b"".join(parts))
        self.assertEqual(header, b"".join(header_fields(header)))

    def test_without_header(self) -> None:
        found = revise(AddField("A", "1"), header=b"", body=b"\r\nbody\r\n")
        self.assertEqual(b"A: 1\r\n\r\nbody\r\n", found.content.read())


class BodyTests(SynchronousTestCase):
    def test_line_ends(self) -> None:
        """No body of a filter may end the message for the next server."""
        found = revise(ReplaceBody(b"a\n.\nb\rc\r\n.\r"))
        self.assertEqual(HEADER + b"\r\na\r\n.\r\nb\r\nc\r\n.\r\n", found.content.read())
        self.assertEqual(HEADER + b"\r\n", revise(ReplaceBody(b"")).content.read())

    def test_binary(self) -> None:
        found = revise(ReplaceBody(b"\n\xff"), body=b"\r\n")
        self.assertEqual("8BITMIME", found.envelope.body)
        envelope = Envelope("a@b.test", body="BINARYMIME")
        binary = Revision(HEADER, InlineContent(HEADER + b"\r\n"), envelope).revised([ReplaceBody(b"\n\xff")])
        self.assertEqual(b"\r\n\n\xff", binary.content.read()[-4:])

    def test_composed(self) -> None:
        """Blocks are skipped wherever they begin."""

        class Blocks:
            size = 6

            def blocks(self) -> Any:
                return iter((b"ab", b"cd", b"ef"))

        for skip in range(7):
            composed = Composed(b"x", Blocks(), skip)  # type: ignore[arg-type]
            self.assertEqual(b"x" + b"abcdef"[skip:], composed.read())
            self.assertEqual(7 - skip, composed.size)


class EnvelopeTests(SynchronousTestCase):
    def test_recipients(self) -> None:
        """Two spellings are one recipient; the envelope before stays as it was."""
        found = revise(AddRecipient("ben@Local.TEST"), AddRecipient("Ann@local.test"))
        self.assertEqual(
            ["ann@local.test", "ben@local.test"], [one.address for one in found.envelope.recipients]
        )
        self.assertEqual({"NEVER"}, found.envelope.recipients[1].notify)
        fewer = found.revised([RemoveRecipient("ANN@local.test"), RemoveRecipient("x@y.test")])
        self.assertEqual(["ben@local.test"], [one.address for one in fewer.envelope.recipients])
        self.assertEqual(2, len(found.envelope.recipients))

    def test_sender(self) -> None:
        self.assertEqual("", revise(ChangeSender("")).envelope.reverse_path)
        self.assertEqual("b@c.test", revise(ChangeSender("b@C.test")).envelope.reverse_path)

    def test_all_or_nothing(self) -> None:
        before = revise()
        self.assertRaises(ValueError, before.revised, [AddField("A", "1"), AddRecipient("nonsense")])
        self.assertRaises(ValueError, before.revised, ["no change"])
        self.assertEqual(HEADER, before.header)

    def test_words(self) -> None:
        """No value stands in the journal."""
        for change in (AddField("A", "secret"), InsertField("A", "secret"), ChangeField("A", "secret")):
            self.assertNotIn("secret", words(change))
        self.assertIn("6 octets", words(ReplaceBody(b"secret")))
        self.assertIn("A", words(RemoveField("A")))
        for other in (AddRecipient("a@b.test"), RemoveRecipient("a@b.test"), ChangeSender("a@b.test")):
            self.assertIn("a@b.test", words(other))
