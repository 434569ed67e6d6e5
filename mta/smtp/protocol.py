"""The Twisted protocol around a server session.

``SmtpProtocol`` is a ``twisted.mail.smtp.ESMTP`` in which
:class:`~mta.smtp.session.ServerSession` stands in place of line framing and
command methods.  What :class:`~mta.smtp.factory.SmtpFactory` makes is driven
by our reception and authenticator; without them, as under Twisted's own
``SMTPFactory``, it takes ``portal``, ``challengers``, ``delivery`` and
``deliveryFactory`` as ever (:mod:`mta.smtp.twisted_doors`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.mail.smtp import ESMTP
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mta.interfaces import settle
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client
from mta.model.reply import Reply
from mta.smtp.binding import channel_binding
from mta.smtp.connections import Connections
from mta.smtp.local_peer import user_of
from mta.smtp.session import ServerSession
from mta.smtp.states import OPENING, TLS
from mta.smtp.terms import Terms

_log = Logger()

#: Octets that may wait behind an open question before reading stops.
MAX_WAITING = 16 * 1024
#: Seconds for which a client may take its time to read our last words.
FAREWELL = 30.0
#: Seconds between two events about clients that found no room.
TURNED_AWAY_EVERY = 1.0


@dataclass(slots=True)
class Premises:
    """What the protocols of one listener share.

    :ivar reactor: time and delayed calls.
    :ivar terms: of new sessions.
    :ivar session_id: makes the id of a session.
    :ivar tls: context factory for STARTTLS.
    :ivar connections: who may come in; ``None`` for everybody.
    :ivar sessions: protocols that are connected.
    :ivar draining: whether the server is about to stop.
    :ivar empty: called when the last session has gone, if somebody waits for that.
    :ivar turned_away: when an event last told of a client without room, and how many there were since.
    """

    reactor: Any
    terms: Terms
    session_id: Callable[[], str]
    tls: Any = None
    connections: Connections | None = None
    sessions: set[SmtpProtocol] = field(default_factory=set)
    draining: bool = False
    empty: Deferred[None] | None = None
    turned_away: tuple[float, int] = (0.0, 0)


@implementer(IHandshakeListener, IPushProducer)
class SmtpProtocol(ESMTP):
    """See the module.

    :param chal: ``challengers``, as for ``ESMTP``.
    :param contextFactory: for STARTTLS, as for ``ESMTP``.
    :ivar premises: what it shares with its siblings; set by the factory.
    :ivar peer: address of the client; set by the factory.
    :cvar plaintext_without_tls: whether Twisted's challengers PLAIN and LOGIN
        are offered outside TLS too.
    """

    noisy = False
    plaintext_without_tls = False
    premises: Premises | None = None
    peer: Any = None
    session: ServerSession
    transport: Any

    _heard = 0.0
    _counted = False
    _waiting = False
    _inline = False
    _paused = False
    _spool_paused = False
    _secure_first = False
    _direct = False
    _watched = False
    _unread = False

    def __init__(self, chal: Any = None, contextFactory: Any = None) -> None:
        ESMTP.__init__(self, chal, contextFactory)

    # --- connection ------------------------------------------------------------

    def connectionMade(self) -> None:
        """Greet the client, or wait for its TLS handshake to do so."""
        premises = self.premises
        if premises is None:
            from mta.smtp.twisted_doors import premises_of

            premises = self.premises = premises_of(self)
        terms = premises.terms
        transport = self.transport
        peer = self.peer if self.peer is not None else transport.getPeer()
        client = Client(
            premises.session_id(),
            terms.role,
            _host(peer),
            getattr(peer, "port", 0),
            _host(transport.getHost()),
            user=user_of(transport) if terms.role == "local" else None,
        )
        self.session = session = ServerSession(terms, client, self)
        premises.sessions.add(self)
        self._heard = session.started = premises.reactor.seconds()
        self._arm(self._interval())
        self._secure_first = isinstance(transport, TLSMemoryBIOProtocol)
        if type(transport) is Server:
            self._direct = True
            # Replies that wait for different answers must not wait for acknowledgements too.
            transport.setTcpNoDelay(True)
        counts = premises.connections
        if counts is not None:
            # Mail from this machine cannot be shut out by what comes from elsewhere.
            if terms.role == "local":
                refusal = counts.enter_local(terms.hostname)
            else:
                refusal = counts.enter(client.address, terms.hostname)
            if refusal is not None:
                self._turn_away(refusal)
                return
            self._counted = True
        if premises.draining:
            session.close("shutting-down")
            self._after()
        elif not self._secure_first:
            session.open()
            self._after()

    def _turn_away(self, refusal: Reply) -> None:
        premises, session = self.premises, self.session
        assert premises is not None
        # Who floods us with connections must not flood the journal too.
        since, count = premises.turned_away
        now = premises.terms.seconds()
        if now - since >= TURNED_AWAY_EVERY:
            evidence = {**refusal.evidence, "since_last_event": count}
            known = Reply(refusal.code, refusal.lines, refusal.enhanced, refusal.name, refusal.rule, evidence)
            session.note_refusal("connect", known)
            premises.turned_away = (now, 0)
        else:
            premises.turned_away = (since, count + 1)
        if self._secure_first:
            # Words would need a handshake first, and those who wait for one without
            # being counted could be any number.
            session.hang_up()
            self.transport.abortConnection()
            return
        session.reply(refusal)
        session.hang_up()
        self._after()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Drop what is not complete; make room for another client."""
        self._arm(None)
        premises, session = self.premises, self.session
        assert premises is not None
        if session.state == TLS or (self._secure_first and session.state == OPENING):
            self._note_failed_handshake(reason)
        session.connection_lost()
        if self._counted and premises.connections is not None:
            self._counted = False
            if session.terms.role == "local":
                premises.connections.leave_local()
            else:
                premises.connections.leave(session.client.address)
        premises.sessions.discard(self)
        if premises.empty is not None and not premises.sessions:
            empty, premises.empty = premises.empty, None
            empty.callback(None)
        if self._onLogout:
            self._onLogout()
            self._onLogout = None

    def _note_failed_handshake(self, reason: Failure) -> None:
        problem = reason.getErrorMessage() if isinstance(reason, Failure) else str(reason)
        reply = REPLIES.reply("tls-failed", problem=problem[:200] or "the client broke off")
        self.session.note_refusal("tls", reply)

    # --- octets ------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Hand octets to the session, and do what it wants then."""
        session = self.session
        if not session.closing:
            self._heard = self.premises.reactor.seconds()  # type: ignore[union-attr]
            session.receive(data)
            self._after()

    def _after(self) -> None:
        session = self.session
        while session.question is not None and not self._waiting:
            self._wait_for(session.question)
        output = session.output
        if output:
            self._send(output[0] if len(output) == 1 else b"".join(output))
            session.output = []
        if session.closing:
            if session.lingers:
                self._linger()
            else:
                self._close()
        elif session.wants_tls:
            session.wants_tls = False
            self._start_tls()
        elif session.question is not None or self._paused:
            if session.reader is None:
                # Whoever kept the content has all of it, and will not say that it can go on.
                self._spool_paused = False
            self._regulate()

    def _send(self, octets: bytes) -> None:
        # A reply nearly always fits into the socket's buffer.  Sending it here saves
        # a round through the reactor and two calls of epoll_ctl for each.  Once
        # anything had to wait, everything goes through the reactor.
        if self._direct:
            sent = self.transport.writeSomeData(octets)
            if sent == len(octets):
                return
            self._direct = False
            self._watch_replies()
            if isinstance(sent, int) and sent > 0:
                octets = octets[sent:]
        self.transport.write(octets)

    def _watch_replies(self) -> None:
        # From now on the transport tells when too many replies wait to be read.
        self._watched = True
        self.transport.registerProducer(_Replies(self), True)

    def _close(self) -> None:
        self._unwatch_replies()
        self.transport.loseConnection()

    def _unwatch_replies(self) -> None:
        # A transport does not close under somebody who may still write.
        if self._watched:
            self._watched = False
            self.transport.unregisterProducer()

    def hold_input(self, hold: bool) -> None:
        """Whether replies that the client does not read should keep us from reading commands."""
        self._unread = hold
        if not hold:
            self._heard = self.premises.reactor.seconds()  # type: ignore[union-attr]
        self._regulate()

    def _linger(self) -> None:
        # Closing now would answer what the client is still sending with a reset,
        # and a reset overtakes our reply.  So only our half is closed, where that
        # can be done, and what comes is thrown away until the client has read it.
        self._arm(FAREWELL)
        self._heard = self.premises.reactor.seconds()  # type: ignore[union-attr]
        self._unwatch_replies()
        if not self.session.client.tls_version and hasattr(self.transport, "loseWriteConnection"):
            self.transport.loseWriteConnection()
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()

    def _wait_for(self, question: Any) -> None:
        if not isinstance(question, Deferred):
            coroutine = question if isinstance(question, Coroutine) else settle(question)
            question = Deferred.fromCoroutine(coroutine)
        self._waiting = self._inline = True
        question.addCallbacks(self._answered, self._failed)
        question.addErrback(self._broken)
        self._inline = False

    def _answered(self, value: Any) -> None:
        self._waiting = False
        self.session.answer(value)
        self._go_on()

    def _failed(self, failure: Failure) -> None:
        self._waiting = False
        self.session.failed(failure)
        self._go_on()

    def _go_on(self) -> None:
        # An answer that was there at once is taken up by the loop in ``_after``,
        # so that a thousand of them do not nest.
        if not self._inline:
            self._heard = self.premises.reactor.seconds()  # type: ignore[union-attr]
            if not self.session.lost:
                self._after()

    def _broken(self, failure: Failure) -> None:
        _log.failure("Session {session} is broken", failure, session=self.session.client.session)
        if not self.session.lost:
            self.transport.loseConnection()

    # --- flow --------------------------------------------------------------------

    def _regulate(self) -> None:
        session = self.session
        wanted = (
            self._spool_paused
            or self._unread
            or (session.question is not None and len(session.buffer) > MAX_WAITING)
        )
        if wanted != self._paused and not session.closing:
            self._paused = wanted
            if wanted:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def pauseProducing(self) -> None:
        """What keeps content cannot keep pace."""
        self._spool_paused = True
        self._regulate()

    def resumeProducing(self) -> None:
        """It can again."""
        if self._spool_paused:
            self._spool_paused = False
            self._heard = self.premises.reactor.seconds()  # type: ignore[union-attr]
            self._regulate()

    def stopProducing(self) -> None:
        """It never will; the session itself refuses the message at its end."""
        self.resumeProducing()

    # --- TLS ---------------------------------------------------------------------

    def _start_tls(self) -> None:
        assert self.premises is not None
        self._direct = False
        try:
            self.transport.startTLS(self.premises.tls)
        except Exception:
            # The client has read our 220 and waits for a handshake: nothing else can be said.
            _log.failure("TLS could not be started in {session}", session=self.session.client.session)
            self.transport.abortConnection()
        else:
            self.startedTLS = True

    def handshakeCompleted(self) -> None:
        """TLS is up."""
        handle = self.transport.getHandle()
        version = handle.get_protocol_version_name()
        cipher = handle.get_cipher_name() or ""
        session = self.session
        if session.closing:
            return
        if not self._watched:
            self._watch_replies()
        if session.state == TLS:
            session.secured(version, cipher)
        elif self._secure_first and session.state == OPENING:
            session.amend(tls_version=version, tls_cipher=cipher)
            session.open()
        self._after()

    def channel_binding(self, kind: str) -> bytes | None:
        """See :meth:`mta.interfaces.IAuthenticator.begin`."""
        if not self.session.client.tls_version:
            return None
        return channel_binding(self.transport.getHandle(), kind)

    # --- time --------------------------------------------------------------------

    # One delayed call for each session, which looks at the clock when it is due,
    # instead of one that is moved whenever something arrives.

    def callLater(self, period: float, func: Callable[[], None]) -> Any:
        """As ``TimeoutMixin`` has it, with our reactor."""
        return self.premises.reactor.callLater(period, func)  # type: ignore[union-attr]

    def _arm(self, period: float | None) -> None:
        self.setTimeout(period)  # type: ignore[no-untyped-call]

    def _interval(self) -> float:
        terms = self.session.terms
        return min(terms.greeting_timeout, terms.command_timeout, terms.data_timeout, terms.session_time)

    def timeoutConnection(self) -> None:
        """See whether the client has been silent for too long, or here for too long."""
        assert self.premises is not None
        session = self.session
        if session.closing or session.state == TLS or (self._secure_first and session.state == OPENING):
            self._give_up(self.premises.reactor.seconds())
            return
        terms = session.terms
        now = self.premises.reactor.seconds()
        allowed = terms.session_time
        if session.reader is not None:
            allowed += terms.data_timeout
        elif session.busy:
            # An answer of ours that is near must not be lost, but none is awaited for ever.
            allowed += terms.command_timeout
        rest = session.started + allowed - now
        patience = session.patience
        left = self._heard + patience - now
        if rest <= 0:
            session.close("session-too-long")
        elif session.busy or self._spool_paused:
            left = patience
        elif left <= 0:
            session.timed_out(patience)
        else:
            self._arm(max(min(left, rest, self._interval()), 0.001))
            return
        self._heard = now
        self._after()
        self._arm(FAREWELL if rest <= 0 or left <= 0 else min(left, rest, self._interval()))

    def _give_up(self, now: float) -> None:
        """Neither our last words nor a handshake get through."""
        patience = FAREWELL if self.session.closing else self.session.terms.command_timeout
        left = self._heard + patience - now
        if left > 0:
            self._arm(left)
        else:
            self.transport.abortConnection()

    def drain(self) -> None:
        """Take no new transaction; see :meth:`mta.smtp.factory.SmtpFactory.drain`."""
        session = self.session
        if self._secure_first and session.state == OPENING and session.question is None:
            self.transport.abortConnection()
            return
        session.drain()
        self._after()


class _Replies:
    """Stands for our replies towards the transport, which pauses them when nobody reads them.

    :param protocol: whose replies they are.
    """

    __slots__ = ("_protocol",)

    def __init__(self, protocol: SmtpProtocol) -> None:
        self._protocol = protocol

    def pauseProducing(self) -> None:
        """Too many wait."""
        self._protocol.hold_input(True)

    def resumeProducing(self) -> None:
        """They were read."""
        self._protocol.hold_input(False)

    def stopProducing(self) -> None:
        """The connection is gone."""


def _host(address: Any) -> str:
    """The IP address as text; ``""`` for what has none."""
    host = getattr(address, "host", "")
    if not isinstance(host, str):
        return ""
    # A client of IPv4 on a socket of IPv6 is the same client.
    return host[7:] if host.startswith("::ffff:") and "." in host else host
