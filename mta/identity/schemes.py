"""Password schemes as Dovecot names them: ``{SCHEME}hash`` to a verifier.

:func:`verifier` reads a stored password once, when the file is read, so that a
broken entry is reported with its line and not at some log-in.  Calling the
verifier takes up to a second for some schemes: not in the reactor thread.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable

import argon2
import bcrypt
from passlib.hash import des_crypt, md5_crypt, sha256_crypt, sha512_crypt

from mta.identity.scram import DEFAULT_ITERATIONS, ScramKeys, prepare_password

#: Takes the password as UTF-8 octets.
Verifier = Callable[[bytes], bool]

_ALIASES = {
    "CLEAR": "PLAIN",
    "CLEARTEXT": "PLAIN",
    "SHA1": "SHA",
    "MD5": "MD5-CRYPT",
    "BCRYPT": "BLF-CRYPT",
    "ARGON2": "ARGON2ID",
}
_DIGESTS = {"SHA": "sha1", "SHA256": "sha256", "SHA512": "sha512", "LDAP-MD5": "md5"}
_SALTED = {"SSHA": "sha1", "SSHA256": "sha256", "SSHA512": "sha512", "SMD5": "md5"}
_CRYPT = {"MD5-CRYPT": md5_crypt, "SHA256-CRYPT": sha256_crypt, "SHA512-CRYPT": sha512_crypt}
_PREFIXES = {
    "$1$": "MD5-CRYPT",
    "$5$": "SHA256-CRYPT",
    "$6$": "SHA512-CRYPT",
    "$2a$": "BLF-CRYPT",
    "$2b$": "BLF-CRYPT",
    "$2y$": "BLF-CRYPT",
    "$argon2i$": "ARGON2I",
    "$argon2id$": "ARGON2ID",
}
_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_STORED = re.compile(r"\{([A-Za-z0-9-]+)(?:\.([A-Za-z0-9]+))?\}(.*)", re.DOTALL)

SCHEMES = (
    "ARGON2ID",
    "ARGON2I",
    "SCRAM-SHA-256",
    "BLF-CRYPT",
    "SHA512-CRYPT",
    "SHA256-CRYPT",
    "PBKDF2",
    "SSHA512",
    "SSHA256",
    "SSHA",
    "SHA512",
    "SHA256",
    "SHA",
    "MD5-CRYPT",
    "SMD5",
    "LDAP-MD5",
    "PLAIN-MD5",
    "DES-CRYPT",
    "CRYPT",
    "PLAIN",
)


def split(stored: str, default: str = "CRYPT") -> tuple[str, str]:
    """Take ``{SCHEME}hash`` apart.

    :param default: the scheme of a hash without braces; Dovecot's is CRYPT.
    :return: the scheme by its first name, and the hash as ``verifier`` wants it.
    :raise ValueError: if the scheme is not known, or the encoding suffix
        (``.HEX``, ``.B64``, ``.BASE64``) does not fit.
    """
    match = _STORED.fullmatch(stored)
    scheme, suffix, text = match.groups() if match else (default, None, stored)
    scheme = _ALIASES.get(scheme.upper(), scheme.upper())
    if scheme not in SCHEMES:
        raise ValueError(f"the password scheme {scheme} is not known; known are {', '.join(SCHEMES)}")
    if suffix and suffix.upper() == "HEX":
        try:
            octets = bytes.fromhex(text)
        except ValueError:
            raise ValueError(f"the {scheme} hash is not hexadecimal") from None
        if scheme in _DIGESTS or scheme in _SALTED:
            text = base64.b64encode(octets).decode()
        elif scheme != "PLAIN-MD5":
            text = _decoded(octets, scheme)
    elif suffix and suffix.upper() in ("B64", "BASE64"):
        if scheme not in _DIGESTS and scheme not in _SALTED:
            text = _decoded(_base64(text, scheme), scheme)
    elif suffix:
        raise ValueError(f"the encoding .{suffix} is not known; known are .HEX and .B64")
    return scheme, text


def verifier(stored: str, default: str = "CRYPT") -> Verifier:
    """Make the function that verifies passwords against a stored one.

    :param stored: ``{SCHEME}hash``.
    :param default: see :func:`split`.
    :raise ValueError: if the scheme is not known or the hash is not of its form;
        the message never repeats the hash.
    """
    scheme, text = split(stored, default)
    if scheme == "CRYPT":
        scheme = next((name for prefix, name in _PREFIXES.items() if text.startswith(prefix)), "DES-CRYPT")
        if text.startswith("$") and scheme == "DES-CRYPT":
            mark = text.split("$")[1][:8]
            raise ValueError(f"crypt(3) hashes of type ${mark}$ cannot be verified here")
    if scheme == "PLAIN":
        return _plain(text)
    if scheme in ("ARGON2ID", "ARGON2I"):
        return _argon2(scheme, text)
    if scheme == "BLF-CRYPT":
        return _blowfish(text)
    if scheme == "PBKDF2":
        return _pbkdf2(text)
    if scheme == "SCRAM-SHA-256":
        return _scram(text)
    if scheme == "PLAIN-MD5":
        if not re.fullmatch(r"[0-9A-Fa-f]{32}", text):
            raise ValueError("the PLAIN-MD5 hash has not 32 hexadecimal digits")
        return _digest("md5", bytes.fromhex(text), b"")
    if scheme in _DIGESTS:
        return _digests(scheme, _DIGESTS[scheme], text, salted=False)
    if scheme in _SALTED:
        return _digests(scheme, _SALTED[scheme], text, salted=True)
    handler = _CRYPT.get(scheme, des_crypt)
    if not handler.identify(text):
        raise ValueError(f"this is not a {scheme} hash")
    try:
        handler.from_string(text)
    except ValueError:
        raise ValueError(f"the {scheme} hash is malformed") from None
    return lambda password: bool(handler.verify(password, text))


def _plain(text: str) -> Verifier:
    if not text:
        raise ValueError("the password is empty")
    expected = text.encode()
    prepared = prepare_password(text).encode()

    def verify(password: bytes) -> bool:
        return hmac.compare_digest(password, expected) | hmac.compare_digest(password, prepared)

    return verify


def _argon2(scheme: str, text: str) -> Verifier:
    try:
        kind = argon2.extract_parameters(text).type
    except argon2.exceptions.InvalidHashError:
        raise ValueError(f"the {scheme} hash is malformed") from None
    octets = text.encode()

    def verify(password: bytes) -> bool:
        try:
            return argon2.low_level.verify_secret(octets, password, kind)
        except argon2.exceptions.VerifyMismatchError:
            return False

    return verify


def _blowfish(text: str) -> Verifier:
    if not _BCRYPT.fullmatch(text):
        raise ValueError("the BLF-CRYPT hash is malformed")
    octets = text.encode()
    # bcrypt reads 72 octets; other writers of such hashes cut silently.
    return lambda password: bcrypt.checkpw(password[:72], octets)


def _pbkdf2(text: str) -> Verifier:
    match = re.fullmatch(r"\$1\$([^$]+)\$(\d{1,8})\$([0-9a-f]{40})", text)
    if not match or not int(match[2]):
        raise ValueError("the PBKDF2 hash is malformed: it is $1$salt$rounds$hex")
    salt, rounds, expected = match[1].encode(), int(match[2]), bytes.fromhex(match[3])
    return lambda password: hmac.compare_digest(hashlib.pbkdf2_hmac("sha1", password, salt, rounds), expected)


def _scram(text: str) -> Verifier:
    keys = ScramKeys.parse(text)
    return lambda password: keys.fits(password.decode("utf-8", "replace"))


def _digests(scheme: str, name: str, text: str, salted: bool) -> Verifier:
    octets = _base64(text, scheme)
    size = hashlib.new(name, usedforsecurity=False).digest_size
    if len(octets) < size + salted or (not salted and len(octets) != size):
        raise ValueError(f"the {scheme} hash has the wrong length")
    return _digest(name, octets[:size], octets[size:])


def _digest(name: str, expected: bytes, salt: bytes) -> Verifier:
    return lambda password: hmac.compare_digest(
        hashlib.new(name, password + salt, usedforsecurity=False).digest(), expected
    )


def _base64(text: str, scheme: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the {scheme} hash is not base64") from None


def _decoded(octets: bytes, scheme: str) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the {scheme} hash is not text") from None


def hash_password(password: str, scheme: str = "ARGON2ID") -> str:
    """A stored password for the file, ``{SCHEME}hash``.  Takes a while.

    :param scheme: ``ARGON2ID`` or ``SCRAM-SHA-256``.
    :raise ValueError: for an empty password, or a scheme that we do not write.
    """
    if not password or "\0" in password:
        raise ValueError("the password is empty or holds a NUL")
    if scheme == "ARGON2ID":
        return "{ARGON2ID}" + argon2.PasswordHasher().hash(prepare_password(password))
    if scheme == "SCRAM-SHA-256":
        return "{SCRAM-SHA-256}" + scram_field(password)
    raise ValueError(f"passwords are not written as {scheme}; use ARGON2ID or SCRAM-SHA-256")


def scram_field(password: str, iterations: int = DEFAULT_ITERATIONS) -> str:
    """SCRAM keys of a password with a new salt, as the ``scram=`` field holds them."""
    return str(ScramKeys.derive(password, secrets.token_bytes(16), iterations))
