"""Mail to other servers: found through DNS, retried while they are away, returned when they refuse."""

from __future__ import annotations

from tests.e2e.client import Speaker
from tests.e2e.dns import Dns
from tests.e2e.postfix import Postfix
from tests.e2e.relaying import TEXT, RelayScenario
from tests.e2e.remote import Remote
from tests.e2e.scenario import free_port
from tests.e2e.sink import Sink
from tests.e2e.slapd import make_authority


class RelayTests(RelayScenario):
    # --- finding the way -------------------------------------------------------

    def test_postfix_through_mx(self) -> None:
        """A domain's MX is looked up, and its Postfix gets the mail."""
        names = self.part(Dns())
        names.add_mx("remote.test")
        postfix = self.part(Postfix(self.place / "postfix"))
        self.start(dns={"servers": [names.address]}, relay={"port": postfix.port})
        self.send("rita@remote.test", "through MX")
        [mail] = postfix.wait_mail("rita@remote.test")
        self.assertIn(b"Subject: through MX", mail)
        self.assertIn(b"by mx.example.org", mail)
        self.server.wait_trace("rita@remote.test", "delivered", "mx.remote.test")
        # Its own words come back to the sender.
        self.send("unknown@remote.test", "to nobody")
        self.bounce("unknown@remote.test", "550", "mx.remote.test")

    def test_postfix_over_tls(self) -> None:
        make_authority(self.place)
        tls = {
            "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_cert_file": str(self.place / "cert.pem"),
            "smtpd_tls_key_file": str(self.place / "key.pem"),
            "smtpd_tls_received_header": "yes",
        }
        postfix = self.part(Postfix(self.place / "postfix", settings=tls))
        self.start(relay={"smarthost": f"127.0.0.1:{postfix.port}"})
        self.send("rita@remote.test", "secret")
        [mail] = postfix.wait_mail("rita@remote.test")
        self.assertRegex(mail, rb"using TLSv1\.[23]")

    def test_no_such_domain(self) -> None:
        self.start(dns={"servers": [self.part(Dns()).address]})
        self.assertEqual(b"250", self.send("rita@nowhere.test", "no")[:3])
        self.bounce("nowhere.test", "5.1.2")

    def test_null_mx(self) -> None:
        names = self.part(Dns({("null.test", "MX"): ["0 ."], ("null.test", "A"): ["127.0.0.1"]}))
        self.start(dns={"servers": [names.address]})
        self.assertEqual(b"250", self.send("rita@null.test", "no")[:3])
        self.bounce("null.test", "5.1.10")

    def test_loop(self) -> None:
        """An MX that is this server, for a domain that it does not serve, is not tried."""
        names = self.part(Dns())
        names.add_mx("loop.test", address="127.0.0.1")
        self.start(dns={"servers": [names.address]})
        self.assertEqual(b"250", self.send("rita@loop.test", "no")[:3])
        self.bounce("loop.test", "5.4.6")

    # --- to one that works -------------------------------------------------------

    def test_sink(self) -> None:
        """Many messages over few connections; each arrives unchanged."""
        sink = self.part(Sink(self.place / "sink"))
        self.start(relay={"smarthost": f"127.0.0.1:{sink.port}"})
        for number in range(50):
            self.send("far@remote.test", f"number {number}")
        mails = sink.wait(50)
        for number in range(50):
            self.assertTrue(any(f"number {number}\n".encode() in mail for mail in mails), number)

    def test_unchanged(self) -> None:
        """Behind our own fields, the remote gets exactly the octets of the client."""
        remote = self.part(Remote())
        self.start(relay={"smarthost": f"127.0.0.1:{remote.port}"})
        body = (
            b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n\r\n \t\r\n" + b"y" * 998 + b"\r\n" + bytes(range(128, 256))
        )
        body += b"\r\n\r\n"
        self.send("far@remote.test", body=body, options=b" BODY=8BITMIME")
        [mail] = remote.wait(1)
        self.assertTrue(mail.content.endswith(b"\r\n" + body), mail.content[-200:])
        self.assertIn("BODY=8BITMIME", mail.sender)

    def test_smtputf8(self) -> None:
        remote = self.part(Remote())
        self.start(relay={"smarthost": f"127.0.0.1:{remote.port}"})
        self.send("jürgen@remote.test", options=b" BODY=8BITMIME SMTPUTF8")
        [mail] = remote.wait(1)
        self.assertIn("SMTPUTF8", mail.sender)
        self.assertIn("jürgen@remote.test", mail.recipients[0])

    def test_remote_without_smtputf8(self) -> None:
        remote = self.part(Remote(features=("PIPELINING", "8BITMIME")))
        self.start(relay={"smarthost": f"127.0.0.1:{remote.port}"})
        self.send("jürgen@remote.test", options=b" BODY=8BITMIME SMTPUTF8")
        self.bounce("jürgen@remote.test", "5.6.7")
        self.assertEqual([], remote.mails)

    def test_remote_without_8bitmime(self) -> None:
        remote = self.part(Remote(features=("PIPELINING",)))
        self.start(relay={"smarthost": f"127.0.0.1:{remote.port}"})
        body = "Subject: x\r\n\r\nGrüße\r\n".encode()
        self.send("far@remote.test", body=body, options=b" BODY=8BITMIME")
        self.bounce("far@remote.test", "5.6.3")

    # --- to one in trouble ---------------------------------------------------------

    def test_down_then_up(self) -> None:
        """Nobody listens: deferred and told so; when somebody does, it arrives once."""
        port = free_port()
        self.start(relay={"smarthost": f"127.0.0.1:{port}"})
        self.send("far@remote.test", "patience")
        self.server.wait_trace("far@remote.test", "deferred", "4.4.1")
        remote = self.part(Remote(port=port))
        [mail] = remote.wait(1)
        self.assertIn(b"Subject: patience", mail.content)
        self.server.wait_trace("far@remote.test", "delivered")
        self.assertEqual(1, len(remote.mails))

    def test_closing_at_each_command(self) -> None:
        """Wherever the connection breaks, the message comes again, and arrives."""
        remote = self.part(Remote())
        self.start(relay={"smarthost": f"127.0.0.1:{remote.port}", "idle": "0s"}, queue={"retry": ["0.1s"]})
        for number, command in enumerate(("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT", "QUIT"), 1):
            remote.at = {command: [None]}
            self.send("far@remote.test", f"closing at {command}")
            mails = remote.wait(number)
            self.assertIn(f"closing at {command}".encode(), mails[-1].content)
        self.assertEqual(7, len(remote.mails))

    def test_later_at_each_command(self) -> None:
        """A 4xx anywhere puts it off, with the remote's words in the journal."""
        remote = self.part(Remote())
        self.start(relay={"smarthost": f"127.0.0.1:{remote.port}"}, queue={"retry": ["0.1s"]})
        for number, command in enumerate(("CONNECT", "MAIL", "RCPT", "DATA", "CONTENT"), 1):
            remote.at = {command: [b"451 4.7.1 Try me later"]}
            self.send(f"far{number}@remote.test", f"later at {command}")
            remote.wait(number)
            self.server.wait_trace(f"far{number}@remote.test", "Try me later", "delivered")

    def test_some_recipients_refused(self) -> None:
        """Of two recipients one is refused: the other gets it, and only the one is returned."""
        remote = self.part(Remote())
        self.start(relay={"smarthost": f"127.0.0.1:{remote.port}"})
        remote.at = {"RCPT": [b"550 5.1.1 No such person", b"250 OK"]}
        with Speaker(self.server.ports["mx"]) as speaker:
            answer = speaker.send(
                "anna@example.org", ["one@remote.test", "two@remote.test"], TEXT % (b"both", b"two")
            )
        self.assertEqual(b"250", answer[:3])
        [mail] = remote.wait(1)
        refused = "one@remote.test" if "two@" in mail.recipients[0] else "two@remote.test"
        message = self.bounce(refused, "No such person")
        kept = "two@remote.test" if refused.startswith("one") else "one@remote.test"
        self.assertNotIn(kept, message.get_payload(0).get_content())  # type: ignore[union-attr]

    def test_bounce_reads_well(self) -> None:
        """A 5xx comes back to Anna's Maildir in words, and in RFC 3464 for her program."""
        remote = self.part(Remote())
        remote.at = {"RCPT": b"550 5.1.1 <far@remote.test>: unknown to us"}
        self.start(relay={"smarthost": f"127.0.0.1:{remote.port}"})
        self.send("far@remote.test", "to a stranger")
        message = self.bounce("far@remote.test", "unknown to us")
        self.assertEqual("anna@example.org", message["To"].addresses[0].addr_spec)
        self.assertEqual("auto-replied", str(message["Auto-Submitted"]).split(";")[0].strip())
        _, report, original = message.iter_parts()
        self.assertEqual("message/delivery-status", report.get_content_type())
        about_all, about_one = report.get_payload()
        self.assertIn("mx.example.org", str(about_all["Reporting-MTA"]))
        self.assertEqual("failed", str(about_one["Action"]))
        self.assertEqual("5.1.1", str(about_one["Status"]))
        self.assertIn("far@remote.test", str(about_one["Final-Recipient"]))
        self.assertIn("550 5.1.1 <far@remote.test>: unknown to us", str(about_one["Diagnostic-Code"]))
        self.assertIn("to a stranger", original.as_string())
        self.server.wait_trace("far@remote.test", "failed", "unknown to us")

    def test_expires(self) -> None:
        """What cannot be delivered in time comes back, with the reason."""
        self.start(relay={"smarthost": f"127.0.0.1:{free_port()}"}, queue={"expire": "3s", "retry": ["1s"]})
        self.send("far@remote.test", "in vain")
        message = self.bounce("far@remote.test", "4.4.1", "the time is over")
        self.assertIn("Status: 4.4.7", message.as_string())
