"""What scenarios of mail to other servers have in common: Anna, who may relay, and what comes back to her."""

from __future__ import annotations

import email
import email.message
import email.policy
from typing import Any

from tests.e2e.client import Speaker
from tests.e2e.scenario import Scenario
from tests.e2e.server import Server

TEXT = b"From: anna@example.org\r\nTo: %s\r\nSubject: %s\r\n\r\nHello.\r\n..dots\r\n"


class RelayScenario(Scenario):
    def start(self, **settings: Any) -> Server:
        base = {"access": {"relay_from": ["127.0.0.0/8"]}}
        self.server: Server = self.part(Server(self.place / "server", **{**base, **settings})).start()
        return self.server

    def send(self, to: str, subject: str = "x", body: bytes = b"", options: bytes = b"") -> bytes:
        """From Anna, without an account: the client's network may relay."""
        content = body or TEXT % (to.encode(), subject.encode())
        with Speaker(self.server.ports["mx"]) as speaker:
            sender, recipient, data = speaker.say(
                b"MAIL FROM:<anna@example.org>" + options, f"RCPT TO:<{to}>".encode(), b"DATA"
            )
            self.assertEqual(b"250", sender[:3], sender)
            if recipient[:3] != b"250":
                return recipient
            self.assertEqual(b"354", data[:3], data)
            speaker.socket.sendall(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            answer = speaker.reply()
            self.assertEqual(b"250", answer[:3], answer)
            return answer

    def bounce(self, *words: str) -> email.message.EmailMessage:
        """The notification that Anna gets; its text for a person has these words."""
        [octets] = self.server.wait_mail("anna@example.org")
        message: Any = email.message_from_bytes(octets, policy=email.policy.default)
        self.assertEqual("multipart/report", message.get_content_type())
        self.assertTrue(octets.startswith(b"Return-Path: <>"), octets)
        text = " ".join(message.get_payload(0).get_content().split())
        for word in words:
            self.assertIn(word, text)
        made: email.message.EmailMessage = message
        return made
