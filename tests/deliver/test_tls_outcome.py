"""How attempts to open a session end, and what the journal gets for TLS reports (RFC 8460)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from OpenSSL import crypto
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from mta.config.settings import Relay
from mta.deliver.relay import RelayTransport
from mta.deliver.relay_tls import RelayTls
from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Event, TlsSession
from mta.model.mta_sts import StsPolicy
from mta.model.outcome import Delivered, Outcome, Postponed
from mta.model.tls_demand import HostTls, TlsDemand
from mta.model.tlsa import Tlsa
from tests.deliver.relay_server import Authority, Servers
from tests.deliver.test_relay import RelayCase, reactor
from tests.smtp.client_script import OFFER, ScriptedServer

WRONG = Tlsa(3, 1, 1, bytes(32))


class FakeDemands:
    """Gives the same answers to everybody; an exception is raised."""

    def __init__(self, demand: Any, host: Any) -> None:
        self.answers = (demand, host)

    def configured(self, next_hop: str) -> Any:
        return None

    def demand(self, next_hop: str, shaped: Any = None) -> Any:
        return _give(self.answers[0])

    async def of_host(self, demand: Any, next_hop: str, host: str, port: int) -> Any:
        return _give(self.answers[1])


def _give(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


class OutcomeTests(RelayCase):
    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.directory)
        self.trust = RelayTls(self.authority.path)
        self.events: list[TlsSession] = []

    def note(self, events: Iterable[Event]) -> None:
        self.events += [event for event in events if isinstance(event, TlsSession)]

    def demanding(self, demand: Any, host: Any, **settings: Any) -> RelayTransport:
        transport = RelayTransport(
            Relay(**settings),
            reactor,
            self.exchangers,  # type: ignore[arg-type]
            "me.test",
            deferToThread,
            tls=self.trust,
            tls_demands=FakeDemands(demand, host),  # type: ignore[arg-type]
            note=self.note,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(transport.stop()))
        return transport

    def secure(self, host: str = "mx.far.test", days: int = 2) -> Servers:
        """A new server in place of all before, with a certificate of our authority."""
        self.table.clear()
        servers = Servers(lambda: ScriptedServer((*OFFER, "STARTTLS")))
        servers.certificate = self.authority.issue(host, days)
        self.serve(servers)
        return servers

    def clear(self) -> Servers:
        """A new server without TLS in place of all before."""
        self.table.clear()
        servers = Servers()
        self.serve(servers)
        return servers

    async def attempt(self, host: Any, demand: Any = None, **settings: Any) -> Outcome:
        self.events.clear()
        return await self.one(self.demanding(demand, host, **settings))

    def told(self) -> tuple[str, str]:
        """Result and reason of the one event that there is."""
        [event] = self.events
        return event.result, event.reason

    async def test_nothing_published(self) -> None:
        """A session with TLS is a success, whatever the certificate (RFC 7435); one without is none."""
        nothing = HostTls(domain="far.test")
        self.secure("other.test")
        self.assertIsInstance(await self.attempt(nothing), Delivered)
        [event] = self.events
        found = event.found()
        self.assertEqual(
            ("no-policy-found", "far.test", "mx.far.test", "127.0.0.1", "127.0.0.1", "success", "far.test"),
            (
                found.policy,
                found.domain,
                found.host,
                found.sending,
                found.receiving,
                found.result,
                found.helo,
            ),
        )
        self.assertIn("TLSv1.3", event.tls)
        self.clear()
        self.assertIsInstance(await self.attempt(nothing), Delivered)
        self.assertEqual("starttls-not-supported", self.told()[0])
        self.secure().break_tls = True
        self.assertIsInstance(await self.attempt(nothing), Delivered)
        self.assertEqual("validation-failure", self.told()[0])

    async def test_not_reported(self) -> None:
        """Hosts of the configuration, hosts that do not answer, and TLS that is not tried."""
        self.secure()
        await self.attempt(HostTls())
        await self.attempt(HostTls(domain="far.test"), tls="never")
        self.table.clear()
        self.serve(Servers(lambda: ScriptedServer(answers={"GREETING": "554 5.7.1 no"})))
        await self.attempt(HostTls(domain="far.test"))
        self.assertEqual([], self.events)

    async def test_sts(self) -> None:
        enforced = HostTls(
            "verify", "verify by it", domain="far.test", policy="sts", patterns=("mx.far.test",)
        )
        table: list[tuple[Servers, bool, str]] = [
            (self.secure(), True, "success"),
            (self.secure("other.test"), False, "certificate-host-mismatch"),
            (self.secure(days=-1), False, "certificate-expired"),
            (self.clear(), False, "starttls-not-supported"),
        ]
        for servers, taken, result in table:
            self.table["far.test"] = [self.serve(servers)]
            outcome = await self.attempt(enforced)
            self.assertIsInstance(outcome, Delivered if taken else Postponed, result)
            self.assertEqual(result, self.told()[0])
            self.assertEqual(int(taken), len(servers.messages))
            self.assertEqual(["mx.far.test"], self.events[0].patterns)
            # In testing, everything is taken, and told just so.
            outcome = await self.attempt(replace(enforced, level="may"))
            self.assertIsInstance(outcome, Delivered)
            self.assertEqual(result, self.told()[0])
        self.secure()
        self.trust = RelayTls()
        self.assertIsInstance(await self.attempt(enforced), Postponed)
        self.assertEqual("certificate-not-trusted", self.told()[0])

    async def test_sts_testing_wrong_host(self) -> None:
        self.secure()
        flawed = HostTls(
            "may", "", result="validation-failure", reason="none of", domain="far.test", policy="sts"
        )
        self.assertIsInstance(await self.attempt(flawed), Delivered)
        self.assertEqual(("validation-failure", "none of"), self.told())

    async def test_dane(self) -> None:
        servers = self.secure("other.test", days=-1)
        der = servers.certificate.dump(crypto.FILETYPE_ASN1)
        right = Tlsa(3, 0, 1, sha256(der).digest())
        dane = HostTls(
            "dane", "dane by it", (WRONG, right), ("mx.far.test",), domain="far.test", policy="tlsa"
        )
        outcome = await self.attempt(dane)
        self.assertIsInstance(outcome, Delivered)
        self.assertIn("verified by TLSA 3 0 1, demanded: dane by it", outcome.reply.tls)
        self.assertEqual("success", self.told()[0])
        outcome = await self.attempt(replace(dane, records=(WRONG,)))
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual(
            ("validation-failure", "not verified: no TLSA record fits its certificate"), self.told()
        )
        # Clear text is no way out.
        servers.break_tls = True
        self.assertIsInstance(await self.attempt(dane), Postponed)
        self.assertEqual("validation-failure", self.told()[0])
        self.assertEqual(1, len(servers.messages))
        self.clear()
        self.assertIsInstance(await self.attempt(dane), Postponed)
        self.assertEqual("starttls-not-supported", self.told()[0])

    async def test_dane_by_authority(self) -> None:
        """The names count, and the authority has to be shown; ours of the system do not count."""
        root = crypto.load_certificate(crypto.FILETYPE_PEM, self.authority.path.read_bytes())
        record = Tlsa(2, 0, 0, crypto.dump_certificate(crypto.FILETYPE_ASN1, root))
        names = ("mx.far.test", "far.test")
        dane = HostTls("dane", "dane by it", (record,), names, domain="far.test", policy="tlsa")
        self.trust = RelayTls()
        table = [
            ("mx.far.test", 2, "success"),
            ("far.test", 2, "success"),
            ("other.test", 2, "certificate-host-mismatch"),
            ("mx.far.test", -1, "certificate-expired"),
        ]
        for name, days, result in table:
            self.secure(name, days)
            outcome = await self.attempt(dane)
            self.assertIsInstance(outcome, Delivered if result == "success" else Postponed, name)
            self.assertEqual(result, self.told()[0])

    async def test_unusable(self) -> None:
        """TLS with whatever certificate, and the report says why."""
        unusable = HostTls(
            "encrypt", "encrypt by it", result="tlsa-invalid", reason="none", domain="far.test", policy="tlsa"
        )
        self.secure("other.test")
        self.assertIsInstance(await self.attempt(unusable), Delivered)
        self.assertEqual(("tlsa-invalid", "none"), self.told())
        self.clear()
        self.assertIsInstance(await self.attempt(unusable), Postponed)

    async def test_nobody_can_tell(self) -> None:
        """No connection is made to a host of which TLSA records cannot be told (RFC 7672, 2.1.2)."""
        servers = self.secure()
        unknown = HostTls(
            "dane",
            "dane by it",
            problem="SERVFAIL",
            unknown=True,
            result="dnssec-invalid",
            domain="far.test",
            policy="tlsa",
        )
        outcome = await self.attempt(unknown)
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("nobody can say whether its certificate is the right one: SERVFAIL", outcome.reply.text)
        self.assertEqual(("dnssec-invalid", "SERVFAIL"), self.told())
        outcome = await self.attempt(HostTls(), TemporarilyUnavailable("far.test MX: silent"))
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("far.test MX: silent", outcome.reply.text)
        self.assertEqual([], servers.servers)

    async def test_next_host(self) -> None:
        """A host that must not be used is followed by one that may."""
        bad, good = self.secure("mx1.far.test"), Servers()
        self.serve(good, "mx2.far.test")

        class Demands(FakeDemands):
            async def of_host(self, demand: Any, next_hop: str, host: str, port: int) -> Any:
                if host == "mx.far.test":
                    return HostTls("dane", problem="SERVFAIL", unknown=True)
                return HostTls()

        relay = self.demanding(None, None)
        relay._demands = relay._dialler._demands = Demands(None, None)  # type: ignore[assignment]
        self.assertIsInstance(await self.one(relay), Delivered)
        self.assertEqual((0, 1), (len(bad.messages), len(good.messages)))

    async def test_unmet(self) -> None:
        """What is demanded of the domain is not there: no host is connected to."""
        servers = self.secure()
        problem = "far.test has no TXT record"
        demand = TlsDemand("mta-sts", "tls_policy for far.test", problem=problem)
        host = HostTls(
            "mta-sts",
            demand.words,
            problem=problem,
            result="sts-policy-fetch-error",
            domain="far.test",
            policy="sts",
        )
        outcome = await self.attempt(host, demand)
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual("4.7.5", outcome.reply.enhanced)
        self.assertIn(problem, outcome.reply.text)
        self.assertEqual("not connected, demanded: mta-sts by tls_policy for far.test", outcome.reply.tls)
        self.assertEqual([], servers.servers)
        self.assertEqual(("sts-policy-fetch-error", problem), self.told())

    async def test_policies_do_not_share(self) -> None:
        """A connection that was opened under one policy is not used under another."""
        servers = self.secure()
        relay = self.demanding(None, HostTls(domain="far.test"))
        for max_age in (0, 86400, 86400, 604800):
            sts = StsPolicy("enforce", max_age, ("mx.far.test",)) if max_age else None
            demands = FakeDemands(sts and TlsDemand("verify", "it", sts=sts), HostTls(domain="far.test"))
            relay._demands = demands  # type: ignore[assignment]
            self.assertIsInstance(await self.one(relay), Delivered)
        self.assertEqual(3, len(servers.servers))
