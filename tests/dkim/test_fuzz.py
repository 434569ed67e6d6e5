"""Hostile octets for everything that a stranger writes: no exception, no long wait, never a pass.

``make fuzz`` plays many more.
"""

from __future__ import annotations

import os
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.dkim.arc import believed
from mta.dkim.header_fields import split_fields
from mta.dkim.key_record import BadKey, parse_key
from mta.dkim.tags import TagError, parse_tags
from tests.dkim.test_arc import finding_of, ours
from tests.dkim.test_verification import BODY, HEADER, KEYS, RECORDS, signed, verified

BOUNDED = settings(max_examples=int(os.environ.get("MTA_FUZZ", "300")))
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            b"a= b= bh= d=example.org s=r h=from v=1 v=DKIM1 k=rsa k=ed25519 p= t=y:s c=relaxed/ l=5 x=9 "
            b"i=@example.org rsa-sha256 ed25519-sha256 ; = : \0 \xff @ . AAAA \xc2\x80".split(b" ")
        ),
        st.sampled_from([b" ", b"\r\n ", b"\t", b"\r\n"]),
        st.binary(max_size=6),
    ),
    max_size=40,
).map(b"".join)
GOOD = signed(keys=KEYS[:1])[: -len(HEADER)]
EDITS = st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 8), PIECES), min_size=1, max_size=4)

ARC_NAMES = st.sampled_from([b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results", b"X"])
SEALED = ours(HEADER + b"\r\n" + BODY, "one.test")


def _text(octets: bytes) -> bytes:
    return b"".join(octets.lower().split())


class FuzzTests(SynchronousTestCase):
    @BOUNDED
    @given(PIECES)
    def test_tags(self, octets: bytes) -> None:
        try:
            tags = parse_tags(octets)
        except TagError as error:
            self.assertTrue(str(error).isprintable(), error)
            return
        again = "; ".join(f"{name}={value}" for name, value in tags.items()).encode()
        self.assertEqual(tags, parse_tags(again))

    @BOUNDED
    @given(PIECES)
    def test_key_records(self, octets: bytes) -> None:
        try:
            parse_key(octets)
        except BadKey as error:
            self.assertTrue(str(error).isprintable(), error)

    @BOUNDED
    @given(EDITS, PIECES)
    def test_signatures(self, edits: Any, extra: bytes) -> None:
        """A signature that was changed passes only where it still says the same."""
        made = GOOD
        for place, count, piece in edits:
            made = made[:place] + piece + made[place + count :]
        header = b"DKIM-Signature:" + extra + b"\r\n" + made + HEADER
        results = verified(header)
        for one in results:
            self.assertTrue((one.reason + one.domain + one.selector).isprintable(), one)
            self.assertEqual(one.result == "pass", not one.reason)
        if any(one.result == "pass" for one in results):
            said = [_meaning(field.value) for field in split_fields(header) if field.name == "dkim-signature"]
            self.assertIn(_meaning(split_fields(GOOD)[0].value), said)

    @BOUNDED
    @given(st.lists(st.tuples(ARC_NAMES, PIECES), max_size=8), EDITS)
    def test_chains(self, fields: Any, edits: Any) -> None:
        """No ARC fields but those that were sealed make a good chain."""
        sealed = SEALED
        for place, count, piece in edits:
            place %= len(sealed)
            sealed = sealed[:place] + piece + sealed[place + count :]
        header = b"".join(name + b": " + piece + b"\r\n" for name, piece in fields)
        for message in (header + HEADER + b"\r\n" + BODY, header + sealed):
            finding = finding_of(message)
            self.assertTrue(finding.reason.isprintable(), finding)
            believed(finding, lambda domain: True)
            if finding.status == "pass":
                # What a seal covers is what was sealed, but for white space.
                sets = [_text(field.raw) for one in finding.sets for field in one.fields]
                self.assertEqual([_text(f.raw) for one in finding_of(SEALED).sets for f in one.fields], sets)

    def test_costs_little(self) -> None:
        """What is long, deep or many takes no time that grows faster than it."""
        hostile = {
            "tags": b"DKIM-Signature: " + b"a=;" * 80_000,
            "blanks": b"DKIM-Signature: v=1;" + b" " * 250_000 + b"b",
            "folds": b"DKIM-Signature: v=1" + b"\r\n " * 80_000,
            "names": b"DKIM-Signature: v=1; h=" + b"from:" * 50_000,
            "many": b"DKIM-Signature: v=1; a=x\r\n" * 9_000,
            "fields": b"From: a\r\n" * 25_000 + GOOD,
            "b": b"DKIM-Signature: v=1;" + b";b" * 120_000,
            "seals": b"".join(
                b"ARC-Seal: i=%d; cv=pass; a=rsa-sha256; d=a; s=b; b=AAAA\r\n" % i for i in range(1, 51)
            ),
            "results": b"ARC-Authentication-Results: i=1; a" + b"(" * 120_000,
            "equals": b"DKIM-Signature: " + b"b=" * 120_000,
        }
        for name, header in hostile.items():
            begun = time.process_time()
            verified(header + b"\r\n" + GOOD + HEADER, BODY, RECORDS)
            finding_of(header + b"\r\n" + SEALED)
            self.assertLess(time.process_time() - begun, 2.0, name)


def _meaning(value: bytes) -> dict[str, str]:
    try:
        tags = parse_tags(value)
    except TagError:
        return {}
    return {
        name: "".join(text.split()).lower() for name, text in tags.items() if name in ("d", "s", "a", "h")
    }
