"""The TLS that is demanded of a destination, and what the outcome says of it."""

from __future__ import annotations

import dataclasses
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from mta.config.settings import Relay, TlsPolicy
from mta.deliver.relay import RelayTransport
from mta.deliver.relay_tls import RelayTls
from mta.interfaces import Exchanger, TemporarilyUnavailable, settle
from mta.model.outcome import Delivered, Postponed
from mta.model.tls_demand import TlsDemand
from mta.route.tls_demands import TlsDemands
from tests.deliver.relay_server import Authority, Servers, delivery
from tests.deliver.test_relay import RelayCase, reactor
from tests.smtp.client_script import OFFER, ScriptedServer


class DemandTests(RelayCase):
    """The demand takes the place of ``relay.tls``, up and down."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.directory)
        self.trust = RelayTls(self.authority.path)

    def demanding(self, *policies: dict[str, Any], note: Any = None, **settings: Any) -> RelayTransport:
        self.demands = TlsDemands([TlsPolicy(**policy) for policy in policies])
        transport = RelayTransport(
            Relay(**settings),
            reactor,
            self.exchangers,  # type: ignore[arg-type]
            "me.test",
            deferToThread,
            tls=self.trust,
            tls_demands=self.demands,
            note=note,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(transport.stop()))
        return transport

    def secure(self, host: str = "mx.far.test", offer: tuple[str, ...] = ("STARTTLS",)) -> Servers:
        servers = Servers(lambda: ScriptedServer((*OFFER, *offer)))
        servers.certificate = self.authority.issue(host)
        return servers

    async def test_table(self) -> None:
        """Certificate, offer and demand, and what becomes of the message."""
        good, wrong, none = "mx.far.test", "other.test", ""
        refused = "not verified: the certificate is not for mx.far.test"
        table = [
            ("may", none, True, "^clear text, demanded: may by tls_policy for far.test$"),
            ("may", wrong, True, f"{refused}, demanded: may by"),
            ("may", good, True, "verified as mx.far.test, demanded: may by"),
            ("encrypt", none, False, "^clear text, demanded: encrypt by tls_policy for far.test$"),
            ("encrypt", wrong, True, f"{refused}, demanded: encrypt by"),
            ("encrypt", good, True, "verified as mx.far.test, demanded: encrypt by"),
            ("verify", none, False, "^clear text, demanded: verify by tls_policy for far.test$"),
            ("verify", wrong, False, f"{refused}, demanded: verify by"),
            ("verify", good, True, "verified as mx.far.test, demanded: verify by"),
        ]
        for ours in ("opportunistic", "verify", "never"):
            for level, certificate, taken, words in table:
                self.table.clear()
                servers = self.secure(certificate or "x.test", ("STARTTLS",) if certificate else ())
                self.serve(servers)
                relay = self.demanding({"domain": ["far.test"], "demand": level}, tls=ours)
                outcome = await self.one(relay)
                case = (ours, level, certificate)
                self.assertIsInstance(outcome, Delivered if taken else Postponed, case)
                self.assertRegex(outcome.reply.tls, words, str(case))
                self.assertEqual(int(taken), len(servers.messages), case)
                if not taken:
                    self.assertEqual("4.7.5", outcome.reply.enhanced)

    async def test_downgrade(self) -> None:
        """With ``may``, a failed handshake is followed by clear text, and told; with more, it is not."""
        for level, taken in (("may", True), ("encrypt", False), ("verify", False)):
            self.table.clear()
            servers = self.secure()
            servers.break_tls = True
            self.serve(servers)
            outcome = await self.one(self.demanding({"domain": ["far.test"], "demand": level}))
            self.assertIsInstance(outcome, Delivered if taken else Postponed)
            self.assertEqual(taken, bool(servers.messages))
            self.assertIn(f"demanded: {level} by", outcome.reply.tls)

    async def test_next_host(self) -> None:
        """A host that does not meet the demand is followed by one that does."""
        bad, good = self.secure("other.test"), self.secure("mx2.far.test")
        self.serve(bad, "mx1.far.test")
        self.serve(good, "mx2.far.test")
        outcome = await self.one(self.demanding({"domain": ["far.test"], "demand": "verify"}))
        self.assertIsInstance(outcome, Delivered)
        self.assertEqual((0, 1), (len(bad.messages), len(good.messages)))

    async def test_hosts_that_are_admitted(self) -> None:
        """Whoever forges an MX record has a certificate for the host that it names."""
        forged, good = self.secure("mx.evil.test"), self.secure()
        self.serve(forged, "mx.evil.test")
        policy = {"domain": ["far.test"], "demand": "verify", "mx": ["*.far.test"]}
        relay = self.demanding(policy)
        outcome = await self.one(relay)
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("the host is none of *.far.test", outcome.reply.text)
        self.assertEqual("not connected, demanded: verify by tls_policy for far.test", outcome.reply.tls)
        self.serve(good)
        self.assertIsInstance(await self.one(self.demanding(policy)), Delivered)
        self.assertEqual([], forged.servers)

    async def test_shared_hosts(self) -> None:
        """A connection that was good enough for one domain is not used for one that demands more."""
        servers = self.secure("other.test")
        exchanger = Exchanger("mx.far.test", ("127.0.0.1",), self.listen(servers))
        for domain in ("lax.test", "lax2.test", "strict.test"):
            self.table[domain] = [exchanger]
        relay = self.demanding({"domain": ["strict.test"], "demand": "verify"})
        for domain in self.table:
            await settle(relay.site(domain))
        for domain in ("lax.test", "lax2.test"):
            self.assertIsInstance(await self.one(relay, next_hop=domain), Delivered)
        self.assertEqual(1, len(servers.servers))
        outcome = await self.one(relay, next_hop="strict.test")
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual("4.7.5", outcome.reply.enhanced)
        self.assertEqual(2, len(servers.messages))
        # At the same time, too: a connection that becomes free goes to its own kind.
        found = await gatherResults(
            [
                relay.deliver(delivery(next_hop=domain))
                for domain in ("lax.test", "strict.test", "lax2.test", "strict.test")
            ]
        )
        self.assertEqual([Delivered, Postponed, Delivered, Postponed], [type(outcome) for [outcome] in found])

    async def test_changed_demand(self) -> None:
        """A connection from before the demand is not used after it."""
        servers = self.secure("other.test")
        self.serve(servers)
        relay = self.demanding()
        self.assertIsInstance(await self.one(relay), Delivered)
        self.demands.use([TlsPolicy(domain=["*"], demand="verify")])
        self.assertIsInstance(await self.one(relay), Postponed)
        self.assertEqual(1, len(servers.messages))

    async def test_forgotten(self) -> None:
        """Demands that nobody has any more leave nothing behind."""
        relay = self.demanding({"domain": ["far.test"], "demand": "may"}, idle=0)
        demand = self.demands.demand("far.test")
        assert isinstance(demand, TlsDemand)
        for number in range(500):
            relay._through((False, None, dataclasses.replace(demand, origin=str(number))))
        self.assertLessEqual(len(relay._pools), 200)

    async def test_smarthost_with_implicit_tls(self) -> None:
        """How a port speaks is not a matter of demands."""
        servers = self.secure()
        servers.implicit = True
        self.serve(servers)
        relay = self.demanding({"domain": ["*"], "demand": "encrypt"}, tls="implicit")
        outcome = await self.one(relay)
        self.assertIsInstance(outcome, Delivered)
        self.assertIn("verified as mx.far.test, demanded: encrypt", outcome.reply.tls)

    async def report(self, relay: RelayTransport, next_hop: str = "far.test", **options: Any) -> Any:
        """The outcome of a TLS report."""
        attempt = delivery(next_hop=next_hop)
        attempt.addressees[0].options = {"tls_optional": 1, **options}
        return (await relay.deliver(attempt))[0]

    async def test_report(self) -> None:
        """A TLS report arrives though TLS is broken, and is not in the next one (RFC 8460, 3)."""
        told: list[Any] = []
        policy = {"domain": ["far.test"], "demand": "verify", "mx": ["*.other.test"]}
        for certificate, broken in (("mx.far.test", True), ("other.test", False), ("", False)):
            self.table.clear()
            servers = self.secure(certificate or "x.test", ("STARTTLS",) if certificate else ())
            servers.break_tls = broken
            self.serve(servers)
            relay = self.demanding(policy, note=told.extend)
            outcome = await self.report(relay)
            self.assertIsInstance(outcome, Delivered)
            self.assertIn("demanded: may by RFC 8460 for TLS reports", outcome.reply.tls)
            self.assertEqual([], told)
            # Other mail does not share the connection.
            self.assertIsInstance(await self.one(relay), Postponed)
            self.assertEqual(["far.test"], [event.domain for event in told])
            self.assertEqual(1, len(servers.messages))
            told.clear()

    async def test_report_asks_nobody(self) -> None:
        """That nobody can tell what is demanded keeps no report back."""
        self.serve(self.secure())
        relay = self.demanding()

        def down(*arguments: Any) -> Any:
            raise TemporarilyUnavailable("SERVFAIL")

        self.patch(self.demands, "demand", down)
        self.assertIsInstance(await self.one(relay), Postponed)
        self.assertIsInstance(await self.report(relay), Delivered)

    async def test_report_by_smarthost(self) -> None:
        """Where we log in, TLS is what the configuration says, for reports too."""
        servers = self.secure("other.test")
        port = self.listen(servers)
        hop = f"mx.far.test:{port}"
        self.table[hop] = [Exchanger("mx.far.test", ("127.0.0.1",), port)]
        smarthost = self.demanding(tls="verify", smarthost=hop)
        self.assertIsInstance(await self.report(smarthost, hop), Postponed)
        configured = self.demanding({"domain": ["*"], "demand": "verify"})
        self.assertIsInstance(await self.report(configured, hop, configured=1), Postponed)
        self.assertEqual([], servers.messages)
