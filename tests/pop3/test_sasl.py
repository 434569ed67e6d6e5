"""AUTH of POP3 (RFC 5034), with the mechanisms that a passwd-file has."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import Any

from twisted.internet.testing import StringTransport

from mta.identity.authenticator import Authenticator
from mta.identity.directories import Directories
from mta.identity.file import FileIdentity, FileSettings
from mta.identity.portal import make_portal
from mta.identity.scram import ScramKeys, account_salt
from mta.model.event import Authenticated, AuthenticationFailed
from mta.pop3.protocol import Pop3Protocol
from tests.pop3.test_protocol import Pop3Case

PASSWORD = "Zq7 long"
SECRET = b"s" * 32


async def directly(call: Any, *arguments: Any) -> Any:
    """In place of a thread."""
    return call(*arguments)


def coded(octets: bytes) -> bytes:
    """As SASL stands in a line."""
    return base64.b64encode(octets)


class SaslTests(Pop3Case):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        users = self.place / "users"
        users.write_text(f"anna@example.org:{{PLAIN}}{PASSWORD}\n")
        checker = FileIdentity(users, FileSettings(path=str(users)), self.clock, directly, "example.org")
        portal = make_portal([checker], Directories([checker]))
        terms = self.connect()[0].terms
        self.factory.replace(replace(terms, authenticator=Authenticator(portal, [checker], SECRET)))
        self.pair = self.inside()

    def inside(self) -> tuple[Pop3Protocol, StringTransport]:
        """A session that is inside TLS."""
        pair = self.connect("192.0.2.1")
        pair[0].client.tls_version = "TLSv1.3"
        return pair

    def ask(self, line: bytes) -> bytes:
        return self.say(self.pair, line + b"\r\n")

    def assertInside(self, answer: bytes, mechanism: str) -> None:
        self.assertTrue(answer.startswith(b"+OK 0 messages"), answer)
        (event,) = (event for event in self.events if isinstance(event, Authenticated))
        self.assertEqual(("anna@example.org", mechanism), (event.account, event.mechanism))
        self.assertIn(b"+OK 0 0", self.ask(b"STAT"))

    def test_listed(self) -> None:
        """CAPA tells them (RFC 5034, 3), and AUTH alone does, as old programs ask."""
        self.assertIn(b"\r\nSASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\r\n", self.ask(b"CAPA"))
        self.assertIn(b"\r\nPLAIN\r\nLOGIN\r\n.\r\n", self.ask(b"AUTH"))

    def test_initial_response(self) -> None:
        response = coded(b"\0anna@example.org\0" + PASSWORD.encode())
        self.assertInside(self.ask(b"AUTH PLAIN " + response), "PLAIN")

    def test_asked_for(self) -> None:
        self.assertEqual(b"+ \r\n", self.ask(b"auth plain"))
        self.assertInside(self.ask(coded(b"\0anna@example.org\0" + PASSWORD.encode())), "PLAIN")

    def test_steps(self) -> None:
        """LOGIN asks twice, and a client may send all of it at once."""
        name, secret = coded(b"anna@example.org"), coded(PASSWORD.encode())
        answer = self.ask(b"AUTH LOGIN\r\n" + name + b"\r\n" + secret)
        self.assertEqual(2, answer.count(b"+ "), answer)
        self.assertInside(answer.split(b"\r\n", 2)[2], "LOGIN")

    def test_scram(self) -> None:
        """Both sides prove that they know the password; the last challenge wants an empty answer."""
        self.pair = self.connect("192.0.2.1")
        keys = ScramKeys.derive(PASSWORD, account_salt(SECRET, "anna@example.org"))
        first = b"n=anna@example.org,r=nonce"
        challenge = base64.b64decode(self.ask(b"AUTH SCRAM-SHA-256 " + coded(b"n,," + first))[2:])
        nonce = dict(part.split(b"=", 1) for part in challenge.split(b","))[b"r"]
        self.assertTrue(nonce.startswith(b"nonce"))
        without = b"c=biws,r=" + nonce
        proof = _proof(keys, PASSWORD, b",".join((first, challenge, without)), challenge)
        answer = self.ask(coded(without + b",p=" + proof))
        self.assertIn(b"v=", base64.b64decode(answer[2:]))
        self.assertInside(self.ask(b""), "SCRAM-SHA-256")

    def test_wrong(self) -> None:
        """What was sent is in no reply and no event."""
        response = coded(b"\0anna@example.org\0mistaken")
        answer = self.ask(b"AUTH PLAIN " + response)
        self.assertTrue(answer.startswith(b"-ERR [AUTH] "), answer)
        (event,) = (event for event in self.events if isinstance(event, AuthenticationFailed))
        self.assertEqual(("PLAIN", "auth-failed", False), (event.mechanism, event.name, event.temporary))
        for text in (answer.decode(), repr(event)):
            self.assertNotIn("mistaken", text)
            self.assertNotIn(response.decode(), text)

    def test_mistakes(self) -> None:
        """They end the exchange, and the session goes on."""
        for line in (b"AUTH PLAIN !!", b"AUTH PLAIN =", b"AUTH CRAM-MD5", b"AUTH PLAIN " + coded(b"no nul")):
            answer = self.ask(line)
            self.assertTrue(answer.startswith(b"-ERR"), (line, answer))
            self.assertTrue(self.ask(b"CAPA").startswith(b"+OK"), line)
        self.make_like_new()
        for line in (b"*", b"?", b"AGE=x"):
            self.assertEqual(b"+ \r\n", self.ask(b"AUTH PLAIN"))
            self.assertTrue(self.ask(line).startswith(b"-ERR"), line)
            self.assertTrue(self.ask(b"CAPA").startswith(b"+OK"), line)

    def make_like_new(self) -> None:
        """Another session, whose errors are not counted yet."""
        self.pair = self.inside()

    def test_long_response(self) -> None:
        """A response may have 12,288 octets, also behind AUTH (RFC 5034, 4); more ends the session."""
        for length, told in ((9_000, b"-ERR [AUTH]"), (12_300, b"-ERR")):
            self.make_like_new()
            answer = self.ask(b"AUTH PLAIN " + coded(b"\0anna@example.org\0" + b"x" * length))
            self.assertTrue(answer.startswith(told), answer)

    def test_inside_only(self) -> None:
        """Without TLS what shows the password is not offered; SCRAM does not show it."""
        self.pair = self.connect("192.0.2.1")
        self.assertIn(b"\r\nSASL SCRAM-SHA-256\r\n", self.ask(b"CAPA"))
        self.assertIn(b"-ERR passwords are taken inside TLS only", self.ask(b"AUTH PLAIN"))

    def test_twice(self) -> None:
        """AUTH belongs before the mailbox."""
        response = coded(b"\0anna@example.org\0" + PASSWORD.encode())
        self.ask(b"AUTH PLAIN " + response)
        self.assertTrue(self.ask(b"AUTH PLAIN " + response).startswith(b"-ERR"))


def _proof(keys: ScramKeys, password: str, said: bytes, challenge: bytes) -> bytes:
    """What a client proves with (RFC 5802, 3)."""
    parts = dict(part.split(b"=", 1) for part in challenge.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts[b"s"]), int(parts[b"i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), said, "sha256")
    return coded(bytes(a ^ b for a, b in zip(key, signature, strict=True)))
