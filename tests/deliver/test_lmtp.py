"""Delivering to a mail store over LMTP."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from pydantic import ValidationError
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from mta.deliver.lmtp import LMTP, LmtpSettings, LmtpTransport
from mta.interfaces import Exchanger, PluginContext, RouteError
from mta.model.catalogue import REPLIES
from mta.model.outcome import Delivered, Failed, Postponed
from tests.deliver.relay_server import Servers, TableExchangers, delivery
from tests.smtp.client_script import MAIL, OFFER, TRACE, ScriptedServer

reactor: Any = _reactor


class LmtpTests(TestCase):
    """A scripted store on the loopback interface and on a UNIX socket."""

    timeout = 120

    def setUp(self) -> None:
        self.table: dict[str, Any] = {}
        self.answers: dict[str, str | list[str]] = {}
        self.offer: tuple[str, ...] = OFFER
        self.servers = Servers(lambda: ScriptedServer(self.offer, self.answers, lmtp=True))

    def listen(self) -> int:
        port = reactor.listenTCP(0, self.servers, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    def transport(self, **settings: Any) -> LmtpTransport:
        context = PluginContext(reactor, "", "", "me.test", None, deferToThread, TableExchangers(self.table))
        transport: LmtpTransport = LMTP.build(LmtpSettings(**settings), context)
        self.addCleanup(lambda: Deferred.fromCoroutine(transport.stop()))
        return transport

    async def test_mixed(self) -> None:
        """Each recipient has its own reply; nothing but the trace is put on top."""
        self.answers = {
            "RCPT <b@far.test>": "550 5.1.1 no such mailbox",
            "END": ["250 2.0.0 saved", "452 4.2.2 full", "552 5.2.2 over quota"],
        }
        transport = self.transport(port=self.listen())
        outcomes = await transport.deliver(
            delivery("a@far.test", "b@far.test", "c@far.test", "d@far.test", next_hop="")
        )
        self.assertEqual(
            [
                (Delivered, "end of data"),
                (Failed, "RCPT TO"),
                (Postponed, "end of data"),
                (Failed, "end of data"),
            ],
            [(type(outcome), outcome.reply.command) for outcome in outcomes],
        )
        self.assertEqual(TRACE + MAIL, self.servers.messages[0][1])
        self.assertEqual("LHLO me.test", self.servers.servers[0].commands[0])

    async def test_many(self) -> None:
        """Many messages with several recipients over few connections, each answered."""
        self.offer = (*OFFER, "CHUNKING")
        transport = self.transport(port=self.listen(), connections=2)
        self.assertEqual(4, transport.concurrency(""))
        found = await gatherResults(
            [transport.deliver(delivery("a@far.test", "b@far.test", next_hop="")) for _ in range(50)]
        )
        self.assertEqual({Delivered}, {type(outcome) for outcomes in found for outcome in outcomes})
        self.assertEqual((50, 2), (len(self.servers.messages), len(self.servers.servers)))

    async def test_is_the_last_step(self) -> None:
        """Who asked for it is told that the message was delivered, not that it was passed on."""
        self.assertIs(True, self.transport(port=self.listen()).final)

    async def test_unix(self) -> None:
        """A UNIX socket, named in the settings or by the route."""
        directory = Path(mkdtemp())
        path = directory / "lmtp"
        port = reactor.listenUNIX(str(path), self.servers)
        self.addCleanup(directory.rmdir)
        self.addCleanup(port.stopListening)
        for host, next_hop in ((f"unix:{path}", ""), ("127.0.0.1", f"unix:{path}")):
            outcomes = await self.transport(host=host).deliver(delivery(next_hop=next_hop))
            self.assertIsInstance(outcomes[0], Delivered)
            self.assertEqual(f"unix:{path}", outcomes[0].reply.host)

    async def test_no_socket(self) -> None:
        outcomes = await self.transport(host="unix:/nowhere/lmtp").deliver(delivery(next_hop=""))
        self.assertIsInstance(outcomes[0], Postponed)
        self.assertEqual(("4.4.1", "connect"), (outcomes[0].reply.enhanced, outcomes[0].reply.command))
        self.assertIn("/nowhere/lmtp answers: No such file or directory", outcomes[0].reply.text)

    async def test_host_name(self) -> None:
        """A host name is asked for, with its port."""
        port = self.listen()
        self.table["store.test:24"] = [Exchanger("store.test", ("127.0.0.1",), port)]
        outcomes = await self.transport(host="store.test").deliver(delivery(next_hop=""))
        self.assertEqual(f"store.test [127.0.0.1]:{port}", outcomes[0].reply.host)

    async def test_no_such_host(self) -> None:
        """A store that is not found, or wants nobody, is our trouble: nothing is returned."""
        self.table["store.test:24"] = RouteError(REPLIES.reply("no-mail-host", domain="store.test"))
        self.answers = {"GREETING": "554 5.3.2 closed"}
        for settings, code in (({"host": "store.test"}, 451), ({"port": self.listen()}, 554)):
            outcomes = await self.transport(**settings).deliver(delivery(next_hop=""))
            self.assertIsInstance(outcomes[0], Postponed)
            self.assertEqual(code, outcomes[0].reply.code)

    async def test_route_over_settings(self) -> None:
        port = self.listen()
        outcomes = await self.transport(port=1).deliver(delivery(next_hop=f"127.0.0.1:{port}"))
        self.assertIsInstance(outcomes[0], Delivered)

    async def test_trouble(self) -> None:
        """A store that breaks off after some of its replies postpones only the rest."""
        self.answers = {"END": ["250 2.0.0 saved", "421 4.3.2 going down"]}
        transport = self.transport(port=self.listen())
        outcomes = await transport.deliver(delivery("a@far.test", "b@far.test", next_hop=""))
        self.assertEqual([Delivered, Postponed], [type(outcome) for outcome in outcomes])

    def test_settings(self) -> None:
        table = {
            "127.0.0.1": "127.0.0.1:24",
            "::1": "[IPv6:::1]:24",
            "a.test": "a.test:24",
            "unix:/s": "unix:/s",
        }
        for host, next_hop in table.items():
            self.assertEqual(next_hop, LmtpSettings(host=host).next_hop)
        for host in ("", "unix:"):
            self.assertRaises(ValidationError, LmtpSettings, host=host)
