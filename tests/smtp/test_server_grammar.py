"""Paths, parameters and names, by table."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.model.address import parse_address
from mta.model.envelope import Envelope, Recipient
from mta.smtp.grammar import (
    SyntaxProblem,
    UnknownParameter,
    mail_argument,
    parse_hello,
    parse_path,
    recipient_argument,
)
from mta.smtp.parameters import mail_parameters, recipient_parameters

L64 = "l" * 64
LABEL = "d" * 63

PATHS = (
    ("a@b", "a@b"),
    ("Ann.Lee+tag@Example.ORG", "Ann.Lee+tag@example.org"),
    ("!#$%&'*+-/=?^_`{|}~@x.test", "!#$%&'*+-/=?^_`{|}~@x.test"),
    ('"ann"@x.test', "ann@x.test"),
    ('"a b"@x.test', '"a b"@x.test'),
    (r'"a\"b\\c"@x.test', r'"a\"b\\c"@x.test'),
    (r'"\a"@x.test', "a@x.test"),
    ('"a>b"@x.test', '"a>b"@x.test'),
    ('"a@b"@x.test', '"a@b"@x.test'),
    ("a@[192.0.2.1]", "a@[192.0.2.1]"),
    ("a@[IPv6:2001:DB8:0:0::1]", "a@[ipv6:2001:db8::1]"),
    ("a@[ipv6:::ffff:192.0.2.1]", "a@[ipv6:::ffff:c000:201]"),
    ("@r1.test,@r2.test:a@x.test", "a@x.test"),
    ("@r1.test:a@x.test", "a@x.test"),
    ("a@under_score.test", "a@under_score.test"),
    ("jörg@straße.test", "jörg@straße.test"),
    ("用户@例子.广告", "用户@例子.广告"),
    (f"{L64}@x.test", f"{L64}@x.test"),
    (f"a@{LABEL}.{LABEL}.{LABEL}.{'d' * 60}", f"a@{LABEL}.{LABEL}.{LABEL}.{'d' * 60}"),
)

BAD_PATHS = (
    "a",
    "@x.test",
    "a@",
    "a b@x.test",
    ".a@x.test",
    "a.@x.test",
    "a..b@x.test",
    "a@-x.test",
    "a@x-.test",
    "a@x..test",
    "a@.test",
    "a@x.test.",
    "a@b@x.test",
    '"a@x.test',
    '"a"b@x.test',
    '""@x.test',
    '"a\tb"@x.test',
    "a@[192.0.2]",
    "a@[192.0.2.256]",
    "a@[2001:db8::1]",
    "a@[IPv6:xyz]",
    "a@[IPv6:fe80::1%eth0]",
    "a@[192.0.2.1",
    "a@[x-tag:foo]",
    "@r1.test a@x.test",
    "@r1.test:",
    "@r1.test,r2:a@x.test",
    f"{L64}l@x.test",
    "ä" * 33 + "@x.test",
    f"a@{LABEL}d.test",
    f"aa@{LABEL}.{LABEL}.{LABEL}.{'d' * 60}",
    "a\u2028b@x.test",
    "a\u0085@x.test",
    "a(c)@x.test",
    "a,b@x.test",
)


class PathTests(SynchronousTestCase):
    """What stands between < and >."""

    def test_good(self) -> None:
        """The canonical form, which the model can take apart again."""
        for text, canonical in PATHS:
            self.assertEqual(canonical, parse_path(text))
            self.assertEqual(canonical, str(parse_address(canonical)))

    def test_bad(self) -> None:
        """A problem in words, never anything else."""
        for text in BAD_PATHS:
            with self.subTest(repr(text)), self.assertRaises(SyntaxProblem):
                parse_path(text)

    def test_mail(self) -> None:
        """FROM, with null path, white space and parameters."""
        for argument, path, parameters in (
            (b"FROM:<>", "", b""),
            (b"from: <a@b>", "a@b", b""),
            (b"FROM:<a@b> SIZE=1  BODY=7BIT", "a@b", b"SIZE=1  BODY=7BIT"),
            (b'FROM:<"a> b"@c> X', '"a> b"@c', b"X"),
        ):
            self.assertEqual((path, parameters), mail_argument(argument))

    def test_recipient(self) -> None:
        """TO, with bare postmaster in any case, but nobody else without a domain."""
        self.assertEqual(("postmaster", b""), recipient_argument(b"TO:<PostMaster>"))
        self.assertEqual(("Postmaster@x.test", b""), recipient_argument(b"TO:<Postmaster@x.test>"))
        for bad in (b"TO:<>", b"TO:<ann>", b"TO:a@b", b"FROM:<a@b>", b"<a@b>", b"TO<a@b>", b"TO :<a@b>"):
            self.assertRaises(SyntaxProblem, recipient_argument, bad)

    def test_bad_arguments(self) -> None:
        """What is not a path with parameters."""
        for bad in (b"", b"FROM:", b"FROM:<a@b", b"FROM:a@b>", b"FROM:<a@b>SIZE=1", b"FROM:<\xff@b>"):
            self.assertRaises(SyntaxProblem, mail_argument, bad)

    def test_no_backtracking(self) -> None:
        """Long nonsense is refused as quickly as it was read."""
        for text in (b'"' * 4000, b'"\\' * 2000, b"<" * 4000, b"a" * 4000, b"@a," * 1300, b'"a"' * 1300):
            self.assertRaises(SyntaxProblem, mail_argument, b"FROM:<" + text)
            self.assertRaises(SyntaxProblem, mail_argument, b"FROM:<" + text + b">")


class ParameterTests(SynchronousTestCase):
    """ESMTP parameters."""

    def mail(self, text: str) -> Envelope:
        envelope = Envelope("a@b")
        mail_parameters(text.encode(), envelope)
        return envelope

    def rcpt(self, text: str) -> Recipient:
        recipient = Recipient("a@b")
        recipient_parameters(text.encode(), recipient)
        return recipient

    def test_mail(self) -> None:
        self.assertEqual(10**19, self.mail(f"SIZE={10**19}").size)
        self.assertEqual("BINARYMIME", self.mail("body=BinaryMime").body)
        self.assertTrue(self.mail("SMTPUTF8").smtputf8)
        self.assertEqual("FULL", self.mail("RET=full").ret)
        self.assertEqual("x" * 100, self.mail("ENVID=" + "x" * 100).envid)
        self.assertEqual("a=b", self.mail("ENVID=a+3Db").envid)
        self.assertEqual("e+f@x.test", self.mail("AUTH=e+2Bf@x.test").auth)

    def test_rcpt(self) -> None:
        self.assertEqual(frozenset({"NEVER"}), self.rcpt("NOTIFY=never").notify)
        self.assertEqual(frozenset({"SUCCESS", "FAILURE"}), self.rcpt("NOTIFY=SUCCESS,FAILURE").notify)
        self.assertEqual("rfc822;a+b@c", self.rcpt("ORCPT=rfc822;a+2Bb@c").orcpt)
        self.assertEqual("utf-8;ä@c", self.rcpt(r"ORCPT=utf-8;\x{E4}@c").orcpt)
        self.assertEqual("utf-8;ö@c", self.rcpt("ORCPT=utf-8;ö@c").orcpt)

    def test_bad(self) -> None:
        for text in (
            "SIZE",
            "SIZE=",
            "SIZE=-1",
            "SIZE=1x",
            "SIZE=" + "1" * 21,
            "SIZE=1 SIZE=1",
            "BODY=9BIT",
            "BODY",
            "SMTPUTF8=1",
            "RET=SOME",
            "ENVID=",
            "ENVID=" + "x" * 101,
            "ENVID=a+0Db",
            "ENVID=a+b",
            "ENVID=a+FFb",
            "AUTH=",
            "AUTH=nobody",
            "=x",
            "-X=1",
            "X=a=b",
        ):
            with self.subTest(text), self.assertRaises(SyntaxProblem):
                self.mail(text)
        for text in (
            "NOTIFY=",
            "NOTIFY=NEVER,DELAY",
            "NOTIFY=SUCCESS,SUCCESS",
            "NOTIFY=SUCCESS,",
            "ORCPT=a@b",
            "ORCPT=rfc822;",
            "ORCPT=;a@b",
            "ORCPT=rfc822;a+0D+0AX:y@b",
            r"ORCPT=utf-8;\x{A}",
            r"ORCPT=utf-8;\x{D800}",
            r"ORCPT=utf-8;\x{FFFFFF}",
            "ORCPT=rfc822;" + "x" * 500,
        ):
            with self.subTest(text), self.assertRaises(SyntaxProblem):
                self.rcpt(text)

    def test_unknown(self) -> None:
        self.assertRaises(UnknownParameter, self.mail, "REQUIRETLS")
        self.assertRaises(UnknownParameter, self.rcpt, "SIZE=1")


class HelloTests(SynchronousTestCase):
    """Names behind EHLO: lenient, but fit for a header field."""

    def test_good(self) -> None:
        for name in (
            "x",
            "client.test",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
            "my_pc",
            "192.0.2.1",
        ):
            self.assertEqual(name, parse_hello(name.encode()))
        self.assertEqual("m?ller-pc", parse_hello("müller-pc".encode()))
        self.assertEqual("m?ller-pc", parse_hello("müller-pc".encode("latin-1")))

    def test_bad(self) -> None:
        for octets in (
            b"",
            b"a b",
            b"(x)",
            b"<x>",
            b"x;y",
            b"x\x7f",
            b"x" * 256,
            b"[x",
        ):
            with self.subTest(repr(octets)), self.assertRaises(SyntaxProblem):
                parse_hello(octets)
