"""Which [[tls_policy]] tables fit a next hop."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import TlsPolicy
from mta.model.tls_demand import TlsDemand
from mta.route.tls_demands import TlsDemands


def policy(domain: list[str], demand: Any = "verify", **settings: Any) -> TlsPolicy:
    return TlsPolicy(domain=domain, demand=demand, **settings)


class TlsDemandsTests(SynchronousTestCase):
    def test_last_counts(self) -> None:
        demands = TlsDemands(
            [policy(["*"], "may"), policy(["*.bank.test", "Bank.Test."]), policy(["x.test"])]
        )
        for next_hop, words in (
            ("far.test", "may by tls_policy for *"),
            ("BANK.test", "verify by tls_policy for bank.test"),
            ("a.b.bank.test", "verify by tls_policy for *.bank.test"),
            ("x.test", "verify by tls_policy for x.test"),
            ("[x.test]:25", "verify by tls_policy for x.test"),
            ("x.test:2525", "verify by tls_policy for x.test"),
            ("notbank.test", "may by tls_policy for *"),
        ):
            demand = demands.demand(next_hop)
            assert isinstance(demand, TlsDemand)
            self.assertEqual(words, demand.words)

    def test_none(self) -> None:
        demands = TlsDemands([policy(["bank.test", "xn--bcher-kva.test", "192.0.2.1"])])
        for next_hop in ("far.test", "a.bank.test", "unix:/run/x", "", "[192.0.2.2]"):
            self.assertIsNone(demands.demand(next_hop), next_hop)
        for next_hop in ("bücher.test", "[192.0.2.1]:26", "192.0.2.1"):
            self.assertIsNotNone(demands.demand(next_hop), next_hop)
        demands.use([])
        self.assertIsNone(demands.demand("bank.test"))

    def test_hosts(self) -> None:
        demand = TlsDemands([policy(["a.test"], mx=["*.A.test.", "b.test"])]).demand("a.test")
        assert isinstance(demand, TlsDemand)
        for host, admitted in (
            ("mx.a.test", True),
            ("MX.A.TEST.", True),
            ("b.test", True),
            ("a.test", False),
        ):
            self.assertEqual(admitted, demand.admits(host), host)

    def test_mistakes(self) -> None:
        for settings in (
            {"demand": "may"},
            {"domain": [], "demand": "may"},
            {"domain": ["a.test"]},
            {"domain": ["a.test"], "demand": "secure"},
            {"domain": ["a.test"], "demand": "encrypt", "mx": ["*.a.test"]},
        ):
            self.assertRaises(ValidationError, lambda settings=settings: TlsPolicy(**settings))
