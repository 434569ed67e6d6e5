"""One bound over several pools: never more connections than a site may have, and none that starves."""

from __future__ import annotations

from collections import Counter, deque
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Relay, TlsPolicy
from mta.deliver.connection_pool import ConnectionPool
from mta.deliver.relay import RelayTransport
from mta.deliver.share import TURN, Share
from mta.route.tls_demands import TlsDemands
from tests.deliver.relay_server import Servers, delivery
from tests.deliver.test_connection_pool import Connection, Message
from tests.deliver.test_relay import RelayCase, deferToThread, reactor
from tests.smtp.client_script import ScriptedServer


class Line(Connection):
    """A connection that is open until it says so."""

    def __init__(self, network: Network, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name
        network.open[name] += 1
        network.peak = max(network.peak, network.open.total())

    def leave(self) -> Any:
        if not self.left:
            self.left = True
            self.network.closing.append(self)
        return Deferred()

    def close(self) -> None:
        self.network.open[self.name] -= 1
        self.session.over = True
        self.owner.closed(self)


class Network:
    """Some pools with one share; each step of it is asked for."""

    def __init__(self, limit: int, *names: str) -> None:
        self.clock = Clock()
        self.limit = limit
        self.open: Counter[str] = Counter()
        self.peak = 0
        self.closing: deque[Line] = deque()
        self.lines: list[Line] = []
        self.dials: deque[tuple[str, Deferred[Any]]] = deque()
        self.served: Counter[str] = Counter()
        share = Share(lambda: self.limit)
        self.pools = {
            name: ConnectionPool(
                reactor=self.clock,
                dial=lambda name=name: self.dial(name),  # type: ignore[misc]
                connections=limit,
                messages=1000,
                idle=10.0,
                share=share,
            )
            for name in names
        }

    def dial(self, name: str) -> Deferred[Any]:
        dialled: Deferred[Any] = Deferred()
        self.dials.append((name, dialled))
        return dialled

    def deliver(self, name: str, count: int = 1) -> None:
        for _ in range(count):
            message: Any = Message()
            self.pools[name].deliver(message).addCallback(lambda _: self.served.update([name]))

    def step(self) -> None:
        """Whatever is under way gets on by one."""
        for _ in range(len(self.dials)):
            name, dialled = self.dials.popleft()
            line = Line(self, name)
            self.lines.append(line)
            dialled.callback(line)
        for line in list(self.lines):
            if line.session.busy:
                line.end()
        for _ in range(len(self.closing)):
            line = self.closing.popleft()
            self.lines.remove(line)
            line.close()


class ShareTests(SynchronousTestCase):
    def test_never_more(self) -> None:
        network = Network(4, "a", "b", "c")
        for name in "abc":
            network.deliver(name, 50)
        for _ in range(200):
            network.step()
        self.assertEqual((4, {"a": 50, "b": 50, "c": 50}), (network.peak, network.served))

    def test_equal_parts(self) -> None:
        """Whoever comes to a site that another has in use gets half of it."""
        network = Network(4, "a", "b")
        network.deliver("a", 1000)
        for _ in range(5):
            network.step()
        self.assertEqual(4, network.open["a"])
        network.deliver("b", 1000)
        for _ in range(10):
            network.step()
        self.assertEqual({"a": 2, "b": 2}, network.open)
        before = len(network.lines)
        for _ in range(50):
            network.step()
        # And then nobody closes anything for the other.
        self.assertEqual((before, {"a": 2, "b": 2}), (len(network.lines), network.open))

    def test_idle_ones_make_room_at_once(self) -> None:
        network = Network(2, "a", "b")
        network.deliver("a", 2)
        for _ in range(3):
            network.step()
        self.assertEqual(2, network.open["a"])
        network.deliver("b")
        for _ in range(4):
            network.step()
        self.assertEqual(1, network.served["b"])
        # No more than was asked for.
        self.assertEqual({"a": 1, "b": 1}, network.open)

    def test_turns(self) -> None:
        """With more pools than places, each has the place for some messages."""
        network = Network(1, "a", "b", "c")
        for name in "abc":
            network.deliver(name, 500)
        for _ in range(20 * TURN):
            network.step()
        counts = sorted(network.served.values())
        self.assertEqual(1, network.peak)
        self.assertLess(counts[2] - counts[0], 3 * TURN)
        self.assertGreater(counts[0], 2 * TURN)

    def test_another_limit(self) -> None:
        network = Network(1, "a")
        network.deliver("a", 100)
        for _ in range(5):
            network.step()
        network.limit = 3
        network.deliver("a")
        for _ in range(5):
            network.step()
        self.assertEqual(3, network.open["a"])

    @settings(max_examples=50)
    @given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 10**6))
    def test_everybody_is_served(self, limit: int, pools: int, seed: int) -> None:
        """Whatever comes when: within the bound, and to the end."""
        random = Random(seed)
        names = "abcd"[:pools]
        network = Network(limit, *names)
        sent: Counter[str] = Counter()
        for _ in range(60):
            name = random.choice(names)
            count = random.choice((0, 1, 1, 5, 20))
            network.deliver(name, count)
            sent[name] += count
            for _ in range(random.randint(0, 3)):
                network.step()
        for _ in range(sent.total() + 200):
            network.step()
        self.assertEqual(+sent, network.served)
        self.assertLessEqual(network.peak, limit)


class RelayShareTests(RelayCase):
    async def test_over_all_doors(self) -> None:
        """Domains of one site with different demands have its connections together."""
        servers = Servers(lambda: ScriptedServer())
        exchanger = self.serve(servers)
        for name in ("near.test", "here.test"):
            self.table[name] = [exchanger]
        demands = TlsDemands([TlsPolicy(domain=["near.test"], demand="may")])
        transport = RelayTransport(
            Relay(connections=2),
            reactor,
            self.exchangers,  # type: ignore[arg-type]
            "me.test",
            deferToThread,
            tls_demands=demands,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(transport.stop()))
        hops = ("far.test", "near.test", "here.test")
        for name in hops:
            found: Any = transport.site(name)
            if not isinstance(found, tuple):
                await found
        sent = [transport.deliver(delivery(next_hop=hops[number % 3])) for number in range(60)]
        await gatherResults(sent)
        self.assertEqual((60, 2), (len(servers.messages), servers.peak))
