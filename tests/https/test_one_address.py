"""Which addresses are tried, and that nothing but the one is connected to."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent

from mta.https.one_address import MOST_ADDRESSES, OneAddress, addresses_of


class _Resolver:
    async def addresses(self, host: str) -> Any:
        return [f"192.0.2.{last}" for last in range(1, 9)]


class OneAddressTests(SynchronousTestCase):
    def addresses(self, host: str) -> Any:

        return self.successResultOf(Deferred.fromCoroutine(addresses_of(_Resolver(), host)))  # type: ignore[arg-type]

    def test_addresses(self) -> None:
        self.assertEqual(["192.0.2.1", "192.0.2.2", "192.0.2.3"], self.addresses("far.test"))
        self.assertEqual(3, MOST_ADDRESSES)

    def test_address_in_place_of_a_name(self) -> None:
        """Nobody is asked."""
        self.assertEqual(["198.51.100.1"], self.addresses("198.51.100.1"))
        self.assertEqual(["2001:db8::1"], self.addresses("2001:db8:0::1"))

    def test_connects_to_the_address(self) -> None:
        for address in ("192.0.2.7", "2001:db8::7"):
            reactor = MemoryReactor()
            endpoint = OneAddress(reactor, address, 8443, optionsForClientTLS("far.test"))
            agent = Agent.usingEndpointFactory(reactor, endpoint)
            agent.request(b"GET", b"https://elsewhere.test:443/").addErrback(lambda failure: None)
            [(host, port, *_)] = reactor.tcpClients
            self.assertEqual((address, 8443), (host, port))
            endpoint.abort()  # There is no connection yet: nothing to end.
