"""dkimpy against ours, in both directions, over generated messages.

Where they disagree, the standard decides, and :func:`explained` says how.  ``make oracle``
plays 5,000 messages, ``make test`` some of them.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections import Counter
from typing import Any

import dkim
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.dkim.body_hash import BodyHashes
from mta.dkim.header_fields import split_fields
from mta.dkim.signing import Manner, SigningKey, signature_fields
from mta.model.header import header_section
from tests.dkim.test_verification import ED25519, KEYS, NOW, RECORDS, RSA, outcomes, verified

MESSAGES = int(os.environ.get("MTA_ORACLE", "150"))
BOUNDED = settings(max_examples=MESSAGES)
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
#: As dkimpy wants it.
SEED = b64encode(ED25519.private_bytes_raw())

NAMES = ["From", "To", "Cc", "Subject", "Date", "Message-ID", "X-Other", "SUBJECT", "Reply-To", "Received"]
PLAIN = ["a", "=", ";", ":", "b=", "ann@example.org", "é", "(c)", ".", '"q; b=x"', "x" * 200, "\x7f", "\x01"]
#: What the two read in different ways; see :func:`explained`.
ODD = [*PLAIN, "\x0b", "\x0c", "\r"]
BLANKS = st.sampled_from(["", " ", "\t", "  \t ", "\r\n ", "\r\n\t\t", " \r\n  \r\n x"])


def fields_of(words: list[str]) -> st.SearchStrategy[list[tuple[str, str, str]]]:
    value = st.lists(st.tuples(BLANKS, st.sampled_from(words)), max_size=6)
    text = value.map(lambda parts: "".join(map("".join, parts)))
    return st.lists(st.tuples(st.sampled_from(NAMES), text, st.sampled_from(["", " ", "\t "])), max_size=9)


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["", "", " ", "\t", "hello", " two  blanks ", "tab\t\tend\t", ".", "é", "\r", "x\ry", "\0"]
        ),
        st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=30),
    ),
    max_size=12,
)


@st.composite
def messages(draw: Any) -> tuple[bytes, bytes]:
    """A header section with one From field, and a body."""
    words = ODD if draw(st.integers(0, 11)) == 7 else PLAIN
    fields = [item for item in draw(fields_of(words)) if item[0] != "From"]
    fields.insert(draw(st.integers(0, len(fields))), ("From", " Ann <ann@example.org>", ""))
    header = "".join(f"{name}:{value}{end}\r\n" for name, value, end in fields)
    body = "".join(f"{line}\r\n" for line in draw(LINES))
    return header.encode(), body.encode()


CHANGES = st.one_of(
    st.none(),
    st.tuples(
        st.integers(0, 5000),
        st.sampled_from([b"x", b" ", b"\r\n", b"\t", b"X: y\r\n", b"Subject: y\r\n", b""]),
    ),
)
WAYS = st.sampled_from(["relaxed", "simple"])
NAME_LISTS = st.lists(st.sampled_from([name.lower() for name in NAMES if name != "From"]), max_size=6)


def changed(octets: bytes, change: tuple[int, bytes] | None) -> bytes:
    """The message with one place changed; ``b""`` takes an octet out."""
    if change is None:
        return octets
    place = change[0] % (len(octets) + 1)
    if change[1] == b"":
        return octets[:place] + octets[place + 1 :]
    return octets[:place] + change[1] + octets[place:]


def dkimpy_says(message: bytes, count: int) -> list[str]:
    """Its verdict on each signature, ours being the words."""
    found = []
    for index in range(count):
        try:
            good = dkim.DKIM(message).verify(index, dnsfunc=_record)
        except dkim.DKIMException as error:
            found.append(f"not pass ({error})")
        except Exception as error:  # It stumbles over some octets.
            found.append(f"stumbles ({error!r})")
        else:
            found.append("pass" if good else "not pass")
    return found


def _record(name: bytes, timeout: float = 5) -> bytes:
    return RECORDS.get(name.decode("latin-1").rstrip("."), b"")


def explained(message: bytes, theirs: list[str]) -> str:
    """Why the two may disagree on a message; ``""``: they may not.

    - A bare LF, or a field name with a blank before its colon, is no message for dkimpy, or
      another one: only CRLF ends a line (RFC 5322, 2.3; RFC 6376, 3.4.4), and such names are obsolete
      syntax (RFC 5322, 4.5) that a verifier must take.
    - dkimpy takes every blank that Python knows (VT, FF, CR) from the ends of a relaxed value;
      white space in RFC 6376 (2.8) is space and tab.
    - It takes VT, FF and CR for white space around tags, too.
    """
    header = header_section(message)
    if re.search(rb"(?<!\r)\n", message):
        return "a bare LF"
    if re.search(rb"(?m)^[!-9;-~]+[ \t]+:", header):
        return "a blank before a colon"
    if any(
        theirs_one.startswith("stumbles") or "Unexpected characters" in theirs_one for theirs_one in theirs
    ):
        return "no header section for dkimpy"
    if re.search(rb"[\x0b\x0c]|\r(?!\n)", header):
        return "other blanks than space and tab in the header"
    return ""


class OracleTests(SynchronousTestCase):
    """Both directions."""

    def setUp(self) -> None:
        self.count: Counter[str] = Counter()

    def compare(self, message: bytes, count: int) -> None:
        header = header_section(message)
        body = message[len(header) + 2 :]
        results = verified(header, body, now=NOW)
        theirs = dkimpy_says(message, count)
        ours = outcomes(results)
        # A change may have made another field of the first signature.
        if ours.count("pass") == theirs.count("pass"):
            self.count[f"both: {'pass' if 'pass' in ours else 'not pass'}"] += 1
            return
        why = explained(message, theirs)
        self.assertTrue(why, (message, results, theirs))
        self.count[f"explained: {why}"] += 1

    def told(self) -> None:
        """What was seen; a test in which nothing passes, or nothing fails, would show nothing."""
        if MESSAGES > 1000:
            print(f"\n    {dict(self.count)}")
        self.assertGreater(self.count["both: pass"], MESSAGES // 5)
        self.assertGreater(self.count["both: not pass"], MESSAGES // 50)

    def test_ours_to_dkimpy(self) -> None:
        """What we sign, changed on its way or not."""

        @BOUNDED
        @given(messages(), WAYS, WAYS, NAME_LISTS, CHANGES, st.booleans())
        def play(
            message: tuple[bytes, bytes], head: Any, tail: Any, over: list[str], change: Any, all_names: bool
        ) -> None:
            header, body = message
            hashes = BodyHashes((tail,))
            hashes.update(body)
            digest = hashes.finish()[tail][0]
            names = {name.lower() for name in NAMES} if all_names else {"from", "subject"}
            how = Manner(head, tail, frozenset(names), ("from", *over))
            made = signature_fields(split_fields(header), digest, KEYS, how, NOW - 2e8)
            assert all(len(line) <= 78 for line in made.split(b"\r\n"))
            self.compare(changed(made + header + b"\r\n" + body, change), len(KEYS))

        play()
        self.told()

    def test_dkimpy_to_ours(self) -> None:
        """What it signs, changed on its way or not."""

        @BOUNDED
        @given(messages(), WAYS, WAYS, CHANGES, st.sampled_from(KEYS))
        def play(message: tuple[bytes, bytes], head: str, tail: str, change: Any, key: SigningKey) -> None:
            whole = message[0] + b"\r\n" + message[1]
            is_rsa = key.selector == "r"
            signer = dkim.DKIM(whole, signature_algorithm=key.algorithm.encode())
            made = signer.sign(
                key.selector.encode(),
                b"example.org",
                PEM if is_rsa else SEED,
                canonicalize=(head.encode(), tail.encode()),
            )
            self.compare(changed(made + whole, change), 1)

        play()
        self.told()
