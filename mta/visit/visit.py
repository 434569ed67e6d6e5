"""A session of somebody who reads mail, as far as it is the same whichever protocol is spoken.

Counting and turning away, TLS, answers no faster than the client reads them, the clock, the end.  A
protocol inherits from it first and from Twisted's class second, and says the rest: how it greets, what
its last words are, what is left behind.
"""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mta.model.envelope import Client
from mta.model.event import Rejected
from mta.model.event_mailbox import MailboxSession
from mta.smtp.binding import channel_binding
from mta.visit.premises import Premises, Terms

#: Seconds between two events about clients that found no room.
_TURNED_AWAY_EVERY = 1.0
#: Seconds for which a client may take its time to read our last words.
_FAREWELL = 30.0
#: The same while the server stops: a client that is asleep must not keep it.
_FAREWELL_OF_ALL = 2.0


@implementer(IHandshakeListener, IPushProducer)
class Visit:
    """See the module.

    :cvar speaks: the protocol's name.
    :ivar premises: what it shares with its siblings; set by the factory.
    :ivar peer: the client's address, set by the factory.
    :ivar exchange: of SASL, while it is under way.
    :ivar mechanism: by which somebody logs in.
    :ivar ending: why the session ends, for the journal.
    :ivar sent: octets of messages.
    """

    log = Logger()
    speaks: ClassVar[str]
    premises: Premises
    terms: Terms
    transport: Any
    peer: Any = None
    exchange: Any = None
    mechanism = ""
    account_name = ""
    ending = "lost"
    lost = False
    sent = 0
    _clogged: Deferred[None] | None = None
    _timer: Any = None
    _held = False
    _counted = False
    _closing = False
    _running = False
    _errors = 0
    _heard = 0.0
    _began = 0.0

    # --- what a protocol says --------------------------------------------------

    def greet(self) -> None:
        """Say the first words."""
        raise NotImplementedError

    def last_words(self, text: str, ours: bool = True) -> bytes:
        """The line that ends a session before the client wants it, without its CRLF.

        :param ours: whether the reason is ours, and the client may come again.
        """
        raise NotImplementedError

    def is_inside(self) -> bool:
        """Whether somebody has logged in."""
        raise NotImplementedError

    def leave(self) -> MailboxSession | None:
        """Let others have what the session had; what the journal is told of it."""
        raise NotImplementedError

    def ended(self, **more: Any) -> MailboxSession:
        """What the journal is told of a session that had a mailbox.

        :param more: what was done in it, by the event's names.
        """
        return self._event("ended", self.ending, octets=self.sent, seconds=self.seconds, **more)

    def _event(self, action: str, reason: str, **more: Any) -> MailboxSession:
        return MailboxSession(
            at=self.premises.reactor.seconds(),
            session=self.client.session,
            account=self.account_name,
            action=action,
            role=self.terms.role,
            client=self.client.address,
            tls=self.tls,
            reason=reason,
            **more,
        )

    def forget_input(self) -> None:
        """Drop what has come and is not answered."""
        raise NotImplementedError

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
            protocol=self.speaks,
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
            self.say_last(self.last_words("the server is about to stop"))
            return
        if not secure:
            self.greet()

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
            self.say_last(self.last_words(" ".join(refusal.lines)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let others have the mailbox."""
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._free()
        if self._counted:
            self._counted = False
            self.premises.connections.leave(self.client.address)
        if not self._running:
            self.over()

    def over(self) -> None:
        """The session is over, and nothing of it is under way any more."""
        premises = self.premises
        event = self.leave()
        if event is not None:
            premises.note(event)
        premises.sessions.discard(self)
        if not premises.sessions and premises.empty is not None:
            empty, premises.empty = premises.empty, None
            empty.callback(None)

    @property
    def seconds(self) -> float:
        """For how long the session has lasted."""
        now: float = self.premises.reactor.seconds()
        return round(now - self._began, 3)

    # --- TLS -------------------------------------------------------------------

    @property
    def tls(self) -> str:
        """Of the connection, for people; ``""`` in clear text."""
        return f"{self.client.tls_version} {self.client.tls_cipher}".strip()

    @property
    def secure(self) -> bool:
        """Whether the session is inside TLS."""
        return bool(self.client.tls_version)

    def start_tls(self) -> None:
        """It was answered: what the client has sent before its handshake is worth nothing."""
        self.forget_input()
        self.transport.startTLS(self.terms.tls)

    def handshakeCompleted(self) -> None:
        """TLS is up."""
        handle = self.transport.getHandle()
        first = self.terms.implicit and not self.secure
        self.client.tls_version = handle.get_protocol_version_name()
        self.client.tls_cipher = handle.get_cipher_name() or ""
        if first and not self._closing:
            self.greet()

    def channel_binding(self, kind: str) -> bytes | None:
        """See :meth:`mta.interfaces.IAuthenticator.begin`."""
        return channel_binding(self.transport.getHandle(), kind) if self.secure else None

    # --- answers ---------------------------------------------------------------

    def hear(self) -> None:
        """The client has said something, or we have."""
        self._heard = self.premises.reactor.seconds()

    def say(self, line: bytes) -> None:
        """A line of ours."""
        if not self.lost:
            self.transport.write(line + b"\r\n")

    async def write(self, octets: bytes) -> bool:
        """Octets of ours, as fast as the client reads; whether it is still there."""
        if self.lost:
            return False
        self.transport.write(octets)
        self.hear()
        await self.flow()
        return not self.lost

    async def flow(self) -> None:
        """Wait until the client reads."""
        if self._clogged is not None:
            await self._clogged

    def count_error(self) -> bool:
        """The client did something wrong; whether that was one too many, and the session ends."""
        self._errors += 1
        if self._errors < self.terms.limits.errors:
            return False
        self.ending = "errors"
        self.say_last(self.last_words("too many errors", False))
        return True

    def note_refusal(self, action: str, why: str) -> None:
        """Tell the journal that somebody did not get what they wanted."""
        self.premises.note(self._event(action, why))

    def say_last(self, line: bytes) -> None:
        """The last answer."""
        if self.lost or self._closing:
            return
        self._closing = True
        self.forget_input()
        self.transport.write(line + b"\r\n")
        self.transport.unregisterProducer()
        self._free()
        self.transport.loseConnection()
        self.hear()
        self._arm(self._farewell)

    def cut_off(self, why: str) -> None:
        """An answer that cannot be ended must not look as if it had."""
        self.note_refusal("trouble", why)
        self.ending = "trouble"
        self.transport.abortConnection()

    # --- flow ------------------------------------------------------------------

    def hold(self, wanted: bool) -> None:
        """Read no more than can be answered."""
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
        return terms.settings.timeout if self.is_inside() else terms.limits.command_timeout or 300.0

    @property
    def _farewell(self) -> float:
        return _FAREWELL_OF_ALL if self.premises.draining else _FAREWELL

    def _arm(self, seconds: float | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = self._patience if seconds is None else seconds
        self._timer = self.premises.reactor.callLater(wait, self._look_at_clock)

    def at_work(self) -> bool:
        """Whether an answer of ours takes its time."""
        return self._running

    def may_be_silent(self) -> bool:
        """Whether the client need say nothing."""
        return self.at_work()

    def longest(self) -> float:
        """Seconds that the session may last; 0: any number."""
        return self.terms.limits.session_time

    def _look_at_clock(self) -> None:
        self._timer = None
        now = self.premises.reactor.seconds()
        left = self._heard + (self._farewell if self._closing else self._patience) - now
        longest = self.longest()
        overlong = longest and now - self._began > longest
        if left > 0 and not overlong:
            self._arm(max(left, 0.001))
        elif self._closing or self._clogged is not None or (self.terms.implicit and not self.secure):
            self.ending = self.ending if self._closing else "timeout"
            self.transport.abortConnection()
        elif self.may_be_silent() and not overlong:
            self._heard = now
            self._arm()
        else:
            self.ending = "timeout"
            self.say_last(self.last_words("nothing was heard for too long"))

    def drain(self) -> None:
        """The server is about to stop: what is under way is answered, nothing else."""
        if self.at_work():
            self.forget_input()
            return
        self.ending = "stopped"
        if self.terms.implicit and not self.secure:
            self.transport.abortConnection()
        else:
            self.say_last(self.last_words("the server is about to stop"))


def _host(address: Any) -> str:
    """The IP address as text; ``""`` for what has none."""
    host = getattr(address, "host", "")
    if not isinstance(host, str):
        return ""
    return host[7:] if host.startswith("::ffff:") and "." in host else host
