"""Carries one question to one DNS server and its answer back, over UDP or TCP.

Each question has a socket of its own, on a port that the kernel draws, and
connected: so the kernel drops what comes from other addresses, and a server
that is not there is known by ICMP at once and not by a timeout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Protocol, connectionDone
from twisted.python.failure import Failure

from mta.route.dns_message import Question, ServerTrouble

Server = tuple[str, int]


class Exchange:
    """Opens sockets.

    :param reactor: provides UDP, TCP and time.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def udp(self, server: Server, question: Question, timeout: float) -> Deferred[bytes]:
        """Ask over UDP.

        :param server: (IP address, port).
        :param timeout: seconds.
        :return: the octets of the response.
        :raise ServerTrouble: (later) if there is none.
        """
        done: Deferred[bytes] = Deferred(_cancelled)
        protocol = _Datagrams(server, question, done)
        interface = "::" if ":" in server[0] else "0.0.0.0"  # noqa: S104 - any local address may ask
        try:
            port = self._reactor.listenUDP(0, protocol, interface=interface, maxPacketSize=65535)
        except Exception as error:
            done.errback(ServerTrouble(f"cannot be asked: {error}", final=False))
            return done
        return self._timed(done, timeout, port.stopListening)

    def tcp(self, server: Server, question: Question, timeout: float) -> Deferred[bytes]:
        """Ask over TCP; as :meth:`udp`."""
        done: Deferred[bytes] = Deferred(_cancelled)
        factory = _StreamFactory(question, done)
        connector = self._reactor.connectTCP(*server, factory, timeout=timeout)
        return self._timed(done, timeout, connector.disconnect)

    def _timed(self, done: Deferred[bytes], timeout: float, close: Callable[[], Any]) -> Deferred[bytes]:
        def expire() -> None:
            if not done.called:
                done.errback(ServerTrouble("does not answer in time", final=False))

        timer = self._reactor.callLater(timeout, expire)

        def end(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            close()
            return result

        return done.addBoth(end)


def _cancelled(done: Deferred[bytes]) -> None:
    done.errback(ServerTrouble("was not waited for", final=False))


class _Datagrams(DatagramProtocol):
    def __init__(self, server: Server, question: Question, done: Deferred[bytes]) -> None:
        self._server = server
        self._question = question
        self._done = done

    def startProtocol(self) -> None:
        try:
            transport: Any = self.transport
            transport.connect(*self._server)
            transport.write(self._question.octets)
        except OSError as error:
            self._fail(f"cannot be reached: {error.strerror or error}")

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        # A wrong id may be somebody's guess: the right answer may still come.
        if not self._done.called and self._question.accepts(datagram):
            self._done.callback(datagram)

    def connectionRefused(self) -> None:
        self._fail("refuses connections")

    def stopProtocol(self) -> None:
        # An ICMP error may reach Twisted as the end of the socket, not as a refusal.
        self._fail("refuses connections")

    def _fail(self, text: str) -> None:
        if not self._done.called:
            self._done.errback(ServerTrouble(text, final=False))


class _Stream(Protocol):
    def __init__(self, question: Question, done: Deferred[bytes]) -> None:
        self._question = question
        self._done = done
        self._data = b""

    def connectionMade(self) -> None:
        octets = self._question.octets
        assert self.transport is not None
        self.transport.write(len(octets).to_bytes(2, "big") + octets)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if len(self._data) < 2 or self._done.called:
            return
        end = 2 + int.from_bytes(self._data[:2], "big")
        if len(self._data) < end:
            return
        response = self._data[2:end]
        if self._question.accepts(response):
            self._done.callback(response)
        else:
            self._done.errback(ServerTrouble("answers another question"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._done.called:
            self._done.errback(ServerTrouble("closed the connection", final=False))


class _StreamFactory(ClientFactory):
    noisy = False

    def __init__(self, question: Question, done: Deferred[bytes]) -> None:
        self._question = question
        self._done = done

    def buildProtocol(self, addr: Any) -> _Stream:
        return _Stream(self._question, self._done)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        if not self._done.called:
            self._done.errback(
                ServerTrouble(f"does not take TCP connections: {reason.getErrorMessage()}", False)
            )
