"""A filter in memory: keeps the packets that it is sent, and answers by a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock

from mta.interfaces import PluginContext
from mta.judge.milter.judge import MilterJudge, MilterSettings
from mta.judge.milter.options import ALL_ACTIONS
from mta.judge.milter.packets import Packet, PacketReader

CONTINUE = Packet(b"c")
#: Commands that have no answer.
_SILENT = b"DAQK"

Answer = list[Packet] | Callable[[bytes], list[Packet]] | None


def options(
    version: int = 6, actions: int = int(ALL_ACTIONS), protocol: int = 0, macros: bytes = b""
) -> Packet:
    numbers = b"".join(number.to_bytes(4, "big") for number in (version, actions, protocol))
    return Packet(b"O", numbers + macros)


class MemoryFilter:
    """One filter, an endpoint of itself.

    :ivar heard: packets, all connections together, macros apart.
    :ivar macros: the macros before each command, by its letter; the last ones.
    :ivar answers: packets by command; ``None``: silence; what is not in it is "continue".
    :ivar up: whether it can be reached; ``None``: it does not answer the connect.
    :ivar connections: those that are open.
    """

    def __init__(self) -> None:
        self.heard: list[Packet] = []
        self.macros: dict[str, dict[str, str]] = {}
        self.answers: dict[bytes, Answer] = {b"O": [options()]}
        self.up: bool | None = True
        self.dialled = 0
        self.connections: list[MemoryTransport] = []

    @property
    def commands(self) -> str:
        """The commands that it was sent, one letter each."""
        return b"".join(packet.command for packet in self.heard).decode()

    def connect(self, factory: Any) -> Deferred[Any]:
        if self.up is None:
            return Deferred()
        if not self.up:
            return fail(ConnectionRefusedError())
        self.dialled += 1
        protocol = factory.buildProtocol(None)
        transport = MemoryTransport(self, protocol)
        self.connections.append(transport)
        protocol.makeConnection(transport)
        return succeed(protocol)

    def kill(self) -> None:
        """Close all connections, and take no more."""
        self.up = False
        for transport in list(self.connections):
            transport.abortConnection()

    def take(self, packet: Packet) -> list[Packet]:
        if packet.command == b"D":
            texts = packet.payload[1:-1].split(b"\0")
            pairs = zip(texts[::2], texts[1::2], strict=True)
            self.macros[packet.payload[:1].decode()] = {k.decode(): v.decode() for k, v in pairs}
            return []
        self.heard.append(packet)
        if packet.command in _SILENT:
            return []
        answer = self.answers.get(packet.command, [CONTINUE])
        if answer is None:
            return []
        return answer(packet.payload) if callable(answer) else answer


class MemoryTransport:
    """Hands octets over at once."""

    def __init__(self, filter: MemoryFilter, protocol: Any) -> None:
        self._filter = filter
        self._protocol = protocol
        self._reader = PacketReader()
        self._open = True
        self.producer: Any = None

    def write(self, data: bytes) -> None:
        if self._open:
            for packet in self._reader.feed(data):
                for answer in self._filter.take(packet):
                    if self._open:
                        self._protocol.dataReceived(answer.encode())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def abortConnection(self) -> None:
        if self._open:
            self._open = False
            self._filter.connections.remove(self)
            self._protocol.connectionLost(connectionDone)

    loseConnection = abortConnection


def judge_with(filter: MemoryFilter, clock: Clock, **settings: Any) -> MilterJudge:
    """The judge, joined to a filter in memory."""
    context = PluginContext(
        reactor=clock,
        state="",
        base="",
        hostname="mx.example.org",
        resolver=None,
        run_in_thread=lambda function, *args: maybeDeferred(function, *args),
    )
    return MilterJudge(MilterSettings(endpoint="unix:/x", **settings), context, filter)
