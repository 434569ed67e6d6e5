"""The Twisted protocol around a client session: octets, TLS, time, and blocks of a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple
from typing import Protocol as Shape

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mta.model.tls_result import ResultType
from mta.smtp.client_auth import salted_password
from mta.smtp.client_event import Derive, Ended, Examine, Over, Ready, SessionEvent, StartTls, Stream, Trouble
from mta.smtp.client_session import ClientSession
from mta.smtp.client_stream import ContentDamaged, ContentStream
from mta.smtp.client_stuffing import examine
from mta.smtp.client_transaction import Transaction, own_reply

#: Seconds that a server gets to answer QUIT.
FAREWELL = 5.0

#: Seconds for a TLS handshake at most; whoever swallows it shall not hold up the way in clear text.
HANDSHAKE = 60.0


class Unready(Exception):
    """A connection did not come as far as taking mail.

    :ivar trouble: why.
    """

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(str(trouble.reply))
        self.trouble = trouble


class TlsFound(NamedTuple):
    """What a handshake led to.

    :ivar words: version, cipher, and whether the name was verified.
    :ivar verified: whether the certificate fits.
    :ivar problem: why not.
    :ivar result: the same, as TLS reports call it (RFC 8460, 4.3).
    """

    words: str
    verified: bool
    problem: str
    result: ResultType = "success"


class PeerTls(Shape):
    """TLS to one server; provides ``IOpenSSLClientConnectionCreator`` too."""

    def judge(self) -> TlsFound:
        """After the handshake: what it led to."""


class ClientOwner(Shape):
    """Whoever has messages for a connection."""

    def next(self, client: ClientProtocol) -> Transaction | None:
        """The next message for it; ``None`` if there is none now."""

    def ended(self, client: ClientProtocol, transaction: Transaction) -> None:
        """Every addressee of a message has its outcome."""

    def closed(self, client: ClientProtocol) -> None:
        """It takes no more messages."""


class Patience(NamedTuple):
    """How long to wait (RFC 5321, 4.5.3.2), in seconds.

    :ivar command: for each reply, and for each block of content to be taken.
    :ivar data: for the reply to the end of data.
    :ivar stages: another time for the reply to a command, by its first word: ``connect`` for the
        greeting; ``block`` for a block of content.
    """

    command: float = 300.0
    data: float = 600.0
    stages: Mapping[str, float] = MappingProxyType({})

    def reply(self, command: str) -> float:
        """For the reply to a command."""
        return self.stages.get(command.partition(" ")[0], self.command) if self.stages else self.command

    @property
    def block(self) -> float:
        """For a block of content to be taken."""
        return self.stages.get("block", self.command)

    @property
    def shortest(self) -> float:
        """Of all of them."""
        return min(self.command, self.data, *self.stages.values())


@implementer(IHandshakeListener)
class ClientProtocol(Protocol):
    """One connection.

    :param session: the conversation.
    :param reactor: gives the time.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    :param tls: for STARTTLS, or for ``implicit``.
    :param implicit: whether TLS begins with the first octet.
    :param password: for SCRAM.
    :ivar opened: fires with the protocol once it takes messages; fails with :class:`Unready`.
    :ivar owner: whoever has messages for it, from then on.
    :ivar messages: how many were begun.
    :ivar source: where it comes from, in words, if that was chosen.
    :ivar local: our address of it, once it stands.
    :ivar found: what the TLS handshake led to, once there was one.
    """

    log = Logger()
    transport: Any

    def __init__(
        self,
        session: ClientSession,
        reactor: Any,
        *,
        run_in_thread: Callable[..., Awaitable[Any]],
        tls: PeerTls | None = None,
        implicit: bool = False,
        password: str = "",
        patience: Patience = Patience(),  # noqa: B008 -- immutable
    ) -> None:
        self.session = session
        self.owner: ClientOwner | None = None
        self.opened: Deferred[ClientProtocol] = Deferred(lambda deferred: self.abort())
        self.messages = 0
        self.source = ""
        self.local = ""
        self.found: TlsFound | None = None
        self._reactor = reactor
        self._run = run_in_thread
        self._tls = tls
        self._implicit = implicit
        self._password = password
        self._patience = patience
        self._deadline = 0.0
        self._heard = 0
        self._timer: Any = None
        self._stream: ContentStream | None = None
        self._gone: Deferred[None] | None = None
        self._up = False
        self._plain = False
        self._direct = False

    # --- Twisted's side --------------------------------------------------------

    def connectionMade(self) -> None:
        """The connection stands."""
        self._up = True
        self.local = str(getattr(self.transport.getHost(), "host", ""))
        self._plain = isinstance(self.transport, FileDescriptor)
        delay = getattr(self.transport, "setTcpNoDelay", None)
        if delay is not None:
            # A command that waits for the ACK of the one before costs 40 ms.
            delay(True)
        self._deadline = self._reactor.seconds() + self._patience.reply("connect")
        self._watch()
        if self._implicit:
            self._start_tls()

    def handshakeCompleted(self) -> None:
        """TLS stands."""
        assert self._tls is not None
        found = self.found = self._tls.judge()
        self._act(self.session.tls_established(found.words, found.verified, found.problem))
        self._flow()

    def dataReceived(self, data: bytes) -> None:
        """The server said something."""
        events = self.session.receive(data)
        if events:
            self._act(events)
        self._flow()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._up = self._plain = self._direct = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop_stream()
        self._act(self.session.lost(_tls_problem(reason)))
        if self._gone is not None:
            gone, self._gone = self._gone, None
            gone.callback(None)

    # --- the owner's side ------------------------------------------------------

    def pump(self) -> None:
        """The owner has changed, or has something new."""
        self._flow()

    def begin(self, transaction: Transaction) -> None:
        """Send a message; only while the session is free."""
        self._begin(transaction)
        self._flow()

    def leave(self) -> Deferred[None]:
        """Say QUIT and close; fires when the connection is gone, after :data:`FAREWELL` at the latest.

        A message that is on its way may still end; call again when it has.
        """
        if not self._up:
            return succeed(None)
        gone = self._gone
        if gone is None:
            gone = self._gone = Deferred()
            self._deadline = self._reactor.seconds() + FAREWELL
            self._watch()
        if not self.session.busy:
            self._act(self.session.quit())
            self._flow()
        return gone

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abortConnection()

    # --- between them ----------------------------------------------------------

    def _begin(self, transaction: Transaction) -> None:
        self.messages += 1
        transaction.tries += 1
        events = self.session.begin(transaction)
        if events:
            self._act(events)

    def _flow(self) -> None:
        """Take the next message where there is one, send what is to be sent, set the time."""
        session = self.session
        if session.idle and not session.busy:
            # It has answered everything, so it has everything.
            self._direct = self._plain
        owner = self.owner
        if owner is not None:
            while session.free and (transaction := owner.next(self)) is not None:
                self._begin(transaction)
        out = session.take()
        if out:
            self._write(out)
        if out or session.heard != self._heard:
            # Octets that make no reply win no time: one a minute would hold us for ever.
            self._heard = session.heard
            self._set_time()

    def _set_time(self) -> None:
        session, patience = self.session, self._patience
        if session.over or self._gone is not None:
            # The time for taking leave is running.
            return
        if session.shaking:
            self._deadline = self._reactor.seconds() + min(HANDSHAKE, patience.command)
        elif session.waits_for_content and self._stream is None:
            self._deadline = self._reactor.seconds() + patience.data
        else:
            stage = patience.block if self._stream is not None else patience.reply(session.awaited_command)
            self._deadline = self._reactor.seconds() + stage

    def _write(self, out: list[bytes]) -> None:
        """Send at once where nothing is under way before it.

        ``transport.write`` would leave it to the next turn of the reactor and have
        it watch the socket in between, which costs more than the sending.
        """
        if self._direct:
            data = b"".join(out)
            sent = self.transport.writeSomeData(data)
            if sent == len(data):
                return
            self._direct = False
            # A lost connection is found again, and told, by the ordinary way.
            out = [data[sent:]] if isinstance(sent, int) else [data]
        self.transport.writeSequence(out)

    def _act(self, events: Sequence[SessionEvent]) -> None:
        for event in events:
            if isinstance(event, Ended):
                assert self.owner is not None
                self.owner.ended(self, event.transaction)
            elif isinstance(event, Ready):
                if not self.opened.called:
                    self.opened.callback(self)
            elif isinstance(event, Over):
                self._over(event.trouble)
            elif self.session.over:
                # Asked for before the end of the same events.
                continue
            elif isinstance(event, StartTls):
                self._start_tls()
            elif isinstance(event, Stream):
                self._later(self._send_stream(event))
            elif isinstance(event, Examine):
                self._later(self._examine(event.transaction))
            elif isinstance(event, Derive):
                self._later(self._derive(event))

    def _over(self, trouble: Trouble | None) -> None:
        polite = trouble is None or trouble.kind in ("reply", "auth", "tls")
        if not self._up:
            pass
        elif polite and self._stream is None:
            if trouble is not None:
                self.transport.write(b"QUIT\r\n")
            self.transport.loseConnection()
            self._deadline = self._reactor.seconds() + FAREWELL
            self._watch()
        else:
            self._stop_stream()
            self.transport.abortConnection()
        if not self.opened.called:
            assert trouble is not None
            self.opened.errback(Unready(trouble))
        elif self.owner is not None:
            self.owner.closed(self)

    def _start_tls(self) -> None:
        self._plain = self._direct = False
        self._set_time()
        self._watch()
        self.transport.startTLS(self._tls)

    def _later(self, work: Any) -> None:
        Deferred.fromCoroutine(work).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self.log.failure("A connection to {host} failed on our side", failure, host=self.session.host)
        self.abort()

    # --- threads ---------------------------------------------------------------

    async def _send_stream(self, event: Stream) -> None:
        transaction = event.transaction
        # The command that announces the content goes before it.
        self._flow()
        stream = ContentStream(transaction, event.stuff, self.transport, self._run, self._progressed)
        self._stream = stream
        self._direct = False
        try:
            sent = await stream.send()
        except (OSError, ContentDamaged) as trouble:
            self.log.error("Message {id} cannot be read: {why}", id=transaction.message.id, why=trouble)
            reply = own_reply("transport-trouble", "DATA", self.session.tls, transport=self.session.host)
            # The connection ends in the midst of the data, so that nobody takes it for complete.
            if not self.session.over:
                self._act(self.session.fail(transaction, reply))
            return
        if self._stream is stream:
            self._stream = None
        if sent and not self.session.over:
            self._act(self.session.streamed(transaction))
            self._set_time()
            self._flow()

    def _progressed(self) -> None:
        self._deadline = self._reactor.seconds() + self._patience.block

    def _stop_stream(self) -> None:
        if self._stream is not None:
            self._stream.stopProducing()
            self._stream = None

    async def _examine(self, transaction: Transaction) -> None:
        try:
            found = await self._run(examine, transaction.message.content)
        except OSError as trouble:
            self.log.error("Message {id} cannot be read: {why}", id=transaction.message.id, why=trouble)
            reply = own_reply("transport-trouble", "MAIL FROM", self.session.tls, transport=self.session.host)
            self._act(self.session.fail(transaction, reply))
            return
        transaction.examined(*found)
        self._act(self.session.examined(transaction))
        self._flow()

    async def _derive(self, event: Derive) -> None:
        salted = await self._run(salted_password, self._password, event.salt, event.iterations)
        self._act(self.session.derived(salted))
        self._flow()

    # --- time ------------------------------------------------------------------

    def _watch(self) -> None:
        """Look at the deadline when it may have come.  It moves with each reply; the timer does not."""
        if self._timer is not None:
            self._timer.cancel()
        wait = min(self._deadline - self._reactor.seconds(), self._patience.shortest)
        self._timer = self._reactor.callLater(max(wait, 0.01), self._look)

    def _look(self) -> None:
        self._timer = None
        session = self.session
        if session.ready and session.idle and not session.busy:
            self._deadline = self._reactor.seconds() + self._patience.command
        if self._reactor.seconds() < self._deadline:
            self._watch()
        elif session.over or self._gone is not None:
            self.abort()
        else:
            self._act(session.timed_out())


def _tls_problem(reason: Failure) -> str:
    """What OpenSSL says about the end of a connection, in words; ``""`` if it is not about TLS."""
    arguments = getattr(reason.value, "args", ())
    if type(reason.value).__module__.startswith("OpenSSL") and arguments and isinstance(arguments[0], list):
        return "; ".join(str(item[-1]) for item in arguments[0])
    return ""
