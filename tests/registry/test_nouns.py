"""Tenants, keys and domains as they are kept."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import settle
from mta.model.event import Event
from mta.registry.administration import Administration, Refused
from mta.registry.database import finished
from mta.registry.domains import DomainTaken, NoDomain
from mta.registry.keys import NoKey, matching
from mta.registry.registry import Registry, direct
from mta.registry.tenants import NoTenant, Tenant

NOW = 1_800_000_000.0


class NounCase(SynchronousTestCase):
    def setUp(self) -> None:
        state = Path(self.mktemp())
        state.mkdir()
        database = direct(state)
        self.file = state / "registry.db"
        self.addCleanup(database.close)
        self.registry = Registry(database, ["example.org"])


class TenantTests(NounCase):
    def test_default_exists_always(self) -> None:
        tenants = self.registry.tenants
        self.assertEqual({"default"}, set(finished(settle(tenants.all()))))
        with self.assertRaisesRegex(ValueError, "exists always"):
            finished(tenants.remove("default"))

    def test_kept(self) -> None:
        tenants = self.registry.tenants
        finished(tenants.add(Tenant("shop", NOW, 5.0, 100, settings={"opens": True})))
        finished(tenants.change("shop", per_day=7, settings={"clicks": False}))
        found = finished(settle(tenants.all()))["shop"]
        self.assertEqual(Tenant("shop", NOW, 5.0, 7, "", {"opens": True, "clicks": False}), found)
        with self.assertRaisesRegex(ValueError, "a tenant shop already"):
            finished(tenants.add(Tenant("shop")))
        finished(tenants.remove("shop"))
        with self.assertRaises(NoTenant):
            finished(tenants.change("shop", per_day=1))

    def test_names(self) -> None:
        for name in ("", "A", "-a", "a b", "a/b", "x" * 64, "ä"):
            with self.assertRaises(ValueError, msg=name):
                finished(self.registry.tenants.add(Tenant(name)))


class KeyTests(NounCase):
    def create(self, tenant: str = "default", scopes: tuple[str, ...] = ("keys",), expires: float = 0.0):
        return finished(self.registry.keys.create(tenant, "name", scopes, NOW, expires))

    def match(self, text: str, now: float = NOW):
        return matching(finished(settle(self.registry.keys.known())), text, now)

    def test_only_the_whole_text_fits(self) -> None:
        key, text = self.create()
        self.assertRegex(text, r"\Amk_[0-9a-z]{12}_[0-9A-Za-z]{43}\Z")
        self.assertEqual(key, self.match(text))
        _, other_text = self.create()
        mixed = f"mk_{key.id}_{other_text.split('_')[2]}"
        for wrong in ("", text[:-1], text + "0", mixed, f"mk_{'0' * 12}_{text.split('_')[2]}", text.upper()):
            self.assertIsNone(self.match(wrong), wrong)

    def test_the_secret_is_not_kept(self) -> None:
        key, text = self.create()
        secret = text.split("_")[2].encode()
        for file in self.file.parent.iterdir():
            self.assertNotIn(secret, file.read_bytes())
        self.assertNotIn(text.split("_")[2], repr(key))

    def test_expires(self) -> None:
        _, text = self.create(expires=NOW + 10)
        self.assertIsNotNone(self.match(text, NOW + 9))
        self.assertIsNone(self.match(text, NOW + 10))

    def test_rotation(self) -> None:
        """Both are good while they overlap; a rotation never lengthens a life."""
        key, text = self.create(scopes=("keys", "domains"))
        new, new_text = finished(self.registry.keys.rotate("default", key.id, NOW, 60))
        self.assertEqual((key.scopes, key.name, key.id), (new.scopes, new.name, new.replaces))
        self.assertIsNotNone(self.match(text, NOW + 59))
        self.assertIsNone(self.match(text, NOW + 60))
        self.assertEqual(new, self.match(new_text, NOW + 61))
        short, short_text = self.create(expires=NOW + 5)
        finished(self.registry.keys.rotate("default", short.id, NOW, 60))
        self.assertIsNone(self.match(short_text, NOW + 5))
        with self.assertRaises(NoKey):
            finished(self.registry.keys.rotate("default", short.id, NOW + 6, 60))

    def test_tenants_apart(self) -> None:
        key, text = self.create("one")
        keys = self.registry.keys
        self.assertEqual([], finished(keys.of("two")))
        for act in (keys.get("two", key.id), keys.revoke("two", key.id), keys.rotate("two", key.id, NOW, 0)):
            with self.assertRaises(NoKey):
                finished(act)
        finished(keys.revoke("one", key.id))
        self.assertIsNone(self.match(text))

    def test_scopes(self) -> None:
        key, _ = self.create(scopes=("messages:read",))
        self.assertTrue(key.may("messages:read"))
        self.assertFalse(key.may("messages:send"))
        self.assertTrue(self.create(scopes=("admin",))[0].may("messages:send"))
        for wrong in ((), ("mail",)):
            with self.assertRaises(ValueError):
                self.create(scopes=wrong)


class DomainTests(NounCase):
    def belongs(self, tenant: str, name: str) -> bool:
        domains = self.registry.domains
        return domains.belongs(finished(settle(domains.known())), tenant, name)

    def test_whose(self) -> None:
        """Those of the configuration are the default tenant's, unless they were given away."""
        domains = self.registry.domains
        self.assertTrue(self.belongs("default", "example.org"))
        self.assertFalse(self.belongs("shop", "example.org"))
        finished(domains.add("shop", "example.org", NOW))
        finished(domains.add("shop", "shop.example", NOW))
        self.assertFalse(self.belongs("default", "example.org"))
        self.assertEqual(["example.org", "shop.example"], [one.name for one in finished(domains.of("shop"))])
        with self.assertRaises(DomainTaken):
            finished(domains.add("other", "shop.example", NOW))
        with self.assertRaises(NoDomain):
            finished(domains.remove("other", "shop.example"))
        finished(domains.remove("shop", "example.org"))
        self.assertTrue(self.belongs("default", "example.org"))


class AdministrationTests(NounCase):
    """What the command asks, as the server does it."""

    def setUp(self) -> None:
        super().setUp()
        self.noted: list[Event] = []
        self.administration = Administration(self.registry, lambda: NOW, self.noted.append)

    def act(self, action: str, **request):
        return finished(self.administration.act(action, request))

    def test_whole_way(self) -> None:
        self.act("tenant-add", tenant="shop", domains=["Shop.Example", "münchen.example"], by="root")
        answer = self.act("key-create", tenant="shop", scopes=["messages:send"], by="root")
        told = [(one.action, one.tenant, one.target, one.by) for one in self.noted]
        self.assertIn(("domain add", "shop", "xn--mnchen-3ya.example", "root"), told)
        self.assertIn(("key create", "shop", answer["id"], "root"), told)
        self.assertNotIn(answer["key"].split("_")[2], repr(self.noted))
        tenants = {one["tenant"]: one for one in self.act("tenant-list")["tenants"]}
        self.assertEqual(1, tenants["shop"]["keys"])
        self.assertEqual(["example.org"], tenants["default"]["domains"])
        with self.assertRaisesRegex(Refused, "1 keys and 2 domains still"):
            self.act("tenant-remove", tenant="shop")
        # A whole key may be pasted where its id is asked for.
        self.act("key-revoke", tenant="shop", id=answer["key"])
        self.assertEqual([], self.act("key-list", tenant="shop")["keys"])
        self.act("tenant-set", tenant="default", per_day=10, suspended="audit")
        self.assertEqual(
            10, {one["tenant"]: one for one in self.act("tenant-list")["tenants"]}["default"]["per_day"]
        )

    def test_refusals(self) -> None:
        for words, action, request in (
            ("no tenant nobody", "key-create", {"tenant": "nobody", "scopes": ["keys"]}),
            ("no key xyz", "key-revoke", {"id": "xyz"}),
            ("no scope 'mail'", "key-create", {"scopes": ["mail"]}),
            ("is no domain", "domain-add", {"domain": "a..b"}),
            ("per_day", "tenant-add", {"tenant": "shop", "per_day": -1}),
            ("colour", "tenant-list", {"colour": "red"}),
        ):
            with self.assertRaisesRegex(Refused, words, msg=action):
                self.act(action, **request)
        with self.assertRaises(LookupError):
            self.act("key-eat")
