"""The parts that scenarios stand on do what scenarios believe of them."""

import contextlib
import os
import smtplib
import time
import tomllib
from pathlib import Path

import dns.resolver

from tests.e2e.dns import Dns
from tests.e2e.dovecot import Dovecot
from tests.e2e.postfix import Postfix
from tests.e2e.process import Process
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, free_port, wait_for
from tests.e2e.sink import Sink
from tests.e2e.toml import dump

TEXT = "Subject: {}\r\n\r\nHello\r\n.dot\r\n"


def send(port: int, to: str, subject: str = "x", lmtp: bool = False) -> None:
    kind = smtplib.LMTP if lmtp else smtplib.SMTP
    with kind("127.0.0.1", port) as client:
        client.sendmail("sam@sender.test", [to], TEXT.format(subject))


class PartsScenario(Scenario):
    def test_postfix(self) -> None:
        postfix = self.part(Postfix(self.place / "postfix"))
        send(postfix.port, "rita@remote.test", "to Postfix")
        [mail] = postfix.wait_mail("rita@remote.test")
        self.assertIn(b"Subject: to Postfix\n", mail)
        refused = self.assertRaises(smtplib.SMTPRecipientsRefused, send, postfix.port, "no@remote.test")
        self.assertEqual(550, refused.recipients["no@remote.test"][0])

    def test_postfix_sends(self) -> None:
        sink = self.part(Sink(self.place / "sink"))
        relay = {"relayhost": f"[127.0.0.1]:{sink.port}"}
        postfix = self.part(Postfix(self.place / "postfix", settings=relay))
        send(postfix.port, "far@elsewhere.test", "through")
        [mail] = sink.wait(1)
        self.assertIn(b"Subject: through", mail)

    def test_dovecot(self) -> None:
        dovecot = self.part(Dovecot(self.place / "dovecot"))
        send(dovecot.lmtp, "lisa@lmtp.test", "by LMTP", lmtp=True)
        dovecot.wait_mail("lisa@lmtp.test")
        [mail] = dovecot.read("lisa@lmtp.test")
        self.assertIn(b"Subject: by LMTP\r\n", mail)

    def test_remote(self) -> None:
        remote = self.part(Remote())
        send(remote.port, "rita@remote.test")
        self.assertEqual(TEXT.format("x").encode(), remote.wait(1)[0].content)
        for command in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"):
            remote.at = {command: None}
            with self.assertRaises((smtplib.SMTPException, OSError)):
                send(remote.port, "rita@remote.test")
        remote.at = {"RCPT": [b"450 4.2.0 Later"]}
        self.assertRaises(smtplib.SMTPRecipientsRefused, send, remote.port, "rita@remote.test")
        send(remote.port, "rita@remote.test", lmtp=True)
        self.assertEqual(2, len(remote.mails))

    def test_dns(self) -> None:
        server = self.part(Dns())
        server.add_mx("remote.test")
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], server.port, 60
        [record] = resolver.resolve("remote.test", "MX", search=False)
        self.assertEqual("10 mx.remote.test.", record.to_text())
        [address] = resolver.resolve("mx.remote.test", "A", tcp=True, search=False)
        self.assertEqual("127.0.0.2", address.to_text())
        with self.assertRaises(dns.resolver.NXDOMAIN):
            resolver.resolve("no.test", "MX", search=False)
        server.trouble["remote.test"] = "SERVFAIL"
        with self.assertRaises(dns.resolver.NoNameservers):
            resolver.resolve("remote.test", "MX", search=False)

    def test_process(self) -> None:
        process = self.part(Process(["sh", "-c", "echo here; exec sleep 60"]))
        self.assertEqual("here", process.wait_line("here"))
        process.kill()
        self.assertFalse(process.running)
        self.assertRaises(AssertionError, process.wait_line, "there")

    def test_process_that_starts_others(self) -> None:
        """One that starts another child for each that dies leaves none when it is killed."""
        name = f"30{free_port()}"
        script = f"echo begun; while :; do setsid sleep {name}; echo again; done"
        process = self.part(Process(["sh", "-c", script]))

        def sleeping() -> list[str]:
            found = []
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):  # It has ended meanwhile.
                    if file.read_bytes() == f"sleep\0{name}\0".encode():
                        found.append(file.parent.name)
            return found

        wait_for(sleeping, "it starts nobody")
        kill = os.kill

        def slowly(pid: int, number: int) -> None:
            kill(pid, number)
            time.sleep(0.2)

        self.patch(os, "kill", slowly)
        process.kill()
        wait_for(lambda: not sleeping(), "a child is left")
        self.assertEqual(["begun"], process.lines)

    def test_waiting_ends(self) -> None:
        error = self.assertRaises(AssertionError, wait_for, lambda: 0, "no rain", 0.1)
        self.assertIn("no rain", str(error))

    def test_toml(self) -> None:
        table = {
            "a": 'b"\\é\n',
            "list": ["x", "y"],
            "empty": [],
            "t": {"one.two": {"n": 1, "yes": True}},
            "r": [{"k": 1.5}, {"k": 2}],
        }
        self.assertEqual(table, tomllib.loads(dump(table)))
