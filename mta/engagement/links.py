"""Signed links: a click with its target, an open, an unsubscription.

A token is, in URL-safe base 64 without padding::

    kind (1) | queue id (8) | signature (16) | tenant LF recipient LF more

The signature is HMAC-SHA256, cut to 128 bits, over all the rest.  Its key is derived from the server's
secret and the queue id: who puts links into one message needs the key of that message alone.  ``more``
is the target of a click or the list that is left, so a link that works has been made here with just
that target; there is no parameter beside the token.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal
from urllib.parse import urlsplit

from mta.model.ids import decode_id, encode_id

Kind = Literal["click", "open", "unsubscribe", "confirm"]

_LETTERS: dict[Kind, bytes] = {"click": b"c", "open": b"o", "unsubscribe": b"u", "confirm": b"d"}
_KINDS: dict[bytes, Kind] = {letter: kind for kind, letter in _LETTERS.items()}
#: Where each kind is answered.
PLACES: dict[Kind, str] = {"click": "/c/", "open": "/o/", "unsubscribe": "/u/", "confirm": "/d/"}
_SIGNATURE = 16
_HEAD = 1 + 8 + _SIGNATURE
#: Characters of a target; a longer one stays as it is.
LONGEST_TARGET = 2000
_LONGEST_TOKEN = 8000


class LinkError(ValueError):
    """It is no link of ours."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a link means.

    :ivar message: queue id of the message that it stood in.
    :ivar tenant: whose message it was.
    :ivar recipient: to whom it went; ``""``: to several at once.
    :ivar more: the target of a click; the list of an unsubscription, ``""``: everything; the
        list to be confirmed, and until when.
    """

    kind: Kind
    message: str
    tenant: str
    recipient: str
    more: str = ""


def master_key(secret: bytes) -> bytes:
    """The key from which those of messages are made.

    :param secret: of the server; all its workers have the same.
    """
    return hmac.digest(secret, b"engagement links", "sha256")


def message_key(master: bytes, message: str) -> bytes:
    """The key that signs the links of one message."""
    return hmac.digest(master, message.lower().encode(), "sha256")


class MessageLinks:
    """Makes the links of one copy of one message.

    :param key: see :func:`message_key`.
    :param base: the address under which recipients reach us, without a slash at its end.
    """

    __slots__ = ("_base", "_key", "_number", "_recipient", "_tenant")

    def __init__(self, key: bytes, base: str, message: str, tenant: str, recipient: str) -> None:
        self._key = key
        self._base = base
        self._number = decode_id(message).to_bytes(8, "big")
        self._tenant = tenant
        self._recipient = recipient

    def click(self, target: str) -> str:
        """A link that leads to a target.

        :raise LinkError: if it is none that may be led to.
        """
        return self._link("click", checked_target(target))

    def open(self) -> str:
        """The address of the picture that tells of an open."""
        return self._link("open", "")

    def unsubscribe(self, list_name: str = "") -> str:
        """The link by which the recipient leaves a list, or all of the tenant's mail."""
        return self._link("unsubscribe", list_name)

    def confirm(self, list_name: str, until: int) -> str:
        """The link by which somebody confirms that they want to be on a list.

        Its message is the number of the contact.

        :param until: when it is no longer good, in seconds since 1970.
        """
        return self._link("confirm", f"{list_name}\n{until}")

    def _link(self, kind: Kind, more: str) -> str:
        told = f"{self._tenant}\n{self._recipient}\n{more}".encode("utf-8", "replace")
        head = _LETTERS[kind] + self._number
        token = urlsafe_b64encode(head + _signature(self._key, head, told) + told).rstrip(b"=").decode()
        return f"{self._base}{PLACES[kind]}{token}"

    def is_ours(self, target: str) -> bool:
        """Whether a link is one of ours already."""
        return target.startswith(tuple(self._base + place for place in PLACES.values()))


def checked_target(target: str) -> str:
    """A target that a person may be led to.

    :raise LinkError: if it is no address of the web, is too long, or would end a header's line.
    """
    if len(target) > LONGEST_TARGET or not target.isprintable() or " " in target:
        raise LinkError("it is too long, or has characters that an address has not")
    try:
        parts = urlsplit(target)
        host = parts.hostname
    except ValueError as error:
        raise LinkError(str(error)) from None
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise LinkError("it is no address of the web")
    return target


def read_link(master: bytes, kind: Kind, token: str) -> Link:
    """What a token means.

    :param kind: what it must be for.
    :raise LinkError: if it is not ours, whatever is wrong with it.
    """
    if len(token) > _LONGEST_TOKEN:
        raise LinkError("it is too long")
    try:
        octets = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (UnicodeEncodeError, Base64Error, ValueError):
        raise LinkError("it is no token") from None
    # Only one spelling counts: what is passed over in decoding is not signed.
    if urlsafe_b64encode(octets).rstrip(b"=").decode() != token or len(octets) < _HEAD:
        raise LinkError("it is no token")
    head, signature, told = octets[:9], octets[9:_HEAD], octets[_HEAD:]
    number = int.from_bytes(head[1:], "big")
    if _KINDS.get(head[:1]) != kind or number >> 63:
        raise LinkError("it is for something else")
    message = encode_id(number)
    if not hmac.compare_digest(signature, _signature(message_key(master, message), head, told)):
        raise LinkError("its signature is not ours")
    tenant, recipient, more = told.decode().split("\n", 2)
    return Link(kind, message, tenant, recipient, more)


def _signature(key: bytes, head: bytes, told: bytes) -> bytes:
    return hmac.new(key, head + told, sha256).digest()[:_SIGNATURE]
