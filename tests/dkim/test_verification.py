"""Signatures good, bad and hostile, and what each is called."""

from __future__ import annotations

import base64
import hashlib
import random
import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.trial.unittest import SynchronousTestCase

from mta.dkim.body_hash import BodyHashes
from mta.dkim.header_fields import HeaderField, HeaderFields, signed_text, split_fields
from mta.dkim.signing import Manner, SigningKey, signature_fields
from mta.dkim.verification import KeyAnswer, SignatureResult, Verification
from tests.dkim import rfc8463

NOW = 1_800_000_000.0
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
KEYS = (SigningKey("example.org", "r", RSA), SigningKey("example.org", "e", ED25519))
HEADER = b"From: Ann <ann@example.org>\r\nTo: bob@b.test\r\nSubject: a\r\n\tb\r\nDate: today\r\n"
BODY = b"Hello \r\n\r\nworld\r\n\r\n"
OVERSIGN = ("from", "to", "subject", "date")


def rsa_record(key: rsa.RSAPrivateKey, extra: bytes = b"") -> bytes:
    octets = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; " + extra + b"p=" + base64.b64encode(octets)


def ed25519_record(key: ed25519.Ed25519PrivateKey, extra: bytes = b"") -> bytes:
    return b"v=DKIM1; k=ed25519; " + extra + b"p=" + base64.b64encode(key.public_key().public_bytes_raw())


RECORDS: dict[str, bytes] = {
    "r._domainkey.example.org": rsa_record(RSA),
    "e._domainkey.example.org": ed25519_record(ED25519),
}


def manner(way: str = "relaxed", expire: int = 0) -> Manner:
    return Manner(way, way, frozenset(OVERSIGN), OVERSIGN, expire)  # type: ignore[arg-type]


def signed(how: Manner | None = None, keys: tuple[SigningKey, ...] = KEYS, header: bytes = HEADER) -> bytes:
    """The header section with signatures on top."""
    how = how or manner()
    hashes = BodyHashes((how.body_way,))
    hashes.update(BODY)
    digest, _ = hashes.finish()[how.body_way]
    return signature_fields(split_fields(header), digest, keys, how, NOW) + header


def verified(
    header: bytes,
    body: bytes = BODY,
    records: Mapping[str, bytes | KeyAnswer] = RECORDS,
    now: float = NOW,
    limit: int = 10,
) -> list[SignatureResult]:
    verification = Verification(header, now, limit)
    hashes = BodyHashes(verification.ways)
    hashes.update(body)
    answers = {}
    for name in verification.questions:
        found = records.get(name, KeyAnswer())
        answers[name] = found if isinstance(found, KeyAnswer) else KeyAnswer((found,))
    return verification.results(answers, hashes.finish())


def outcomes(results: list[SignatureResult]) -> list[str]:
    return [one.result for one in results]


class VerificationTests(SynchronousTestCase):
    """What counts, and what does not."""

    def test_rfc_8463(self) -> None:
        """The example of the standard."""
        found = verified(rfc8463.SIGNATURES + rfc8463.HEADER, rfc8463.BODY, rfc8463.KEYS, now=rfc8463.NOW)
        self.assertEqual(
            [("pass", "brisbane", 256), ("pass", "test", 1024)],
            [(one.result, one.selector, one.bits) for one in found],
        )

    def test_ours(self) -> None:
        for way in ("relaxed", "simple"):
            found = verified(signed(manner(way)))
            self.assertEqual(["pass", "pass"], outcomes(found), found)
            self.assertEqual(["rsa-sha256", "ed25519-sha256"], [one.algorithm for one in found])
            self.assertEqual(["@example.org"] * 2, [one.identity for one in found])

    def test_unsigned(self) -> None:
        verification = Verification(HEADER, NOW)
        self.assertEqual(((), frozenset()), (verification.questions, verification.ways))
        self.assertEqual([], verification.results({}, {}))

    def test_changed(self) -> None:
        """Nothing can be changed or added unseen, but white space where relaxed allows it."""
        whole = signed()
        for header, body, result in (
            (whole, BODY + b"more\r\n", "fail"),
            (whole, BODY.replace(b"world", b"World"), "fail"),
            (whole, BODY.replace(b"\r\n\r\nworld", b"\r\nworld"), "fail"),
            (whole, BODY + b"\r\n\r\n", "pass"),
            (whole, BODY.replace(b" \r\n", b"\t \r\n"), "pass"),
            (whole.replace(b"Subject: a", b"Subject: b"), BODY, "fail"),
            (whole.replace(b"Subject: a\r\n\tb", b"subject:   a b  "), BODY, "pass"),
            (b"Subject: more\r\n" + whole, BODY, "fail"),
            (whole + b"To: more@b.test\r\n", BODY, "fail"),
            (b"X-More: yes\r\n" + whole, BODY, "pass"),
            (whole.replace(b"d=example.org", b"d=example.com"), BODY, "permerror"),
        ):
            self.assertEqual([result] * 2, outcomes(verified(header, body)), (header, body))

    def test_second_from(self) -> None:
        """A From field that nobody has signed is not let through beside one that is."""
        how = Manner("relaxed", "relaxed", frozenset(OVERSIGN), ())
        whole = signed(how)
        self.assertEqual(["pass"] * 2, outcomes(verified(whole)))
        for place in (b"From: evil@x.test\r\n" + whole, whole + b"From: evil@x.test\r\n"):
            self.assertEqual(["policy"] * 2, outcomes(verified(place)))

    def test_from_unsigned(self) -> None:
        how = Manner("relaxed", "relaxed", frozenset(("to", "subject")), ("to",))
        (one, _) = verified(signed(how))
        self.assertEqual(("permerror", "the From field is not signed"), (one.result, one.reason))

    def test_length(self) -> None:
        """l= is no leave to add to the body (8.2); where it leaves out nothing it does no harm."""
        body = b"Hello\r\n"
        digest = hashlib.sha256(body).digest()
        for length, text, expected in (
            (7, body, "pass"),
            (7, body + b"added\r\n", "policy"),
            (0, body, "policy"),
            (8, body, "fail"),
        ):
            fields = split_fields(HEADER)
            made = signature_fields(fields, digest, KEYS[:1], manner("simple"), NOW)
            # The signature is made anew, with l=.
            tags = re.sub(rb"b=[^=;]{60,}[^;]*\Z", b"b=", made.replace(b"; bh=", b";\r\n\tbh=")).rstrip()
            tags = tags.replace(b"v=1;", f"v=1; l={length};".encode())
            own = HeaderField("dkim-signature", tags)
            names = manner("simple").names(fields)
            octets = KEYS[0].sign(signed_text(HeaderFields(fields).select(names), "simple", own))
            (one,) = verified(tags + base64.b64encode(octets) + b"\r\n" + HEADER, text)
            self.assertEqual(expected, one.result, (length, one.reason))

    def test_expired(self) -> None:
        whole = signed(manner(expire=3600))
        self.assertEqual(["pass"] * 2, outcomes(verified(whole, now=NOW + 3600)))
        self.assertEqual(["policy"] * 2, outcomes(verified(whole, now=NOW + 3601)))

    def test_not_safe(self) -> None:
        """RFC 8301: no SHA-1, no key of less than 1024 bits; 1024 it is."""
        (one, _) = verified(signed().replace(b"a=rsa-sha256", b"a=rsa-sha1"))
        self.assertEqual("policy", one.result)
        for bits, result in ((1024, "pass"), (1023, "policy")):
            key = _short_key(bits)
            whole = signed(keys=(SigningKey("example.org", "r", key),))
            (one,) = verified(whole, records={"r._domainkey.example.org": rsa_record(key)})
            self.assertEqual(result, one.result, one.reason)

    def test_no_key(self) -> None:
        name = "r._domainkey.example.org"
        whole = signed(keys=KEYS[:1])
        for answer, result in (
            (KeyAnswer(), "permerror"),
            (KeyAnswer(trouble="SERVFAIL"), "temperror"),
            (KeyAnswer((b"v=DKIM1; p=",)), "permerror"),
            (KeyAnswer((b"v=spf1 -all",)), "permerror"),
            (KeyAnswer((RECORDS["e._domainkey.example.org"],)), "permerror"),
            (KeyAnswer((b"v=spf1 -all", RECORDS[name])), "pass"),
            (KeyAnswer((rsa_record(RSA, b"h=sha1; "),)), "permerror"),
            (KeyAnswer((rsa_record(RSA, b"h=sha1:sha256; s=email; "),)), "pass"),
            (KeyAnswer((rsa_record(RSA, b"s=tlsrpt; "),)), "permerror"),
            (KeyAnswer((rsa_record(rsa.generate_private_key(65537, 2048)),)), "fail"),
        ):
            (one,) = verified(whole, records={name: answer})
            self.assertEqual(result, one.result, (answer, one.reason))
            self.assertEqual(bool(one.reason), result != "pass")

    def test_testing(self) -> None:
        (one,) = verified(
            signed(keys=KEYS[:1]), records={"r._domainkey.example.org": rsa_record(RSA, b"t=y; ")}
        )
        self.assertEqual(("pass", True), (one.result, one.is_testing))

    def test_too_many(self) -> None:
        """Those beyond the limit cost no look-up."""
        whole = signed()
        (first, second) = verified(whole, limit=1)
        self.assertEqual(("pass", "policy"), (first.result, second.result))
        self.assertEqual(("r._domainkey.example.org",), Verification(whole, NOW, 1).questions)
        self.assertIn("1 signatures were not looked at", second.reason)
        self.assertEqual(11, len(verified(whole * 100)))

    def test_bad_fields(self) -> None:
        """What is not written as the standard says asks nobody anything."""
        good = signed(keys=KEYS[:1])
        for before, after in (
            (b"v=1;", b"v=2;"),
            (b"v=1;", b""),
            (b"v=1;", b"v=1; v=1;"),
            (b"d=example.org;", b""),
            (b"d=example.org;", b"d=exam ple.org;"),
            (b"d=example.org;", b"d=a@example.org;"),
            (b"d=example.org;", b"d=example..org;"),
            (b"d=example.org;", b"d=" + b"a." * 127 + b"org;"),
            (b"d=example.org;", b"d=example.org; i=ann@example.com;"),
            (b"d=example.org;", b"d=example.org; i=ann@notexample.org;"),
            (b"s=r;", b"s=;"),
            (b"s=r;", b"s=r/../x;"),
            (b"s=r;", b"s=r; q=http;"),
            (b"s=r;", b"s=r; l=-1;"),
            (b"s=r;", b"s=r; l=" + b"1" * 77 + b";"),
            (b"s=r;", b"s=r; x=1;"),
            (b"a=rsa-sha256;", b"a=rsa-md5;"),
            (b"c=relaxed/relaxed;", b"c=relaxed/nowsp;"),
            (b"c=relaxed/relaxed;", b"c=relaxed/simple/x;"),
            (b"h=date:", b"h=da te :;x"),
            (b"h=", b"h=:"),
            (b"bh=", b"bh=*"),
            (b"b=", b"b=\xff"),
        ):
            self.assertIn(before, good)
            header = good.replace(before, after, 1)
            self.assertEqual((), Verification(header, NOW).questions, after)
            self.assertEqual(["neutral"], outcomes(verified(header)), after)

    def test_international(self) -> None:
        """U-labels (RFC 8616) are asked for in the form of the DNS; what has none is no domain."""
        good = signed(keys=KEYS[:1])
        header = good.replace(b"d=example.org;", "d=EXÄMPLE.org; i=@news.exämple.org;".encode())
        self.assertEqual(("r._domainkey.xn--exmple-cua.org",), Verification(header, NOW).questions)
        (one,) = verified(
            header, records={"r._domainkey.xn--exmple-cua.org": RECORDS["r._domainkey.example.org"]}
        )
        self.assertEqual(("fail", "xn--exmple-cua.org"), (one.result, one.domain))
        self.assertEqual("@news.xn--exmple-cua.org", one.identity)
        for tag in ("d=one\u058best;", "d=\u202e.org;", "d=example.org; i=\u0085@example.org;"):
            (one,) = verified(good.replace(b"d=example.org;", tag.encode()))
            self.assertIn(one.result, ("neutral", "permerror"), tag)
            self.assertTrue((one.reason + one.domain + one.identity).isprintable(), one)

    def test_identity_below(self) -> None:
        """i= may be below d=, unless the key says t=s; its b= is wrong here, and so it fails later."""
        header = signed(keys=KEYS[:1]).replace(b"s=r;", b"s=r; i=ann@news.example.org;")
        self.assertEqual(["fail"], outcomes(verified(header)))
        strict = {"r._domainkey.example.org": rsa_record(RSA, b"t=s; ")}
        (one,) = verified(header, records=strict)
        self.assertEqual("permerror", one.result)

    def test_costly_keys(self) -> None:
        """A key that would take long to calculate with is none."""
        numbers = RSA.public_key().public_numbers()
        slow = rsa.RSAPublicNumbers((1 << 2047) + 1, numbers.n).public_key()
        octets = slow.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        long = b"n=" + b"x" * 9000 + b"; " + RECORDS["r._domainkey.example.org"].partition(b"; ")[2]
        for record in (b"p=" + base64.b64encode(octets), b"p=" + base64.b64encode(b"0" * 5000), long):
            (one,) = verified(signed(keys=KEYS[:1]), records={"r._domainkey.example.org": record})
            self.assertEqual(("permerror", True), (one.result, "too long" in one.reason), one.reason)


def _short_key(bits: int) -> rsa.RSAPrivateKey:
    """A key of a size for which cryptography makes none."""
    if bits >= 1024:
        return rsa.generate_private_key(65537, bits)
    source = random.Random(bits)

    def prime(size: int) -> int:
        while True:
            number = source.getrandbits(size) | 1 | 3 << (size - 2)
            if all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7)) and (number - 1) % 65537:
                return number

    while True:
        p, q = prime(bits - bits // 2), prime(bits // 2)
        if (p * q).bit_length() == bits and p != q:
            break
    d = pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p,
        q,
        d,
        rsa.rsa_crt_dmp1(d, p),
        rsa.rsa_crt_dmq1(d, q),
        rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(65537, p * q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)
