"""What a signature's own field says (RFC 6376, 3.5); also that of ARC (RFC 8617, 4.1.2)."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, cast

from mta.dkim.header_fields import Canonicalization, HeaderField
from mta.dkim.tags import TagError, parse_tags, without_folds
from mta.model.a_labels import a_labels

#: How a signature can fare (RFC 8601, 2.7.1).
Outcome: TypeAlias = Literal["pass", "fail", "policy", "neutral", "temperror", "permerror"]

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")
_NUMBER = re.compile(r"[0-9]{1,76}\Z")
_FIELD_NAME = re.compile(r"[!-9;-~]+\Z")
_WAYS = ("simple", "relaxed")
#: Names in ``h=``, octets of ``b=``: more than anybody needs, and little enough to look at.
_MOST_NAMES = 1000
_MOST_SIGNATURE = 2048


class Unusable(Exception):
    """A signature cannot count.

    :param result: what it is called (RFC 8601, 2.7.1).
    :param reason: why, in words.
    """

    def __init__(self, result: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.result = result


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature.

    :ivar field: its own field.
    :ivar algorithm: ``rsa-sha256`` or ``ed25519-sha256``.
    :ivar domain: ``d=``, in the form of the DNS.
    :ivar selector: ``s=``, likewise.
    :ivar identity: ``i=``; ``@`` and the domain by default.
    :ivar header_way: canonicalization of the header.
    :ivar body_way: canonicalization of the body.
    :ivar names: ``h=``, in lower case.
    :ivar body_hash: ``bh=``.
    :ivar octets: ``b=``.
    :ivar text: ``b=`` as it is written, without white space.
    :ivar length: ``l=``.
    :ivar expires: ``x=``, in seconds since 1970.
    """

    field: HeaderField
    algorithm: str
    domain: str
    selector: str
    identity: str
    header_way: Canonicalization
    body_way: Canonicalization
    names: tuple[str, ...]
    body_hash: bytes
    octets: bytes
    text: str
    length: int | None
    expires: int | None

    @property
    def key_type(self) -> str:
        """The type of key that it needs."""
        return self.algorithm.partition("-")[0]

    @property
    def key_name(self) -> str:
        """Where its key is published (3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}".lower()


def tags_of(field: HeaderField) -> dict[str, str]:
    """The tags of a field.

    :raise Unusable: if it has none.
    """
    try:
        return parse_tags(field.value)
    except TagError as error:
        raise Unusable("neutral", str(error)) from None


def parse_signature(field: HeaderField, tags: Mapping[str, str], default: str = "simple/simple") -> Signature:
    """A DKIM-Signature field.

    :param field: the field.
    :param tags: its tags.
    :param default: ``c=``, where it has none.
    :raise Unusable: if it cannot count, whatever the key says.
    """
    if tags.get("v") != "1":
        raise Unusable("neutral", "v= is not 1")
    signature = parse_common(field, tags, default)
    _require("bh" in tags and "h" in tags, "it lacks bh= or h=")
    at = signature.identity.rfind("@")
    _require(at >= 0 and signature.identity.isprintable(), "i= is no address")
    below = ascii_domain(signature.identity[at + 1 :])
    same = below == signature.domain or below.endswith(f".{signature.domain}")
    _require(same, "the domain of i= is not that of d=, nor below it")
    methods = [one.lower() for one in without_folds(tags.get("q", "dns/txt")).split(":")]
    _require("dns/txt" in methods, "q= knows no dns/txt")
    return replace(signature, identity=f"{signature.identity[:at]}@{below}")


def parse_common(field: HeaderField, tags: Mapping[str, str], default: str) -> Signature:
    """What DKIM's and ARC's fields have in common.

    :raise Unusable: if it cannot count, whatever the key says.
    """
    for name in ("a", "b", "d", "s"):
        _require(bool(tags.get(name)), f"it lacks {name}=")
    algorithm = tags["a"].lower()
    if algorithm == "rsa-sha1":
        raise Unusable("policy", "rsa-sha1 is not safe any more (RFC 8301)")
    _require(algorithm in ("rsa-sha256", "ed25519-sha256"), f"a={tags['a'][:30]!a} is not known")
    domain = ascii_domain(tags["d"])
    _require(bool(_DOMAIN.match(domain)), f"d={tags['d'][:60]!a} is no domain")
    selector = ascii_domain(tags["s"])
    _require(bool(_DOMAIN.match(selector)), f"s={tags['s'][:60]!a} is no selector")
    ways = tags.get("c", default).lower().split("/")
    header_way, body_way = ways[0].strip(), ways[1].strip() if len(ways) > 1 else "simple"
    _require(len(ways) < 3 and header_way in _WAYS and body_way in _WAYS, "c= is not known")
    names = tuple(without_folds(tags["h"]).lower().split(":")) if "h" in tags else ()
    _require(len(names) <= _MOST_NAMES and all(map(_FIELD_NAME.match, names)), "h= is no list of fields")
    text = without_folds(tags["b"])
    length = _number(tags, "l")
    expires, signed_at = _number(tags, "x"), _number(tags, "t")
    late = expires is not None and signed_at is not None and expires <= signed_at
    _require(not late, "x= is not later than t=")
    return Signature(
        field=field,
        algorithm=algorithm,
        domain=domain,
        selector=selector,
        identity=tags.get("i", f"@{domain}"),
        header_way=cast(Canonicalization, header_way),
        body_way=cast(Canonicalization, body_way),
        names=names,
        body_hash=_base64(tags.get("bh", ""), "bh"),
        octets=_base64(text, "b"),
        text=text,
        length=length,
        expires=expires,
    )


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise Unusable("neutral", reason)


def _number(tags: Mapping[str, str], name: str) -> int | None:
    value = tags.get(name)
    if value is None:
        return None
    _require(bool(_NUMBER.match(value)), f"{name}= is no number")
    return int(value)


def _base64(value: str, name: str) -> bytes:
    text = without_folds(value)
    _require(len(text) <= _MOST_SIGNATURE, f"{name}= is too long")
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unusable("neutral", f"{name}= is not base64") from None


def ascii_domain(text: str) -> str:
    """A name as the DNS has it, in lower case (RFC 8616 lets U-labels stand in signatures)."""
    name = text.lower().rstrip(".")
    if name.isascii():
        return name
    try:
        return a_labels(name)
    except UnicodeError:
        return ""
