"""TXT records and policies of MTA-STS, good, bad, and hostile."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from mta.model.mta_sts import MAX_AGE, MAX_POLICY, BadPolicy, StsPolicy, policy_id

#: RFC 8461, 3.2.
EXAMPLE = (
    b"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n"
    b"mx: backupmx.example.com\nmax_age: 604800\n"
)


class RecordTests(SynchronousTestCase):
    """RFC 8461, 3.1."""

    def test_good(self) -> None:
        for records in (
            [b"v=STSv1; id=20160831085700Z;"],
            [b"v=STSv1;id=20160831085700Z"],
            [b"v=STSv1 ;\tid=20160831085700Z ; a.b_c-d=x:y;"],
            [b"v=spf1 -all", b"v=STSv1; id=20160831085700Z;", b"v=STSv10; id=1", b"v=stsv1; id=1"],
        ):
            self.assertEqual("20160831085700Z", policy_id(records), records)

    def test_bad(self) -> None:
        for records in (
            [],
            [b"v=STSv1"],
            [b"v=STSv1;"],
            [b"v=STSv1; id=;"],
            [b"v=STSv1; id=2016-08;"],
            [b"v=STSv1; id=" + b"1" * 33],
            [b"v=STSv1; id=1; id=2"],
            [b"v=STSv1; id=1;; "],
            [b"v=STSv1; id=1; x"],
            [b"v=STSv1; id=1; x=\xff"],
            [b" v=STSv1; id=1"],
            [b"v=STSv1; id=1;", b"v=STSv1; id=1;"],
        ):
            self.assertEqual("", policy_id(records), records)


class PolicyTests(SynchronousTestCase):
    """RFC 8461, 3.2 and 4.1."""

    def refuse(self, octets: bytes) -> str:
        """Why it is no policy."""
        with self.assertRaises(BadPolicy) as caught:
            StsPolicy.parse(octets)
        return str(caught.exception)

    def test_example(self) -> None:
        policy = StsPolicy.parse(EXAMPLE)
        hosts = ("mail.example.com", "*.example.net", "backupmx.example.com")
        self.assertEqual(StsPolicy("enforce", 604800, hosts), policy)
        self.assertEqual(policy, StsPolicy.parse(EXAMPLE.replace(b"\n", b"\r\n")))
        self.assertEqual(policy, StsPolicy.parse(EXAMPLE.rstrip(b"\n")))

    def test_first_counts(self) -> None:
        text = (
            b"version:STSv1 \nmode: testing\nmode: enforce\nnew: thing\nmx: MX.a.test\nmax_age: 1\nmax_age: x"
        )
        self.assertEqual(StsPolicy("testing", 1, ("mx.a.test",)), StsPolicy.parse(text))

    def test_none(self) -> None:
        self.assertEqual(StsPolicy("none", 60), StsPolicy.parse(b"version: STSv1\nmode: none\nmax_age: 60\n"))

    def test_longest_age(self) -> None:
        self.assertEqual(MAX_AGE, StsPolicy.parse(EXAMPLE.replace(b"604800", b"9999999999")).max_age)

    def test_bad(self) -> None:
        for old, new, why in (
            (b"STSv1", b"STSv2", "version"),
            (b"version: STSv1\n", b"", "version"),
            (b"enforce", b"Enforce", "mode"),
            (b"mode: enforce\n", b"", "mode"),
            (b"604800", b"week", "max_age"),
            (b"604800", b"-1", "max_age"),
            (b"604800", b"12345678901", "max_age"),
            (b"max_age: 604800\n", b"", "max_age"),
            (b"mode", b"\nmode", "line 2"),
            (b"mode: enforce", b"mode", "line 2"),
            (b"mode: enforce", b"mode:", "line 2"),
            (b"mode: enforce", b"mode: enforce\0", "line 2"),
            (b"mode: enforce", b"mode: \xff", "UTF-8"),
            (b"mail.example.com", b"*", "line 3"),
            (b"mail.example.com", b"mail.*.com", "line 3"),
            (b"mail.example.com", b"*example.com", "line 3"),
            (b"mail.example.com", b".example.com", "line 3"),
            (b"mail.example.com", b"a..b", "line 3"),
            (b"mail.example.com", b"a b", "line 3"),
        ):
            self.assertIn(why, self.refuse(EXAMPLE.replace(old, new, 1)))
        for octets in (b"", b"version: STSv1\nmode: testing\nmax_age: 1\n", b"<html></html>"):
            self.refuse(octets)

    def test_hosts(self) -> None:
        policy = StsPolicy.parse(EXAMPLE)
        for host, fits in (
            ("mail.example.com", True),
            ("MAIL.example.COM.", True),
            ("mx.example.net", True),
            ("example.net", False),
            ("a.mx.example.net", False),
            ("example.com", False),
            ("xmail.example.com", False),
            ("*.example.net", True),
            ("", False),
            ("net", False),
        ):
            self.assertEqual(fits, policy.admits(host), host)

    def test_hostile(self) -> None:
        """The largest policy, and names made to be slow, take no time; more is not even read."""
        started = time.process_time()
        for line in (
            b"mx: " + b"a" * 250 + b"!\n",
            b"mx: " + b"a-." * 80 + b"!\n",
            b"x:" + b" " * 300 + b"\0\n",
        ):
            octets = (EXAMPLE + line * 1000)[:MAX_POLICY]
            self.refuse(octets)
        self.refuse(b"x:" + b" \t" * 30000 + b"\0")
        self.refuse(EXAMPLE + b"x: y\n" * MAX_POLICY)
        self.assertLess(time.process_time() - started, 2.0)
