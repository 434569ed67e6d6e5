"""Who may say what of a message."""

from __future__ import annotations

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Submission
from mta.intake.labels import Labels, label, priority


class LabelsTests(SynchronousTestCase):
    def test_ceilings(self) -> None:
        """The account counts before its domain, and that before all; nobody has more than 0 by default."""
        ceilings = {"Ann@shop.test": 9, "@SHOP.test": 4, "*": 1, "root": -1}
        for table, account, ceiling in (
            ({}, "ann@shop.test", 0),
            ({}, "", 0),
            (ceilings, "ann@shop.test", 9),
            (ceilings, "ANN@Shop.Test", 9),
            (ceilings, "bob@shop.test", 4),
            (ceilings, "bob@far.test", 1),
            (ceilings, "root", -1),
            (ceilings, "guest", 1),
            (ceilings, "", 0),
            ({"*": -3}, "", -3),
        ):
            labels = Labels(Submission(priority_ceilings=table))
            self.assertEqual(ceiling, labels.ceiling(account), f"{table} {account}")

    def test_tenants(self) -> None:
        tenants = {"ann@shop.test": "vip", "@shop.test": "shop"}
        for believed, account, claimed, tenant in (
            ([], "ann@shop.test", "", "vip"),
            ([], "bob@shop.test", "bank", "shop"),
            ([], "bob@far.test", "bank", ""),
            (["@far.test"], "bob@far.test", "bank", "bank"),
            (["@far.test"], "bob@far.test", "", ""),
            (["*"], "bob@shop.test", "bank", "bank"),
            (["bob@shop.test"], "bob@shop.test", "", "shop"),
        ):
            labels = Labels(Submission(tenants=tenants, tenant_field_from=believed))
            self.assertEqual(tenant, labels.tenant(account, claimed), f"{believed} {account} {claimed}")

    def test_fields(self) -> None:
        self.assertEqual((), Labels(None).fields)
        names = [name for name, _ in Labels(Submission(priorities=False)).fields]
        self.assertEqual(["tenant", "campaign", "tags", "metadata", "track", "unsubscribe", "send_at"], names)
        without = Labels(Submission(options=False, tenant_field="", priorities=False))
        self.assertEqual(["campaign"], [name for name, _ in without.fields])

    def test_values(self) -> None:
        self.assertEqual("a b", label(b" a\tb\r\n"))
        self.assertEqual(100, len(label(b"x" * 200)))
        for text, value in (
            ("9", 9),
            ("-9", -9),
            ("0", 0),
            ("-0", None),
            ("+1", None),
            ("10", None),
            ("", None),
        ):
            self.assertEqual(value, priority(text), text)

    def test_mistakes(self) -> None:
        for table in (
            {"priority_ceilings": {"ann@shop.test": 10}},
            {"priority_ceilings": {"a b": 1}},
            {"priority_ceilings": {"@": 1}},
            {"tenants": {"@*.test": "x"}},
            {"tenants": {"ann": ""}},
            {"tenants": {"ann": "a\nb"}},
            {"tenant_field_from": [""]},
            {"priority_field": "X Field"},
        ):
            self.assertRaises(ValidationError, Submission, **table)
