"""Sockets are bound before they are opened; what cannot be bound is told with the remedy."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from mta.listener import Listener, ListenError


class Greeter(Protocol):
    """Says one word to who connects."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


def greeted(address: str) -> Deferred[bytes]:
    """What a client reads until the connection is closed."""
    from twisted.internet.threads import deferToThread

    host, _, port = address.rpartition(":")

    def read() -> bytes:
        with socket.create_connection((host, int(port)), timeout=60) as client:
            return client.recv(100)

    return deferToThread(read)


class ListenerTests(TestCase):
    """With real sockets on loopback."""

    def listener(self, description: str = "tcp:0:interface=127.0.0.1", descriptor: Any = None) -> Listener:
        listener = Listener(reactor, "mx", description, descriptor)
        self.addCleanup(lambda: Deferred.fromCoroutine(listener.close()))
        return listener

    def factory(self) -> Factory:
        factory = Factory()
        factory.protocol = Greeter
        return factory

    async def _bound_is_not_open(self) -> None:
        listener = self.listener()
        listener.bind(self.factory())
        waiting = greeted(listener.address)
        settled: Deferred[None] = Deferred()
        reactor.callLater(0.05, settled.callback, None)  # type: ignore[attr-defined]
        await settled
        self.assertNoResult(waiting)
        listener.open()
        self.assertEqual(b"hello", await waiting)

    def test_bound_is_not_open(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._bound_is_not_open())

    async def _adopted(self) -> None:
        bound = self.listener()
        bound.bind(Factory())
        adopted = self.listener(bound.description, bound.descriptor)
        adopted.bind(self.factory())
        adopted.open()
        self.assertEqual(b"hello", await greeted(bound.address))

    def test_adopted(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._adopted())

    def test_in_use(self) -> None:
        first = self.listener()
        first.bind(self.factory())
        port = first.address.rpartition(":")[2]
        second = self.listener(f"tcp:{port}:interface=127.0.0.1")
        error = self.assertRaises(ListenError, second.bind, self.factory())
        self.assertIn("the address is in use", str(error))

    def test_not_ours(self) -> None:
        error = self.assertRaises(
            ListenError, self.listener("tcp:0:interface=192.0.2.1").bind, self.factory()
        )
        self.assertIn("does not belong to this machine", str(error))

    def test_no_endpoint(self) -> None:
        for description in ("smtp:25", "tcp:mail", "tcp"):
            listener = Listener(reactor, "mx", description)
            self.assertIn("is no endpoint", listener.trouble())
            error = self.assertRaises(ListenError, listener.bind, self.factory())
            self.assertIn("listen.mx", str(error))
