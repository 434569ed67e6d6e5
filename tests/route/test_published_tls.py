"""What domains publish, what is demanded of them, and which of it decides at a host."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import TlsPolicy
from mta.interfaces import IResolver, ITlsDemands, TemporarilyUnavailable, settle
from mta.model.mta_sts import StsPolicy
from mta.model.tls_demand import HostTls, TlsDemand
from mta.route.dane_records import DaneRecords
from mta.route.mta_sts import StsFound, StsPolicies
from mta.route.tls_demands import REMEMBERED, Published, TlsDemands
from tests.route.test_dane_records import BASE, SECURE, Table, TableResolver

ENFORCE = StsPolicy("enforce", 86400, ("mx.far.test",))
OTHER = StsPolicy("enforce", 86400, ("*.other.test",))
UNUSABLE = (1, 1, 1, b"k" * 32)
NOTHING: Table = {("far.test", "MX"): ([(10, "mx.far.test")], False)}


class FakeSts:
    def __init__(self, found: StsFound) -> None:
        self.found = found
        self.asked: list[str] = []

    async def find(self, domain: str) -> StsFound:
        self.asked.append(domain)
        return self.found


class PublishedTests(SynchronousTestCase):
    def make(
        self,
        changes: Table | None = None,
        sts: StsFound | StsPolicy | None = None,
        rules: tuple[tuple[str, str], ...] = (),
        usual: str = "opportunistic",
    ) -> TlsDemands:
        found = StsFound(sts) if isinstance(sts, StsPolicy) else sts or StsFound(problem="no record")
        self.clock, self.sts = Clock(), FakeSts(found)
        self.resolver = TableResolver({**SECURE, **(changes or {})})
        published = Published(DaneRecords(cast(IResolver, self.resolver)), cast(StsPolicies, self.sts))
        policies = [TlsPolicy(domain=[domain], demand=cast(Any, demand)) for domain, demand in rules]
        demands = TlsDemands(policies, usual, published, self.clock)
        self.assertTrue(ITlsDemands.providedBy(demands))
        return demands

    def demand(self, demands: TlsDemands, next_hop: str = "far.test") -> TlsDemand | None:
        return self.successResultOf(Deferred.fromCoroutine(settle(demands.demand(next_hop))))

    def host(self, demands: TlsDemands, host: str = "mx.far.test", next_hop: str = "far.test") -> HostTls:
        answer = demands.of_host(self.demand(demands, next_hop), next_hop, host, 25)
        return self.successResultOf(Deferred.fromCoroutine(settle(answer)))

    def test_nothing(self) -> None:
        """Domains that publish nothing share connections, and are reported about as such."""
        demands = self.make(NOTHING)
        self.assertIsNone(self.demand(demands))
        self.assertEqual(HostTls(domain="far.test"), self.host(demands))

    def test_dane(self) -> None:
        found = self.host(self.make())
        self.assertEqual(("dane", f"dane by {BASE}"), (found.level, found.words))
        self.assertEqual(("mx.far.test", "far.test"), found.names)
        self.assertEqual(("tlsa", (f"3 1 1 {'6b' * 32}",)), (found.policy, found.strings))
        self.assertEqual("", found.problem)

    def test_another_port(self) -> None:
        """After a reload it is a part of the name of records, too."""
        demands = self.make()
        self.assertIsNotNone(self.demand(demands))
        demands.use([], "opportunistic", 2525)
        self.assertIsNone(self.demand(demands))
        demands.use([], "opportunistic", 25)
        self.assertIsNotNone(self.demand(demands))

    def test_other_host(self) -> None:
        """An MX record that DNSSEC does not know leads nowhere, whatever that host publishes."""
        evil: Table = {
            ("mx.evil.test", "A"): (["192.0.2.6"], True),
            ("_25._tcp.mx.evil.test", "TLSA"): ([(3, 1, 1, b"e" * 32)], True),
        }
        for rules in ((), (("far.test", "dane"),)):
            found = self.host(self.make(evil, rules=rules), "mx.evil.test")
            self.assertIn("it is no MX host of far.test", found.problem)
            self.assertEqual(("tlsa", "dnssec-invalid"), (found.policy, found.result))

    def test_dane_comes_first(self) -> None:
        """Where every host has TLSA records, nobody waits for a policy, which could only cover a failure."""
        demands = self.make(sts=OTHER)
        self.assertEqual("dane", self.host(demands).level)
        self.assertEqual([], self.sts.asked)

    def test_both(self) -> None:
        """A host without TLSA records has to fit the policy."""
        two = ([(10, "mx.far.test"), (20, "mx2.far.test")], True)
        demands = self.make({("far.test", "MX"): two}, sts=ENFORCE)
        self.assertEqual("dane", self.host(demands).level)
        self.assertIn("the host is none of mx.far.test", self.host(demands, "mx2.far.test").problem)

    def test_unusable(self) -> None:
        """TLS with whatever certificate (RFC 7672, 2.2), unless a policy demands more."""
        changes: Table = {(BASE, "TLSA"): ([UNUSABLE], True)}
        found = self.host(self.make(changes))
        self.assertEqual(("encrypt", "tlsa", "tlsa-invalid"), (found.level, found.policy, found.result))
        self.assertEqual("verify", self.host(self.make(changes, sts=ENFORCE)).level)

    def test_silence(self) -> None:
        demands = self.make({(BASE, "TLSA"): None})
        found = self.host(demands)
        self.assertEqual((True, "tlsa", "dnssec-invalid"), (found.unknown, found.policy, found.result))
        self.assertIn(f"{BASE} TLSA: SERVFAIL", found.problem)
        self.assertEqual("dane by DNSSEC for far.test", found.words)
        demands = self.make({("far.test", "MX"): None})
        self.failureResultOf(
            Deferred.fromCoroutine(settle(demands.demand("far.test"))), TemporarilyUnavailable
        )

    def test_enforce(self) -> None:
        demands = self.make(NOTHING, sts=ENFORCE)
        found = self.host(demands)
        self.assertEqual(("verify", "verify by the MTA-STS policy of far.test"), (found.level, found.words))
        self.assertEqual(("sts", ENFORCE.lines, ENFORCE.mx), (found.policy, found.strings, found.patterns))
        self.assertEqual("", found.problem)
        found = self.host(demands, "mx.evil.test")
        self.assertEqual(
            ("the host is none of mx.far.test", "validation-failure"), (found.problem, found.result)
        )

    def test_testing(self) -> None:
        """It refuses nothing, and is reported."""
        demands = self.make(NOTHING, sts=StsPolicy("testing", 86400, ("mx.far.test",)))
        found = self.host(demands)
        self.assertEqual(
            ("may", "may by the MTA-STS policy of far.test (testing)"), (found.level, found.words)
        )
        found = self.host(demands, "mx.evil.test")
        self.assertEqual(
            ("", "validation-failure", "the host is none of mx.far.test"),
            (found.problem, found.result, found.reason),
        )

    def test_policy_that_cannot_be_had(self) -> None:
        """Then it goes as if there were none, but not silently."""
        missed = StsFound(None, "sts-webpki-invalid", "certificate verify failed")
        found = self.host(self.make(NOTHING, sts=missed))
        self.assertEqual(("may", "sts", "sts-webpki-invalid"), (found.level, found.policy, found.result))
        self.assertIn("cannot be had (certificate verify failed)", found.words)

    def test_require(self) -> None:
        """What is published may raise ``relay.tls``, and never lowers it."""
        testing = StsPolicy("testing", 86400, ("mx.far.test",))
        self.assertEqual("encrypt", self.host(self.make(NOTHING, sts=testing, usual="require")).level)
        self.assertEqual("dane", self.host(self.make(usual="require")).level)
        for usual in ("verify", "implicit", "never"):
            self.assertIsNone(self.demand(self.make(sts=ENFORCE, usual=usual)), usual)
            self.assertEqual([], self.resolver.asked)

    def test_own_demand(self) -> None:
        """A demand of ours decides alone."""
        for level in ("may", "encrypt", "verify"):
            demands = self.make(sts=OTHER, rules=(("*", "dane"), ("far.test", level)))
            found = self.host(demands)
            self.assertEqual((level, "no-policy-found"), (found.level, found.policy))
            self.assertEqual([], self.resolver.asked)

    def test_shaped_demand(self) -> None:
        """What a [[shape]] demands counts where no [[tls_policy]] does."""
        shaped = TlsDemand("encrypt", "shape for *")
        self.assertIs(shaped, self.make(sts=OTHER).demand("far.test", shaped))
        ruled = self.make(rules=(("far.test", "may"),))
        self.assertEqual("may", cast(TlsDemand, ruled.demand("far.test", shaped)).level)
        self.assertEqual(ruled.configured("far.test"), ruled.demand("far.test", shaped))
        self.assertIsNone(ruled.configured("other.test"))
        demands = self.make()
        answer = demands.demand("far.test", TlsDemand("dane", "shape for *"))
        demand = self.successResultOf(Deferred.fromCoroutine(settle(answer)))
        assert demand is not None
        self.assertEqual((True, "dane by shape for *"), (demand.dane, demand.words))

    def test_dane_demanded(self) -> None:
        rules = (("far.test", "dane"),)
        found = self.host(self.make(rules=rules))
        self.assertEqual(("dane by tls_policy for far.test", ""), (found.words, found.problem))
        table: list[tuple[Table, str, str]] = [
            (NOTHING, "the MX records of far.test are not validated", "dane-required"),
            ({("mx.far.test", "A"): (["192.0.2.1"], False)}, "addresses of mx.far.test", "dane-required"),
            ({(BASE, "TLSA"): ([], True)}, "has no TLSA record", "dane-required"),
            ({(BASE, "TLSA"): ([UNUSABLE], True)}, "is usable", "tlsa-invalid"),
        ]
        for changes, problem, result in table:
            found = self.host(self.make(changes, sts=ENFORCE, rules=rules))
            self.assertIn(problem, found.problem)
            self.assertEqual(("dane", "tlsa", result), (found.level, found.policy, found.result))

    def test_dane_demanded_of_a_host(self) -> None:
        """A smarthost has no MX records that could be forged."""
        demands = self.make(rules=(("mx.far.test", "dane"),))
        self.assertEqual("dane", self.host(demands, next_hop="mx.far.test:25").level)
        self.assertNotIn(("far.test", "MX"), self.resolver.asked)
        self.assertIsNone(self.demand(self.make(), "mx.far.test:25"))

    def test_sts_demanded(self) -> None:
        rules = (("far.test", "mta-sts"),)
        for mode in ("enforce", "testing"):
            policy = StsPolicy(cast(Any, mode), 86400, ("mx.far.test",))
            demands = self.make(sts=policy, rules=rules)
            found = self.host(demands)
            self.assertEqual(("mta-sts", ""), (found.level, found.problem))
            self.assertIn("none of mx.far.test", self.host(demands, "mx.evil.test").problem)
        for missed, result in (
            (StsFound(problem="no record"), "sts-policy-fetch-error"),
            (StsFound(None, "sts-policy-invalid", "no policy"), "sts-policy-invalid"),
        ):
            demand = self.demand(self.make(sts=missed, rules=rules))
            assert demand is not None
            self.assertEqual((missed.problem, result), (demand.problem, demand.result))

    def test_remembered(self) -> None:
        """Most messages need not wait."""
        for changes in (None, NOTHING):
            demands = self.make(changes)
            demand = self.demand(demands)
            asked = len(self.resolver.asked)
            self.assertIs(demand, demands.demand("far.test"))
            self.clock.advance(REMEMBERED)
            self.demand(demands)
            self.assertGreater(len(self.resolver.asked), asked)
            demands.use([TlsPolicy(domain=["*"], demand="may")])
            self.assertEqual("may", cast(TlsDemand, demands.demand("far.test")).level)

    def test_keys(self) -> None:
        """Names are spelt as the DNS has them."""
        demands = self.make(NOTHING)
        self.assertIsNone(self.demand(demands, "FAR.test"))
        self.assertIn(("far.test", "MX"), self.resolver.asked)
        self.assertEqual("far.test", self.host(demands, next_hop="FAR.test").domain)
