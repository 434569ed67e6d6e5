"""Connections to one filter: those that are open and free, and new ones.

A filter that speaks version 6 takes one session after the other on a connection
(SMFIC_QUIT_NC).  libmilter does so directly behind the end of a message to which the filter said
"continue", and passes over it without a word in any other state: so only then.

One that hangs is left alone for a while, so that not every client waits for it in turn.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory

from mta.judge.milter.connection import MilterConnection, MilterTimeout
from mta.judge.milter.dialogue import negotiate
from mta.judge.milter.packets import MilterError
from mta.judge.milter.steps import QUIT, QUIT_AND_GO_ON

#: Seconds for which a filter that hangs is not asked again.
REST = 10.0
#: Free connections that are kept.
_MOST_FREE = 50


class _Factory(Factory):
    noisy = False

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def buildProtocol(self, addr: Any) -> MilterConnection:
        return MilterConnection(self._reactor)


class MilterConnections:
    """See the module.

    :param reactor: connects, and gives the time.
    :param endpoint: an ``IStreamClientEndpoint`` of the filter.
    :param connect_timeout: seconds until a connection must be there.
    :param command_timeout: seconds to wait for the answer to the negotiation.
    :param reuse: whether a connection may serve several sessions.
    :param idle: seconds after which a free one is closed.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: Any,
        *,
        connect_timeout: float = 30.0,
        command_timeout: float = 30.0,
        reuse: bool = True,
        idle: float = 10.0,
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._connect_timeout = connect_timeout
        self._command_timeout = command_timeout
        self._reuse = reuse
        self._idle = idle
        self._free: list[tuple[MilterConnection, Any]] = []
        self._hung = ("", 0.0)

    async def open(self) -> tuple[MilterConnection, bool]:
        """A connection with nobody on it, and whether it served somebody before.

        :raise MilterError: if the filter cannot be reached.
        """
        if self._free:
            connection, call = self._free.pop()
            call.cancel()
            connection.on_lost = lambda: None
            return connection, True
        return await self._dial(), False

    async def _dial(self) -> MilterConnection:
        why, until = self._hung
        if self._reactor.seconds() < until:
            raise MilterError(f"{why}; it is asked again {REST:g} seconds after that")
        connecting: Deferred[Any] = self._endpoint.connect(_Factory(self._reactor))
        connecting.addTimeout(self._connect_timeout, self._reactor, _too_late(self._connect_timeout))
        try:
            connection: MilterConnection = await connecting
        except (ConnectError, OSError) as error:
            raise MilterError(f"it cannot be reached: {error}") from None
        except MilterTimeout as error:
            self.hangs(error)
            raise
        try:
            connection.terms = await connection.run(negotiate(), self._command_timeout)
        except MilterError as error:
            connection.drop()
            self.hangs(error)
            raise
        return connection

    def hangs(self, error: MilterError) -> None:
        """Leave it alone for a while, if it was silent."""
        if isinstance(error, MilterTimeout):
            self._hung = (str(error), self._reactor.seconds() + REST)

    def give_back(self, connection: MilterConnection, at_end: bool) -> None:
        """A session is over: keep its connection for another one, or close it.

        :param at_end: whether the last thing on it was "continue" at the end of a message.
        """
        if connection.lost:
            return
        may = at_end and self._reuse and connection.terms.may_be_reused
        if not may or len(self._free) >= _MOST_FREE:
            connection.leave(QUIT)
            return
        connection.say(QUIT_AND_GO_ON)
        call = self._reactor.callLater(self._idle, self._close, connection)
        self._free.append((connection, call))
        connection.on_lost = lambda: self._forget(connection)

    def _close(self, connection: MilterConnection) -> None:
        self._forget(connection)
        connection.leave(QUIT)

    def _forget(self, connection: MilterConnection) -> None:
        connection.on_lost = lambda: None
        for free in self._free:
            if free[0] is connection:
                self._free.remove(free)
                if free[1].active():
                    free[1].cancel()
                return

    def close(self) -> None:
        """Close what is free."""
        for connection, _ in list(self._free):
            self._close(connection)


def _too_late(seconds: float) -> Any:
    def cancelled(result: Any, timeout: float) -> Any:
        raise MilterTimeout(f"it could not be reached within {seconds:g} seconds")

    return cancelled
