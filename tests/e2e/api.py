"""The API of a whole server in this process: its parts joined as in production, its state on disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from mta.config.loading import load
from mta.registry.tenants import Tenant
from mta.server import Server
from tests.api.v1.channel import Answer, Channel
from tests.e2e.toml import dump


class ServedApi:
    """One server without sockets: requests go into its HTTP site in memory.

    :param test: ends it.
    :param users: address to password, for the file ``users``.
    :param settings: tables of ``mta.toml``.
    """

    def __init__(self, test: TestCase, users: Mapping[str, str] | None = None, **settings: Any) -> None:
        # The path of a UNIX socket is short.
        base = Path(tempfile.mkdtemp(prefix="mta"))
        test.addCleanup(shutil.rmtree, base, ignore_errors=True)
        self.state = base / "state"
        for directory in ("run", "spool"):
            (self.state / directory).mkdir(parents=True)
        listen = {role: [] for role in ("mx", "submission", "submissions", "http")}
        if users:
            lines = [f"{address}:{{PLAIN}}{password}\n" for address, password in users.items()]
            (base / "users").write_text("".join(lines))
        file = base / "mta.toml"
        file.write_text(
            dump(
                {
                    "hostname": "mx.example.org",
                    "state": str(self.state),
                    "listen": listen,
                    "domains": {"example.org": {}, "b.example": {}},
                    "dns": {"servers": ["127.0.0.1:1"], "timeout": 20},
                    "api": {"requests_per_second": 0},
                    **settings,
                }
            )
        )
        self._ready: Deferred[None] = Deferred()
        self.server = Server(reactor, load(file))
        service = self.server.service
        service._ready = lambda: self._ready.callback(None)
        # A request that a test leaves without an answer is not waited for.
        service._grace = 1.0
        service._failed = lambda why: self._ready.errback(RuntimeError(why))
        service.privilegedStartService()
        service.startService()
        test.addCleanup(service.stopService)

    async def started(self) -> ServedApi:
        """Wait until it is."""
        await self._ready
        return self

    async def journaled(self) -> None:
        """Wait until the journal has what was noted by now: that is written behind the answers."""
        # The spool does in order what it is given; this changes nothing.
        await self.server.spool.put_off({}, 0.0, 0.0)

    async def tenant(self, name: str, *domains: str) -> None:
        """Make one, with domains."""
        registry = self.server.api.registry
        if name != "default":
            await registry.tenants.add(Tenant(name))
        for domain in domains:
            await registry.domains.add(name, domain, 0.0)

    async def key(self, tenant: str, scopes: Sequence[str] = ("admin",), name: str = "") -> str:
        """Make one; its text."""
        keys = self.server.api.registry.keys
        return (await keys.create(tenant, name, scopes, reactor.seconds()))[1]  # type: ignore[attr-defined]

    def ask_soon(self, *what: Any, address: str = "192.0.2.7", **how: Any) -> Channel:
        """Send a request, and wait for nothing."""
        channel = Channel(self.server.api.site, address)
        channel.send(*what, **how)
        return channel

    async def ask(self, *what: Any, **how: Any) -> Answer:
        """Send a request, and wait for the answer."""
        channel = self.ask_soon(*what, **how)
        for _ in range(15_000):
            octets = channel.transport.value()
            head, blank, _ = octets.partition(b"\r\n\r\n")
            # A whole answer: in this harness nothing is streamed.
            if blank and (b"chunked" not in head.lower() or octets.endswith(b"0\r\n\r\n")):
                channel.protocol.connectionLost(Failure(ConnectionDone()))
                return Answer(octets)
            await deferLater(reactor, 0.005)
        raise AssertionError(f"no answer to {what}")
