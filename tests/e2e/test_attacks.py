"""Guessing passwords from a thousand addresses, and words put before a TLS handshake, from both sides."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.client import Speaker
from tests.e2e.journal import events, wait_event
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server
from tests.e2e.test_clients import trusting

#: How many addresses guess, each its own password.
GUESSERS = 1000


class GuessingScenario(Scenario):
    def guess(self, number: int) -> bytes:
        """One guess from an address of its own; what the server said last."""
        source = f"127.{100 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
        account = ("anna@example.org", "ben@example.org", "nobody@example.org")[number % 3]
        return self.log_in(source, account, f"guess-{number}")

    def log_in(self, source: str, account: str, password: str) -> bytes:
        """What the server says to one password."""
        port = self.server.ports["submissions"]
        said = b""
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 30, (source, 0)) as clear,
                trusting().wrap_socket(clear) as secure,
                secure.makefile("rb") as replies,
            ):
                said = replies.readline()
                plain = base64.b64encode(f"\0{account}\0{password}".encode())
                for command in (b"EHLO guess.test\r\n", b"AUTH PLAIN " + plain + b"\r\n"):
                    secure.sendall(command)
                    while (line := replies.readline())[3:4] == b"-":
                        pass
                    said = line
        except (OSError, ssl.SSLError):
            # It was sent away before it could say anything.
            pass
        return said

    def test_a_thousand_addresses(self) -> None:
        """Nobody gets in but whose password it is; each address is in the journal with a reason, and no
        guess is anywhere."""
        self.server: Server = self.part(Server(self.place / "server")).start()
        own = ("127.0.0.1", "anna@example.org", "anna-secret")
        self.assertEqual(b"235", self.log_in(*own)[:3])
        with ThreadPoolExecutor(8) as threads:
            said = list(threads.map(self.guess, range(GUESSERS)))
        self.assertEqual([], [reply for reply in said if reply.startswith(b"235")])

        def known() -> bool:
            seen = events(self.server, "authentication-failed", "rejected", "banned")
            return len({event.client for event in seen if event.client}) >= GUESSERS

        wait_for(known, "not every address is in the journal")
        # In the midst of it she is not kept out, from where she has logged in before.
        self.assertEqual(b"235", self.log_in(*own)[:3])
        wait_for(lambda: len(events(self.server, "authenticated")) == 2, "she is not in the journal")
        self.assertEqual({"127.0.0.1"}, {event.client for event in events(self.server, "authenticated")})
        # Most were not even tried, or not let in.
        tried = events(self.server, "authentication-failed")
        slowed = [event for event in tried if event.name != "auth-failed"]
        kept_out = [event for event in events(self.server, "rejected") if event.rule == "banned"]
        self.assertGreater(len(slowed) + len(kept_out), GUESSERS // 2)
        for event in events(self.server, "authentication-failed"):
            self.assertTrue(event.reason and event.account and event.client and event.code)
        shown = self.server.mta("trace", "--rejected", "127.100.3.1")
        self.assertIn("authentication", shown)
        for place in (self.server.output, shown, str(said)):
            self.assertNotRegex(place, "guess-[0-9]")
        for path in (self.server.state / "spool").rglob("*"):
            # What has gone meanwhile tells nobody anything.
            with contextlib.suppress(IsADirectoryError, FileNotFoundError):
                self.assertNotIn(b"guess-1", path.read_bytes(), path)


class InjectionScenario(Scenario):
    """RFC 3207, 4.2 and 6; CVE-2011-0411."""

    def test_towards_us(self) -> None:
        """What comes in clear text behind STARTTLS is never read as if it had come through TLS."""
        server: Server = self.part(Server(self.place / "server")).start()
        injected = b"EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\nRCPT TO:<anna@example.org>\r\n"
        for octets in (
            b"STARTTLS\r\n" + injected,
            b"STARTTLS\r\nE",
            b"STARTTLS\r\n\r\n",
            b"starttls  \r\n" + injected,
            b"NOOP\r\nSTARTTLS\r\nQUIT\r\n",
        ):
            with Speaker(server.ports["mx"]) as speaker:
                speaker.socket.sendall(octets)
                if octets.startswith(b"NOOP"):
                    self.assertEqual(b"250", speaker.reply()[:3])
                self.assertEqual(b"503", speaker.reply()[:3], octets)
                self.assertRaises(ConnectionError, speaker.reply)
        # A moment later, before the handshake: that is no handshake.
        with Speaker(server.ports["mx"]) as speaker:
            self.assertEqual(b"220", speaker.say(b"STARTTLS")[0][:3])
            speaker.socket.sendall(injected)
            heard = b""
            while block := self._receive(speaker.socket):
                heard += block
            self.assertNotRegex(heard, rb"(?m)^(2|3|5)\d\d ")
        wait_event(server, "rejected", lambda event: event.rule == "tls-failed", "the broken handshake")
        refused = [event for event in events(server, "rejected") if event.rule == "pipelining-forbidden"]
        self.assertEqual(5, len(refused))
        self.assertEqual([], server.mails("anna@example.org"))

    @staticmethod
    def _receive(connection: socket.socket) -> bytes:
        try:
            return connection.recv(4096)
        except ConnectionError:
            return b""

    def test_from_them(self) -> None:
        """Replies behind the 220 to STARTTLS are not taken for replies that came through TLS."""
        forged = b"\r\n250-remote.test\r\n250 AUTH PLAIN\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 taken"
        remote: Remote = self.part(Remote(("STARTTLS", "PIPELINING")))
        remote.at["STARTTLS"] = b"220 go ahead" + forged
        server: Server = self.part(
            Server(self.place / "server", relay={"smarthost": f"127.0.0.1:{remote.port}", "tls": "require"})
        ).start()
        with Speaker(str(server.state / "run" / "submit.sock")) as speaker:
            reply = speaker.send("anna@example.org", ["rita@remote.test"], b"Subject: x\r\n\r\nsecret\r\n")
        self.assertEqual(b"250", reply[:3])
        event = wait_event(server, "deferred", lambda event: True, "it is not deferred")
        self.assertRegex(event.reply, r"(?i)before|TLS|protocol")
        self.assertEqual([], remote.mails)
        self.assertFalse(any(re.match("(?i)mail|rcpt|auth", command) for command in remote.commands))
