"""``mta-sendmail``, as cron, mailx and web programs call /usr/sbin/sendmail."""

from __future__ import annotations

import subprocess

from tests.e2e.scenario import Scenario
from tests.e2e.server import BIN, Server


class SendmailScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.part(Server(self.place / "server")).start()

    def sendmail(self, *options: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(BIN / "mta-sendmail"), "-C", str(self.server.file), *options]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)

    def sent(self, *options: str, text: str) -> None:
        done = self.sendmail(*options, text=text)
        self.assertEqual((0, ""), (done.returncode, done.stderr), done)

    def test_recipients_from_header(self) -> None:
        """-t takes To, Cc and Bcc; Bcc does not stay in."""
        text = "From: anna@example.org\nTo: ben@example.org\nBcc: anna@example.org\nSubject: t\n\nHello\n"
        self.sent("-t", "-f", "anna@example.org", text=text)
        [to_ben] = self.server.wait_mail("ben@example.org")
        [to_anna] = self.server.wait_mail("anna@example.org")
        for mail in (to_ben, to_anna):
            self.assertIn(b"Subject: t", mail)
            self.assertNotIn(b"Bcc", mail)
        self.assertTrue(to_ben.startswith(b"Return-Path: <anna@example.org>"), to_ben)

    def test_arguments(self) -> None:
        self.sent("-i", "ben@example.org", text="Subject: args\n\nOne\n.\nTwo\n")
        [mail] = self.server.wait_mail("ben@example.org")
        self.assertIn(b"\n.\nTwo", mail.replace(b"\r\n", b"\n"))
        self.assertIn(b"Message-ID:", mail)
        self.assertIn(b"Date:", mail)

    def test_dot_ends(self) -> None:
        """Without -i a line with a dot is the end."""
        self.sent("ben@example.org", text="Subject: dot\n\nOne\n.\nTwo\n")
        [mail] = self.server.wait_mail("ben@example.org")
        self.assertNotIn(b"Two", mail)

    def test_smtp_on_standard_input(self) -> None:
        """-bs speaks SMTP there."""
        commands = (
            "EHLO here\r\nMAIL FROM:<anna@example.org>\r\nRCPT TO:<ben@example.org>\r\nDATA\r\n"
            "Subject: bs\r\n\r\nHello\r\n.\r\nQUIT\r\n"
        )
        done = self.sendmail("-bs", text=commands)
        codes = [line[:3] for line in done.stdout.splitlines() if line[3:4] == " "]
        self.assertEqual(["220", "250", "250", "250", "354", "250", "221"], codes, done)
        [mail] = self.server.wait_mail("ben@example.org")
        self.assertIn(b"Subject: bs", mail)

    def test_unknown(self) -> None:
        """A recipient that does not exist is told at once: 67, EX_NOUSER."""
        done = self.sendmail("no@example.org", text="Subject: x\n\nx\n")
        self.assertEqual(67, done.returncode, done)
        self.assertIn("5.1.1", done.stdout + done.stderr)

    def test_server_stopped(self) -> None:
        """Nobody there to take it: 75, EX_TEMPFAIL, and nothing pretended."""
        self.server.stop()
        done = self.sendmail("ben@example.org", text="Subject: x\n\nx\n")
        self.assertEqual(75, done.returncode, done)
        self.assertNotEqual("", done.stderr)
