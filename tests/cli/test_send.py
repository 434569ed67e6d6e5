"""`mta send`, to a server in a thread."""

from __future__ import annotations

import os
import socket
import time
from datetime import datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.cli.send import is_loopback
from tests.cli.command import Result, call
from tests.cli.smtp_server import SmtpServer


class SendTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = SmtpServer()
        self.addCleanup(self.server.close)
        self.patch(os, "environ", {k: v for k, v in os.environ.items() if not k.startswith("MTA_")})

    def send(self, *arguments: str, status: int = os.EX_OK, port: int = 0, **options: Any) -> Result:
        smtp = f"127.0.0.1:{port or self.server.port}"
        result = call("send", "--smtp", smtp, "--from", "ann@x.org", *arguments, **options)
        self.assertEqual(status, result.status, result)
        return result

    def test_message(self) -> None:
        place = Path(self.mktemp())
        place.mkdir()
        (place / "pic.png").write_bytes(b"\x89PNG\0")
        result = self.send(
            *("--to", "Bob <bob@y.org>", "--bcc", "carl@y.org", "--subject", "Grüße", "--body", "Hällo"),
            *("--attach", str(place / "pic.png")),
        )
        self.assertIn("250 2.0.0 Queued as 0abcdefghjkmn", result.out)
        self.assertIn("mta trace 0abcdefghjkmn", result.out)
        message = message_from_bytes(self.server.messages[0], policy=policy.default)
        self.assertEqual("Grüße", message["Subject"])
        self.assertEqual("Bob <bob@y.org>", message["To"])
        self.assertIsNone(message["Bcc"])
        self.assertIn("@x.org>", message["Message-ID"])
        body, attachment = message.iter_parts()  # type: ignore[attr-defined]
        self.assertEqual("Hällo", body.get_content().rstrip())
        self.assertEqual(("pic.png", b"\x89PNG\0"), (attachment.get_filename(), attachment.get_content()))
        recipients = [c.split(":")[1] for c in self.server.commands if c.upper().startswith("RCPT")]
        self.assertEqual(["<bob@y.org>", "<carl@y.org>"], recipients)

    def test_json_and_stdin(self) -> None:
        value = self.send("--to", "b@y.org", "--body-file", "-", "--json", stdin="From a pipe").json
        self.assertEqual("0abcdefghjkmn", value["id"])
        self.assertIn(b"From a pipe", self.server.messages[0])

    def test_at(self) -> None:
        """The server is asked to keep it until then."""
        self.server.extensions = ("FUTURERELEASE 864000 2030-01-01T00:00:00Z",)
        begun = time.time()
        self.send("--to", "b@y.org", "--at", "2h")
        self.send("--to", "b@y.org", "--at", "2099-01-31T09:00:00+01:00")
        first, second = (line for line in self.server.commands if line.upper().startswith("MAIL"))
        self.assertTrue(second.endswith(" HOLDUNTIL=2099-01-31T08:00:00Z"), second)
        asked = datetime.fromisoformat(first.partition("HOLDUNTIL=")[2]).timestamp()
        self.assertLess(abs(begun + 7200 - asked), 60)

    def test_at_refused(self) -> None:
        """A time that has passed, a server that sends at once."""
        self.assertIn("has passed", self.send("--to", "b@y.org", "--at", "2020-01-01", status=64).err)
        result = self.send("--to", "b@y.org", "--at", "2h", status=os.EX_UNAVAILABLE)
        self.assertIn("FUTURERELEASE", result.err)
        self.assertEqual([], self.server.messages)

    def test_refused(self) -> None:
        """The reply, what it means, and that nothing was sent."""
        result = self.send("--to", "b@y.org", "--to", "no@y.org", status=os.EX_NOUSER)
        for words in ("nothing was sent", "RCPT TO:<no@y.org>: 550 5.1.1", "cause", "remedy"):
            self.assertIn(words, result.err)
        self.assertEqual([], self.server.messages)
        self.server.refuse_mail = "550 5.7.25 no reverse DNS"
        self.assertIn("PTR", self.send("--to", "b@y.org", status=os.EX_UNAVAILABLE).err)

    def test_clear_text(self) -> None:
        """A password does not travel without TLS."""
        os.environ["MTA_PASSWORD"] = "secret words"
        result = self.send("--to", "b@y.org", "--user", "ann@x.org", status=os.EX_PROTOCOL)
        self.assertIn("STARTTLS", result.err)
        self.assertNotIn("secret words", "".join(self.server.commands) + result.err)

    def test_no_password(self) -> None:
        result = self.send("--to", "b@y.org", "--user", "ann@x.org", status=os.EX_USAGE)
        self.assertIn("MTA_PASSWORD", result.err)

    def test_nobody_there(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.assertIn("refused", self.send("--to", "b@y.org", port=port, status=os.EX_TEMPFAIL).err)

    def test_wrong_words(self) -> None:
        self.assertEqual(os.EX_USAGE, call("send", "--to", "b@y.org").status)
        self.send(status=os.EX_USAGE)
        self.send("--to", "not an address", status=os.EX_USAGE)
        self.send("--to", "b@y.org", "--subject", "a\nBcc: evil@x.org", status=os.EX_DATAERR)
        self.send("--to", "b@y.org", "--attach", "/nowhere/file", status=os.EX_NOINPUT)
        result = call("send", "--smtp", "host:99999", "--from", "a@b.org", "--to", "b@y.org")
        self.assertEqual(os.EX_USAGE, result.status)

    def test_loopback(self) -> None:
        """Only of this machine a self-signed certificate is taken."""
        self.assertEqual([True] * 3, [is_loopback(name) for name in ("127.0.0.9", "::1", "localhost")])
        self.assertEqual([False] * 2, [is_loopback(name) for name in ("192.0.2.1", "localhost.example.org")])
