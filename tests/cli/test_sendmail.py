"""mta-sendmail, as programs call it."""

from __future__ import annotations

import contextlib
import getpass
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from mta.cli import sendmail
from mta.cli.sendmail_message import MessageError, recipients_of, wire_form, without_bcc
from mta.cli.sendmail_options import UsageError, parse_options
from tests.cli.command import Result
from tests.cli.smtp_server import SmtpServer


class OptionTests(SynchronousTestCase):
    def test_usual(self) -> None:
        """What cron, mailx, PHP and git call."""
        options = parse_options(["-t", "-i"])
        self.assertEqual((True, False, "m"), (options.from_header, options.dot_ends, options.mode))
        options = parse_options(["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"])
        self.assertEqual(
            ("CronDaemon", False, ["root"]), (options.full_name, options.dot_ends, options.recipients)
        )
        options = parse_options(["-oi", "-f", "a@b", "-bm", "--", "-odd@c"])
        self.assertEqual(("a@b", ["-odd@c"], False), (options.sender, options.recipients, options.dot_ends))
        options = parse_options(["-ti", "-ra@b", "-N", "failure,delay", "-R", "hdrs", "-V", "x1"])
        self.assertTrue(options.from_header)
        self.assertEqual(
            ("a@b", ("FAILURE", "DELAY"), "HDRS", "x1"),
            (options.sender, options.notify, options.ret, options.envid),
        )

    def test_long_options(self) -> None:
        """There is one, and it tells the others."""
        self.assertEqual("help", parse_options(["--help"]).mode)
        self.assertEqual(["--help"], parse_options(["--", "--help"]).recipients)
        error = self.assertRaises(UsageError, parse_options, ["--read-envelope-from"])
        self.assertIn("no option --read-envelope-from", str(error))
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertEqual(0, sendmail.main(["--help"]))
        self.assertIn("-t            take recipients", output.getvalue())

    def test_modes(self) -> None:
        for word, mode in (
            ("-bs", "s"),
            ("-bp", "p"),
            ("-q", "q"),
            ("-q15m", "q"),
            ("-bi", "i"),
            ("-bv", "v"),
        ):
            self.assertEqual(mode, parse_options([word]).mode)

    def test_tolerated(self) -> None:
        options = parse_options(
            ["-odb", "-oee", "-O", "DeliveryMode=b", "-Am", "-n", "-U", "-em", "-X", "/x", "a"]
        )
        self.assertEqual((["a"], "m", True), (options.recipients, options.mode, options.dot_ends))

    def test_null_sender(self) -> None:
        self.assertEqual("", parse_options(["-f", "", "a"]).sender)

    def test_wrong(self) -> None:
        for words in (
            ["-bd"],
            ["-bz"],
            ["-f"],
            ["-k"],
            ["-N", "maybe"],
            ["-N", "never,delay"],
            ["-R", "some"],
        ):
            self.assertRaises(UsageError, parse_options, words)


class MessageTests(SynchronousTestCase):
    def test_line_ends(self) -> None:
        self.assertEqual(b"A: b\r\n\r\nx\r\ny\r\n", wire_form(b"A: b\n\nx\ny"))
        self.assertEqual(b"A: b\r\n\r\nx\r\n", wire_form(b"A: b\r\n\r\nx\r\n"))

    def test_dot(self) -> None:
        text = b"A: b\n\nx\n.\ny\n"
        self.assertEqual(b"A: b\r\n\r\nx\r\n", wire_form(text, dot_ends=True))
        self.assertEqual(b"A: b\r\n\r\nx\r\n.\r\ny\r\n", wire_form(text))
        self.assertEqual(b"A: b\r\n\r\nx\r\n", wire_form(b"A: b\n\nx\n.", dot_ends=True))

    def test_no_header(self) -> None:
        """A text without a header does not become one with the fields that the server adds."""
        self.assertEqual(b"\r\nhello world\r\n", wire_form(b"hello world\n"))
        self.assertEqual(b"A: b\r\n c\r\n\r\nno field\r\n", wire_form(b"A: b\n c\nno field\n"))
        self.assertEqual(b"A: b\r\n\r\n", wire_form(b"A: b\n"))
        self.assertEqual(b"\r\n", wire_form(b""))

    def test_mbox(self) -> None:
        self.assertEqual(b"A: b\r\n\r\n", wire_form(b"From ann Mon Jan 1\nA: b\n\n"))

    def test_recipients(self) -> None:
        header = (
            b'To: "Doe, Jane" <jane@x.org>, bob@y.org,\n carl\nSubject: to: you@z\n'
            b"Cc: friends: a@b.org, c@d.org;\nBcc: secret@x.org, bob@y.org\n\nTo: body@x.org\n"
        )
        self.assertEqual(
            ["jane@x.org", "bob@y.org", "carl", "a@b.org", "c@d.org", "secret@x.org"],
            recipients_of(wire_form(header)),
        )

    def test_resent(self) -> None:
        header = wire_form(b"To: old@x.org\nResent-To: new@x.org\nResent-Bcc: b@x.org\n\n")
        self.assertEqual(["new@x.org", "b@x.org"], recipients_of(header))

    def test_nobody(self) -> None:
        self.assertEqual([], recipients_of(wire_form(b"To: undisclosed-recipients:;\nCc:\n\n")))

    def test_unreadable(self) -> None:
        """Nobody is left out silently."""
        for value in (b"a@b.org, <broken", b"a b c@", b"ok@x.org, @"):
            self.assertRaises(MessageError, recipients_of, wire_form(b"To: " + value + b"\n\n"))

    def test_bcc(self) -> None:
        text = wire_form(b"To: a@b\nBcc: c@d,\n e@f\nSubject: s\n\nBcc: body\n")
        self.assertEqual(b"To: a@b\r\nSubject: s\r\n\r\nBcc: body\r\n", without_bcc(text))


class DeliveryCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="mta"))
        self.addCleanup(shutil.rmtree, self.place)
        self.path = self.place / "submit.sock"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MTA_")}
        self.environment = {**environment, sendmail.VARIABLE: str(self.path)}
        self.config = self.place / "mta.toml"
        self.config.write_text('hostname = "mx.example.org"\n[domains."example.org"]\n')

    def serve(self) -> SmtpServer:
        server = SmtpServer(self.path)
        self.addCleanup(server.close)
        return server

    def sendmail(self, *words: str, text: str | bytes = "Subject: t\n\nHi\n", status: int = 0) -> Result:
        data = text.encode() if isinstance(text, str) else text
        source = mock.Mock(buffer=io.BytesIO(data))
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch("sys.stdin", source),
            mock.patch.dict(os.environ, self.environment, clear=True),
        ):
            result = Result(sendmail.main(["-C", str(self.config), *words]), out.getvalue(), err.getvalue())
        self.assertEqual(status, result.status, result)
        return result


class DeliveryTests(DeliveryCase):
    def test_arguments(self) -> None:
        server = self.serve()
        result = self.sendmail("-i", "-f", "ann@example.org", "bob@example.net", "root")
        self.assertEqual(("", ""), (result.out, result.err))
        mail, *recipients = [c for c in server.commands if c.upper().startswith(("MAIL", "RCPT"))]
        self.assertTrue(mail.lower().startswith("mail from:<ann@example.org>"), mail)
        # A bare name is one of ours; the host itself is not served here, the domain is.
        self.assertEqual(["<bob@example.net>", "<root@example.org>"], [c.split(":")[1] for c in recipients])
        self.assertEqual([b"Subject: t\r\n\r\nHi\r\n"], server.messages)

    def test_lists(self) -> None:
        """One argument may be several addresses, with names."""
        server = self.serve()
        self.sendmail("a@x.org, Bob <b@x.org>", "carl,dora@x.org")
        recipients = [c.split(":")[1] for c in server.commands if c.upper().startswith("RCPT")]
        self.assertEqual(["<a@x.org>", "<b@x.org>", "<carl@example.org>", "<dora@x.org>"], recipients)

    def test_header(self) -> None:
        server = self.serve()
        self.sendmail("-t", "more@x.org", text="To: a@x.org\nBcc: b@x.org\n\nHi\n")
        recipients = [c.split(":")[1] for c in server.commands if c.upper().startswith("RCPT")]
        self.assertEqual(["<more@x.org>", "<a@x.org>", "<b@x.org>"], recipients)
        self.assertEqual([b"To: a@x.org\r\n\r\nHi\r\n"], server.messages)

    def test_default_sender(self) -> None:
        server = self.serve()
        self.sendmail("a@x.org")
        self.assertIn(f"<{getpass.getuser()}@example.org>", "\n".join(server.commands))

    def test_null_sender(self) -> None:
        for word in ("", "<>"):
            server = SmtpServer(self.path)
            self.sendmail("-f", word, "a@x.org")
            self.assertIn("mail from:<>", "\n".join(server.commands).lower())
            server.close()
            self.path.unlink()

    def test_full_name(self) -> None:
        """-F names the sender, if the message does not."""
        server = self.serve()
        self.sendmail("-F", "Anna Müller", "-f", "ann@example.org", "a@x.org", text="just text\n")
        self.sendmail("-F", "Anna Müller", "-f", "ann@example.org", "a@x.org", text="From: x@y.org\n\nHi\n")
        self.assertRegex(server.messages[0], rb"^From: .*<ann@example\.org>\r\n\r\njust text\r\n$")
        self.assertEqual(b"From: x@y.org\r\n\r\nHi\r\n", server.messages[1])

    def test_notifications(self) -> None:
        server = self.serve()
        self.sendmail("-N", "success,delay", "-R", "hdrs", "-V", "a+b", "a@x.org")
        said = "\n".join(server.commands)
        self.assertIn("RET=HDRS ENVID=a+2Bb", said)
        self.assertIn("NOTIFY=SUCCESS,DELAY", said)

    def test_international(self) -> None:
        server = self.serve()
        self.sendmail("jürgen@x.org", text="Subject: x\n\nÄ\n")
        said = "\n".join(server.commands)
        self.assertIn("SMTPUTF8 BODY=8BITMIME", said)
        self.assertIn("<jürgen@x.org>", said)
        self.assertEqual("Subject: x\r\n\r\nÄ\r\n".encode(), server.messages[0])

    def test_controls_in_an_address(self) -> None:
        """A line end in an address is the caller's mistake, told in one line."""
        for words in (["-f", '"a\nb"@client.test', "rita@client.test"], ['"a\x1bb"@client.test']):
            self.serve()
            result = self.sendmail(*words, status=os.EX_DATAERR)
            self.assertEqual(1, result.err.count("\n"))
            self.path.unlink()

    def test_dots(self) -> None:
        server = self.serve()
        self.sendmail("-i", "a@x.org", text="A: b\n\n.\n..x\n")
        self.assertEqual(b"A: b\r\n\r\n.\r\n..x\r\n", server.messages[0])

    def test_refused(self) -> None:
        """One bad recipient: nobody gets it, and it is said why."""
        server = self.serve()
        result = self.sendmail("a@x.org", "no@x.org", status=os.EX_NOUSER)
        self.assertIn("RCPT TO:<no@x.org>: 550 5.1.1", result.err)
        self.assertEqual([], server.messages)
        self.sendmail("later@x.org", status=os.EX_TEMPFAIL)
        server.refuse_data = "554 5.6.0 no"
        self.sendmail("a@x.org", status=os.EX_UNAVAILABLE)
        server.refuse_data = "452 4.3.1 full"
        self.sendmail("a@x.org", status=os.EX_TEMPFAIL)

    def test_server_stopped(self) -> None:
        result = self.sendmail("a@x.org", status=os.EX_TEMPFAIL)
        self.assertIn("not running", result.err)
        self.assertIn("nothing was taken", result.err)

    def test_server_shutting_down(self) -> None:
        server = self.serve()
        server.greeting = "421 4.3.2 shutting down"
        self.assertIn("shutting down", self.sendmail("a@x.org", status=os.EX_TEMPFAIL).err)

    def test_nobody(self) -> None:
        self.assertIn("no recipients", self.sendmail(status=os.EX_USAGE).err)
        self.serve()
        self.sendmail("-t", text="Subject: x\n\n", status=os.EX_USAGE)
        self.sendmail("a b@x.org", status=os.EX_DATAERR)

    def test_bad_configuration(self) -> None:
        del self.environment[sendmail.VARIABLE]
        self.config.write_text("hostnam = 1\n")
        self.assertIn("mta.toml:1", self.sendmail("a@x.org", status=os.EX_TEMPFAIL).err)

    def test_aliases(self) -> None:
        self.assertIn("mta reload", self.sendmail("-bi").err)


class PipeTests(DeliveryCase):
    def test_session(self) -> None:
        """-bs is the session; from a file or a pipe, with LF or CRLF."""
        server = self.serve()
        text = b"EHLO x\nMAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\nDATA\nSubject: s\n\nHi\n.\nQUIT\n"
        done = subprocess.run(
            [sys.executable, "-m", "mta.cli.sendmail", "-bs"],
            input=text,
            capture_output=True,
            env=self.environment,
            timeout=60,
        )
        self.assertEqual(0, done.returncode, done)
        self.assertTrue(done.stdout.startswith(b"220 mx"), done)
        self.assertTrue(done.stdout.endswith(b"221 2.0.0 bye\r\n"), done)
        self.assertEqual([b"Subject: s\r\n\r\nHi\r\n"], server.messages)
