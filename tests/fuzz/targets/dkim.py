"""DKIM and ARC: tag lists, key records, header fields, bodies in pieces, signatures, chains."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from mta.dkim.arc import believed
from mta.dkim.header_fields import HeaderField, split_fields
from mta.dkim.key_record import BadKey, parse_key
from mta.dkim.tags import TagError, parse_tags
from tests.dkim import rfc8463
from tests.dkim.test_arc import HEADER, finding_of, ours
from tests.dkim.test_body_hash import canonical, hashed
from tests.dkim.test_verification import verified
from tests.fuzz.targets.target import Target


def dkim_tags(octets: bytes) -> None:
    """What is read is the same when it is written and read again; a key is one, or says why not."""
    with suppress(TagError):
        tags = parse_tags(octets)
        again = "; ".join(f"{name}={value}" for name, value in tags.items()).encode()
        assert parse_tags(again) == tags
    with suppress(BadKey):
        parse_key(octets)
    for field in split_fields(octets):
        plain = field.canonical("relaxed")
        assert HeaderField(field.name, plain).canonical("relaxed") == plain


def dkim_body(octets: bytes) -> None:
    """However a body is cut, its hash is that of a plain reading."""
    size, body = (octets[0] + 1, octets[1:]) if octets else (1, b"")
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    for way in ("simple", "relaxed"):
        plain = canonical(body, way)
        assert hashed(pieces, way) == (hashlib.sha256(plain).digest(), len(plain))  # type: ignore[arg-type]


def dkim_signature(octets: bytes) -> None:
    """A signature passes, or says why not; nothing in what is told of it begins a line."""
    for one in verified(octets, rfc8463.BODY, rfc8463.KEYS, rfc8463.NOW):
        assert (one.result == "pass") != bool(one.reason)
        for text in (one.reason, one.domain, one.selector, one.identity, one.algorithm, one.text):
            assert text.isprintable(), one


def arc_chain(octets: bytes) -> None:
    """A chain passes, or says why not; then nothing in it is believed."""
    finding = finding_of(octets)
    assert finding.reason.isprintable(), finding
    assert (finding.status == "fail") == bool(finding.reason)
    assert believed(finding, lambda domain: True) is None or finding.status == "pass"


TARGETS = (
    Target(
        "dkim-tags",
        dkim_tags,
        (
            b"v=1; a=rsa-sha256; c=relaxed/simple; d=example.org; s=r1;\r\n h=from:to; bh=AAAA=; b=BBBB ; "
            b"t=5; x=9; l=3",
            b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; t=y:s; h=sha256",
            b"From: a\r\nTo:  b\r\n\tc \r\n",
        ),
    ),
    Target("dkim-body", dkim_body, (b"\x03 C \r\nD \t E\r\n\r\n\r\n", b"\x00\r\n\r\r\n\n\r\n", b"\xffx \t")),
    Target("dkim-signature", dkim_signature, (rfc8463.SIGNATURES + rfc8463.HEADER,)),
    Target("arc-chain", arc_chain, (ours(ours(HEADER + b"\r\n", "one.test"), "two.test"),)),
)
