"""Pages for domains, by a browser without scripts: what tenants send from, and the server's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import succeed

from mta.api.v1.domains import DomainRoutes
from mta.config.loading import parse
from mta.dashboard.domains import DomainPages, Finding, Findings, badges
from mta.presence import Presence
from mta.presenting_api import Asking
from mta.registry.database import finished
from mta.registry.tenants import Tenant
from tests.dashboard.desk import Desk
from tests.test_verifying import VerifyingCase, Zone

PLACE = "/dashboard/domains"
XSS = "<script>alert(1)</script>"
BASE = 'hostname = "mx.example.org"\n[domains."example.org"]\n[tls_report]\naddresses = ["t@example.org"]\n'


class ToldPresence:
    """Finds what a test says."""

    def __init__(self) -> None:
        self.again: list[bool] = []
        self.names = ["example.org"]

    def domains(self) -> list[str]:
        return self.names

    async def look(self, domains: Sequence[str], again: bool = False) -> list[Findings]:
        self.again.append(again)
        bad = (Finding("SPF", "bad", XSS, "mend it", "v=spf1 mx -all"),)
        return [Findings("mx.example.org", 1.0, ()), *(Findings(one, 1.0, bad) for one in domains)]


class DomainPageTests(VerifyingCase):
    def setUp(self) -> None:
        super().setUp()
        for tenant in ("acme", "other"):
            finished(self.registry.tenants.add(Tenant(tenant)))
        self.told: list[Any] = []
        routes = DomainRoutes(self.registry, self.watch, lambda: ["ownership", "dkim"], self.told.append)
        self.present = ToldPresence()
        self.desk = Desk(DomainPages(Asking(routes.routes(), self.registry), self.present).pages())
        self.tina = self.desk.visitor("tenant")

    def page(self, path: str) -> str:
        answer = self.tina.get(path)
        self.assertEqual(200, answer.status, answer.content)
        return answer.content.decode()

    def test_from_nothing_to_removed(self) -> None:
        self.assertIn("No domains yet", self.page(PLACE))
        added = self.tina.post(f"{PLACE}/new", domain=" Shop.example. ", tracking="")
        self.assertEqual(f"{PLACE}/at/shop.example", added.headers["location"])
        self.assertEqual("tina@example.org (dashboard)", self.told[-1].by)
        text = self.page(f"{PLACE}/at/shop.example")
        for word in (
            "mta-domain-verification=",
            "v=spf1 a:mx.example.org",
            "_dmarc.shop.example",
            "required",
        ):
            self.assertIn(word, text)
        self.assertIn("Mail may not be sent from it yet", text)
        self.assertIn("SPF: not looked at", self.page(PLACE))
        self.zone.texts["_mta.shop.example"] = [XSS]
        self.clock.advance(60)
        looked = self.tina.post(f"{PLACE}/verify", domain="shop.example")
        text = self.tina.follow(looked).content.decode()
        self.assertIn("3 required records are not there yet", text)
        self.assertIn("another record is there: &lt;script&gt;", text)
        self.assertNotIn(XSS, text)
        self.assertIn("not as they should be: Ownership; DKIM, RSA; DKIM, Ed25519.", text)
        self.assertIn("Ownership: wrong", self.page(PLACE))
        claim = finished(self.registry.verifications.get("acme", "shop.example"))
        self.publish(claim, "ownership", "dkim")
        self.clock.advance(60)
        looked = self.tina.post(f"{PLACE}/verify", domain="shop.example")
        self.assertIn(b"All that is required is there", self.tina.follow(looked).content)
        self.assertIn("DKIM: good", self.page(PLACE))
        asked = self.tina.post(f"{PLACE}/remove", domain="shop.example")
        self.assertIn(b"Remove this domain?", asked.content)
        self.assertTrue(self.is_given("acme"))
        self.tina.post(f"{PLACE}/remove", domain="shop.example", confirmed="yes")
        self.assertFalse(self.is_given("acme"))
        self.assertIn("No domains yet", self.page(PLACE))

    def test_mistakes(self) -> None:
        for field, values in (
            ("domain", {"domain": "localhost"}),
            ("domain", {"domain": XSS}),
            ("tracking", {"domain": "shop.example", "tracking": "links"}),
        ):
            answer = self.tina.post(f"{PLACE}/new", **values)
            text = answer.content.decode()
            self.assertEqual(422 if answer.status == 422 else 400, answer.status)
            self.assertIn(f'id="field-{field}-wrong"', text)
            self.assertNotIn(XSS, text)

    def test_others(self) -> None:
        """Nobody sees or takes what is another's; who only looks changes nothing."""
        self.claim("acme")
        otto = self.desk.visitor("otto@example.org")
        self.assertEqual(404, otto.get(f"{PLACE}/at/shop.example").status)
        self.assertEqual(404, otto.post(f"{PLACE}/verify", domain="shop.example").status)
        self.assertEqual(404, otto.post(f"{PLACE}/remove", domain="shop.example", confirmed="yes").status)
        self.assertEqual(403, otto.get(f"{PLACE}/server").status)
        vera = self.desk.visitor("viewer")
        self.assertEqual(200, vera.get(f"{PLACE}/server").status)
        for path in ("verify", "remove", "new", "server"):
            self.assertEqual(403, vera.post(f"{PLACE}/{path}", domain="shop.example").status)

    def test_configured(self) -> None:
        """A domain of the configuration can be looked at, and is not taken away here."""
        anna = self.desk.visitor("administrator")
        anna.cookies["mta-tenant"] = "default"
        text = anna.get(f"{PLACE}/at/example.org").content.decode()
        self.assertIn("Its records were never looked at", text)
        self.assertNotIn("Remove", text)
        answer = anna.post(f"{PLACE}/remove", domain="example.org", confirmed="yes")
        self.assertIn(b"stands in the configuration", anna.follow(answer).content)

    def test_server(self) -> None:
        self.present.names = [f"d{number:02}.example" for number in range(30)]
        anna = self.desk.visitor("administrator")
        text = anna.get(f"{PLACE}/server").content.decode()
        self.assertIn("d19.example", text)
        self.assertNotIn("d20.example", text)
        self.assertNotIn(XSS, text)
        self.assertIn("d29.example", anna.get(f"{PLACE}/server?part=1").content.decode())
        answer = anna.post(f"{PLACE}/server", part="1")
        self.assertEqual(f"{PLACE}/server?part=1", answer.headers["location"])
        self.assertEqual([False, False, True], self.present.again[:3])

    def test_badges(self) -> None:
        """Of two keys the worse counts; before anybody asked nothing is bad."""
        two = [
            {"purpose": "dkim", "state": "good", "required": True},
            {"purpose": "dkim", "state": "missing", "required": True},
            {"purpose": "spf", "state": "unknown", "required": False},
        ]
        self.assertEqual([("SPF: no answer", "note"), ("DKIM: missing", "bad")], badges(two, True))
        self.assertEqual([("SPF: not looked at", ""), ("DKIM: not looked at", "")], badges(two, False))


class ReverseZone(Zone):
    """It has names of addresses, too."""

    async def reverse(self, address: str) -> Sequence[str]:
        return self.found(self.hosts, address)


class PresenceTests(VerifyingCase):
    def setUp(self) -> None:
        super().setUp()
        self.names = ReverseZone()
        self.names.hosts = {"mx.example.org": ["8.8.4.4"], "8.8.4.4": ["mx.example.org"]}
        loaded = parse(BASE, Path(self.mktemp()))
        self.presence = Presence(
            self.clock,
            lambda: loaded,
            self.names,  # type: ignore[arg-type]
            lambda function, *args: succeed(function(*args)),
        )

    def look(self, again: bool = True) -> dict[str, list[tuple[str, str]]]:
        from twisted.internet.defer import ensureDeferred

        found = self.successResultOf(ensureDeferred(self.presence.look(["example.org"], again)))
        self.found = {one.topic: one for some in found for one in some.findings}
        return {some.name: [(one.topic, one.state) for one in some.findings] for some in found}

    def test_nothing(self) -> None:
        """A domain that publishes nothing is told what to publish."""
        found = self.look()
        self.assertEqual([("Address", "good"), ("PTR", "good")], found["mx.example.org"])
        self.assertEqual(
            [("MX", "bad"), ("SPF", "bad"), ("DMARC", "bad"), ("DKIM", "bad")],
            found["example.org"][:4],
        )
        self.assertEqual([("MTA-STS", "none"), ("TLS-RPT", "none")], found["example.org"][4:])
        self.assertIn("rua=mailto:t@example.org", self.found["TLS-RPT"].record)
        self.assertIn("v=STSv1", self.found["MTA-STS"].record)
        self.assertIn('"v=spf1 mx -all"', self.found["SPF"].record)
        self.assertIn("v=DMARC1", self.found["DMARC"].record)

    def test_all(self) -> None:
        self.names.exchangers["example.org"] = [(10, "mx.example.org")]
        self.names.texts = {
            "example.org": ["v=spf1 ip4:8.8.4.4 -all"],
            "_dmarc.example.org": ["v=DMARC1; p=none"],
            "_smtp._tls.example.org": ["v=TLSRPTv1; rua=mailto:t@example.org"],
            "_mta-sts.example.org": ["v=STSv1; id=1"],
        }
        found = dict(self.look()["example.org"])
        self.assertEqual({"MX", "SPF", "DMARC", "TLS-RPT"}, {one for one in found if found[one] == "good"})
        # There is a record, and no host with the policy.
        self.assertEqual("bad", found["MTA-STS"])
        self.names.exchangers["example.org"] = [(10, "in.far.example")]
        self.assertEqual("good", dict(self.look(again=False)["example.org"])["MX"])
        self.assertEqual("bad", dict(self.look()["example.org"])["MX"])
        self.assertIn("in.far.example", self.found["MX"].what)

    def test_down(self) -> None:
        """A DNS that does not answer makes nothing bad that has to be asked for."""
        self.names.down = True
        found = self.look()
        self.assertEqual([("Address", "unknown")], found["mx.example.org"])
        states = {topic: state for topic, state in found["example.org"] if topic != "DKIM"}
        self.assertEqual({"unknown"}, set(states.values()), found)
