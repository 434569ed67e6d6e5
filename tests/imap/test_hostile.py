"""Clients that are wrong, or mean harm: they are told so, and the session is never broken by it."""

from __future__ import annotations

from mta.imap.framing import LONGEST_LINE
from tests.imap.sessions import ImapCase


class HostileTests(ImapCase):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        self.maildir.put(b"1.a")

    def test_bad(self) -> None:
        """Each of them is BAD, changes nothing, and the session goes on."""
        client = self.selected()
        client.do(b"ENABLE QRESYNC")
        client.do(b"STORE 1 FLAGS (\\Seen)")
        for command in (
            b"STORE 1 FLAGS",
            b"STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS (\\Deleted)",
            b"STORE 1 FLAGS (a) (b)",
            b"FETCH 1 FLAGS (CHANGEDSINCE 9999999999999999999)",
            b'LIST "" ()',
            b'LIST "" (' + b" ".join([b"%"] * 101) + b")",
            b"SELECT INBOX (FOO)",
            b"SELECT INBOX (QRESYNC)",
            b"SELECT INBOX (QRESYNC (1))",
            b"SELECT INBOX (QRESYNC (1 99999999999999999999))",
            b"SELECT INBOX (QRESYNC (" + b"1" * 5000 + b" 1))",
            b"SELECT INBOX (QRESYNC (1 1 *))",
            b"SELECT INBOX (QRESYNC (1 1 1:9 (1)))",
        ):
            answer = client.do(command)
            self.assertEqual([b"a BAD"], [line[:5] for line in answer], command)
            self.assertIn(b"a OK", client.do(b"NOOP")[-1])
        self.assertIn(b"\\Seen", client.do(b"FETCH 1 FLAGS")[0])

    def test_words_of_parameters(self) -> None:
        """They may be written in any case, and more than one of them."""
        client = self.selected()
        client.do(b"ENABLE QRESYNC")
        for parameters in (b"(CondStore)", b"(qresync (1 1 1:9 (1 1)))", b"(QRESYNC (1 1 (1 1)) CONDSTORE)"):
            self.assertIn(b"a OK", client.do(b"SELECT INBOX " + parameters)[-1])

    def test_passwords(self) -> None:
        """What is wrong in LOGIN is not shown: it may be a password."""
        (line,) = self.connect().do(b'LOGIN anna "secret')
        self.assertTrue(line.startswith(b"a BAD") and b"secret" not in line, line)

    def test_large_literal(self) -> None:
        """It is larger than what may wait, and is read all the same."""
        client = self.logged_in()
        answer = client.say(b"a CREATE {100000+}\r\n" + b"x" * 50_000)
        self.assertEqual("producing", client.transport.producerState)
        answer = client.say(b"x" * 50_000 + b"\r\n")
        self.assertIn(b"a NO", answer[-1])

    def test_endless_lines(self) -> None:
        """A client that waits for news, or says who it is, is bound by the same as others."""
        for command, client in ((b"IDLE", self.selected()), (b"AUTHENTICATE PLAIN", self.connect())):
            client.do(command)
            answer = client.say(b"x" * (LONGEST_LINE + 1))
            self.assertIn(b"* BYE the line is too long", answer[-1:])
            self.assertTrue(client.transport.disconnecting)

    def test_message_of_no_command(self) -> None:
        """The message is not taken for commands."""
        client = self.logged_in()
        answer = client.say(b"+ APPEND INBOX {10+}\r\nb DELETE x\r\nc NOOP\r\n")
        self.assertEqual([b"* BAD", b"c OK"], [line[:5].strip() for line in answer])
