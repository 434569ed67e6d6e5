"""Endpoints as they are kept."""

from __future__ import annotations

import stat

from mta.interfaces import settle
from mta.registry.administration import Administration
from mta.registry.database import finished
from mta.registry.endpoints import Endpoint, NoEndpoint, checked_url
from mta.registry.tenants import Tenant
from tests.registry.test_nouns import NOW, NounCase


class EndpointTests(NounCase):
    def create(self, tenant: str = "shop") -> Endpoint:
        return finished(self.registry.endpoints.create(tenant, "https://app.example/hooks", NOW))

    def test_kept(self) -> None:
        made = self.create()
        store = self.registry.endpoints
        self.assertEqual(made, finished(store.get("shop", made.id)))
        self.assertEqual({made.id: made}, finished(settle(store.known())))
        with self.assertRaises(NoEndpoint):
            finished(store.get("other", made.id))
        changed = finished(store.change("shop", made.id, enabled=False, disabled="it is gone"))
        self.assertEqual(
            (False, "it is gone", made.secrets), (changed.enabled, changed.disabled, changed.secrets)
        )
        finished(store.remove("shop", made.id))
        self.assertEqual([], finished(store.of("shop")))
        self.assertEqual(0o600, stat.S_IMODE(self.file.stat().st_mode))

    def test_secrets_rotate_with_an_overlap(self) -> None:
        made = self.create()
        (first,) = made.signing(NOW)
        changed = finished(self.registry.endpoints.rotate("shop", made.id, NOW, 60.0))
        second = changed.secrets[0].octets
        self.assertEqual([second, first], changed.signing(NOW + 59))
        self.assertEqual([second], changed.signing(NOW + 60))
        changed = finished(self.registry.endpoints.rotate("shop", made.id, NOW + 61, 0.0))
        self.assertEqual(1, len(changed.secrets))
        self.assertNotIn(repr(changed.secrets[0].octets), repr(changed))
        self.assertTrue(changed.secrets[0].text.startswith("whsec_"))

    def test_filters(self) -> None:
        for events, tags, kind, given, wanted in (
            (("*",), (), "message.failed", (), True),
            (("message.*",), (), "message.failed", (), True),
            (("message.*",), (), "suppression.changed", (), False),
            (("message.opened",), (), "message.failed", (), False),
            (("*",), ("news",), "message.failed", ("news", "x"), True),
            (("*",), ("news",), "message.failed", (), False),
        ):
            one = Endpoint("we_1", "shop", "https://a.example/", events, tags)
            self.assertEqual(wanted, one.wants(kind, given), f"{events} {tags} {kind} {given}")

    def test_urls(self) -> None:
        for given, url in (
            ("https://app.example", "https://app.example/"),
            ("https://App.example:8443/a?b=c", "https://app.example:8443/a?b=c"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("http://[::1]:80/x", "http://[::1]:80/x"),
        ):
            self.assertEqual(url, checked_url(given))
        for given in (
            "",
            "ftp://app.example/",
            "https:///x",
            "https://user:secret@app.example/",
            "https://app.example/#x",
            "https://app.example:0/",
            "https://app.example:99999/",
            "https://app.example/ x",
            "https://app.example/\r\nX: y",
            "https://app.example/é",
            "https://" + "a" * 2000,
        ):
            with self.assertRaises(ValueError, msg=given) as caught:
                checked_url(given)
            self.assertNotIn("secret", str(caught.exception))

    def test_not_too_many(self) -> None:
        for _ in range(50):
            self.create()
        with self.assertRaisesRegex(ValueError, "there may be 50"):
            self.create()
        self.create("other")

    def test_gone_with_its_tenant(self) -> None:
        registry = self.registry
        finished(registry.tenants.add(Tenant("shop", NOW)))
        self.create()
        finished(registry.verifications.add("shop", "shop.example", NOW))
        administration = Administration(registry, lambda: NOW, lambda event: None)
        finished(administration.act("tenant-remove", {"tenant": "shop"}))
        self.assertEqual([], finished(registry.endpoints.of("shop")))
        self.assertEqual([], finished(registry.verifications.of("shop")))
