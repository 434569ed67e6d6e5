"""ARC chains of ours and of dkimpy, whole and broken."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import Any

import dkim
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.dkim.arc import ArcFinding, Chain, believed
from mta.dkim.arc_sealing import arc_set, why_not
from mta.dkim.body_hash import BodyHashes
from mta.dkim.signing import Manner, SigningKey
from mta.dkim.verification import KeyAnswer
from mta.model.authentication import AuthenticationResult
from mta.model.authentication_results import AuthenticationResults
from mta.model.header import header_section
from tests.dkim.test_oracle import CHANGES, changed, messages
from tests.dkim.test_verification import ED25519, NOW, RSA, ed25519_record, rsa_record, signed

MESSAGES = int(os.environ.get("MTA_ORACLE", "60"))
BOUNDED = settings(max_examples=MESSAGES)
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
HOPS = ("one.test", "two.test", "three.test", "four.test")
RECORDS = {f"s._domainkey.{name}": rsa_record(RSA) for name in HOPS}
RECORDS["r._domainkey.example.org"] = rsa_record(RSA)
NAMES = frozenset(("from", "to", "subject", "date"))
HEADER = b"From: Ann <ann@example.org>\r\nTo: list@one.test\r\nSubject: x\r\n"
BODY = b"Hello \r\n\r\nworld\r\n"


def finding_of(message: bytes, records: Any = RECORDS, now: float = NOW, limit: int = 20) -> ArcFinding:
    header = header_section(message)
    chain = Chain(header, now, limit)
    hashes = BodyHashes(chain.ways)
    hashes.update(message[len(header) + 2 :])
    answers = {}
    for name in chain.questions:
        found = records.get(name, KeyAnswer())
        answers[name] = found if isinstance(found, KeyAnswer) else KeyAnswer((found,))
    return chain.finding(answers, hashes.finish())


def results(name: str, finding: ArcFinding, *more: AuthenticationResult) -> AuthenticationResults:
    found = (AuthenticationResult("spf", "pass", (("smtp.mailfrom", "ann@example.org"),)),)
    arc = () if finding.status == "none" else (AuthenticationResult("arc", finding.status),)
    return AuthenticationResults(f"mx.{name}", (*found, *more, *arc))


def ours(message: bytes, name: str, key: Any = RSA) -> bytes:
    """The message with a set of ours."""
    header = header_section(message)
    finding = finding_of(message)
    hashes = BodyHashes(("relaxed",))
    hashes.update(message[len(header) + 2 :])
    how = Manner("relaxed", "relaxed", NAMES, ("from", "subject"))
    digest = hashes.finish()["relaxed"][0]
    signer = SigningKey(name, "s", key)
    made = arc_set(header, digest, finding, results(name, finding), signer, how, NOW - 2e8)
    assert all(len(line) <= 78 for line in made.split(b"\r\n")), made
    return made + message


def theirs(message: bytes, name: str) -> bytes:
    """The message with a set of dkimpy's."""
    finding = finding_of(message)
    found = results(name, finding).field()
    made = dkim.arc_sign(
        found + message, b"s", name.encode(), PEM, f"mx.{name}".encode(), timestamp=int(NOW - 2e8)
    )
    assert made, message
    return b"".join(made) + message


def dkimpy_says(message: bytes) -> str:
    def record(name: bytes, timeout: float = 5) -> bytes:
        return RECORDS.get(name.decode("latin-1").rstrip("."), b"")

    try:
        status, _, _ = dkim.arc_verify(message, dnsfunc=record)
    except Exception as error:
        return f"stumbles ({error!r})"
    return "fail" if status is None else status.decode()


class ChainTests(SynchronousTestCase):
    """What is found of a chain."""

    def chain(self, *hops: str) -> bytes:
        message = HEADER + b"\r\n" + BODY
        for name in hops:
            message = ours(message, name)
        return message

    def test_none(self) -> None:
        self.assertEqual("none", finding_of(HEADER + b"\r\n" + BODY).status)

    def test_three_hops(self) -> None:
        """Each seals what it got, and ours is good three deep, and with dkimpy."""
        for count in range(1, 5):
            message = self.chain(*HOPS[:count])
            finding = finding_of(message)
            self.assertEqual(
                ("pass", count, 0), (finding.status, finding.highest, finding.oldest_pass), finding
            )
            self.assertEqual(list(HOPS[:count]), [item.domain for item in finding.sets])
            self.assertEqual("pass", dkimpy_says(message))

    def test_mixed(self) -> None:
        """Ours on theirs on ours."""
        message = HEADER + b"\r\n" + BODY
        for name, seal in zip(HOPS, (theirs, ours, theirs, ours), strict=True):
            message = seal(message, name)
            self.assertEqual("pass", finding_of(message).status, finding_of(message))
            self.assertEqual("pass", dkimpy_says(message))

    def test_list_on_the_way(self) -> None:
        """A list changes the message: older signatures are broken, the chain is not (5.2, 5)."""
        message = self.chain("one.test", "two.test")
        message = message.replace(b"Subject: x", b"Subject: [list] x") + b"-- \r\nfooter\r\n"
        self.assertEqual("fail", finding_of(message).status)
        # The list has validated it before its change; that is what it seals.
        before = finding_of(self.chain("one.test", "two.test"))
        header = header_section(message)
        hashes = BodyHashes(("relaxed",))
        hashes.update(message[len(header) + 2 :])
        how = Manner("relaxed", "relaxed", NAMES, ())
        key = SigningKey("three.test", "s", RSA)
        found = results("three.test", before)
        made = arc_set(header, hashes.finish()["relaxed"][0], before, found, key, how, NOW)
        finding = finding_of(made + message)
        self.assertEqual(("pass", 3), (finding.status, finding.oldest_pass), finding)

    def test_broken(self) -> None:
        """Nothing can be changed, taken out, or put in."""
        message = self.chain(*HOPS[:3])
        header = header_section(message)
        lines = header.replace(b"\r\n\t", b"\0").split(b"\r\n")
        for before, after in (
            (b"world", b"World"),
            (b"Subject: x", b"Subject: y"),
            (b"spf=pass", b"spf=fail"),
            (b"cv=pass", b"cv=none"),
            (b"cv=none", b"cv=pass"),
            (b"i=2; mx", b"i=3; mx"),
            (b"i=1;", b"i=51;"),
            (b"i=1;", b""),
            (b"c=relaxed/relaxed", b"h=from; c=relaxed/relaxed"),
            (b"d=two.test", b"d=one.test"),
        ):
            self.assertIn(before, message)
            finding = finding_of(message.replace(before, after, 1))
            self.assertEqual("fail", finding.status, (before, after))
            self.assertTrue(finding.reason)
        for number, line in enumerate(lines):
            if line.startswith(b"ARC-"):
                less = b"\r\n".join(lines[:number] + lines[number + 1 :]).replace(b"\0", b"\r\n\t")
                self.assertEqual("fail", finding_of(less + message[len(header) :]).status, line)
                more = b"\r\n".join([line, *lines]).replace(b"\0", b"\r\n\t")
                self.assertEqual("fail", finding_of(more + message[len(header) :]).status, line)
        without = b"\r\n".join(line for line in lines if b"i=3" not in line).replace(b"\0", b"\r\n\t")
        # The last set as a whole can be: nobody knows that there was one.
        self.assertEqual("pass", finding_of(without + message[len(header) :]).status)

    def test_ended(self) -> None:
        """A chain that is broken is sealed once more, as broken, and then no more (5.1.2)."""
        message = self.chain("one.test", "two.test").replace(b"world", b"World")
        finding = finding_of(message)
        self.assertEqual(("fail", "", 2), (finding.status, why_not(finding), finding.highest))
        message = ours(message, "three.test")
        finding = finding_of(message)
        self.assertEqual(("fail", True, 3), (finding.status, finding.is_ended, finding.highest))
        self.assertTrue(why_not(finding))
        self.assertEqual("fail", dkimpy_says(message))

    def test_dns_away(self) -> None:
        """A chain that cannot be validated now is not called broken for good."""
        records = {**RECORDS, "s._domainkey.one.test": KeyAnswer(trouble="SERVFAIL")}
        finding = finding_of(self.chain(*HOPS[:3]), records)
        self.assertEqual(("fail", True), (finding.status, finding.is_temporary))
        self.assertIn("SERVFAIL", why_not(finding))

    def test_bounds(self) -> None:
        finding = finding_of(self.chain(*HOPS[:3]), limit=2)
        self.assertIn("more than 2", finding.reason)
        many = b"".join(b"ARC-Seal: i=%d; cv=pass; a=x\r\n" % number for number in range(1, 51))
        self.assertTrue(why_not(finding_of(many + HEADER + b"\r\n")))

    def test_ed25519(self) -> None:
        """We read it, too (RFC 8463), though others may not."""
        message = ours(HEADER + b"\r\n" + BODY, "one.test", ED25519)
        records = {"s._domainkey.one.test": ed25519_record(ED25519)}
        self.assertEqual("pass", finding_of(message, records).status)

    def test_signed_before(self) -> None:
        """The signature of the author's domain is covered by ours."""
        message = signed(header=HEADER) + b"\r\n" + BODY
        sealed = ours(message, "one.test")
        self.assertEqual("pass", finding_of(sealed).status)
        self.assertIn(b"dkim-signature:", sealed)
        self.assertEqual("fail", finding_of(sealed.replace(b"s=r;", b"s=q;", 1)).status)

    def test_believed(self) -> None:
        """As far back as all servers are trusted, and no further."""
        finding = finding_of(self.chain(*HOPS[:3]))
        for trusted, sealers, who in (
            ((), None, ""),
            (("one.test", "two.test"), None, ""),
            (("three.test",), ("three.test",), "arc"),
            (("one.test", "three.test"), ("three.test",), "arc"),
            (("two.test", "three.test"), ("three.test", "two.test"), "arc"),
            (HOPS, ("three.test", "two.test", "one.test"), "spf"),
        ):
            found = believed(finding, trusted.__contains__)
            self.assertEqual(sealers, found and found.sealers)
            if found is not None:
                self.assertEqual(who, found.results[-1].method)
        broken = finding_of(self.chain(*HOPS[:3]).replace(b"world", b"x"))
        self.assertIsNone(believed(broken, lambda name: True))

    def test_hostile(self) -> None:
        for field in (
            b"ARC-Seal:\r\n",
            b"ARC-Seal: i=1\r\n",
            b"ARC-Seal: i=0; cv=none\r\n",
            b"ARC-Seal: i=99999999999999999999999; cv=none\r\n",
            b"ARC-Authentication-Results: i=1\r\n",
            b"ARC-Authentication-Results: \xff\r\n",
            b"ARC-Message-Signature: i=1; i=1\r\n",
            b"ARC-Seal: " + b"a=;" * 50_000 + b"\r\n",
            b"ARC-Seal: i=1;\r\n" * 5_000,
        ):
            finding = finding_of(field + HEADER + b"\r\n" + BODY)
            self.assertEqual("fail", finding.status)
            self.assertTrue(finding.reason.isprintable(), finding.reason)


class OracleTests(SynchronousTestCase):
    """dkimpy against ours; what is explained stands in :mod:`tests.dkim.test_oracle`."""

    def test_both(self) -> None:
        count: Counter[str] = Counter()

        @BOUNDED
        @given(messages(), st.lists(st.sampled_from((ours, theirs)), min_size=1, max_size=3), CHANGES)
        def play(message: tuple[bytes, bytes], sealers: Any, change: Any) -> None:
            whole = message[0] + b"\r\n" + message[1]
            for name, seal in zip(HOPS, sealers, strict=False):
                whole = seal(whole, name)
            before = finding_of(whole)
            if before.status != "pass":
                # Two of them have signed what each reads in another way.
                self.assertTrue(_explained(whole, dkimpy_says(whole)), (whole, before))
            whole = changed(whole, change)
            us, them = finding_of(whole), dkimpy_says(whole)
            if (us.status == "pass") == (them == "pass"):
                count[f"both: {'pass' if them == 'pass' else 'not pass'}"] += 1
                return
            count["explained"] += 1
            self.assertTrue(_explained(whole, them), (whole, us, them))

        play()
        if MESSAGES > 1000:
            print(f"\n    {dict(count)}")
        self.assertGreater(count["both: pass"], MESSAGES // 5)
        self.assertGreater(count["both: not pass"], MESSAGES // 50)


def _explained(message: bytes, them: str) -> str:
    header = header_section(message)
    if re.search(rb"(?<!\r)\n", message):
        return "a bare LF"
    if them.startswith("stumbles") or not re.fullmatch(
        rb"(?:[!-9;-~]+:(?:[^\r\n]|\r\n[ \t]|\r(?!\n))*\r\n)*", header
    ):
        return "no header section for dkimpy"
    if re.search(rb"[\x0b\x0c]|\r(?!\n)", header):
        return "other blanks than space and tab in the header"
    return ""
