"""Which TLSA records count (RFC 7672), by a DNS from a table."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable, Validated
from mta.route.dane_records import DaneRecords, DomainDane, HostDane

KEY = (3, 1, 1, b"k" * 32)
BASE = "_25._tcp.mx.far.test"
Table = dict[tuple[str, str], Any]
SECURE: Table = {
    ("far.test", "MX"): ([(10, "mx.far.test")], True),
    ("mx.far.test", "A"): (["192.0.2.1"], True),
    (BASE, "TLSA"): ([KEY], True),
}


class TableResolver:
    """Answers from a table: values, whether they are validated, and the end of CNAMEs.

    Other names have nothing, and that is validated.  ``None`` is silence.
    """

    def __init__(self, answers: Table) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    async def validated(self, name: str, kind: str) -> Validated:
        self.asked.append((name, kind))
        answer = self.answers.get((name, kind), ([], True))
        if answer is None:
            raise TemporarilyUnavailable(f"{name} {kind}: SERVFAIL")
        if isinstance(answer, Exception):
            raise answer
        values, secure, *end = answer
        return Validated(values, secure, end[0] if end else name)

    async def text(self, name: str) -> Any:
        return (await self.validated(name, "TXT")).values


class DaneTests(SynchronousTestCase):
    def ask(self, changes: Table) -> DaneRecords:
        self.resolver = TableResolver({**SECURE, **changes})
        return DaneRecords(cast(IResolver, self.resolver))

    def host(self, changes: Table, name: str = "mx.far.test") -> HostDane:
        return self.successResultOf(Deferred.fromCoroutine(self.ask(changes).of_host(name, 25)))

    def domain(self, changes: Table) -> DomainDane:
        return self.successResultOf(Deferred.fromCoroutine(self.ask(changes).of_domain("far.test", 25)))

    def test_host(self) -> None:
        table: list[tuple[str, Table, int, int, str]] = [
            ("validated", {}, 1, 1, ""),
            ("address not", {("mx.far.test", "A"): (["192.0.2.1"], False)}, 0, 0, "are not validated"),
            ("TLSA not", {(BASE, "TLSA"): ([KEY], False)}, 0, 0, "no TLSA record that is validated"),
            ("no TLSA", {(BASE, "TLSA"): ([], True)}, 0, 0, "no TLSA record"),
            ("PKIX-EE", {(BASE, "TLSA"): ([(1, 1, 1, b"k" * 32)], True)}, 1, 0, ""),
            ("short digest", {(BASE, "TLSA"): ([(3, 1, 1, b"k")], True)}, 1, 0, ""),
            ("one of two", {(BASE, "TLSA"): ([KEY, (0, 0, 0, b"k")], True)}, 2, 1, ""),
            (
                "IPv6 only",
                {("mx.far.test", "A"): ([], True), ("mx.far.test", "AAAA"): (["::1"], True)},
                1,
                1,
                "",
            ),
        ]
        for what, changes, records, usable, why in table:
            found = self.host(changes)
            self.assertEqual((records, usable), (len(found.records), len(found.usable)), what)
            self.assertIn(why, found.why, what)
            self.assertEqual(bool(records), not found.why, what)
        self.assertEqual("it is an address and no name", self.host({}, "192.0.2.1").why)

    def test_not_asked(self) -> None:
        """Name servers that fail at TLSA do no harm where it would not count (2.2.2)."""
        found = self.host({("mx.far.test", "A"): (["192.0.2.1"], False), (BASE, "TLSA"): None})
        self.assertEqual((), found.records)
        self.assertNotIn((BASE, "TLSA"), self.resolver.asked)

    def test_silence(self) -> None:
        """Where it would count, and nobody answers, nobody can tell (2.1.2)."""
        for key in ((BASE, "TLSA"), ("mx.far.test", "A")):
            dane = self.ask({key: None})
            self.failureResultOf(
                Deferred.fromCoroutine(dane.of_host("mx.far.test", 25)), TemporarilyUnavailable
            )
            self.assertTrue(self.domain({key: None}).some)
        self.failureResultOf(
            Deferred.fromCoroutine(self.ask({("far.test", "MX"): None}).of_domain("far.test", 25)),
            TemporarilyUnavailable,
        )

    def test_alias(self) -> None:
        """Records of the end of validated CNAMEs come first, then those of the host itself (2.2.2)."""
        alias: Table = {
            ("mx.far.test", "A"): (["192.0.2.1"], True, "real.net.test"),
            ("_25._tcp.real.net.test", "TLSA"): ([(2, 1, 1, b"a" * 32)], True),
        }
        found = self.host(alias)
        self.assertEqual("_25._tcp.real.net.test", found.base)
        self.assertEqual(("real.net.test", "mx.far.test"), found.names)
        found = self.host({("mx.far.test", "A"): (["192.0.2.1"], True, "real.net.test")})
        self.assertEqual((BASE, "mx.far.test"), (found.base, found.names[0]))

    def test_half_an_alias(self) -> None:
        """Only the first CNAME is validated: only the host itself counts."""
        half: Table = {
            ("mx.far.test", "A"): (["192.0.2.1"], False, "real.net.test"),
            ("mx.far.test", "CNAME"): (["real.net.test"], True),
            ("_25._tcp.real.net.test", "TLSA"): ([(2, 1, 1, b"a" * 32)], True),
        }
        found = self.host(half)
        self.assertEqual((BASE, ("mx.far.test",)), (found.base, found.names))
        half["mx.far.test", "CNAME"] = (["real.net.test"], False)
        self.assertEqual((), self.host(half).records)

    def test_domain(self) -> None:
        names, hosts = ("far.test",), ("mx.far.test",)
        two = ([(10, "mx.far.test"), (20, "mx2.far.test")], True)
        table: list[tuple[str, Table, DomainDane]] = [
            ("all", {}, DomainDane(True, names, hosts, True, True)),
            ("MX not validated", {("far.test", "MX"): ([(10, "mx.far.test")], False)}, DomainDane()),
            ("no TLSA", {(BASE, "TLSA"): ([], True)}, DomainDane(True, names, hosts)),
            (
                "one of two",
                {("far.test", "MX"): two},
                DomainDane(True, names, (*hosts, "mx2.far.test"), True),
            ),
            ("no such name", {("far.test", "MX"): NoSuchDomain("far.test")}, DomainDane()),
            (
                "no MX",
                {
                    ("far.test", "MX"): ([], True),
                    ("far.test", "A"): (["192.0.2.1"], True),
                    ("_25._tcp.far.test", "TLSA"): ([KEY], True),
                },
                DomainDane(True, names, names, True, True),
            ),
            (
                "alias",
                {("far.test", "MX"): ([(10, "mx.far.test")], True, "real.test")},
                DomainDane(True, ("far.test", "real.test"), hosts, True, True),
            ),
        ]
        for what, changes, expected in table:
            self.assertEqual(expected, self.domain(changes), what)
