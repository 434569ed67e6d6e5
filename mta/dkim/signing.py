"""Makes signatures (RFC 6376, 5; RFC 8463); pure but for the calculation."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from mta.dkim.header_fields import Canonicalization, HeaderField, HeaderFields

PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey

_PADDING = PKCS1v15()
_SHA256 = SHA256()
#: Characters of a line of a field that we make.
_LINE = 76


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and under which name its public half is found.

    :ivar domain: ``d=``.
    :ivar selector: ``s=``.
    :ivar key: the key.
    """

    domain: str
    selector: str
    key: PrivateKey

    @property
    def algorithm(self) -> str:
        """``a=``."""
        return "rsa-sha256" if isinstance(self.key, RSAPrivateKey) else "ed25519-sha256"

    def sign(self, text: bytes) -> bytes:
        """A signature of a text.  An RSA key calculates without holding up other threads."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(text, _PADDING, _SHA256)
        digest = Hash(_SHA256)
        digest.update(text)
        return self.key.sign(digest.finalize())


@dataclass(frozen=True, slots=True)
class Manner:
    """How we sign.

    :ivar header_way: canonicalization of the header.
    :ivar body_way: canonicalization of the body.
    :ivar headers: names of fields that are signed, each as often as it is there; in lower case.
    :ivar oversign: names that are signed once more, so that none can be added; likewise.
    :ivar expire: seconds after which a signature does not count any more; 0: it always does.
    """

    header_way: Canonicalization
    body_way: Canonicalization
    headers: Collection[str]
    oversign: Sequence[str]
    expire: int = 0

    def names(self, fields: Sequence[HeaderField]) -> list[str]:
        """``h=`` for a header section; no field can be added that ``oversign`` has."""
        present = [field.name for field in reversed(fields) if field.name in self.headers]
        return [*present, *self.oversign]


def signature_fields(
    fields: Sequence[HeaderField], body_hash: bytes, keys: Sequence[SigningKey], manner: Manner, now: float
) -> bytes:
    """DKIM-Signature fields for the top of a message, one for each key, each with its CRLF.

    :param fields: the header section's, from the top.
    :param body_hash: under the manner's canonicalization.
    :param now: seconds since 1970.
    """
    names = manner.names(fields)
    signed = [field.canonical(manner.header_way) for field in HeaderFields(fields).select(names)]
    ways = f"{manner.header_way}/{manner.body_way}"
    time = [("t", str(int(now)))]
    if manner.expire:
        time.append(("x", str(int(now) + manner.expire)))
    made = b""
    for key in keys:
        tags = [("v", "1"), ("a", key.algorithm), ("c", ways), ("d", key.domain), ("s", key.selector), *time]
        made += signed_field("DKIM-Signature", tags, names, body_hash, signed, key, manner.header_way)
    return made


def signed_field(
    title: str,
    tags: Sequence[tuple[str, str]],
    names: Sequence[str],
    body_hash: bytes,
    signed: Sequence[bytes],
    key: SigningKey,
    way: Canonicalization,
) -> bytes:
    """A field with ``b=`` over other fields and itself, folded, with its CRLF.

    :param title: its name.
    :param tags: those before ``h=``.
    :param names: ``h=``; none: neither that nor ``bh=``.
    :param body_hash: ``bh=``.
    :param signed: the other fields, canonical.
    :param key: signs.
    :param way: canonicalization of the field itself.
    """
    words = [f"{name}={value};" for name, value in tags]
    if names:
        words += _names(names)
        words.append(f"bh={b64encode(body_hash).decode()};")
    # On a line of its own, so that what comes behind it does not fold the rest another way.
    text = f"{_folded(f'{title}:', words)}\r\n\tb="
    own = HeaderField(title.lower(), text.encode("ascii"))
    octets = key.sign(b"\r\n".join((*signed, own.canonical(way))))
    return own.raw + _cut(b64encode(octets)) + b"\r\n"


def _names(names: Sequence[str]) -> list[str]:
    words = [f"{name}:" for name in names]
    words[0] = f"h={words[0]}"
    words[-1] = f"{words[-1][:-1]};"
    return words


def _folded(title: str, words: Sequence[str]) -> str:
    """Words on lines of bounded length; names of ``h=`` stand together without a space."""
    lines = [title]
    glued = False
    for word in words:
        space = "" if glued else " "
        if len(lines[-1]) + len(space) + len(word) > _LINE and lines[-1] != title:
            lines.append(f"\t{word}")
        else:
            lines[-1] += space + word
        glued = word.endswith(":")
    return "\r\n".join(lines)


def _cut(text: bytes) -> bytes:
    first = _LINE - len("\tb=")
    lines = [text[:first]]
    lines += [text[start : start + _LINE - 1] for start in range(first, len(text), _LINE - 1)]
    return b"\r\n\t".join(lines)
