"""A POP3 session (RFC 1939, 2449, 2595, 5034, 6856).

``Pop3Protocol`` is a ``twisted.mail.pop3.POP3`` whose commands are coroutines.  There a command that
arrives behind a slow one and is wrong stops the session for ever, files are read in the reactor, a
response of SASL must be two words, and there are no response codes.

Lines wait in order; the next is looked at when the one before is answered, and nothing is read from
a client that does not read our answers.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.mail.pop3 import POP3
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mta.interfaces import TemporarilyUnavailable
from mta.model.envelope import Client
from mta.model.event import Rejected
from mta.model.event_mailbox import MailboxSession
from mta.pop3 import login, mail
from mta.pop3.command import LONGEST, BadLine, Command, error, parse
from mta.pop3.maildrop import Maildrop
from mta.pop3.terms import Premises, Terms
from mta.smtp.binding import channel_binding

_log = Logger()

#: Lines and octets of commands that may wait before reading stops.
_WAITING_LINES, _WAITING_OCTETS = 500, 32 * 1024
#: Seconds between two events about clients that found no room.
_TURNED_AWAY_EVERY = 1.0
#: Seconds for which a client may take its time to read our last words.
_FAREWELL = 30.0
#: Commands before the log-in, by whether the session may go on doing nothing else.
_BEFORE = frozenset({"CAPA", "STLS", "USER", "PASS", "AUTH", "UTF8", "QUIT", "NOOP"})


@implementer(IHandshakeListener, IPushProducer)
class Pop3Protocol(POP3):
    """See the module.

    :ivar premises: what it shares with its siblings; set by the factory.
    :ivar drop: the mailbox, once somebody has logged in.
    :ivar exchange: of SASL, while it is under way.
    """

    noisy = False
    MAX_LENGTH = LONGEST + 2
    premises: Premises
    terms: Terms
    transport: Any
    drop: Maildrop | None = None
    exchange: Any = None
    mechanism = ""
    user: bytes | None = None
    peer: Any = None

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._octets = 0
        self._running = False
        self._clogged: Deferred[None] | None = None
        self._held = False
        self._counted = False
        self._errors = 0
        self._heard = 0.0
        self._began = 0.0
        self._timer: Any = None
        self._closing = False
        self.lost = False
        self.ending = "lost"
        self.account = ""
        self.sent = 0
        self.client = Client("")

    # --- connection ------------------------------------------------------------

    def connectionMade(self) -> None:
        """Greet the client, or wait for its TLS handshake to do so."""
        premises = self.premises
        self.terms = terms = premises.terms
        peer = self.peer if self.peer is not None else self.transport.getPeer()
        self.client = Client(
            premises.session_id(),
            terms.role,
            _host(peer),
            getattr(peer, "port", 0),
            _host(self.transport.getHost()),
            protocol="POP3",
        )
        premises.sessions.add(self)
        self._heard = self._began = premises.reactor.seconds()
        self._arm()
        secure = isinstance(self.transport, TLSMemoryBIOProtocol)
        if hasattr(self.transport, "setTcpNoDelay"):
            # The end of an answer must not wait until its start is acknowledged.
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        refusal = premises.connections.enter(self.client.address, terms.hostname)
        if refusal is not None:
            self._turn_away(refusal, secure)
            return
        self._counted = True
        if premises.draining:
            self._say_last(error("the server is about to stop", "SYS/TEMP"))
            return
        if not secure:
            self._greet()

    def _greet(self) -> None:
        self.say(f"+OK {self.terms.hostname} POP3 ready, session {self.client.session}".encode())

    def _turn_away(self, refusal: Any, secure: bool) -> None:
        premises = self.premises
        since, count = premises.turned_away
        now = premises.reactor.seconds()
        if now - since >= _TURNED_AWAY_EVERY:
            premises.turned_away = (now, 0)
            premises.note(
                Rejected(
                    at=now,
                    session=self.client.session,
                    stage="connect",
                    code=refusal.code,
                    reply=str(refusal),
                    name=refusal.name,
                    rule=refusal.rule,
                    evidence={**refusal.evidence, "since_last_event": count},
                    role=self.terms.role,
                    client=self.client.address,
                )
            )
        else:
            premises.turned_away = (since, count + 1)
        self.ending = ""
        if secure:
            # Words would need a handshake first.
            self.transport.abortConnection()
        else:
            self._say_last(error(" ".join(refusal.lines), "SYS/TEMP"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let others have the mailbox; nothing is removed without QUIT."""
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        clogged, self._clogged = self._clogged, None
        if clogged is not None:
            clogged.callback(None)
        if self._counted:
            self._counted = False
            self.premises.connections.leave(self.client.address)
        if not self._running:
            self._over()

    def _over(self) -> None:
        """The session is over, and nothing of it is under way any more."""
        premises = self.premises
        drop, self.drop = self.drop, None
        if drop is not None:
            drop.close()
            premises.note(
                MailboxSession(
                    at=premises.reactor.seconds(),
                    session=self.client.session,
                    account=self.account,
                    action="ended",
                    role=self.terms.role,
                    client=self.client.address,
                    tls=self.tls,
                    reason=self.ending,
                    messages=len(drop.uids),
                    fetched=len(drop.retrieved),
                    octets=self.sent,
                    removed=len(drop.deleted) if self.ending == "quit" else 0,
                    seconds=round(premises.reactor.seconds() - self._began, 3),
                )
            )
        premises.sessions.discard(self)
        if not premises.sessions and premises.empty is not None:
            empty, premises.empty = premises.empty, None
            empty.callback(None)

    @property
    def tls(self) -> str:
        """Of the connection, for people; ``""`` in clear text."""
        return f"{self.client.tls_version} {self.client.tls_cipher}".strip()

    @property
    def secure(self) -> bool:
        """Whether the session is inside TLS."""
        return bool(self.client.tls_version)

    # --- TLS -------------------------------------------------------------------

    def start_tls(self) -> None:
        """STLS was answered: what the client has sent before its handshake is worth nothing."""
        self._lines.clear()
        self._octets = 0
        self.clearLineBuffer()
        self.user = None
        self.transport.startTLS(self.terms.tls)

    def clearLineBuffer(self) -> bytes:
        """Forget what has come of a line that has not ended."""
        held: bytes = getattr(self, "_buffer", b"")
        self._buffer = b""
        return held

    def handshakeCompleted(self) -> None:
        """TLS is up."""
        handle = self.transport.getHandle()
        first = self.terms.role == "pop3s" and not self.secure
        self.client.tls_version = handle.get_protocol_version_name()
        self.client.tls_cipher = handle.get_cipher_name() or ""
        if first and not self._closing:
            self._greet()

    def channel_binding(self, kind: str) -> bytes | None:
        """See :meth:`mta.interfaces.IAuthenticator.begin`."""
        return channel_binding(self.transport.getHandle(), kind) if self.secure else None

    # --- lines -----------------------------------------------------------------

    def lineReceived(self, line: bytes) -> None:
        """A line has come."""
        if self._closing:
            return
        self._heard = self.premises.reactor.seconds()
        self._lines.append(line)
        self._octets += len(line)
        self._regulate()
        if not self._running:
            self._running = True
            Deferred.fromCoroutine(self._run()).addErrback(self._broken)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Nobody sends such lines in earnest."""
        self._say_last(error("the line is too long"))

    async def _run(self) -> None:
        """Answer lines until none is left."""
        try:
            while self._lines and not self.lost and not self._closing:
                line = self._lines.popleft()
                self._octets -= len(line)
                self._regulate()
                await self._answer(line)
                if self._clogged is not None:
                    await self._clogged
                self._heard = self.premises.reactor.seconds()
        finally:
            self._running = False
            if self.lost:
                self._over()
            elif self.premises.draining:
                self.drain()

    async def _answer(self, line: bytes) -> None:
        try:
            if self.exchange is not None:
                await login.respond(self, line)
                return
            command = parse(line)
            await self._do(command)
        except BadLine as problem:
            self.mistake(str(problem))
        except TemporarilyUnavailable as trouble:
            self.trouble(str(trouble))

    async def _do(self, command: Command) -> None:
        if self.drop is None:
            handler = login.COMMANDS.get(command.keyword)
            if handler is None and command.keyword in mail.COMMANDS:
                self.mistake("log in first")
                return
        else:
            handler = mail.COMMANDS.get(command.keyword)
            if handler is None and command.keyword in login.COMMANDS:
                self.mistake("you are logged in already")
                return
        if handler is None:
            self.mistake("this command is not known here")
            return
        await handler(self, command)

    def _broken(self, failure: Failure) -> None:
        _log.failure("Session {session} is broken", failure, session=self.client.session)
        self.ending = "trouble"
        if not self.lost:
            self._say_last(error("trouble on our side", "SYS/TEMP"))

    # --- answers ---------------------------------------------------------------

    def say(self, line: bytes) -> None:
        """A line of ours."""
        if not self.lost:
            self.transport.write(line + b"\r\n")

    async def write(self, octets: bytes) -> bool:
        """Octets of ours, as fast as the client reads; whether it is still there."""
        if self.lost:
            return False
        self.transport.write(octets)
        self._heard = self.premises.reactor.seconds()
        if self._clogged is not None:
            await self._clogged
        return not self.lost

    def mistake(self, text: str, code: str = "") -> None:
        """The client did something wrong; too much of that ends the session."""
        self._errors += 1
        if self._errors >= self.terms.limits.errors:
            self.ending = "errors"
            self._say_last(error("too many errors"))
        else:
            self.say(error(text, code))

    def trouble(self, why: str, text: str = "the mailbox cannot be used now, try again later") -> None:
        """Something of ours does not work: said to the client, and why to the journal."""
        self.note_refusal("trouble", why)
        self.say(error(f"{text}, session {self.client.session}", "SYS/TEMP"))

    def note_refusal(self, action: str, why: str) -> None:
        """Tell the journal that somebody did not get what they wanted."""
        self.premises.note(
            MailboxSession(
                at=self.premises.reactor.seconds(),
                session=self.client.session,
                account=self.account,
                action=action,
                role=self.terms.role,
                client=self.client.address,
                tls=self.tls,
                reason=why,
            )
        )

    def goodbye(self, line: bytes) -> None:
        """The last answer."""
        self._say_last(line)

    def _say_last(self, line: bytes) -> None:
        if self.lost or self._closing:
            return
        self._closing = True
        self._lines.clear()
        self.transport.write(line + b"\r\n")
        self.transport.unregisterProducer()
        self._free()
        self.transport.loseConnection()
        self._heard = self.premises.reactor.seconds()
        self._arm(_FAREWELL)

    # --- flow ------------------------------------------------------------------

    def _regulate(self) -> None:
        """Read no more than can be answered."""
        wanted = len(self._lines) > _WAITING_LINES or self._octets > _WAITING_OCTETS
        if wanted != self._held and not self.lost and not self._closing:
            self._held = wanted
            if wanted:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def pauseProducing(self) -> None:
        """The client does not read."""
        if self._clogged is None:
            self._clogged = Deferred()

    def resumeProducing(self) -> None:
        """It does again."""
        self._free()

    def stopProducing(self) -> None:
        """It never will."""
        self._free()

    def _free(self) -> None:
        clogged, self._clogged = self._clogged, None
        if clogged is not None:
            clogged.callback(None)

    # --- time ------------------------------------------------------------------

    @property
    def _patience(self) -> float:
        terms = self.terms
        return terms.settings.timeout if self.drop is not None else terms.limits.command_timeout or 300.0

    def _arm(self, seconds: float | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = self._patience if seconds is None else seconds
        self._timer = self.premises.reactor.callLater(wait, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._timer = None
        now = self.premises.reactor.seconds()
        left = self._heard + (_FAREWELL if self._closing else self._patience) - now
        overlong = self.terms.limits.session_time and now - self._began > self.terms.limits.session_time
        if left > 0 and not overlong:
            self._arm(max(left, 0.001))
        elif self._closing or self._clogged is not None or (self.terms.role == "pop3s" and not self.secure):
            self.ending = self.ending if self._closing else "timeout"
            self.transport.abortConnection()
        elif self._running and not overlong:
            # An answer of ours takes its time.
            self._heard = now
            self._arm()
        else:
            # RFC 1939, 3: nothing is removed, and nothing need be said.
            self.ending = "timeout"
            self._say_last(error("nothing was heard for too long", "SYS/TEMP"))

    def drain(self) -> None:
        """The server is about to stop: what is under way is answered, nothing else."""
        if not self._running:
            self.ending = "stopped"
            if self.terms.role == "pop3s" and not self.secure:
                self.transport.abortConnection()
            else:
                self._say_last(error("the server is about to stop", "SYS/TEMP"))
        else:
            # A removal that has begun is answered; the client's further lines are not.
            self._lines.clear()

    @staticmethod
    def close_file(file: int) -> None:
        """Close a descriptor."""
        os.close(file)


def _host(address: Any) -> str:
    """The IP address as text; ``""`` for what has none."""
    host = getattr(address, "host", "")
    if not isinstance(host, str):
        return ""
    return host[7:] if host.startswith("::ffff:") and "." in host else host
