"""A primary that is asked whether it takes a recipient."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from mta.config.settings import BackupMx
from mta.deliver.call_forward import CallForward
from mta.interfaces import Exchanger, TemporarilyUnavailable, settle
from mta.model.outcome import Delivered
from tests.deliver.relay_server import Servers, delivery
from tests.deliver.test_relay import RelayCase
from tests.e2e.scenario import free_port
from tests.smtp.client_script import OFFER, ScriptedServer

reactor: Any = _reactor


class CallForwardTests(RelayCase):
    """Over the loopback interface."""

    def asker(
        self, answers: dict[str, Any] | None = None, offer: tuple[str, ...] = OFFER, **settings: Any
    ) -> Any:
        self.servers = Servers(lambda: ScriptedServer(offer, answers))
        self.serve(self.servers)
        self.transport = self.relay()
        return CallForward(self.transport, BackupMx(**settings))

    async def ask(self, asker: CallForward, address: str = "u@far.test") -> Any:
        return await settle(asker.ask(address, "far.test"))

    async def test_taken(self) -> None:
        """It is asked, nothing is sent, and the answer is remembered."""
        for offer in (OFFER, (*OFFER, "CHUNKING"), ()):
            self.table.clear()
            asker = self.asker(offer=offer)
            self.assertIsNone(await self.ask(asker))
            self.assertIsNone(asker.ask("U@far.test", "far.test"))
            self.assertEqual([], self.servers.messages)
            # The connection is as good as before, for a message.
            while self.transport.counts().get("far.test") != (1, 1, 0):
                await deferLater(reactor, 0.001)
            message = delivery()
            message.addressees[0].options = {"configured": True}
            [outcome] = await self.transport.deliver(message)
            self.assertIsInstance(outcome, Delivered)
            [server] = self.servers.servers
            commands = [line.split(" SIZE")[0].split(" BODY")[0] for line in server.commands]
            self.assertEqual(
                ["MAIL FROM:<>", "RCPT TO:<u@far.test>", "RSET", "MAIL FROM:<a@b.test>"], commands[1:5]
            )

    async def test_refused(self) -> None:
        asker = self.asker({"RCPT <no@far.test>": "550 5.1.1 nobody"})
        refusal, taken = await gatherResults(
            [Deferred.fromCoroutine(self.ask(asker, f"{name}@far.test")) for name in ("no", "yes")]
        )
        self.assertIsNone(taken)
        self.assertEqual((550, "nobody", "RCPT TO"), (refusal.code, refusal.text, refusal.command))
        self.assertEqual(refusal, asker.ask("no@far.test", "far.test"))

    async def test_unknown(self) -> None:
        """Whatever is no word about the recipient: it is taken."""
        for answers in (
            {"GREETING": "554 5.3.2 no"}, {"MAIL": "550 5.7.1 not you"}, {"RCPT": "451 4.7.1 greylisted"},
            {"RCPT": "gibberish"},
        ):  # fmt: skip
            self.table.clear()
            self.assertIsNone(await self.ask(self.asker(answers)), answers)

    async def test_away(self) -> None:
        """One question finds out; for a while there is no further one."""
        asker = self.asker()
        self.table["far.test"] = [Exchanger("mx.far.test", ("127.0.0.1",), free_port())]
        self.assertIsNone(await self.ask(asker))
        self.assertIsNone(asker.ask("other@far.test", "far.test"))

    async def test_silent(self) -> None:
        class Silent(ScriptedServer):
            def receive(self, data: bytes) -> bytes:
                return b"" if b"RCPT" in data else super().receive(data)

        asker = self.asker(verify_timeout=0.1)
        self.servers.make = Silent
        first = asker.ask("u@far.test", "far.test")
        second = asker.ask("u@far.test", "far.test")
        self.assertIsNone(await settle(first))
        self.assertIsNone(await settle(second))
        await self.transport.stop()

    async def test_too_many(self) -> None:
        self.patch(__import__("mta.deliver.call_forward", fromlist=["x"]), "_WAITING", 1)
        asker = self.asker()
        first = asker.ask("u@far.test", "far.test")
        self.assertRaises(TemporarilyUnavailable, asker.ask, "v@far.test", "far.test")
        await settle(first)
