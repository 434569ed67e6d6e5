"""SIGHUP: users, aliases and the certificate change under open connections; a broken file changes nothing."""

from __future__ import annotations

import smtplib
import socket
import ssl
from typing import Any

from tests.e2e.client import Speaker
from tests.e2e.journal import wait_event
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import USERS, Server
from tests.e2e.slapd import make_authority
from tests.e2e.test_clients import trusting

TEXT = b"Subject: x\r\n\r\nHello.\r\n"


class ReloadScenario(Scenario):
    def start(self, **settings: Any) -> Server:
        self.server: Server = self.part(Server(self.place / "server", **settings))
        return self.server

    def log_in(self, user: str, password: str) -> int:
        with smtplib.SMTP("127.0.0.1", self.server.ports["submission"], timeout=60) as client:
            client.starttls(context=trusting())
            try:
                return client.login(user, password)[0]
            except smtplib.SMTPAuthenticationError as error:
                return error.smtp_code

    def test_users(self) -> None:
        self.start().start()
        self.assertEqual(235, self.log_in("anna@example.org", "anna-secret"))
        with Speaker(self.server.ports["mx"]) as speaker:
            [before] = speaker.say(b"MAIL FROM:<sam@client.test>")
            self.server.write_users({"anna@example.org": "another-secret", "carl@example.org": "carl-secret"})
            self.server.reload()
            wait_for(lambda: self.log_in("carl@example.org", "carl-secret") == 235, "Carl is not known")
            # The connection that was open goes on, and sees the new account.
            after = speaker.say(b"RCPT TO:<carl@example.org>", b"RCPT TO:<ben@example.org>")
            self.assertEqual([b"250", b"250", b"550"], [reply[:3] for reply in (before, *after)])
        self.assertEqual(535, self.log_in("anna@example.org", "anna-secret"))
        self.assertEqual(235, self.log_in("anna@example.org", "another-secret"))
        self.assertEqual(535, self.log_in("ben@example.org", "ben-secret"))

    def test_aliases(self) -> None:
        server = self.start(domains={"example.org": {"aliases": "aliases"}})
        (server.base / "aliases").write_text("info: anna\n")
        server.start()
        with Speaker(server.ports["mx"]) as speaker:
            self.assertEqual(b"250", speaker.send("s@client.test", ["info@example.org"], TEXT)[:3])
            server.wait_mail("anna@example.org")
            self.assertEqual(b"550", speaker.send("s@client.test", ["sales@example.org"], TEXT)[:3])
            speaker.say(b"RSET")
            (server.base / "aliases").write_text("info: ben\nsales: anna, ben\n")
            server.reload()
            wait_for(
                lambda: (
                    speaker.send("s@client.test", ["sales@example.org"], TEXT)[:3] == b"250"
                    or not speaker.say(b"RSET")
                ),
                "the alias is not known",
            )
        server.wait_mail("ben@example.org")
        server.wait_mail("anna@example.org", 2)

    def test_certificate(self) -> None:
        make_authority(self.place)
        tls = {"certificate": str(self.place / "cert.pem"), "key": str(self.place / "key.pem")}
        server = self.start(tls=tls).start()

        def shown() -> bytes:
            with (
                socket.create_connection(("127.0.0.1", server.ports["submissions"]), 60) as connection,
                trusting().wrap_socket(connection) as secure,
            ):
                return secure.getpeercert(True) or b""

        def on_disk() -> bytes:
            return ssl.PEM_cert_to_DER_cert((self.place / "cert.pem").read_text())

        old = on_disk()
        self.assertEqual(old, shown())
        with smtplib.SMTP("127.0.0.1", server.ports["mx"], timeout=60) as client:
            client.starttls(context=trusting())
            make_authority(self.place)
            server.reload()
            wait_for(lambda: shown() == on_disk(), "the new certificate is not shown")
            self.assertNotEqual(old, shown())
            self.assertEqual(250, client.noop()[0])
        # A renewed one is found without being asked for, too.
        make_authority(self.place)
        wait_for(lambda: shown() == on_disk(), "the renewed certificate is not shown", 120)
        wait_event(server, "certificate", lambda event: event.what == "loaded", "it is not told")
        # A certificate that does not fit its key keeps the one in use.
        current = on_disk()
        (self.place / "key.pem").write_text("broken")
        server.reload()
        self.assertEqual(current, shown())

    def test_broken_configuration(self) -> None:
        """It is refused, with file and line in the log; the server goes on with the old."""
        server = self.start().start()
        good = server.file.read_text()
        server.file.write_text(good + "\n[queue_]\nretry = 3\n")
        server.reload()
        wait_for(
            lambda: "mta.toml:" in server.output and "queue_" in server.output, "the log does not say where"
        )
        with Speaker(server.ports["mx"]) as speaker:
            self.assertEqual(b"250", speaker.send("s@client.test", ["ben@example.org"], TEXT)[:3])
        server.wait_mail("ben@example.org")
        server.file.write_text(good + "\n[broken\n")
        server.reload()
        server.file.write_text(good)
        server.reload()
        self.assertEqual(235, self.log_in("anna@example.org", "anna-secret"))

    def test_new_domain(self) -> None:
        server = self.start().start()
        with Speaker(server.ports["mx"]) as speaker:
            self.assertEqual(b"550", speaker.send("s@client.test", ["anna@new.test"], TEXT)[:3])
            speaker.say(b"RSET")
            server.change(domains={"new.test": {}})
            server.write_users({**USERS, "anna@new.test": "x"})
            server.write()
            server.reload()
            wait_for(
                lambda: (
                    speaker.send("s@client.test", ["anna@new.test"], TEXT)[:3] == b"250"
                    or not speaker.say(b"RSET")
                ),
                "the domain is not known",
            )
        server.wait_mail("anna@new.test")

    def test_by_command(self) -> None:
        """``mta reload`` does the same, and says what came of it."""
        server = self.start().start()
        server.mta("reload")
        good = server.file.read_text()
        server.file.write_text(good + "\n[queue_]\n")
        said = server.mta("reload", check=False)
        self.assertIn("queue_", said)
        server.file.write_text(good)

    def test_stop_finishes(self) -> None:
        """SIGTERM lets a message that is coming come in, and keeps it."""
        server = self.start().start()
        with Speaker(server.ports["mx"]) as speaker:
            speaker.say(b"MAIL FROM:<s@client.test>", b"RCPT TO:<ben@example.org>", b"DATA")
            speaker.socket.sendall(b"Subject: last\r\n\r\n")
            assert server.process is not None
            server.process.signal(15)
            process = server.process
            wait_for(lambda: not self._accepts(), "it still accepts")
            speaker.socket.sendall(b"Hello.\r\n.\r\n")
            self.assertEqual(b"250", speaker.reply()[:3])
        self.assertIn(process.wait(90), (0, -15))
        server.stop()
        server.start()
        server.wait_mail("ben@example.org")
        self.assertEqual(1, len(server.mails("ben@example.org")))

    def _accepts(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.server.ports["mx"]), 5) as connection:
                return bool(connection.recv(10))
        except OSError:
            return False
