"""DKIM: tag lists, key records, header fields."""

from __future__ import annotations

from contextlib import suppress

from mta.dkim.header_fields import HeaderField, split_fields
from mta.dkim.key_record import BadKey, parse_key
from mta.dkim.tags import TagError, parse_tags
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
)
