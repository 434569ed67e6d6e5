"""Which [[shape]] tables fit, what they come to, and how workers share it."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from mta.config.providers import provider_shapes
from mta.config.settings import Shape
from mta.model.limits import NO_LIMITS, Gate, Limits
from mta.route.shaping import Shaping

GOOGLE = ("alt1.gmail-smtp-in.l.google.com", "gmail-smtp-in.l.google.com")


def shape(**settings: Any) -> Shape:
    return Shape(**settings)


class SettingsTests(SynchronousTestCase):
    def test_rates(self) -> None:
        found = shape(messages=["10/s", "500 / 10m", "1000/H", "3/2d"]).messages
        self.assertEqual([(10, 1.0), (500, 600.0), (1000, 3600.0), (3, 172800.0)], found)

    def test_mistakes(self) -> None:
        for settings in (
            {},
            {"messages": ["10"]},
            {"messages": ["0/s"]},
            {"messages": ["10/0s"]},
            {"messages": [10]},
            {"connections": -1},
        ):
            self.assertRaises(ValidationError, lambda settings=settings: shape(**settings))


class ShapingTests(SynchronousTestCase):
    def test_nothing(self) -> None:
        shaping = Shaping()
        self.assertIs(NO_LIMITS, shaping.limits("relay", "x.test", ()))
        self.assertEqual(((), False), (shaping.gates("relay", "x.test", (), ""), shaping.has_gates("relay")))

    def test_the_last_that_has_a_setting(self) -> None:
        shaping = Shaping(
            [
                shape(connections=20, messages=["100/s"]),
                shape(mx=["*.google.com"], messages=["10/s"]),
                shape(mx=["*.outlook.com"], connections=2),
            ]
        )
        self.assertEqual(Limits(20, 0, ((10, 1.0),)), shaping.limits("relay", "gmail.com", GOOGLE))
        self.assertEqual(Limits(20, 0, ((100, 1.0),)), shaping.limits("relay", "x.test", ("mx.x.test",)))
        self.assertIs(NO_LIMITS, shaping.limits("maildir", "/var/mail/x", ()))

    def test_connections_of_domains(self) -> None:
        """They count for the site, and the smallest counts."""
        shaping = Shaping([shape(connections=8), shape(domain=["A.test", "*.b.test"], connections=3)])
        self.assertEqual(3, shaping.limits("relay", "a.test", ()).connections)
        self.assertEqual(3, shaping.limits("relay", "x.b.test", ()).connections)
        self.assertEqual(8, shaping.limits("relay", "b.test", ()).connections)
        self.assertEqual(8, shaping.limits("relay", "c.test", ()).connections)

    def test_rates_of_domains_and_tenants(self) -> None:
        """Each domain has its own; a tenant's is one for all sites, unless it names some."""
        shaping = Shaping(
            [
                shape(domain=["*.test"], messages=["5/m"]),
                shape(tenant=["acme"], recipients=["100/h"]),
                shape(tenant=["*"], mx=["*.google.com"], messages=["1/s"]),
            ]
        )
        self.assertTrue(shaping.has_gates("relay"))
        gates = shaping.gates("relay", "x.test", ("mx.x.test",), "acme")
        self.assertEqual(
            (Gate(("0", "", "x.test"), ((5, 60.0),)), Gate(("1", "acme", ""), (), ((100, 3600.0),))), gates
        )
        self.assertEqual(
            [("1", "acme", ""), ("2", "acme", "")],
            [gate.key for gate in shaping.gates("relay", "gmail.com", GOOGLE, "acme")],
        )

    def test_retry(self) -> None:
        """Of the last table that fits and has one."""
        shaping = Shaping(
            [
                shape(retry=["10m"]),
                shape(mx=["*.google.com"], retry=["1m", "2m"]),
                shape(domain=["gmail.com"], tenant=["acme"], retry=["5s"]),
            ]
        )
        for next_hop, hosts, tenant, expected in (
            ("x.test", (), "", [600.0]),
            ("gmail.com", GOOGLE, "", [60.0, 120.0]),
            ("gmail.com", GOOGLE, "acme", [5.0]),
        ):
            self.assertEqual(expected, shaping.retry("relay", next_hop, hosts, tenant))
        self.assertEqual((), shaping.retry("maildir", "/x", (), ""))

    def test_workers(self) -> None:
        """All together keep what the tables say."""
        shaping = Shaping([shape(connections=5, messages=["10/s", "3/h"])], 4)
        limits = shaping.limits("relay", "x.test", ())
        self.assertEqual(Limits(1, 0, ((2, 1.0), (1, 4800.0))), limits)


class ProvidersTests(SynchronousTestCase):
    def test_theirs_then_ours(self) -> None:
        """What a provider is known for holds, until the operator says otherwise."""
        yahoo = ("mta5.am0.yahoodns.net",)
        shaping = Shaping(provider_shapes())
        self.assertEqual((5, 20), (shaping.limits("relay", "yahoo.com", yahoo).connections, 20))
        self.assertIs(NO_LIMITS, shaping.limits("relay", "example.org", ("mx.example.org",)))
        shaping = Shaping([*provider_shapes(), shape(mx=["*.yahoodns.net"], connections=8)])
        limits = shaping.limits("relay", "yahoo.com", yahoo)
        self.assertEqual((8, 20), (limits.connections, limits.messages_per_connection))
