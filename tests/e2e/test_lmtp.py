"""LMTP both ways: to Dovecot for a domain whose mail it keeps, and from Postfix to us."""

from __future__ import annotations

import re
import smtplib
from collections import Counter

from tests.e2e.client import Speaker
from tests.e2e.dovecot import Dovecot
from tests.e2e.postfix import Postfix
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import USERS, Server

TEXT = b"From: sam@client.test\r\nSubject: by LMTP\r\n\r\nHello.\r\n"


def carried_until_quit(log: str) -> int:
    """How many messages came by connections that ended with QUIT, in the log of Dovecot."""
    carried: Counter[str] = Counter()
    found = 0
    for line in log.splitlines():
        if saved := re.search(r"<(\d+)><\S+: Info: .*saved mail to INBOX", line):
            carried[saved[1]] += 1
        elif ended := re.search(r"lmtp\((\d+)\): Info: Disconnect from .*: (.*)", line):
            # A process has one connection after the other.
            count = carried.pop(ended[1], 0)
            found += count if ended[2].startswith("Logged out") else 0
    return found


class LmtpScenario(Scenario):
    def to_dovecot(self, next_hop: str) -> None:
        users = {**USERS, "lisa@lmtp.test": "x", "gone@lmtp.test": "x"}
        server = Server(
            self.place / "server",
            users,
            domains={"lmtp.test": {"transport": "lmtp", "next_hop": next_hop}},
            # On a busy machine those that are idle would otherwise be closed, and others opened.
            transport=[{"kind": "lmtp", "name": "lmtp", "idle": "10m"}],
        )
        self.server = self.part(server).start()
        with Speaker(self.server.ports["mx"]) as speaker:
            answer = speaker.send("anna@example.org", ["lisa@lmtp.test"], TEXT)
        self.assertEqual(b"250", answer[:3], answer)

    def test_dovecot_over_tcp(self) -> None:
        dovecot = self.part(Dovecot(self.place / "dovecot"))
        self.to_dovecot(f"127.0.0.1:{dovecot.lmtp}")
        self.server.wait_trace("lisa@lmtp.test", "delivered")
        [mail] = dovecot.read("lisa@lmtp.test")
        self.assertIn(b"Subject: by LMTP\r\n", mail)
        self.assertEqual(1, mail.count(b"Return-Path:"))

    def test_dovecot_over_unix_socket(self) -> None:
        dovecot = self.part(Dovecot(self.place / "dovecot"))
        self.to_dovecot(f"unix:{dovecot.socket}")
        dovecot.wait_mail("lisa@lmtp.test")

    def test_connections_are_kept(self) -> None:
        """Many messages go over few connections, as the log of the store has them."""
        dovecot = self.part(Dovecot(self.place / "dovecot"))

        def asked() -> int:
            """How many asked whether it is there, and have gone."""
            count = dovecot.output.count("Connect from 127.0.0.1")
            return count if dovecot.output.count("Disconnect from 127.0.0.1") == count else 0

        before = wait_for(asked, "its log does not tell of who asked whether it is there")
        self.to_dovecot(f"127.0.0.1:{dovecot.lmtp}")
        with Speaker(self.server.ports["mx"]) as speaker:
            for _ in range(99):
                speaker.send("anna@example.org", ["lisa@lmtp.test"], TEXT)
        dovecot.wait_mail("lisa@lmtp.test", 100)
        # Its log may come behind its files.
        wait_for(lambda: dovecot.output.count("saved mail to INBOX") >= 100, "the log does not have all")
        saved = dovecot.output.count("saved mail to INBOX")
        connections = dovecot.output.count("Connect from 127.0.0.1") - before
        self.assertEqual(100, saved)
        self.assertLessEqual(connections, 10, f"{connections} connections for {saved} messages")
        self.server.stop()
        # One that was being opened when the last message had gone is given up instead.
        wait_for(lambda: carried_until_quit(dovecot.output) == 100, "not every connection said QUIT")

    def test_one_of_two(self) -> None:
        """LMTP answers for each recipient: one gets it, the other's copy comes back."""
        dovecot = self.part(Dovecot(self.place / "dovecot"))
        self.to_dovecot(f"127.0.0.1:{dovecot.lmtp}")
        with Speaker(self.server.ports["mx"]) as speaker:
            answer = speaker.send("anna@example.org", ["lisa@lmtp.test", "gone@lmtp.test"], TEXT)
        self.assertEqual(b"250", answer[:3], answer)
        dovecot.wait_mail("lisa@lmtp.test", 2)
        [bounce] = self.server.wait_mail("anna@example.org")
        self.assertIn(b"gone@lmtp.test", bounce)
        self.assertIn(b"5.1.1", bounce)

    def test_dovecot_down(self) -> None:
        """A server that is away is waited for."""
        self.to_dovecot("127.0.0.1:1")
        self.server.wait_trace("lisa@lmtp.test", "deferred", "4.4.1")

    def test_postfix_to_us(self) -> None:
        server = Server(self.place / "server")
        port = server.add_listener("lmtp")
        server.write()
        self.part(server).start()
        postfix = self.part(
            Postfix(
                self.place / "postfix",
                domains=("example.org",),
                boxes=("anna", "ben", "gone"),
                settings={
                    "virtual_transport": f"lmtp:inet:127.0.0.1:{port}",
                    "lmtp_destination_recipient_limit": "50",
                },
            )
        )
        with smtplib.SMTP("127.0.0.1", postfix.port) as client:
            client.sendmail("sam@client.test", ["anna@example.org", "ben@example.org"], TEXT)
        for box in ("anna@example.org", "ben@example.org"):
            [mail] = server.wait_mail(box)
            self.assertIn(b"Subject: by LMTP", mail)
            self.assertRegex(mail, rb"with LMTP")

    def test_answers_for_each(self) -> None:
        """Two recipients, two replies; LHLO and not EHLO."""
        server = Server(self.place / "server")
        port = server.add_listener("lmtp")
        server.write()
        self.part(server).start()
        with Speaker(port) as speaker:
            [answer] = speaker.say(b"LHLO client.test")
            self.assertEqual(b"250", answer[:3])
            replies = speaker.say(
                b"MAIL FROM:<sam@client.test>",
                b"RCPT TO:<anna@example.org>",
                b"RCPT TO:<no@example.org>",
                b"RCPT TO:<ben@example.org>",
                b"DATA",
            )
            self.assertEqual([b"250", b"250", b"550", b"250", b"354"], [reply[:3] for reply in replies])
            speaker.socket.sendall(TEXT + b".\r\n")
            self.assertEqual([b"250", b"250"], [speaker.reply()[:3] for _ in range(2)])
        server.wait_mail("anna@example.org")
        server.wait_mail("ben@example.org")
