"""Public keys as domains publish them (RFC 6376, 3.6.1; RFC 8463, 4).

A record is a stranger's: what is not a key says why, and a key that would cost too much to
calculate with is none.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mta.dkim.tags import TagError, parse_tags, without_folds

PublicKey: TypeAlias = RSAPublicKey | Ed25519PublicKey

#: Bits of an RSA key (RFC 8301, 3.2: a verifier must refuse less than 1024, and know up to 4096).
LEAST_BITS = 1024
MOST_BITS = 8192
#: Octets of a record; what is remembered of strangers must be small.
_LONGEST = 8192
#: Bits of a public exponent; that of nearly every key has 17.
_MOST_EXPONENT_BITS = 33
_PADDING = PKCS1v15()
_SHA256 = SHA256()


class BadKey(Exception):
    """A record is no key that can be used, for a reason in words.

    :param reason: why.
    :param is_revoked: whether it says that there is no key any more.
    """

    def __init__(self, reason: str, is_revoked: bool = False) -> None:
        super().__init__(reason)
        self.is_revoked = is_revoked


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key.

    :ivar type: ``rsa`` or ``ed25519``.
    :ivar key: the key itself.
    :ivar bits: its size.
    :ivar is_testing: ``t=y``: the domain tries DKIM out.
    :ivar is_strict: ``t=s``: the domain of ``i=`` is that of ``d=``, and not one below it.
    """

    type: str
    key: PublicKey
    bits: int
    is_testing: bool = False
    is_strict: bool = False

    def verify(self, signature: bytes, signed: bytes) -> bool:
        """Whether it has made a signature of this text."""
        try:
            if isinstance(self.key, RSAPublicKey):
                self.key.verify(signature, signed, _PADDING, _SHA256)
            else:
                # RFC 8463, 3: what Ed25519 signs is the hash.
                digest = Hash(_SHA256)
                digest.update(signed)
                self.key.verify(signature, digest.finalize())
        except InvalidSignature:
            return False
        return True


def read_key(records: Sequence[bytes], wanted: str) -> KeyRecord:
    """The key of a selector.

    There should be one record; of more, the first that is a key of the wanted type counts.

    :param records: the TXT records.
    :param wanted: ``rsa`` or ``ed25519``.
    :raise BadKey: if there is none.
    """
    trouble: BadKey | None = None
    # A selector with many records is nobody's mistake to pay for.
    for record in records[:5]:
        try:
            found = parse_key(bytes(record))
        except BadKey as error:
            trouble = trouble or error
            continue
        if found.type == wanted:
            return found
        trouble = trouble or BadKey(f"it is of the type {found.type}, and the signature says {wanted}")
    raise trouble or BadKey("there is no record")


@lru_cache(maxsize=2000)
def parse_key(record: bytes) -> KeyRecord:
    """Read one record.

    :raise BadKey: if it cannot be used.
    """
    if len(record) > _LONGEST:
        raise BadKey("the record is too long")
    try:
        tags = parse_tags(record)
    except TagError as error:
        raise BadKey(str(error)) from None
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        raise BadKey("v= is not DKIM1, or not the first tag")
    if "p" not in tags:
        raise BadKey("it has no p=")
    kind = tags.get("k", "rsa").lower()
    if kind not in ("rsa", "ed25519"):
        raise BadKey(f"k={kind[:20]!a} is not known")
    if "h" in tags and "sha256" not in _list(tags["h"]):
        raise BadKey("h= does not allow sha256")
    services = _list(tags.get("s", "*"))
    if not {"*", "email"} & services:
        raise BadKey("s= does not allow it for mail")
    data = without_folds(tags["p"])
    if not data:
        raise BadKey("p= is empty: the key has been revoked", True)
    key, bits = _public_key(kind, data)
    flags = _list(tags.get("t", ""))
    return KeyRecord(kind, key, bits, "y" in flags, "s" in flags)


def _list(value: str) -> set[str]:
    return {item.lower() for item in without_folds(value).split(":")}


def _public_key(kind: str, data: str) -> tuple[PublicKey, int]:
    try:
        octets = b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadKey("p= is not base64") from None
    if kind == "ed25519":
        if len(octets) != 32:
            raise BadKey("p= is no Ed25519 key: it has not 32 octets")
        try:
            return Ed25519PublicKey.from_public_bytes(octets), 256
        except ValueError:
            raise BadKey("p= is no Ed25519 key") from None
    if len(octets) > MOST_BITS // 4:
        raise BadKey("the key is too long")
    try:
        key = load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("p= is no RSA key") from None
    if not isinstance(key, RSAPublicKey):
        raise BadKey("p= is no RSA key")
    if key.key_size > MOST_BITS or key.public_numbers().e.bit_length() > _MOST_EXPONENT_BITS:
        raise BadKey("the key is too long")
    return key, key.key_size
