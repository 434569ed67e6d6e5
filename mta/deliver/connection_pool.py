"""Connections to one next hop, and the messages that wait for one.

A message that comes takes an idle connection at once.  Without one it waits,
and as many connections are opened as messages wait, up to the limit; whichever
comes first, a new connection or one that becomes free, takes the first in the
queue.  A connection on which a message is ending takes the next one in the same
write (see :mod:`mta.smtp.client_session`).

An idle connection may have been closed by the other side just now.  A message
that was begun on such a one, and of which the server had answered nothing,
goes to another connection before it counts as an attempt.

If opening fails while other connections stand, the other side wants no more of
them: those that stand serve everybody, and for a while no more are opened.  If
none stands, everybody who waits gets the answer, and whoever comes within the
time it took to find out gets it too, so that a dead host costs a full queue one
time-out and not thousands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.logger import Logger

from mta.deliver.share import Share
from mta.model.outcome import Failed, Outcome, Postponed, RemoteReply, sent_from
from mta.smtp.client_protocol import ClientProtocol
from mta.smtp.client_transaction import Transaction, own_reply

#: Seconds for which no more connections are opened than the other side let us have.
CEILING_TIME = 60.0
#: Connections on which a message is begun, at most, in one attempt.
TRIES = 3
#: Seconds for which a failure is believed, at most.
BELIEF = 30.0


class Unreachable(Exception):
    """No host of a next hop takes mail from us now.

    :ivar reply: the most telling answer of all that were tried.
    :ivar permanent: whether the sender should be told, rather than it be tried again.
    """

    def __init__(self, reply: RemoteReply, permanent: bool = False) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.permanent = permanent


class ConnectionPool:
    """See the module.

    :param reactor: gives the time.
    :param dial: opens a connection; raises :class:`Unreachable`.
    :param connections: how many may be open at once.
    :param messages: how many messages one connection takes.
    :param idle: seconds for which an idle one is kept.
    :param name: the next hop, for the log.
    :param share: what it has together with other pools; without one, ``connections`` are its own.
    """

    log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,
        dial: Callable[[], Awaitable[ClientProtocol]],
        connections: int,
        messages: int,
        idle: float,
        name: str = "",
        share: Share | None = None,
    ) -> None:
        self.name = name
        self._share = share or Share(lambda: connections)
        self._share.join(self)
        self._reactor = reactor
        self._dial = dial
        self._messages = messages
        self._idle_time = idle
        self._waiting: deque[Transaction] = deque()
        # The time until which each is kept; the one used longest ago stands first.
        self._idle: dict[ClientProtocol, float] = {}
        self._open: set[ClientProtocol] = set()
        self._leaving: set[ClientProtocol] = set()
        self._dialling: set[Deferred[None]] = set()
        self._coming = 0
        self._ceiling = connections
        self._ceiling_until = 0.0
        self._failure: Unreachable | None = None
        self._failure_until = 0.0
        self._sweep: Any = None
        self._stopped = False
        self._held = False

    @property
    def unused(self) -> bool:
        """Whether it holds nothing that would be missed."""
        return not (
            self._open
            or self._leaving
            or self._waiting
            or self._coming
            or self._reactor.seconds() < max(self._failure_until, self._ceiling_until)
        )

    def forget(self) -> None:
        """It is used no more."""
        self._share.leave(self)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Connections open, connections idle, messages waiting."""
        return len(self._open), len(self._idle), len(self._waiting)

    def deliver(self, transaction: Transaction) -> Deferred[Sequence[Outcome]]:
        """Send a message; fires with the outcome of each addressee."""
        done: Deferred[Sequence[Outcome]] = Deferred()
        transaction.done = done
        if self._idle:
            client, _ = self._idle.popitem()
            client.begin(transaction)
            return done
        if self._failure is not None:
            if self._stopped or self._reactor.seconds() < self._failure_until:
                _give_up(transaction, self._failure)
                return done
            self._failure = None
        self._waiting.append(transaction)
        self._grow()
        return done

    def stop(self) -> Deferred[Any]:
        """Open nothing more, say QUIT everywhere; fires when everything is closed."""
        self._stopped = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for dialling in list(self._dialling):
            dialling.cancel()
        reply = own_reply("connect-failed", "connect", host=self.name, problem="this server shuts down")
        self._failure = Unreachable(reply)
        self._fail(self._failure)
        everybody = [client.leave() for client in [*self._open, *self._leaving]]
        self._idle.clear()
        return DeferredList(everybody) if everybody else succeed(None)

    # --- for the others (Member) ------------------------------------------------

    @property
    def held(self) -> int:
        """Connections, those that are being opened or closed included."""
        return len(self._open) + len(self._leaving) + self._coming

    @property
    def leaving(self) -> int:
        """Connections that are being closed."""
        return len(self._leaving)

    def spare(self) -> bool:
        """Close the connection that was idle for longest; ``False`` if there is none."""
        client = next(iter(self._idle), None)
        if client is None:
            return False
        self._dismiss(client)
        return True

    def grow(self) -> None:
        """Open what is needed, as far as there is room."""
        self._grow()

    # --- for connections (ClientOwner) ------------------------------------------

    def next(self, client: ClientProtocol) -> Transaction | None:
        """A connection is free, or will be behind the message that it is ending."""
        session = client.session
        if client.messages < self._messages and not self._stopped and not self._yields(client):
            if self._waiting:
                transaction = self._waiting.popleft()
                if self._waiting:
                    self._grow()
                else:
                    self._share.content(self)
                return transaction
            if not session.busy:
                # It may ask more than once while there is nothing for it.
                self._idle.pop(client, None)
                self._idle[client] = self._reactor.seconds() + self._idle_time
                if self._sweep is None:
                    self._sweep = self._reactor.callLater(self._idle_time, self._close_idle)
        elif not session.busy:
            self._dismiss(client)
            self._grow()
        return None

    def _yields(self, client: ClientProtocol) -> bool:
        """Whether a connection that could take the next message makes room for another pool."""
        if self._waiting:
            return self._share.must_yield(self, client.messages)
        return self._share.is_wanted(self)

    def ended(self, client: ClientProtocol, transaction: Transaction) -> None:
        """A message has its outcomes; unless the connection was dead before it began."""
        dead = client.session.over and not transaction.touched and client.messages > 1
        if dead and transaction.tries < TRIES and not self._stopped:
            transaction.reset()
            self._waiting.appendleft(transaction)
            return
        if transaction.done.called:
            return
        # Whoever hears of it may have the next message at once, and this connection takes it.
        self._held = client.session.free
        try:
            transaction.done.callback(_outcomes(client, transaction))
        finally:
            self._held = False

    def closed(self, client: ClientProtocol) -> None:
        """A connection takes no more."""
        self._open.discard(client)
        self._leaving.discard(client)
        self._idle.pop(client, None)
        # Whoever waits for room comes first.
        self._share.released()
        self._grow()

    # --- opening ----------------------------------------------------------------

    def _grow(self) -> None:
        if self._stopped or self._held:
            return
        wanted = len(self._waiting) - self._coming
        if self._reactor.seconds() < self._ceiling_until:
            wanted = min(wanted, self._ceiling - self.held)
        if wanted <= 0:
            return
        room = self._share.room
        if room < wanted:
            self._share.want(self, wanted - room)
        else:
            self._share.content(self)
        for _ in range(min(room, wanted)):
            dialling = Deferred.fromCoroutine(self._add())
            if not dialling.called:
                self._dialling.add(dialling)
                dialling.addBoth(self._dialled, dialling)

    def _dialled(self, result: None, dialling: Deferred[None]) -> None:
        self._dialling.discard(dialling)

    async def _add(self) -> None:
        began = self._reactor.seconds()
        self._coming += 1
        trouble: Unreachable | None = None
        try:
            client = await self._dial()
        except Unreachable as unreachable:
            trouble = unreachable
        except CancelledError:
            return
        except Exception:
            self.log.failure("Cannot open a connection to {name}", name=self.name)
            trouble = Unreachable(own_reply("transport-trouble", "connect", transport=self.name))
        finally:
            self._coming -= 1
        if trouble is not None:
            self._refused(trouble, began)
            self._share.released()
            return
        self._open.add(client)
        client.owner = self
        if self._stopped:
            self._dismiss(client)
        else:
            client.pump()

    def _refused(self, trouble: Unreachable, began: float) -> None:
        now = self._reactor.seconds()
        others = len(self._open) + self._coming
        if others:
            self._ceiling = others
            self._ceiling_until = now + CEILING_TIME
            return
        self._failure = trouble
        self._failure_until = now + min(now - began, BELIEF)
        self._fail(trouble)

    def _fail(self, trouble: Unreachable) -> None:
        waiting, self._waiting = self._waiting, deque()
        self._share.content(self)
        for transaction in waiting:
            _give_up(transaction, trouble)

    # --- closing ----------------------------------------------------------------

    def _dismiss(self, client: ClientProtocol) -> None:
        self._idle.pop(client, None)
        self._open.discard(client)
        self._leaving.add(client)
        client.leave()

    def _close_idle(self) -> None:
        """Close connections that were idle too long: the ones used longest ago stand first."""
        self._sweep = None
        now = self._reactor.seconds()
        for client, until in list(self._idle.items()):
            if until > now:
                self._sweep = self._reactor.callLater(max(until - now, 0.01), self._close_idle)
                break
            self._dismiss(client)


def _outcomes(client: ClientProtocol, transaction: Transaction) -> Sequence[Outcome | None]:
    """Of a transaction that has ended, with where the connection came from if that was chosen."""
    if not client.source:
        return transaction.outcomes
    return [sent_from(one, client.source) if one is not None else None for one in transaction.outcomes]


def _give_up(transaction: Transaction, trouble: Unreachable) -> None:
    outcome = Failed(trouble.reply) if trouble.permanent else Postponed(trouble.reply)
    if not transaction.done.called:
        transaction.done.callback([outcome for _ in transaction.addressees])
