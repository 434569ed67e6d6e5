"""Claims of tenants to domains, and what the DNS says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.api.v1.domains import domain_name, why_not
from mta.config.loading import load
from mta.dkim.key_store import KeyStore
from mta.interfaces import NoSuchDomain, TemporarilyUnavailable, settle
from mta.model.event_domain import DomainChecked
from mta.model.resolver import Validated
from mta.registry.database import finished
from mta.registry.registry import Registry, direct
from mta.registry.verifications import NoClaim, Verification
from mta.verifying import DomainWatch
from tests.e2e.toml import dump

NOW = 1_800_000_000.0
DAY = 86400.0


class Zone:
    """A DNS that says what a test wants."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.hosts: dict[str, list[str]] = {"mx.example.org": ["192.0.2.25"]}
        self.exchangers: dict[str, list[tuple[int, str]]] = {}
        self.down = False

    async def text(self, name: str) -> Sequence[bytes]:
        return [text.encode() for text in self.found(self.texts, name)]

    async def addresses(self, host: str) -> Sequence[str]:
        return self.found(self.hosts, host)

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        return self.found(self.exchangers, domain)

    async def validated(self, name: str, kind: str) -> Validated:
        if self.down:
            raise TemporarilyUnavailable("no server of the DNS answers")
        values: list[Any] = []
        if kind == "TXT":
            values = [text.encode() for text in self.texts.get(name, [])]
        elif kind == "A":
            values = self.hosts.get(name, [])
        return Validated(values, False, name)

    def found(self, table: dict[str, list[Any]], name: str) -> list[Any]:
        if self.down:
            raise TemporarilyUnavailable("no server of the DNS answers")
        if name not in table:
            raise NoSuchDomain(name)
        return table[name]


class VerifyingCase(SynchronousTestCase):
    def setUp(self) -> None:
        base = Path(self.mktemp()).absolute()
        (base / "state").mkdir(parents=True)
        file = base / "mta.toml"
        file.write_text(
            dump(
                {
                    "hostname": "mx.example.org",
                    "state": str(base / "state"),
                    "domains": {"example.org": {}},
                    "api": {"url": "https://mx.example.org"},
                    "feedback": {"verp": {"shop.example": "bounces.shop.example"}},
                }
            )
        )
        loaded = load(file)
        database = direct(loaded.state)
        self.addCleanup(database.close)
        self.registry = Registry(database, ["example.org"])
        self.clock: Any = Clock()
        self.clock.advance(NOW)
        self.clock.callFromThread = lambda function, *args: function(*args)
        self.zone = Zone()
        self.events: list[Any] = []
        self.changed = 0
        self.store = KeyStore(loaded.state)
        self.watch = DomainWatch(
            self.clock,
            loaded,
            self.registry,
            self.zone,  # type: ignore[arg-type]
            note=self.events.extend,
            run_in_thread=lambda function, *args: succeed(function(*args)),
            keys_changed=self.keys_changed,
            rounds=True,
        )

    def keys_changed(self) -> None:
        self.changed += 1

    def claim(self, tenant: str = "shop", domain: str = "shop.example", **more: Any) -> Verification:
        return finished(self.watch.claim(tenant, domain, **more))

    def check(self, claim: Verification) -> Verification:
        self.clock.advance(60)
        found: Verification = self.successResultOf(
            _deferred(self.watch.check(finished(self.registry.verifications.get(claim.tenant, claim.domain))))
        )
        return found

    def publish(self, claim: Verification, *purposes: str) -> None:
        for record in claim.records:
            if record.purpose in purposes:
                self.zone.texts[record.name] = [record.value]

    def is_given(self, tenant: str = "shop", domain: str = "shop.example") -> bool:
        return finished(self.watch.is_given(tenant, domain))

    def why(self, tenant: str = "shop", domain: str = "shop.example") -> str:
        return finished(why_not(self.registry, tenant, domain, ["ownership", "dkim"]))


def _deferred(coroutine: Any) -> Any:
    from twisted.internet.defer import ensureDeferred

    return ensureDeferred(coroutine)


class VerifyingTests(VerifyingCase):
    def test_from_a_claim_to_signed_mail(self) -> None:
        claim = self.claim()
        self.assertEqual(
            ["ownership", "dkim", "dkim", "return_path", "spf", "dmarc"],
            [record.purpose for record in claim.records],
        )
        self.assertFalse(self.is_given())
        self.assertIn("is not verified yet", self.why())
        self.check(claim)
        self.assertRegex(
            self.why(), r"the ownership record is missing .* publish _mta.shop.example TXT mta-dom"
        )
        self.publish(claim, "ownership")
        self.check(claim)
        self.assertRegex(self.why(), r"the dkim record is missing .*_domainkey.shop.example TXT v=DKIM1")
        self.assertFalse(self.is_given())
        self.publish(claim, "dkim")
        found = self.check(claim)
        self.assertTrue(self.is_given())
        self.assertEqual([], found.lacking(["ownership", "dkim"]))
        self.assertEqual({("shop", "active")}, {(key.tenant, key.state) for key in self.store.stored()})
        self.assertEqual(1, self.changed)
        self.assertEqual(["verified"], [event.action for event in self.events])

    def test_another_key_is_wrong(self) -> None:
        claim = self.claim()
        self.publish(claim, "ownership", "dkim")
        name = next(record.name for record in claim.records if record.purpose == "dkim")
        self.zone.texts[name] = ["v=DKIM1; k=rsa; p=AAAA"]
        found = self.check(claim)
        states = {record.name: (record.state, record.said) for record in found.records}
        self.assertEqual(("wrong", "another record is there: v=DKIM1; k=rsa; p=AAAA"), states[name])
        self.assertFalse(self.is_given())

    def test_a_claim_keeps_nobody_out(self) -> None:
        squatter = self.claim("squatter")
        claim = self.claim()
        token = next(record.value for record in squatter.records if record.purpose == "ownership")
        self.assertNotIn(token, [record.value for record in claim.records])
        self.publish(claim, "ownership", "dkim")
        self.check(squatter)
        self.check(claim)
        self.assertEqual((True, False), (self.is_given(), self.is_given("squatter")))
        # Whoever can publish, too, is told that somebody has it.
        name = next(record.name for record in squatter.records if record.purpose == "ownership")
        self.zone.texts[name].append(token)
        self.publish(squatter, "dkim")
        found = self.check(squatter)
        self.assertFalse(self.is_given("squatter"))
        self.assertIn("another tenant", next(one.said for one in found.records if one.purpose == "ownership"))

    def test_lost_after_a_while_and_not_for_a_dns_that_is_down(self) -> None:
        claim = self.claim()
        self.publish(claim, "ownership", "dkim")
        self.check(claim)
        self.zone.down = True
        self.clock.advance(10 * DAY)
        self.check(claim)
        self.assertTrue(self.is_given())
        self.zone.down = False
        del self.zone.texts["_mta.shop.example"]
        self.check(claim)
        self.clock.advance(2 * DAY)
        self.check(claim)
        self.assertTrue(self.is_given())
        self.clock.advance(1.5 * DAY)
        self.check(claim)
        self.assertFalse(self.is_given())
        actions = [event.action for event in self.events if isinstance(event, DomainChecked)]
        self.assertEqual(["verified", "failing", "revoked"], actions)
        self.assertEqual(["_mta.shop.example"], self.events[-1].lacking)

    def test_mended_in_time(self) -> None:
        claim = self.claim()
        self.publish(claim, "ownership", "dkim")
        self.check(claim)
        kept = self.zone.texts.pop("_mta.shop.example")
        self.check(claim)
        self.zone.texts["_mta.shop.example"] = kept
        self.clock.advance(DAY)
        self.assertEqual(0.0, self.check(claim).failing)
        self.clock.advance(30 * DAY)
        self.check(claim)
        self.assertTrue(self.is_given())

    def test_what_the_operator_gave_stays(self) -> None:
        finished(self.registry.domains.add("shop", "given.example", NOW))
        for tenant, domain in (("shop", "given.example"), ("default", "example.org")):
            claim = self.claim(tenant, domain)
            self.assertNotIn("ownership", [record.purpose for record in claim.records])
            for _ in range(3):
                self.check(claim)
                self.clock.advance(5 * DAY)
            self.assertTrue(self.is_given(tenant, domain))
        self.assertEqual([], self.events)

    def test_other_records(self) -> None:
        claim = self.claim(tracking="links.shop.example")
        self.zone.exchangers["bounces.shop.example"] = [(10, "MX.example.org")]
        self.zone.hosts["links.shop.example"] = ["192.0.2.99"]
        self.zone.texts["shop.example"] = ["v=spf1 ip4:192.0.2.25 -all"]
        self.zone.texts["_dmarc.shop.example"] = ["v=DMARC1; p=none"]
        found = {one.purpose: one for one in self.check(claim).records}
        self.assertEqual("good", found["return_path"].state)
        self.assertEqual(
            ("wrong", "it leads to 192.0.2.99"), (found["tracking"].state, found["tracking"].said)
        )
        self.assertEqual("mx.example.org.", found["tracking"].value)
        self.assertEqual("good", found["spf"].state, found["spf"].said)
        self.zone.hosts["links.shop.example"] = ["192.0.2.25"]
        self.zone.texts["shop.example"] = ["v=spf1 -all"]
        found = {one.purpose: one for one in self.check(claim).records}
        self.assertEqual(("good", "wrong"), (found["tracking"].state, found["spf"].state))
        self.assertIn("192.0.2.25", found["spf"].said)

    def test_again_and_again(self) -> None:
        claim = self.claim()
        self.successResultOf(_deferred(self.watch.start()))
        self.publish(claim, "ownership", "dkim")
        for _ in range(15):
            self.clock.advance(60)
        self.assertTrue(self.is_given())
        self.successResultOf(_deferred(self.watch.stop()))

    def test_names(self) -> None:
        self.assertEqual("xn--bcher-kva.example", domain_name("Bücher.example."))
        for text in ("", "localhost", "a b.example", "-.example", "a@b.example"):
            with self.assertRaises(ValueError, msg=text):
                domain_name(text)

    def test_removed_while_it_is_looked_at(self) -> None:
        claim = self.claim()
        finished(self.registry.verifications.remove("shop", "shop.example"))
        finished(self.registry.verifications.keep(claim))
        with self.assertRaises(NoClaim):
            finished(self.registry.verifications.get("shop", "shop.example"))
        self.assertEqual({}, dict(finished(settle(self.registry.domains.known()))))
