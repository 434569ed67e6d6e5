"""APPEND, COPY, MOVE: messages come into folders."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.imap.sessions import Client, ImapCase
from tests.imap.test_selected import untagged

TEXT = b"Subject: one\r\n\r\nx\r\n"


class AppendTests(ImapCase):
    """APPEND."""

    def append(self, client: Client, what: bytes = b"", text: bytes = TEXT) -> list[bytes]:
        self.assertEqual([b"+ go on"], client.do(b"APPEND INBOX %s{%d}" % (what, len(text))))
        return client.say(text + b"\r\n")

    def test_one(self) -> None:
        client = self.selected()
        answer = self.append(client, b'(\\Seen $Work) " 1-Feb-2020 10:00:00 +0100" ')
        self.assertEqual([b"* 1 EXISTS", b"* 1 RECENT"], untagged(answer))
        self.assertRegex(answer[-1], rb"a OK \[APPENDUID \d+ 1\]")
        (name,) = self.maildir.names()
        self.assertTrue(name.endswith(b":2,Sa"), name)
        file = self.maildir.path / "cur" / name.decode()
        self.assertEqual(1580547600, file.stat().st_mtime)

    def test_not_waiting(self) -> None:
        """LITERAL+, and what comes behind it."""
        client = self.logged_in()
        answer = client.say(b"a APPEND INBOX {%d+}\r\n%s\r\nb NOOP\r\n" % (len(TEXT), TEXT))
        self.assertEqual([b"a OK", b"b OK"], [line[:4] for line in answer])

    def test_piecewise(self) -> None:
        """However the octets come."""
        text = TEXT + b"y" * 300_000
        client = self.logged_in()
        client.do(b"APPEND INBOX {%d}" % len(text))
        for start in range(0, len(text), 70_001):
            self.assertEqual([], client.say(text[start : start + 70_001]))
        self.assertIn(b"a OK", client.say(b"\r\n")[-1])
        (name,) = self.maildir.names()
        size = (self.maildir.path / "cur" / name.decode()).stat().st_size
        self.assertIn(size, (len(text), len(text) - 3))

    @given(st.lists(st.sampled_from((b"\r\n", b"\r", b"a", b".", b" ", b"\xff", b"word: x")), min_size=1))
    @settings(max_examples=50, deadline=None)
    def test_same_octets(self, parts: list[bytes]) -> None:
        """What is fetched is what came, with an end for a last line that had none; so is its size."""
        text = b"".join(parts)
        client = self.selected()
        client.do(b"APPEND INBOX {%d}" % len(text))
        for part in parts:
            client.say(part)
        client.say(b"\r\n")
        wanted = text if text.endswith(b"\r\n") else text + b"\r\n"
        answer = b"\r\n".join(client.do(b"FETCH * (RFC822.SIZE BODY.PEEK[])"))
        head = b"RFC822.SIZE %d BODY[] {%d}\r\n" % (len(wanted), len(wanted))
        self.assertIn(head + wanted + b")\r\na OK", answer)
        client.do(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
        client.do(b"LOGOUT")

    def test_several(self) -> None:
        """All or none (RFC 3502)."""
        client = self.logged_in()
        first = b"a APPEND INBOX {%d+}\r\n%s (\\Seen) {%d+}\r\n%s" % (len(TEXT), TEXT, len(TEXT), TEXT)
        self.assertRegex(client.say(first + b"\r\n")[-1], rb"a OK \[APPENDUID \d+ 1:2\]")
        answer = client.say(first + b" (\\Wrong) {3+}\r\nabc\r\nb NOOP\r\n")
        self.assertEqual([b"a BAD", b"b OK "], [line[:5] for line in answer])
        self.assertEqual(2, len(self.maildir.names()))

    def test_refused(self) -> None:
        """Before the message is sent, if its client waits; after it, if it comes all the same."""
        self.make(message_size=1000)
        client = self.logged_in()
        for command, code in (
            (b"nowhere {9}", b"TRYCREATE"),
            (b"INBOX {1001}", b"TOOBIG"),
            (b"INBOX {0}", b"a NO"),
        ):
            (line,) = client.do(b"APPEND " + command)
            self.assertIn(code, line)
        answer = client.say(b"a APPEND nowhere {9+}\r\nb NOOP\r\n\r\nc NOOP\r\n")
        self.assertEqual([b"a NO", b"c OK"], [line[:4] for line in answer])
        self.assertIn(b"a BAD", client.do(b"APPEND INBOX (\\Recent) {9}")[0])
        self.assertIn(b"a BAD", client.do(b'APPEND INBOX "yesterday" {9}')[0])
        self.assertIn(b"a BAD", client.do(b"APPEND INBOX")[0])

    def test_over_quota(self) -> None:
        self.quota = 20
        client = self.logged_in()
        self.assertIn(b"a NO [OVERQUOTA]", client.do(b"APPEND INBOX {21}")[0])

    def test_lost(self) -> None:
        """Nothing is left of half a message."""
        client = self.logged_in()
        client.do(b"APPEND INBOX {100}")
        client.say(b"half")
        client.protocol.connectionLost()
        self.assertEqual([], self.maildir.names() + self.maildir.names("new") + self.maildir.names("tmp"))
        self.assertEqual(set(), self.factory.sessions)

    def test_utf8(self) -> None:
        client = self.logged_in()
        answer = client.say(b"a APPEND INBOX UTF8 (~{%d+}\r\n%s)\r\n" % (len(TEXT), TEXT))
        self.assertIn(b"a OK", answer[-1])


class TransferTests(ImapCase):
    """COPY and MOVE."""

    def setUp(self) -> None:
        super().setUp()
        for number in range(1, 5):
            self.maildir.put(b"100%d.a" % number)

    def test_copy(self) -> None:
        client = self.selected()
        client.do(b"STORE 2 FLAGS (\\Flagged $Work)")
        answer = client.do(b"COPY 2:3 Archive")
        self.assertRegex(answer[-1], rb"a OK \[COPYUID \d+ 2:3 1:2\]")
        self.assertIn(b"* 2 EXISTS", client.do(b"SELECT Archive"))
        self.assertIn(b"(\\Flagged \\Seen $Work)", client.do(b"STORE 1 +FLAGS (\\Seen)")[0])

    def test_move(self) -> None:
        client, other = self.selected(), self.selected()
        answer = client.do(b"MOVE 2:3 Archive")
        self.assertRegex(answer[0], rb"\* OK \[COPYUID \d+ 2:3 1:2\]")
        self.assertEqual([b"* 3 EXPUNGE", b"* 2 EXPUNGE"], untagged(answer)[:2])
        self.assertEqual(b"a OK moved", answer[-1])
        self.assertEqual([b"* 3 EXPUNGE", b"* 2 EXPUNGE"], untagged(other.do(b"NOOP"))[:2])
        self.assertRegex(client.do(b"UID MOVE 4,99 Archive")[0], rb"COPYUID \d+ 4 3\]")

    def test_refused(self) -> None:
        client = self.selected(command=b"EXAMINE")
        self.assertIn(b"a NO [TRYCREATE]", client.do(b"COPY 1 nowhere")[-1])
        self.assertIn(b"a NO", client.do(b"MOVE 1 Archive")[-1])
        self.assertIn(b"a BAD", client.do(b"COPY 9 Archive")[-1])
        self.assertIn(b"a OK", client.do(b"UID COPY 99 Archive")[-1])

    def test_gone(self) -> None:
        client, other = self.selected(), self.selected()
        other.do(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        other.do(b"EXPUNGE")
        self.assertIn(b"a NO [EXPUNGEISSUED]", client.do(b"COPY 1:2 Archive")[-1])
        self.assertIn(b"* 0 EXISTS", client.do(b"SELECT Archive"))

    def test_saved(self) -> None:
        """``$`` is what a search has found, without what is gone since (RFC 5182)."""
        client = self.selected()
        client.do(b"STORE 1,3 FLAGS (\\Flagged)")
        self.assertEqual([], untagged(client.do(b"SEARCH RETURN (SAVE) FLAGGED")))
        self.assertEqual(2, len(untagged(client.do(b"FETCH $ UID"))))
        self.assertRegex(client.do(b"MOVE 1 Archive")[0], rb"COPYUID")
        answer = untagged(client.do(b"UID FETCH $ FLAGS"))
        self.assertEqual([b"* 2 FETCH (UID 3 FLAGS (\\Recent \\Flagged))"], answer)
        self.assertRegex(client.do(b"COPY $ Archive")[-1], rb"a OK \[COPYUID \d+ 3 2\]")
        client.do(b"SEARCH RETURN (SAVE) ANSWERED")
        for command in (b"FETCH $ UID", b"STORE $ FLAGS ()", b"UID COPY $ Archive"):
            self.assertEqual([], untagged(client.do(command)), command)
