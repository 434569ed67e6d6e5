"""The server's side of SASL mechanisms, without I/O and without accounts.

Each mechanism is fed the client's responses by ``step`` and answers with what
is to be done next:

========================  ====================================================
:class:`Challenge`        send it, and feed the answer
:class:`Verify`           have the credentials verified; ``accepted`` tells the
                          mechanism, which then challenges or is done
:class:`LookUp`           find SCRAM keys, and give them to ``supply``
:class:`Done`             the exchange is over, the account is proved
========================  ====================================================

A response that is not what the mechanism demands raises :class:`Malformed`.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.cred.credentials import ICredentials, UsernamePassword

from mta.identity.credentials import ScramCredentials
from mta.identity.scram import ScramKeys, prepare, prepare_password, server_signature
from mta.interfaces import Challenge

#: Octets of a name or password; RFC 4616, 5 lets the server set a limit.
MAX_NAME = 320
MAX_PASSWORD = 1024

#: Types of channel binding that we know (RFC 9266, RFC 5929).
BINDING_TYPES = ("tls-exporter", "tls-server-end-point", "tls-unique")


class Malformed(Exception):
    """The client's response breaks the grammar of the mechanism."""


class Refused(Exception):
    """The response is well formed and cannot be accepted; the text says why."""


@dataclass(frozen=True, slots=True)
class Verify:
    """Have these credentials verified.

    :ivar authzid: whom the client wants to act as; ``""`` for itself.
    """

    credentials: ICredentials
    username: str
    authzid: str = ""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Find the SCRAM keys of this account."""

    username: str


@dataclass(frozen=True, slots=True)
class Done:
    """The account that was verified is proved."""


Next = Challenge | Verify | LookUp | Done


class Mechanism(Protocol):
    """What all mechanisms have."""

    def step(self, response: bytes | None) -> Next:
        """Take a response; ``None`` if there was no initial one.

        :raise Malformed: if it breaks the grammar.
        :raise Refused: if it cannot be accepted.
        """

    def accepted(self) -> Challenge | Done:
        """The credentials were right."""


def _text(octets: bytes, what: str) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise Malformed(f"the {what} is not UTF-8") from None


def _name(text: str, what: str = "user name") -> str:
    if len(text.encode()) > MAX_NAME:
        raise Malformed(f"the {what} is too long")
    try:
        return prepare(text)
    except ValueError as error:
        raise Malformed(f"the {what} cannot be used: {error}") from None


def _password(octets: bytes) -> bytes:
    if not octets:
        # Never hand an empty password on: to LDAP it would be a bind without
        # authentication, which succeeds (RFC 4513, 5.1.2).
        raise Refused("the password is empty")
    if len(octets) > MAX_PASSWORD:
        raise Malformed("the password is too long")
    if b"\0" in octets:
        raise Malformed("the password holds a NUL")
    return prepare_password(_text(octets, "password")).encode()


class Plain:
    """PLAIN (RFC 4616)."""

    def step(self, response: bytes | None) -> Next:
        """``[authzid] NUL authcid NUL passwd``."""
        if response is None:
            return Challenge(b"")
        parts = response.split(b"\0")
        if len(parts) != 3:
            raise Malformed("PLAIN is authzid NUL authcid NUL password")
        authzid = _name(_text(parts[0], "authorization identity"), "identity") if parts[0] else ""
        username = _name(_text(parts[1], "user name"))
        return Verify(UsernamePassword(username.encode(), _password(parts[2])), username, authzid)

    def accepted(self) -> Challenge | Done:
        """See :class:`Mechanism`."""
        return Done()


class Login:
    """LOGIN, which was never a standard, and which old clients need."""

    def __init__(self) -> None:
        self._username: str | None = None

    def step(self, response: bytes | None) -> Next:
        """User name, then password; an initial response is the user name."""
        if response is None:
            return Challenge(b"Username:")
        if self._username is None:
            self._username = _name(_text(response, "user name"))
            return Challenge(b"Password:")
        return Verify(UsernamePassword(self._username.encode(), _password(response)), self._username)

    def accepted(self) -> Challenge | Done:
        """See :class:`Mechanism`."""
        return Done()


class Scram:
    """SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).

    :param plus: whether it is the one with channel binding.
    :param plus_offered: whether the server offered -PLUS; a client that says it
        could, but saw no offer, was then lied to by someone in between.
    :param channel_binding: gives the binding data of a type, or ``None``.
    :param nonce: our part of the nonce, printable, without a comma.
    """

    def __init__(
        self,
        plus: bool,
        plus_offered: bool,
        channel_binding: Callable[[str], bytes | None],
        nonce: str = "",
    ) -> None:
        self._plus = plus
        self._plus_offered = plus_offered
        self._channel_binding = channel_binding
        self._our_nonce = nonce or secrets.token_urlsafe(24)
        self._nonce = ""
        self._binding = b""
        self._client_first = ""
        self._server_first = ""
        self._auth_message = b""
        self._username = ""
        self._authzid = ""
        self._keys: ScramKeys | None = None
        self._salt = b""
        self._verified = False

    def step(self, response: bytes | None) -> Next:
        """client-first-message, client-final-message, and an empty one at the end."""
        if response is None:
            return Challenge(b"")
        if self._verified:
            if response:
                raise Malformed("nothing is left to say after the server's signature")
            return Done()
        text = _text(response, "message")
        return self._final(text) if self._keys else self._first(text)

    def _first(self, text: str) -> LookUp:
        parts = text.split(",", 2)
        if len(parts) != 3:
            raise Malformed("the first message of SCRAM has a GS2 header")
        flag, authzid, bare = parts
        binding = b""
        if flag.startswith("p="):
            if not self._plus:
                raise Refused("channel binding is only for the -PLUS mechanism")
            binding = self._bind(flag[2:])
        elif flag not in ("n", "y"):
            raise Malformed("the GS2 header begins with n, y or p=")
        elif self._plus:
            raise Refused("the -PLUS mechanism needs channel binding")
        elif flag == "y" and self._plus_offered:
            raise Refused("the client saw no offer of channel binding, which we made: a downgrade")
        if authzid:
            if not authzid.startswith("a="):
                raise Malformed("an authorization identity begins with a=")
            self._authzid = _name(_saslname(authzid[2:]), "identity")
        fields = bare.split(",")
        if fields[0].startswith("m="):
            raise Refused("the client demands an extension that we do not know")
        if len(fields) < 2 or not fields[0].startswith("n=") or not fields[1].startswith("r="):
            raise Malformed("the first message of SCRAM has n= and r=")
        self._username = _name(_saslname(fields[0][2:]))
        nonce = fields[1][2:]
        if not nonce or len(nonce) > 512 or not nonce.isascii() or not nonce.isprintable() or " " in nonce:
            raise Malformed("the nonce is not printable ASCII")
        self._nonce = nonce + self._our_nonce
        self._binding = f"{flag},{authzid},".encode() + binding
        self._client_first = bare
        return LookUp(self._username)

    def _bind(self, kind: str) -> bytes:
        data = self._channel_binding(kind) if kind in BINDING_TYPES else None
        if data is None:
            raise Refused(f"channel binding of type {kind[:32]!r} cannot be had")
        return data

    def supply(self, keys: ScramKeys, salt: bytes) -> Challenge:
        """Go on with the keys of the account, or with pretended ones.

        :param salt: the salt that was offered to sources for clear passwords.
        """
        self._keys = keys
        self._salt = salt
        encoded = base64.b64encode(keys.salt).decode()
        self._server_first = f"r={self._nonce},s={encoded},i={keys.iterations}"
        return Challenge(self._server_first.encode())

    def _final(self, text: str) -> Verify:
        without_proof, separator, encoded = text.rpartition(",p=")
        fields = without_proof.split(",")
        marks = [field[:2] for field in fields[:2]]
        if not separator or marks != ["c=", "r="]:
            raise Malformed("the final message of SCRAM has c=, r= and p=")
        if _decode(fields[0][2:]) != self._binding:
            raise Refused("the channel binding is not that of this connection")
        if fields[1][2:] != self._nonce:
            raise Refused("the nonce is not the one of this exchange")
        self._auth_message = f"{self._client_first},{self._server_first},{without_proof}".encode()
        proof = _decode(encoded)
        name = self._username.encode()
        credentials = ScramCredentials(name, self._salt, self._auth_message, proof)
        return Verify(credentials, self._username, self._authzid)

    def accepted(self) -> Challenge | Done:
        """The server's own proof; the client acknowledges it with an empty response."""
        assert self._keys is not None
        self._verified = True
        signature = server_signature(self._keys, self._auth_message)
        return Challenge(b"v=" + base64.b64encode(signature))


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("an attribute is not base64") from None


def _saslname(text: str) -> str:
    """Undo ``=2C`` and ``=3D`` (RFC 5802, 5.1)."""
    for part in text.split("=")[1:]:
        if part[:2] not in ("2C", "3D"):
            raise Malformed("a name holds = other than =2C and =3D")
    return text.replace("=2C", ",").replace("=3D", "=")
