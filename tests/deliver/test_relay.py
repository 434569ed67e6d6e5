"""Relaying to servers on the loopback interface."""

from __future__ import annotations

import base64
import os
import resource
import shutil
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from mta.config.settings import Relay
from mta.deliver.relay import RELAY, RelayTransport
from mta.deliver.relay_tls import RelayTls
from mta.interfaces import Delivery, Exchanger, PluginContext, RouteError, TemporarilyUnavailable, settle
from mta.model.catalogue import REPLIES
from mta.model.message import FileContent
from mta.model.outcome import Delivered, Failed, Outcome, Postponed
from mta.smtp import client_protocol
from tests.deliver.relay_server import Authority, Servers, TableExchangers, delivery
from tests.e2e.scenario import free_port
from tests.smtp.client_script import MAIL, OFFER, TRACE, ScriptedServer

reactor: Any = _reactor

CHUNKS = (*OFFER, "CHUNKING")


class RelayCase(TestCase):
    """Listens, relays, and cleans up."""

    timeout = 120

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.table: dict[str, Any] = {}
        self.exchangers = TableExchangers(self.table)

    def listen(self, servers: Servers, address: str = "127.0.0.1") -> int:
        port = reactor.listenTCP(0, servers, interface=address)
        self.addCleanup(self.close, port, servers)
        number: int = port.getHost().port
        return number

    def close(self, port: Any, servers: Servers) -> Any:
        gone: Deferred[None] = Deferred()
        if servers.live:
            servers.emptied = lambda: gone.callback(None)
        else:
            gone.callback(None)
        return DeferredList([gone, port.stopListening()])

    def serve(self, servers: Servers, name: str = "mx.far.test") -> Exchanger:
        exchanger = Exchanger(name, ("127.0.0.1",), self.listen(servers))
        self.table.setdefault("far.test", []).append(exchanger)
        return exchanger

    def relay(self, trust: RelayTls | None = None, /, **settings: Any) -> RelayTransport:
        settings.setdefault("tls", "opportunistic")
        transport = RelayTransport(
            Relay(**settings),
            reactor,
            self.exchangers,  # type: ignore[arg-type]
            "me.test",
            deferToThread,
            str(self.directory),
            trust,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(transport.stop()))
        return transport

    async def one(self, transport: RelayTransport, *recipients: str, **options: Any) -> Outcome:
        return (await transport.deliver(delivery(*recipients, **options)))[0]


class DeliveryTests(RelayCase):
    """What the queue's manager sees."""

    async def test_site(self) -> None:
        """Domains with the same hosts are one site; a host that is named is one by itself."""
        self.table["a.test"] = [Exchanger("mx1.big.test", ("127.0.0.1",)), Exchanger("mx2.big.test", ())]
        self.table["gone.test"] = RouteError(REPLIES.reply("no-such-domain", domain="gone.test"))
        relay = self.relay(smarthost="out.test")
        self.assertEqual(("mx1.big.test", "mx2.big.test"), await settle(relay.site("a.test")))
        # Known now, so that nobody has to wait for it.
        self.assertEqual(("mx1.big.test", "mx2.big.test"), relay.site("a.test"))
        self.assertEqual((), await settle(relay.site("gone.test")))
        for alone in ("", "out.test", "192.0.2.1", "[192.0.2.1]:25", "mx.far.test:2525"):
            self.assertEqual((), relay.site(alone), alone)

    async def test_delivered(self) -> None:
        servers = Servers()
        exchanger = self.serve(servers)
        outcome = await self.one(self.relay())
        assert isinstance(outcome, Delivered)
        self.assertEqual(f"mx.far.test [127.0.0.1]:{exchanger.port}", outcome.reply.host)
        self.assertEqual([(["<u@far.test>"], TRACE + MAIL)], servers.messages)
        self.assertEqual("EHLO me.test", servers.servers[0].commands[0])

    async def test_helo(self) -> None:
        servers = Servers()
        self.serve(servers)
        await self.one(self.relay(helo="out.test"))
        self.assertEqual("EHLO out.test", servers.servers[0].commands[0])

    async def test_reuse(self) -> None:
        """One after the other goes over one connection, and hosts are asked for once."""
        for offer in (OFFER, CHUNKS, ()):
            servers = Servers(lambda offer=offer: ScriptedServer(offer))  # type: ignore[misc]
            self.table.clear()
            self.serve(servers)
            transport = self.relay()
            for _ in range(5):
                self.assertIsInstance(await self.one(transport), Delivered)
            self.assertEqual((1, 5), (len(servers.servers), len(servers.messages)))
            await deferLater(reactor, 0, lambda: None)
            self.assertEqual((1, 1, 0), transport.counts()["far.test"])
            await transport.stop()
            self.assertEqual("QUIT", servers.servers[0].commands[-1])

    async def test_many(self) -> None:
        """Many at once share the connections that are allowed, and each gets through once."""
        for offer in (OFFER, CHUNKS):
            servers = Servers(lambda offer=offer: ScriptedServer(offer))  # type: ignore[misc]
            self.table.clear()
            self.serve(servers)
            transport = self.relay(connections=3)
            self.assertEqual(6, transport.concurrency("far.test"))
            found = await gatherResults(
                [transport.deliver(delivery(f"u{number}@far.test")) for number in range(100)]
            )
            self.assertEqual(["Delivered"] * 100, [type(outcomes[0]).__name__ for outcomes in found])
            self.assertEqual(100, len({recipients[0] for recipients, _ in servers.messages}))
            self.assertEqual((3, 3), (servers.peak, len(servers.servers)))
            await transport.stop()

    async def test_messages_per_connection(self) -> None:
        servers = Servers()
        self.serve(servers)
        transport = self.relay(messages_per_connection=2, connections=1)
        await gatherResults([transport.deliver(delivery()) for _ in range(5)])
        self.assertEqual([2, 2, 1], [len(server.messages) for server in servers.servers])
        self.assertEqual(["QUIT", "QUIT"], [server.commands[-1] for server in servers.servers[:2]])
        self.assertEqual(1, servers.peak)

    async def test_idle(self) -> None:
        """An idle connection is closed politely after a while."""
        servers = Servers()
        self.serve(servers)
        transport = self.relay(idle=0.05)
        await self.one(transport)
        gone: Deferred[None] = Deferred()
        servers.emptied = lambda: gone.callback(None)
        await gone
        self.assertEqual("QUIT", servers.servers[0].commands[-1])
        self.assertEqual(0, transport.counts()["far.test"][0])

    async def test_no_answer_to_quit(self) -> None:
        """A server that does not answer QUIT, or takes no octet any more, holds nobody up."""
        self.patch(client_protocol, "FAREWELL", 0.1)
        servers = Servers(Deaf)
        self.serve(servers)
        transport = self.relay()
        await self.one(transport)
        await transport.stop()
        self.assertEqual(0, transport.counts()["far.test"][0])

    async def test_closed_while_idle(self) -> None:
        """A connection that the server closed between two messages costs no attempt."""
        for how in ("lost", "421", "late"):
            servers = Servers()
            self.table.clear()
            self.serve(servers)
            transport = self.relay()
            await self.one(transport)
            server = next(iter(servers.live))
            if how == "late":
                # It closes instead of answering MAIL.
                server.server.close_at = "MAIL"
            elif how == "421":
                server.server.answers["MAIL"] = "421 4.4.2 idle"
            else:
                server.transport.abortConnection()
            self.assertIsInstance(await self.one(transport), Delivered)
            self.assertEqual(2, len(servers.servers))
            await transport.stop()

    async def test_closed_twice(self) -> None:
        """It is tried once more and not for ever."""
        servers = Servers(lambda: ScriptedServer(close_at="MAIL"))
        self.serve(servers)
        outcome = await self.one(self.relay())
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual(("4.4.2", "MAIL FROM"), (outcome.reply.enhanced, outcome.reply.command))
        self.assertEqual(1, len(servers.servers))

    async def test_limit_of_the_other_side(self) -> None:
        """A server that takes two connections and no third serves everybody by two."""
        made = 0

        def make() -> ScriptedServer:
            nonlocal made
            made += 1
            return ScriptedServer(answers={"GREETING": "421 4.7.0 too many"} if made > 2 else {})

        servers = Servers(make)
        self.serve(servers)
        transport = self.relay(connections=5)
        found = await gatherResults([transport.deliver(delivery()) for _ in range(20)])
        self.assertEqual(["Delivered"] * 20, [type(outcomes[0]).__name__ for outcomes in found])

    async def test_many_recipients(self) -> None:
        """More than a server must take go in several transactions, and their outcomes keep their order."""
        servers = Servers(lambda: ScriptedServer(answers={"RCPT <u150@far.test>": "550 5.1.1 no"}))
        self.serve(servers)
        outcomes = await self.relay().deliver(delivery(*(f"u{number}@far.test" for number in range(250))))
        self.assertEqual([150], [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Failed)])
        self.assertEqual([50, 99, 100], sorted(len(recipients) for recipients, _ in servers.messages))

    async def test_mixed(self) -> None:
        servers = Servers(lambda: ScriptedServer(answers={"RCPT <b@far.test>": "550 5.1.1 no"}))
        self.serve(servers)
        outcomes = await self.relay().deliver(delivery("a@far.test", "b@far.test"))
        self.assertEqual(["Delivered", "Failed"], [type(outcome).__name__ for outcome in outcomes])


class HostTests(RelayCase):
    """Which host, and what if none."""

    async def test_next_address_and_host(self) -> None:
        """A dead address, a dead host, a host that turns us away: the next one takes it."""
        dead = free_port()
        servers, turned = Servers(), Servers(lambda: ScriptedServer(answers={"GREETING": "450 4.3.2 busy"}))
        hello = Servers(lambda: ScriptedServer(answers={"EHLO": "421 4.3.2 busy"}))
        self.table["far.test"] = [
            Exchanger("mx1.far.test", ("127.0.0.1", "127.0.0.2"), dead),
            Exchanger("mx2.far.test", ("127.0.0.1",), self.listen(turned)),
            Exchanger("mx3.far.test", ("127.0.0.1",), self.listen(hello)),
            Exchanger("mx4.far.test", ("127.0.0.3", "127.0.0.1"), self.listen(servers)),
        ]
        outcome = await self.one(self.relay())
        self.assertIsInstance(outcome, Delivered)
        self.assertIn("mx4.far.test", outcome.reply.host)
        self.assertEqual((1, 1), (len(turned.servers), len(hello.servers)))

    async def test_most_telling(self) -> None:
        """Of several troubles, what a server said comes before what we found."""
        greylisting = Servers(lambda: ScriptedServer(answers={"GREETING": "450 4.3.2 busy"}))
        dead = free_port()
        self.table["far.test"] = [
            Exchanger("mx1.far.test", ("127.0.0.1",), dead),
            Exchanger("mx2.far.test", ("127.0.0.1",), self.listen(greylisting)),
        ]
        outcome = await self.one(self.relay())
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual(
            (450, "4.3.2", "busy", "connect"),
            tuple(getattr(outcome.reply, name) for name in ("code", "enhanced", "text", "command")),
        )

    async def test_nobody(self) -> None:
        self.table["far.test"] = [Exchanger("mx1.far.test", ("127.0.0.1",), free_port())]
        outcome = await self.one(self.relay())
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual(
            ("4.4.1", "connect", ""), (outcome.reply.enhanced, outcome.reply.command, outcome.reply.host)
        )
        self.assertIn("mx1.far.test [127.0.0.1]", outcome.reply.text)

    async def test_554_greeting(self) -> None:
        """554 of one host postpones; of all hosts, it fails."""
        no = Servers(lambda: ScriptedServer(answers={"GREETING": "554 5.3.2 no mail here"}))
        self.table["far.test"] = [
            Exchanger("mx1.far.test", ("127.0.0.1",), self.listen(no)),
            Exchanger("mx2.far.test", ("127.0.0.1",), free_port()),
        ]
        outcome = await self.one(self.relay())
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual(554, outcome.reply.code)
        self.table["far.test"].pop()
        outcome = await self.one(self.relay())
        self.assertIsInstance(outcome, Failed)

    async def test_dns(self) -> None:
        table = {
            "null.test": (RouteError(REPLIES.reply("null-mx", domain="null.test")), Failed, 556),
            "dark.test": (TemporarilyUnavailable("SERVFAIL"), Postponed, 451),
            "bug.test": (KeyError("what"), Postponed, 451),
        }
        transport = self.relay()
        for name, (error, expected, code) in table.items():
            self.table[name] = error
            outcome = await self.one(transport, next_hop=name)
            self.assertIsInstance(outcome, expected)
            self.assertEqual(code, outcome.reply.code)
        self.assertEqual(1, len(self.flushLoggedErrors(KeyError)))

    async def test_smarthost_that_is_not_found(self) -> None:
        """A name of our own configuration is our trouble: nothing is returned for it."""
        unknown = RouteError(REPLIES.reply("no-mail-host", domain="smart.test"))
        self.table = self.exchangers.table = {"smart.test": unknown, "smart.test:587": unknown}
        for name in self.table:
            outcome = await self.one(self.relay(smarthost=name), next_hop=name)
            self.assertIsInstance(outcome, Postponed)
            self.assertEqual((451, "4.4.4"), (outcome.reply.code, outcome.reply.enhanced))
        outcome = await self.one(self.relay(), next_hop="smart.test")
        self.assertIsInstance(outcome, Failed)

    async def test_next_hop_of_the_configuration(self) -> None:
        """A domain's next hop or a route's, without a port: neither NXDOMAIN nor a 554 greeting
        returns a message; beside it, one that was found by its recipient is returned."""
        self.table["gone.test"] = RouteError(REPLIES.reply("no-such-domain", domain="gone.test"))
        servers = Servers(lambda: ScriptedServer(OFFER, {"GREETING": "554 5.7.1 no mail here"}))
        self.table["closed.test"] = [Exchanger("mx.far.test", ("127.0.0.1",), self.listen(servers))]
        transport = self.relay()
        for name in ("gone.test", "closed.test"):
            sent = delivery("a@x.test", "b@x.test", next_hop=name)
            sent.addressees[1].options = {"configured": True}
            outcomes = await transport.deliver(sent)
            self.assertEqual([Failed, Postponed], [type(outcome) for outcome in outcomes], name)

    async def test_literal(self) -> None:
        """An address with its port needs no question."""
        servers = Servers()
        port = self.listen(servers)
        outcome = await self.one(self.relay(smarthost=f"127.0.0.1:{port}"), next_hop="")
        self.assertIsInstance(outcome, Delivered)
        self.assertEqual([], self.exchangers.asked)

    async def test_source_address(self) -> None:
        """Our address is used, and hosts of the other family are passed over."""
        servers = Servers()
        peers: list[str] = []
        build = servers.buildProtocol

        def noted(addr: Any) -> Any:
            peers.append(addr.host)
            return build(addr)

        servers.buildProtocol = noted  # type: ignore[method-assign]
        port = self.listen(servers)
        self.table["far.test"] = [Exchanger("mx.far.test", ("::1", "127.0.0.1"), port)]
        outcome = await self.one(self.relay(source_address="127.0.0.5"))
        self.assertIsInstance(outcome, Delivered)
        self.assertEqual(["127.0.0.5"], peers)

    async def test_no_ipv6(self) -> None:
        self.table["far.test"] = [Exchanger("mx.far.test", ("::1",), 25)]
        outcome = await self.one(self.relay(ipv6=False))
        self.assertIn("no address that we may use", outcome.reply.text)

    async def test_shunned(self) -> None:
        """An address that was dead a moment ago is tried after the others."""
        servers = Servers()
        self.table["far.test"] = [
            Exchanger("mx1.far.test", ("127.0.0.1",), free_port()),
            Exchanger("mx2.far.test", ("127.0.0.1",), self.listen(servers)),
        ]
        transport = self.relay(messages_per_connection=1)
        await self.one(transport)
        ways = transport._dialler._ways("far.test", self.table["far.test"])
        self.assertEqual(["mx2.far.test", "mx1.far.test"], [way[0] for way in ways])

    async def test_no_way_over_ipv6(self) -> None:
        """Then a host is tried over IPv4 first; which host comes first stays."""
        dialler = self.relay()._dialler
        hosts = [
            Exchanger("mx1.far.test", ("2001:db8::1", "192.0.2.1", "2001:db8::2")),
            Exchanger("mx2.far.test", ("2001:db8::3", "192.0.2.3")),
        ]
        found = [way[1] for way in dialler._ways("far.test", hosts)]
        self.assertEqual(["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3", "192.0.2.3"], found)
        for number in range(3):
            dialler._families.failed(f"2001:db8::{number}", None, reactor.seconds())
        found = [way[1] for way in dialler._ways("far.test", hosts)]
        self.assertEqual(["192.0.2.1", "2001:db8::1", "2001:db8::2", "192.0.2.3", "2001:db8::3"], found)

    async def test_port(self) -> None:
        """relay.port holds where the next hop names none."""
        ways = self.relay(port=2525)._dialler._ways
        hosts = [Exchanger("mx.far.test", ("192.0.2.1",))]
        self.assertEqual(2525, ways("far.test", hosts)[0][2])
        self.assertEqual(25, ways("far.test:25", hosts)[0][2])
        self.assertEqual(25, ways("[192.0.2.1]:25", hosts)[0][2])
        self.assertEqual(2525, ways("[IPv6:2001:db8::1]", hosts)[0][2])

    async def test_stop_while_connecting(self) -> None:
        """Whoever waits when the server stops is postponed."""
        self.table["far.test"] = [
            Exchanger(
                "mx.far.test",
                ("127.0.0.1",),
                self.listen(Servers(lambda: ScriptedServer(answers={"GREETING": ""}))),
            )
        ]
        transport = self.relay()
        waiting = transport.deliver(delivery())
        await deferLater(reactor, 0.05, lambda: None)
        await transport.stop()
        self.assertIsInstance((await waiting)[0], Postponed)
        self.assertIsInstance((await transport.deliver(delivery()))[0], Postponed)

    async def test_stop_while_sending(self) -> None:
        """A message on its way may end while the server stops, and QUIT never stands in its midst."""
        path = self.directory / "content"
        path.write_bytes(b"x: y\r\n\r\n" + b"z" * (4 << 20) + b"\r\n")
        servers = Servers()
        self.serve(servers)
        transport = self.relay()
        waiting = transport.deliver(delivery(content=FileContent(path, path.stat().st_size)))
        while not servers.servers or "DATA" not in servers.servers[0].commands:
            await deferLater(reactor, 0.001, lambda: None)
        await transport.stop()
        self.assertIsInstance((await waiting)[0], Delivered)
        self.assertEqual(len(TRACE) + path.stat().st_size, len(servers.messages[0][1]))
        self.assertEqual("QUIT", servers.servers[0].commands[-1])

    async def test_silent(self) -> None:
        """A server that says nothing is given up after command_timeout."""
        servers = Servers(lambda: ScriptedServer(answers={"GREETING": ""}))
        self.serve(servers)
        transport = self.relay(command_timeout=0.5)
        outcome = await self.one(transport)
        self.assertEqual(("4.4.2", "connect"), (outcome.reply.enhanced, outcome.reply.command))
        # What took time to find out is believed for as long.
        self.assertIsInstance(await self.one(transport), Postponed)
        self.assertEqual(1, len(servers.servers))


class TlsTests(RelayCase):
    """STARTTLS and TLS, and what is recorded of them."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.directory)
        self.trust = RelayTls(self.authority.path)

    def secure(self, host: str = "mx.far.test", days: int = 2, **options: Any) -> Servers:
        servers = Servers(lambda: ScriptedServer((*OFFER, "STARTTLS"), **options))
        servers.certificate = self.authority.issue(host, days)
        return servers

    async def test_verified(self) -> None:
        for mode in ("opportunistic", "require", "verify"):
            self.table.clear()
            self.serve(self.secure())
            outcome = await self.one(self.relay(self.trust, tls=mode))
            self.assertIsInstance(outcome, Delivered)
            self.assertRegex(outcome.reply.tls, r"^TLSv1\.3 TLS_\w+, verified as mx\.far\.test$")

    async def test_authorities_of_the_settings(self) -> None:
        """Those in the file are trusted; a file without any is an error at the start."""
        self.serve(self.secure())
        settings = {"tls": "verify", "authorities": os.path.basename(self.authority.path)}
        self.assertIsInstance(await self.one(self.relay(**settings)), Delivered)
        (self.directory / "none.pem").write_text("none")
        for name in ("none.pem", "missing.pem"):
            with self.assertRaises(ValueError) as caught:
                self.relay(tls="verify", authorities=name)
            self.assertIn("relay.authorities", str(caught.exception))
            self.assertIn(name, str(caught.exception))

    async def test_not_verified(self) -> None:
        """Self-signed, expired, for another name: recorded, and refused only by ``verify``."""
        table = [
            (
                RelayTls(),
                self.secure(),
                "self-signed certificate in the chain|issuer of the certificate is not known",
            ),
            (self.trust, self.secure("other.test"), "the certificate is not for mx.far.test"),
            (self.trust, self.secure(days=-1), "the certificate has expired"),
        ]
        for trust, servers, problem in table:
            self.table.clear()
            self.serve(servers)
            for mode in ("opportunistic", "require"):
                outcome = await self.one(self.relay(trust, tls=mode))
                self.assertIsInstance(outcome, Delivered)
                self.assertRegex(outcome.reply.tls, f"^TLSv1.3 TLS_.*, not verified: .*({problem})")
            outcome = await self.one(self.relay(trust, tls="verify"))
            self.assertIsInstance(outcome, Postponed)
            self.assertEqual("4.7.5", outcome.reply.enhanced)
            self.assertRegex(outcome.reply.text, problem)
            self.assertEqual(2, len(servers.messages))

    async def test_address_as_name(self) -> None:
        """A smarthost given as an address needs a certificate for the address."""
        servers = self.secure("127.0.0.1")
        port = self.listen(servers)
        outcome = await self.one(self.relay(self.trust, tls="verify"), next_hop=f"127.0.0.1:{port}")
        self.assertIsInstance(outcome, Delivered)
        self.assertIn("verified as 127.0.0.1", outcome.reply.tls)

    async def test_implicit(self) -> None:
        servers = self.secure()
        servers.implicit = True
        self.serve(servers)
        outcome = await self.one(self.relay(self.trust, tls="implicit"))
        self.assertIsInstance(outcome, Delivered)
        self.assertIn("verified as mx.far.test", outcome.reply.tls)
        outcome = await self.one(self.relay(RelayTls(), tls="implicit"))
        self.assertEqual("4.7.5", outcome.reply.enhanced)

    async def test_broken_handshake(self) -> None:
        """Opportunistic TLS that fails is followed by clear text; TLS that is demanded is not."""
        servers = self.secure()
        servers.break_tls = True
        self.serve(servers)
        outcome = await self.one(self.relay(self.trust))
        self.assertIsInstance(outcome, Delivered)
        self.assertRegex(outcome.reply.tls, "^clear text: TLS failed: ")
        outcome = await self.one(self.relay(self.trust, tls="require"))
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual("4.7.5", outcome.reply.enhanced)

    async def test_swallowed_handshake(self) -> None:
        """Who never answers the handshake is soon spoken to in clear text."""
        self.patch(client_protocol, "HANDSHAKE", 0.1)
        servers = self.secure()
        servers.swallow_tls = True
        self.serve(servers)
        outcome = await self.one(self.relay(self.trust))
        self.assertIsInstance(outcome, Delivered)
        self.assertEqual("clear text: TLS failed: the handshake took too long", outcome.reply.tls)

    async def test_not_offered(self) -> None:
        self.serve(Servers())
        outcome = await self.one(self.relay(self.trust, tls="verify"))
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("does not offer STARTTLS", outcome.reply.text)

    async def test_never(self) -> None:
        servers = self.secure()
        self.serve(servers)
        await self.one(self.relay(tls="never"))
        self.assertNotIn("STARTTLS", servers.servers[0].commands)

    async def test_auth(self) -> None:
        """The smarthost, and nobody else, is given the password."""
        servers = self.secure()
        servers.make = lambda: ScriptedServer((*OFFER, "STARTTLS", "AUTH PLAIN"), {"AUTH": "235 2.7.0 ok"})
        self.table["smart.test"] = [Exchanger("mx.far.test", ("127.0.0.1",), self.listen(servers))]
        self.table["far.test"] = self.table["smart.test"]
        (self.directory / "password").write_text("geheim\n")
        (self.directory / "password").chmod(0o600)
        transport = self.relay(self.trust, smarthost="smart.test", username="ann", password_file="password")
        self.assertIsInstance(await self.one(transport, next_hop=""), Delivered)
        self.assertIsInstance(await self.one(transport, next_hop="far.test"), Delivered)
        auth = [[line for line in server.commands if line.startswith("AUTH")] for server in servers.servers]
        self.assertEqual([["AUTH PLAIN AGFubgBnZWhlaW0="], []], auth)

    async def test_passwords(self) -> None:
        """Each sender's own at the next hop that was chosen for it; nobody's to an MX of the recipient."""
        servers = self.secure()
        servers.make = lambda: ScriptedServer((*OFFER, "STARTTLS", "AUTH PLAIN"), {"AUTH": "235 2.7.0 ok"})
        self.table["smart.test"] = [Exchanger("mx.far.test", ("127.0.0.1",), self.listen(servers))]
        self.table["far.test"] = self.table["smart.test"]
        file = self.directory / "passwords"
        file.write_text("ann@here.test  ann:geheim\n@shop.test\tshop:laden\n[smart.test] all:alle\n")
        file.chmod(0o600)
        transport = self.relay(self.trust, passwords="passwords")
        sent = delivery(*(f"{n}@x.test" for n in range(5)), next_hop="smart.test")
        for addressee, login in zip(
            sent.addressees, ("ann@here.test", "eve@shop.test", "ben@here.test", "", None), strict=True
        ):
            addressee.options = {} if login is None else {"configured": True, "login": login}
        outcomes = await transport.deliver(sent)
        self.assertEqual([Delivered] * 5, [type(outcome) for outcome in outcomes])
        said: dict[str, set[str]] = {}
        for server in servers.servers:
            auth = next((line.split()[2] for line in server.commands if line.startswith("AUTH")), "")
            name = base64.b64decode(auth).decode().replace("\0", " ").strip()
            for line in server.commands:
                if line.startswith("RCPT"):
                    said.setdefault(name, set()).add(line.partition("@")[0][-1])
        self.assertEqual({"ann geheim": {"0"}, "shop laden": {"1"}, "all alle": {"2", "3"}, "": {"4"}}, said)
        # Who has no password of their own shares a connection.
        self.assertEqual((4, 4), (len(servers.servers), transport.counts()["smart.test"][0]))

    async def test_auth_refused(self) -> None:
        """Credentials that are not taken bounce nothing."""
        servers = self.secure()
        servers.make = lambda: ScriptedServer((*OFFER, "STARTTLS", "AUTH PLAIN"), {"AUTH": "535 5.7.8 no"})
        self.table["smart.test"] = [Exchanger("mx.far.test", ("127.0.0.1",), self.listen(servers))]
        (self.directory / "password").write_text("geheim")
        transport = self.relay(self.trust, smarthost="smart.test", username="ann", password_file="password")
        outcome = await self.one(transport, next_hop="smart.test")
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual((454, "4.7.0"), (outcome.reply.code, outcome.reply.enhanced))
        self.assertNotIn("geheim", repr(outcome))


class FileTests(RelayCase):
    """Content that is not held in memory."""

    async def big(self, offer: tuple[str, ...], secure: bool = False) -> None:
        line = b"." + b"0123456789abcdef" * 4 + b"\r\n"
        count = (20 << 20) // len(line)
        path = self.directory / "big"
        with path.open("wb") as file:
            file.write(b"Subject: big\r\n\r\n")
            for _ in range(count // 1000):
                file.write(line * 1000)
        content = FileContent(path, path.stat().st_size)
        sink = Sink(offer)
        servers = Servers(lambda: sink)
        tls = None
        if secure:
            authority = Authority(self.directory)
            servers.certificate = authority.issue("mx.far.test")
            tls = RelayTls(authority.path)
        self.serve(servers)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcome = await self.one(self.relay(tls), content=content)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        self.assertIsInstance(outcome, Delivered)
        dots = 0 if "CHUNKING" in offer else count // 1000 * 1000
        self.assertEqual(len(TRACE) + content.size + dots, sink.octets)
        self.assertLess(grown, 16 * 1024, "KiB")

    async def test_data(self) -> None:
        await self.big(OFFER)

    async def test_chunk(self) -> None:
        await self.big(CHUNKS)

    async def test_tls(self) -> None:
        await self.big((*CHUNKS, "STARTTLS"), True)

    async def test_content(self) -> None:
        """Octet for octet, dots and block borders included, then the next message."""
        path = self.directory / "content"
        data = b"Subject: x\r\n\r\n" + b"".join(
            b"." * (number % 3) + os.urandom(number % 700).hex().encode() + b"\r\n" for number in range(2000)
        )
        path.write_bytes(data)
        for offer in (OFFER, CHUNKS):
            servers = Servers(lambda offer=offer: ScriptedServer(offer))  # type: ignore[misc]
            self.table.clear()
            self.serve(servers)
            transport = self.relay(connections=1)
            await gatherResults(
                [
                    transport.deliver(delivery(content=FileContent(path, len(data)))),
                    transport.deliver(delivery("next@far.test")),
                ]
            )
            self.assertEqual(
                [(["<u@far.test>"], TRACE + data), (["<next@far.test>"], TRACE + MAIL)], servers.messages
            )
            self.assertEqual(1, len(servers.servers))

    async def test_large_in_memory(self) -> None:
        """What does not fit into the socket at once follows, in order."""
        data = b"Subject: x\r\n\r\n" + b"".join(b"%d\r\n" % number for number in range(800_000))
        for offer in (OFFER, CHUNKS):
            servers = Servers(lambda offer=offer: ScriptedServer(offer))  # type: ignore[misc]
            self.table.clear()
            self.serve(servers)
            transport = self.relay(connections=1)
            await gatherResults(
                [transport.deliver(delivery(content=content)) for content in (data, MAIL, data, MAIL)]
            )
            # Not assertEqual: it would show them.
            self.assertTrue([TRACE + data, TRACE + MAIL] * 2 == [content for _, content in servers.messages])

    async def test_damaged(self) -> None:
        """A file that is gone, or not as long as it was, is our trouble: nobody gets half of it."""
        path = self.directory / "content"
        path.write_bytes(MAIL)
        for offer in (OFFER, CHUNKS):
            for content in (
                FileContent(path, len(MAIL) + 1),
                FileContent(path, len(MAIL) - 1),
                FileContent(self.directory / "gone", 10),
            ):
                servers = Servers(lambda offer=offer: ScriptedServer(offer))  # type: ignore[misc]
                self.table.clear()
                self.serve(servers)
                outcome = await self.one(self.relay(), content=content)
                self.assertIsInstance(outcome, Postponed)
                self.assertEqual("4.3.0", outcome.reply.enhanced)
                self.assertEqual([], servers.messages)

    async def test_lost_in_the_middle(self) -> None:
        """The connection breaks while a file is on its way."""
        path = self.directory / "content"
        path.write_bytes(b"x: y\r\n\r\n" + b"z" * (8 << 20))
        servers = Servers(lambda: Hangup(OFFER))
        self.serve(servers)
        outcome = await self.one(self.relay(), content=FileContent(path, path.stat().st_size))
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual(("4.4.2", "end of data"), (outcome.reply.enhanced, outcome.reply.command))


class Sink(ScriptedServer):
    """Counts content instead of keeping it."""

    octets = 0
    _taking = False
    _tail = b""

    def receive(self, data: bytes) -> bytes:
        if self._taking:
            self.octets += len(data)
            self._tail = (self._tail + data)[-5:]
            if self._chunk >= 0:
                if self.octets < self._chunk:
                    return b""
                self._chunk = -1
            elif self._tail != b"\r\n.\r\n":
                return b""
            else:
                self.octets -= 3
            self._taking = self._data = False
            return b"250 2.0.0 counted\r\n"
        answer = super().receive(data)
        if self._chunk >= 0 or self._data:
            self._taking = True
            self.octets = len(self._buffer)
            self._buffer = b""
        return answer


class Deaf(ScriptedServer):
    """Hears nothing after its first message."""

    def receive(self, data: bytes) -> bytes:
        return b"" if self.messages else super().receive(data)


class Hangup(ScriptedServer):
    """Hangs up after a megabyte."""

    def receive(self, data: bytes) -> bytes:
        answer = super().receive(data)
        if len(self._buffer) > 1 << 20:
            self.closed = True
        return answer


class KindTests(RelayCase):
    """From settings to a transport."""

    def build(self, **settings: Any) -> RelayTransport:
        context = PluginContext(
            reactor, str(self.directory), str(self.directory), "me.test", None, deferToThread, self.exchangers
        )
        return RELAY.build(Relay(**settings), context)

    def test_build(self) -> None:
        self.assertEqual(8, self.build(connections=4).concurrency("x"))

    def test_password(self) -> None:
        """A password that cannot be had is an error at the start."""
        table = [
            ({"username": "ann"}, "password_file is not"),
            ({"password_file": "p"}, "username is not"),
            ({"username": "ann", "password_file": "p"}, "no relay.smarthost"),
            ({"username": "ann", "password_file": "p", "smarthost": "s"}, "No such file"),
        ]
        for settings, words in table:
            with self.assertRaises(ValueError) as caught:
                self.build(**settings)
            self.assertIn(words, str(caught.exception))
        path = self.directory / "p"
        for data in (b"", b"\n", b"a\nb", b"\xff"):
            path.write_bytes(data)
            with self.assertRaises(ValueError):
                self.build(**table[3][0])

    def test_reload(self) -> None:
        """A new password is taken; one that cannot be read leaves the old one."""
        path = self.directory / "p"
        path.write_text("old")
        transport = self.build(username="ann", password_file="p", smarthost="s")
        path.write_text("new\r\n")
        transport.reload()
        assert transport._credentials is not None
        self.assertEqual("new", transport._credentials.password)
        path.unlink()
        self.assertRaises(ValueError, transport.reload)
        self.assertEqual("new", transport._credentials.password)


class SmtpSinkTests(RelayCase):
    """Postfix's smtp-sink, a server that we did not write."""

    async def test_smtp_sink(self) -> None:
        program = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise SkipTest("smtp-sink is not installed")
        port = free_port()
        ended: Deferred[None] = Deferred()

        class Ended(ProcessProtocol):
            def processEnded(self, reason: Any) -> None:
                ended.callback(None)

        # As root it insists on becoming somebody else.
        arguments = [program, *(["-u", "nobody"] if os.getuid() == 0 else []), f"127.0.0.1:{port}", "100"]
        process = reactor.spawnProcess(Ended(), program, arguments, env=None)
        try:
            for _ in range(1200):
                await deferLater(reactor, 0.05, lambda: None)
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
            transport = self.relay()
            jobs: list[Delivery] = [
                delivery(f"u{number}@far.test", "v@far.test", next_hop=f"127.0.0.1:{port}")
                for number in range(50)
            ]
            found = await gatherResults([transport.deliver(job) for job in jobs])
            self.assertEqual({"Delivered"}, {type(o).__name__ for outcomes in found for o in outcomes})
            await transport.stop()
        finally:
            process.signalProcess("KILL")
            await ended
