"""What comes back: bounces from a Postfix that had taken a message, complaints, and forwarding under SPF."""

from __future__ import annotations

import re
import smtplib
from typing import Any

from tests.e2e.postfix import Postfix
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario
from tests.e2e.server import Server

TEXT = b"From: anna@example.org\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n\r\nHello.\r\n"
COMPLAINT = """\
From: <feedback@provider.test>
To: <complaints@example.org>
Subject: FW: an offer
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an email abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Source-IP: 192.0.2.1

--b
Content-Type: message/rfc822

{original}
--b--
"""


class FeedbackScenario(Scenario):
    def start(self, **settings: Any) -> Server:
        base = {"access": {"relay_from": ["127.0.0.0/8"]}}
        self.server: Server = self.part(Server(self.place / "server", **{**base, **settings}))
        return self.server

    def send(self, sender: str, recipients: list[str], content: bytes, role: str = "mx") -> str:
        """By our server; the queue id."""
        with smtplib.SMTP("127.0.0.1", self.server.ports[role]) as client:
            client.ehlo("client.test")
            client.mail(sender)
            for recipient in recipients:
                code, text = client.rcpt(recipient)
                self.assertEqual(250, code, text)
            code, text = client.data(content)
        self.assertEqual(250, code, text)
        found = re.search(rb"\b0[0-9a-z]{12}\b", text)
        assert found is not None, text
        return found[0].decode()

    def refused(self, recipient: str) -> bytes:
        """What RCPT is answered."""
        with smtplib.SMTP("127.0.0.1", self.server.ports["mx"]) as client:
            client.ehlo("client.test")
            client.mail("")
            return client.rcpt(recipient)[1]


class BounceTests(FeedbackScenario):
    def test_bounced_later(self) -> None:
        """A Postfix takes a message, finds nobody, and its DSN comes back to the copy's own address."""
        server = self.start(feedback={"verp": {"example.org": "bounces.example.org"}})
        postfix = self.part(
            Postfix(
                self.place / "postfix",
                settings={
                    # It takes mail for an alias whose target is gone.
                    "virtual_alias_maps": "inline:{late@remote.test=gone@remote.test}",
                    "relayhost": f"[127.0.0.1]:{server.ports['mx']}",
                },
            )
        )
        server.change(relay={"smarthost": f"127.0.0.1:{postfix.port}"})
        server.write()
        server.start()
        content = TEXT % (b"late@remote.test", b"hello", b"one")
        original = self.send("anna@example.org", ["late@remote.test", "rita@remote.test"], content)
        # The alias's target, as the other side calls it, is of no use to anybody here.
        server.wait_trace(
            original, "bounced <late@remote.test> (there <gone@remote.test>)", "found by token", "5.1.1"
        )
        self.assertNotIn("bounced <rita@remote.test>", server.mta("trace", original))
        self.assertIn("bounced", server.mta("trace", "late@remote.test"))
        # Each copy had an address of its own, and Anna is told as if nothing were between.
        [mail] = postfix.wait_mail("rita@remote.test")
        self.assertRegex(mail, rb"Return-Path: <bounce-[0-9a-z]{19}-[0-9a-z]{10}@bounces\.example\.org>")
        [notification] = server.wait_mail("anna@example.org")
        self.assertIn(b"gone@remote.test", notification)
        [sender] = set(re.findall(r"from=<(bounce-\S+)>", postfix.output)) - {
            re.search(rb"Return-Path: <(\S+)>", mail)[1].decode()  # type: ignore[index]
        }
        # Nobody can make such an address.
        self.assertIn(b"5.1.1", self.refused("x" + sender))
        self.assertIn(b"5.1.1", self.refused(sender.replace("-0", "-1", 1)))

    def test_told_beforehand(self) -> None:
        """``mta test`` shows the address, the same with the server and without, or says that it is none."""
        server = self.start(
            feedback={"verp": {"example.org": "bounces.example.org"}}, relay={"smarthost": "127.0.0.1:9"}
        )
        server.start()
        arguments = ("test", "rita@remote.test", "--from", "anna@example.org")

        def path(*more: str) -> str:
            told = " ".join(server.mta(*arguments, *more).split())
            found = re.search(r"reverse-path is <(bounce-0{13}\w{6}-\w{10}@bounces\.example\.org)>", told)
            assert found is not None, told
            self.assertEqual(bool(more), "secret cannot be read" in told, told)
            return found[1]

        online = path()
        told = server.mta(*arguments, "--offline")
        self.assertIn(f"<{online}>", told)
        secret = next(server.state.glob("*.secret"))
        secret.rename(secret.with_suffix(".elsewhere"))
        self.assertNotEqual(online, path("--offline"))

    def test_complaint(self) -> None:
        """A provider's report is matched by the Message-ID, and read once although it comes with others."""
        remote = self.part(Remote())
        server = self.start(
            feedback={"addresses": ["complaints@example.org"]},
            relay={"smarthost": f"127.0.0.1:{remote.port}"},
        )
        server.start()
        original = self.send("anna@example.org", ["rita@far.test"], TEXT % (b"rita@far.test", b"x", b"two"))
        [mail] = remote.wait(1)
        header = mail.content.decode().replace("\r\n", "\n")
        report = COMPLAINT.format(original=header[header.index("From:") :]).replace("\n", "\r\n").encode()
        self.send("feedback@provider.test", ["complaints@example.org"], report)
        told = server.wait_trace(original, "complaint (abuse) by <rita@far.test>", "found by message-id")
        self.assertIn("SomeGenerator", told)

    def test_not_a_report(self) -> None:
        """What nobody can read goes back to whoever wrote it."""
        server = self.start(feedback={"addresses": ["complaints@example.org"]})
        server.start()
        text = b"Subject: you there?\r\n\r\nPlease call me.\r\n"
        self.send("anna@example.org", ["complaints@example.org"], text)
        [notification] = server.wait_mail("anna@example.org")
        self.assertIn(b"this is none that can be read", notification)


class ForwardingTests(FeedbackScenario):
    def test_forwarded_and_returned(self) -> None:
        """Mail to an alias that leads outside leaves with an address of ours; its bounce finds the sender."""
        remote = self.part(Remote())
        server = self.start(
            feedback={"srs": "example.org"},
            relay={"smarthost": f"127.0.0.1:{remote.port}"},
            domains={"example.org": {"aliases": "aliases"}},
        )
        (server.base / "aliases").write_text("friends: rita@far.test\n")
        server.start()
        for number, sender in enumerate(("ann@sender.test", f"{'long-' * 12}@sender.test")):
            original = self.send(sender, ["friends@example.org"], TEXT % (b"friends", b"x", b"%d" % number))
            mail = remote.wait(2 * number + 1)[-1]
            path = re.search(r"<(.*?)>", mail.sender)[1]  # type: ignore[index]
            self.assertTrue(path.startswith(("SRS0=", "return-")[number]), path)
            self.assertTrue(path.endswith("@example.org"))
            bounce = (
                f"Subject: failed\r\n\r\n<rita@far.test>: gone\r\n--- Below\r\nReceived: id {original}\r\n"
            )
            self.send("", [path], bounce.encode())
            returned = remote.wait(2 * number + 2)[-1]
            self.assertIn(f"<{sender}>", returned.recipients[0])
            self.assertIn("<>", returned.sender)
        # What is ours already, or a bounce, is not rewritten.
        self.send("anna@example.org", ["friends@example.org"], TEXT % (b"friends", b"x", b"ours"))
        self.send("", ["friends@example.org"], TEXT % (b"friends", b"x", b"null"))
        senders = [mail.sender for mail in remote.wait(6)[-2:]]
        self.assertEqual(1, sum("<anna@example.org>" in sender for sender in senders), senders)
        self.assertEqual(1, sum("<>" in sender for sender in senders), senders)
        self.assertIn(b"5.1.1", self.refused("SRS0=AAAA=AA=sender.test=ann@example.org"))
