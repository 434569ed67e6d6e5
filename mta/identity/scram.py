"""The arithmetic of SCRAM-SHA-256 (RFC 5802, RFC 7677), without the messages."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import unicodedata
from dataclasses import dataclass

from passlib.utils import saslprep

#: RFC 7677, 4: at least 4096.
DEFAULT_ITERATIONS = 4096
_MAX_ITERATIONS = 10_000_000


def prepare(text: str) -> str:
    """Prepare a name or password for comparison (SASLprep, RFC 4013).

    :raise ValueError: if it holds a forbidden character or is empty afterwards;
        the message does not repeat the text.
    """
    if text.isascii():
        if not text or not text.isprintable():
            raise ValueError("it is empty or holds control characters")
        return text
    prepared = str(saslprep(text))
    if not prepared:
        raise ValueError("it is empty")
    return prepared


def prepare_password(text: str) -> str:
    """A password as we hash it: SASLprep where that allows it, else NFKC.

    A password that SASLprep forbids (an emoji newer than Unicode 3.2, say) is
    still a good password; RFC 4616, 2 leaves that to the server.
    """
    try:
        return prepare(text)
    except ValueError:
        return unicodedata.normalize("NFKC", text)


@dataclass(frozen=True, slots=True, repr=False)
class ScramKeys:
    """What a server keeps of a password.

    :ivar iterations: of PBKDF2.
    """

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def derive(cls, password: str, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> ScramKeys:
        """Make the keys of a password.  Takes milliseconds: not in the reactor thread."""
        salted = hashlib.pbkdf2_hmac("sha256", prepare_password(password).encode(), salt, iterations)
        client_key = _hmac(salted, b"Client Key")
        return cls(iterations, salt, hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key"))

    @classmethod
    def parse(cls, text: str) -> ScramKeys:
        """Read ``iterations,salt,stored-key,server-key`` as Dovecot writes it.

        :raise ValueError: if it is not that.
        """
        parts = text.split(",")
        if len(parts) != 4 or not parts[0].isascii() or not parts[0].isdigit():
            raise ValueError("SCRAM keys are iterations,salt,stored-key,server-key")
        try:
            salt, stored, server = (base64.b64decode(part, validate=True) for part in parts[1:])
        except (binascii.Error, ValueError):
            raise ValueError("SCRAM keys are not base64") from None
        iterations = int(parts[0])
        if not 0 < iterations <= _MAX_ITERATIONS:
            raise ValueError("the iteration count of SCRAM keys is out of range")
        if not salt or len(stored) != 32 or len(server) != 32:
            raise ValueError("SCRAM-SHA-256 keys have 32 octets each, and a salt")
        return cls(iterations, salt, stored, server)

    def __str__(self) -> str:
        parts = (base64.b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key))
        return f"{self.iterations},{','.join(parts)}"

    def fits(self, password: str) -> bool:
        """Whether they are those of this password.  Takes milliseconds."""
        other = ScramKeys.derive(password, self.salt, self.iterations)
        return hmac.compare_digest(other.stored_key, self.stored_key)


def proof_fits(keys: ScramKeys, auth_message: bytes, proof: bytes) -> bool:
    """Verify a ``ClientProof`` (RFC 5802, 3)."""
    signature = _hmac(keys.stored_key, auth_message)
    if len(proof) != len(signature):
        return False
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), keys.stored_key)


def server_signature(keys: ScramKeys, auth_message: bytes) -> bytes:
    """``ServerSignature`` (RFC 5802, 3)."""
    return _hmac(keys.server_key, auth_message)


def pretended_keys(salt: bytes, iterations: int, secret: bytes) -> ScramKeys:
    """Keys for an account that does not exist: nobody has the password."""
    return ScramKeys(iterations, salt, _hmac(secret, b"stored" + salt), _hmac(secret, b"server" + salt))


def account_salt(secret: bytes, username: str) -> bytes:
    """The salt of an account that has none of its own: always the same, never to be guessed.

    :param secret: the server's secret, kept over restarts.
    """
    return _hmac(secret, b"salt\0" + username.lower().encode())[:16]


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
