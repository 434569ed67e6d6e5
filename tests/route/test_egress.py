"""Who picks the pool, and which sources it has."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Egress as Table
from mta.config.settings import EgressPool, Shape
from mta.model.egress import Source
from mta.route.egress import Egress
from mta.route.shaping import Shaping

GOOGLE = ("alt1.gmail-smtp-in.l.google.com",)


class SettingsTests(SynchronousTestCase):
    def test_mistakes(self) -> None:
        for settings in (
            {"name": "a"},
            {"name": "a", "ipv4": "2001:db8::1"},
            {"name": "a", "ipv6": "192.0.2.1"},
            {"name": "a", "ipv4": "mail.example.org"},
            {"name": "a b", "ipv4": "192.0.2.1"},
            {"name": "a", "ipv4": "192.0.2.1", "helo": "no domain"},
        ):
            self.assertRaises(ValidationError, Table.model_validate, settings)
        for pool in ({"name": "p", "sources": {}}, {"name": "p", "sources": {"a": 0}}):
            self.assertRaises(ValidationError, EgressPool.model_validate, pool)
        self.assertRaises(ValidationError, Shape.model_validate, {"source": ["a"], "egress": "p"})


class ChoiceTests(SynchronousTestCase):
    def egress(self, *pools: dict[str, Any], shapes: list[dict[str, Any]] | None = None) -> Egress:
        sources = [Table(name=name, ipv4=f"192.0.2.{number}") for number, name in enumerate("abc", 1)]
        shaping = Shaping([Shape(**one) for one in shapes or ()])
        return Egress(shaping, sources, [EgressPool(**pool) for pool in pools])

    def pool(self, egress: Egress, sender: str = "x@y.test", tenant: str = "", hosts: Any = GOOGLE) -> str:
        choice = egress.choose("relay", "gmail.com", hosts, "Q1", sender, tenant)
        return "" if choice is None else choice.pool

    def test_nothing(self) -> None:
        egress = self.egress({"name": "p", "sources": {"a": 1}})
        self.assertEqual("", self.pool(egress))
        self.assertEqual((True, False), (egress.covers("relay"), egress.covers("lmtp")))

    def test_order(self) -> None:
        """The sender, then a table about the tenant, the tenant, and at last where it goes."""
        egress = self.egress(
            {"name": "site", "sources": {"a": 1}},
            {"name": "both", "sources": {"a": 1}},
            {"name": "tenant", "sources": {"a": 1}, "tenant": ["ac*"]},
            {"name": "sender", "sources": {"a": 1}, "sender": ["*@News.test", "<>"]},
            shapes=[
                {"mx": ["*.google.com"], "egress": "site"},
                {"mx": ["*.google.com"], "tenant": ["acme"], "egress": "both"},
            ],
        )
        self.assertEqual("site", self.pool(egress))
        self.assertEqual("", self.pool(egress, hosts=()))
        self.assertEqual("tenant", self.pool(egress, tenant="acted"))
        self.assertEqual("tenant", self.pool(egress, tenant="acme", hosts=("mx.x.test",)))
        self.assertEqual("both", self.pool(egress, tenant="acme"))
        self.assertEqual("sender", self.pool(egress, "Bulk@news.TEST", tenant="acme"))
        self.assertEqual("sender", self.pool(egress, ""))

    def test_sources(self) -> None:
        egress = self.egress({"name": "p", "sources": {"a": 1, "b": 1}, "sender": ["*"]})
        choice = egress.choose("relay", "x.test", (), "Q1", "x@y.test", "")
        assert choice is not None
        found = {Source("a", "192.0.2.1"), Source("b", "192.0.2.2")}
        self.assertEqual((2, found), (len(choice.sources), set(choice.sources)))
        self.assertEqual(choice, egress.choose("relay", "x.test", (), "Q1", "x@y.test", ""))

    def test_other_transports(self) -> None:
        egress = self.egress({"name": "p", "sources": {"a": 1}, "sender": ["*"], "transport": ["out"]})
        self.assertIsNone(egress.choose("relay", "x.test", (), "Q1", "x@y.test", ""))
        self.assertIsNotNone(egress.choose("out", "x.test", (), "Q1", "x@y.test", ""))
