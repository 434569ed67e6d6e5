"""Our side of SASL at a smarthost (RFC 4954): SCRAM-SHA-256, PLAIN, LOGIN.

Each mechanism is an exchange: :meth:`respond` takes what the server said after
334 and answers what to say.  A password goes out as such only where the session
allows it; SCRAM never shows it, and proves that the server knows it too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from passlib.utils import saslprep

#: Rounds of PBKDF2 that we are willing to compute for a server.
MAX_ITERATIONS = 1_000_000


class AuthTrouble(Exception):
    """The server's side of the exchange is wrong; the text holds no secret."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password for a smarthost."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyWanted:
    """The salted password is wanted (RFC 5802, 3): it takes milliseconds, so not in the reactor thread."""

    salt: bytes
    iterations: int


class Exchange(Protocol):
    """One run of a mechanism."""

    @property
    def initial(self) -> bytes | None:
        """The initial response; ``None`` for none."""

    @property
    def proven(self) -> bool:
        """Whether success may be believed: the server proved what it has to."""

    def respond(self, challenge: bytes) -> bytes | KeyWanted:
        """Answer a challenge, base64 undone.

        :raise AuthTrouble: if the server says something that the mechanism forbids.
        """


class Plain:
    """PLAIN (RFC 4616)."""

    proven = True

    def __init__(self, credentials: Credentials) -> None:
        self.initial: bytes | None = f"\0{credentials.username}\0{credentials.password}".encode()

    def respond(self, challenge: bytes) -> bytes | KeyWanted:
        """Nothing is left to be said after the initial response."""
        raise AuthTrouble("a challenge that PLAIN does not have")


class Login:
    """LOGIN, never standardised: user name, then password, whatever the prompts say."""

    proven = True
    initial: bytes | None = None

    def __init__(self, credentials: Credentials) -> None:
        self._answers = [credentials.password.encode(), credentials.username.encode()]

    def respond(self, challenge: bytes) -> bytes | KeyWanted:
        """User name, password, and nothing more."""
        if not self._answers:
            raise AuthTrouble("a third challenge of LOGIN")
        return self._answers.pop()


class ScramSha256:
    """SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.

    :param nonce: makes the exchange unique; for tests.
    """

    def __init__(self, credentials: Credentials, nonce: str = "") -> None:
        name = _prepared(credentials.username).replace("=", "=3D").replace(",", "=2C")
        self._nonce = nonce or secrets.token_urlsafe(18)
        self._first = f"n={name},r={self._nonce}"
        self._message = b""
        self._tail = b""
        self._signature = b""
        self.proven = False
        self.initial: bytes | None = f"n,,{self._first}".encode()

    def respond(self, challenge: bytes) -> bytes | KeyWanted:
        """First the server's nonce and salt, then its signature."""
        text = challenge.decode("utf-8", "replace")
        if not self._signature and not self._message:
            match = re.fullmatch(r"r=([!-+\--~]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,8})(?:,.*)?", text)
            if match is None or not match[1].startswith(self._nonce) or match[1] == self._nonce:
                raise AuthTrouble("its first message is not SCRAM")
            iterations = int(match[3])
            if not 4096 <= iterations <= MAX_ITERATIONS:
                # Fewer make a password easy to find for whoever pretends to be the server.
                raise AuthTrouble(f"it wants {iterations} iterations; 4096 to {MAX_ITERATIONS} are taken")
            self._tail = f"c=biws,r={match[1]}".encode()
            self._message = b",".join((self._first.encode(), challenge, self._tail))
            return KeyWanted(_decoded(match[2].encode()), iterations)
        if not self._signature or self.proven:
            raise AuthTrouble("a message that SCRAM does not have")
        if not hmac.compare_digest(b"v=" + base64.b64encode(self._signature), challenge.partition(b",")[0]):
            raise AuthTrouble("it does not know our password")
        self.proven = True
        return b""

    def key(self, salted: bytes) -> bytes:
        """The salted password is there: the proof."""
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), self._message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), self._message, "sha256")
        return self._tail + b",p=" + base64.b64encode(proof)


def salted_password(password: str, salt: bytes, iterations: int) -> bytes:
    """``SaltedPassword`` of RFC 5802.  Takes milliseconds: not in the reactor thread."""
    return hashlib.pbkdf2_hmac("sha256", _prepared(password).encode(), salt, iterations)


def choose(offered: Sequence[str], credentials: Credentials, plaintext: bool) -> list[tuple[str, Exchange]]:
    """Exchanges in the order in which to try them.

    :param offered: mechanisms of the server.
    :param plaintext: whether the password may be shown to the other side.
    """
    found: list[tuple[str, Exchange]] = []
    if "SCRAM-SHA-256" in offered:
        found.append(("SCRAM-SHA-256", ScramSha256(credentials)))
    if plaintext and "PLAIN" in offered:
        found.append(("PLAIN", Plain(credentials)))
    elif plaintext and "LOGIN" in offered:
        found.append(("LOGIN", Login(credentials)))
    return found


def decode_challenge(text: bytes) -> bytes:
    """Undo the base64 of what follows 334.

    :raise AuthTrouble: if it is not base64.
    """
    return _decoded(text.strip())


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise AuthTrouble("what follows 334 is not base64") from None


def _prepared(text: str) -> str:
    if text.isascii():
        return text
    try:
        return str(saslprep(text))
    except ValueError:
        return text
