"""From where the relay connects, who it says it is, and how long it waits, as it is told."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from mta.config.settings import Relay, Shape
from mta.deliver.relay import RelayTransport
from mta.interfaces import Exchanger
from mta.model.egress import Source
from mta.model.outcome import Delivered, Outcome, Postponed
from mta.route.shaping import Shaping
from tests.deliver.relay_server import Servers, delivery
from tests.deliver.test_relay import RelayCase, reactor
from tests.e2e.scenario import free_port
from tests.smtp.client_script import ScriptedServer

A = Source("a", "127.0.0.5", helo="a.test")
B = Source("b", "127.0.0.6")


class Peers(Servers):
    """Remembers where connections came from."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.peers: list[str] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.peers.append(addr.host)
        return super().buildProtocol(addr)


class SourceCase(RelayCase):
    def shaped(self, *shapes: dict[str, Any], name: str = "relay", **settings: Any) -> RelayTransport:
        transport = RelayTransport(
            Relay(**settings),
            reactor,
            self.exchangers,  # type: ignore[arg-type]
            "me.test",
            deferToThread,
            str(self.directory),
            shaping=Shaping([Shape(**one) for one in shapes]),
            name=name,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(transport.stop()))
        return transport

    async def leave(self, transport: RelayTransport, source: Source | None) -> Outcome:
        sent = delivery()
        sent.source = source
        return (await transport.deliver(sent))[0]


class SourceTests(SourceCase):
    async def test_address_and_name(self) -> None:
        """Each source has connections of its own, from its address, under its name, and outcomes tell."""
        servers = Peers()
        self.serve(servers)
        transport = self.shaped()
        outcomes = [await self.leave(transport, source) for source in (A, B, None, A)]
        self.assertEqual(["127.0.0.5", "127.0.0.6", "127.0.0.1"], servers.peers)
        hellos = [server.commands[0] for server in servers.servers]
        self.assertEqual(["EHLO a.test", "EHLO me.test", "EHLO me.test"], hellos)
        words = ["a (a.test [127.0.0.5])", "b (me.test [127.0.0.6])", "", "a (a.test [127.0.0.5])"]
        self.assertEqual(words, [outcome.reply.source for outcome in outcomes])
        self.assertEqual([Delivered] * 4, [type(outcome) for outcome in outcomes])

    async def test_failures_tell(self) -> None:
        self.table["far.test"] = [Exchanger("mx.far.test", ("127.0.0.1",), free_port())]
        outcome = await self.leave(self.shaped(), A)
        self.assertEqual("a (a.test [127.0.0.5])", outcome.reply.source)
        self.table["far.test"] = []
        self.serve(Servers(lambda: ScriptedServer(answers={"GREETING": "554 5.7.1 not from there"})))
        outcome = await self.leave(self.shaped(), A)
        self.assertEqual("a (a.test [127.0.0.5])", outcome.reply.source)
        self.assertIn("not from there", outcome.reply.text)

    async def test_no_address_of_that_family(self) -> None:
        self.table["far.test"] = [Exchanger("mx.far.test", ("::1",), 25)]
        outcome = await self.leave(self.shaped(), A)
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("no address that the source a can reach", outcome.reply.text)

    async def test_foreign_address(self) -> None:
        """That our own address is not there says nothing of the other side."""
        servers = Peers()
        self.serve(servers)
        transport = self.shaped()
        outcome = await self.leave(transport, Source("c", "192.0.2.1"))
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("Cannot assign requested address", outcome.reply.text)
        self.assertEqual({}, transport._dialler._shunned)
        self.assertIsInstance(await self.leave(transport, A), Delivered)


class ShapedTests(SourceCase):
    async def test_timeouts(self) -> None:
        """Each stage has a time of its own."""
        table = {
            "greeting": {"GREETING": ""},
            "hello": {"EHLO": ""},
            "mail": {"MAIL": ""},
            "data": {"DATA": ""},
            "end": {"END": ""},
        }
        for stage, answers in table.items():
            self.table.clear()
            self.serve(Servers(lambda answers=answers: ScriptedServer(("SIZE",), answers=answers)))
            transport = self.shaped({"mx": ["mx.far.test"], "timeouts": {stage: 0.2}})
            await self.known(transport)
            outcome = await self.leave(transport, None)
            self.assertIsInstance(outcome, Postponed, stage)

    async def known(self, transport: RelayTransport) -> None:
        """Have it know the site, as the queue does."""
        found: Any = transport.site("far.test")
        if not isinstance(found, tuple):
            await found

    async def test_tls(self) -> None:
        """A table may demand TLS, by the names of hosts that are found out for it."""
        servers = Servers()
        self.serve(servers)
        transport = self.shaped({"mx": ["mx.*"], "tls": "encrypt"}, {"source": ["b"], "tls": "may"})
        outcome = await self.leave(transport, None)
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("demanded: encrypt by shape for mx.*", outcome.reply.tls)
        outcome = await self.leave(transport, B)
        self.assertIsInstance(outcome, Delivered)
        self.assertIn("demanded: may by shape for b", outcome.reply.tls)

    async def test_tls_of_a_tenant(self) -> None:
        self.serve(Servers())
        transport = self.shaped({"tenant": ["acme"], "tls": "encrypt"})
        sent = delivery()
        sent.message.attributes = {"tenant": "acme"}
        self.assertIsInstance((await transport.deliver(sent))[0], Postponed)
        self.assertIsInstance(await self.leave(transport, None), Delivered)

    async def test_of_this_transport(self) -> None:
        """A table for one transport is not for another of the same kind."""
        self.serve(Servers())
        shape = {"transport": ["second"], "tls": "encrypt"}
        self.assertIsInstance(await self.leave(self.shaped(shape), None), Delivered)
        self.assertIsInstance(await self.leave(self.shaped(shape, name="second"), None), Postponed)
