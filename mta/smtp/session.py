"""One receiving session: octets in, replies out, questions in between; no I/O, no policy.

The shell around it (:mod:`mta.smtp.protocol`) calls :meth:`ServerSession.open`,
then :meth:`~ServerSession.receive` with whatever arrives, and after each call
looks at what the session wants:

``output``     octets to be sent, in order
``question``   an awaitable of the reception; its answer goes to
               :meth:`~ServerSession.answer`, an exception to
               :meth:`~ServerSession.failed`; until then input waits
``wants_tls``  begin the handshake once ``output`` is sent, then call
               :meth:`~ServerSession.secured`
``closing``    close once ``output`` is sent; if ``lingers``, let the client finish
               what it is sending before

States and what is allowed in them: :mod:`mta.smtp.states`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

from twisted.logger import Logger

from mta.interfaces import IExchange, IIncoming
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Event
from mta.model.rejection import rejection
from mta.model.reply import Reply
from mta.smtp.dispatch import consume
from mta.smtp.framing import ChunkReader, ContentGate, DataReader
from mta.smtp.replies import encode
from mta.smtp.states import CLOSED, GREETED, OPENING, READY, TLS, TRANSACTION
from mta.smtp.terms import Terms

_log = Logger()

Then = Callable[["ServerSession", Any], None]


class Wire(Protocol):
    """What a session must know of its connection."""

    def pauseProducing(self) -> None:
        """Stop reading; what keeps content cannot keep pace."""

    def resumeProducing(self) -> None:
        """Go on."""

    def stopProducing(self) -> None:
        """It failed for good."""

    def channel_binding(self, kind: str) -> bytes | None:
        """See ``IAuthenticator.begin``."""


class ServerSession:
    """See the module.

    :param terms: the listener's.
    :param client: the other end; replaced, not changed, once a message has taken it.
    :param wire: the connection.
    """

    __slots__ = (
        "_recipient",
        "_then",
        "account",
        "barred",
        "buffer",
        "chunk",
        "client",
        "closing",
        "commands",
        "draining",
        "envelope",
        "errors",
        "esmtp",
        "exchange",
        "gate",
        "incoming",
        "keyword",
        "lingers",
        "lost",
        "mechanism",
        "messages",
        "more",
        "output",
        "question",
        "reader",
        "refused",
        "shared",
        "skipped",
        "started",
        "state",
        "terms",
        "torn",
        "unknown",
        "wants_tls",
        "wire",
    )

    def __init__(self, terms: Terms, client: Client, wire: Wire) -> None:
        self.terms = terms
        self.client = client
        self.wire = wire
        self.state = OPENING
        self.output: list[bytes] = []
        self.question: Awaitable[Any] | None = None
        self._then: Then | None = None
        self.wants_tls = self.closing = self.draining = self.lingers = self.lost = False
        self.started = 0.0
        #: Input that waits for the end of its line, or for an answer.
        self.buffer = b""
        #: Octets of a line that is too long, as far as they have come.
        self.skipped = 0
        #: Whether the line before ended with a bare LF, so that the next is a part of it.
        self.torn = False
        #: Whether octets follow the command under way in what has arrived.
        self.more = False
        self.esmtp = False
        self.keyword = "SMTP"
        self.account: Any = None
        self.exchange: IExchange | None = None
        self.mechanism = ""
        #: Why there can be no mail in this session; for trouble at its beginning.
        self.barred: Reply | None = None
        self.envelope: Envelope | None = None
        self._recipient: Recipient | None = None
        #: Whether a recipient of this transaction was refused.
        self.refused = False
        self.incoming: IIncoming | None = None
        self.gate: ContentGate | None = None
        self.reader: DataReader | ChunkReader | None = None
        #: About the chunk under way: (size, last, the refusal that follows it, octet carried over).
        self.chunk: tuple[int, bool, Reply | None, bytes] | None = None
        #: Whether a message holds on to ``client``.
        self.shared = False
        self.errors = self.unknown = self.commands = self.messages = 0

    # --- what the shell calls ------------------------------------------------

    def open(self) -> None:
        """The client is connected (and TLS is up, where it comes first): greet it."""
        self.started = self.terms.seconds()
        self.ask(_connected, self.terms.reception.connect, self.client)

    def receive(self, data: bytes) -> None:
        """Take octets from the network."""
        if self.closing or self.state == TLS:
            return
        if self.buffer:
            data = self.buffer + data
        if self.state == OPENING:
            self.refuse("connect", REPLIES.reply("too-early"))
            self.hang_up()
        elif self.question is not None:
            self.buffer = data
        else:
            consume(self, data)

    def answer(self, value: Any) -> None:
        """The question is answered: go on with what waits."""
        then, self._then, self.question = self._then, None, None
        if self.closing or then is None:
            return
        then(self, value)
        if self.buffer and self.question is None:
            consume(self, self.buffer)
        if self.draining:
            self.drain()

    def failed(self, why: Any) -> None:
        """The question ended with an exception: that is our trouble, never the client's.

        :param why: a ``Failure`` for the log.
        """
        _log.failure("A question of session {session} failed", why, session=self.client.session)
        self.answer(self.trouble())

    def secured(self, version: str, cipher: str) -> None:
        """The handshake after STARTTLS is complete: forget everything from before (RFC 3207, 4.2)."""
        self.client = replace(
            self.client,
            helo="",
            protocol="SMTP",
            tls_version=version,
            tls_cipher=cipher,
            account="",
            mechanism="",
        )
        self.shared = False
        self.account = None
        self.esmtp = False
        self.keyword = "SMTP"
        self.buffer = b""
        self.state = GREETED

    def drain(self) -> None:
        """Take no new transaction; what is under way may end."""
        self.draining = True
        if self.question is None and self.state & (GREETED | READY) and self.exchange is None:
            self.close("shutting-down")

    def timed_out(self, seconds: float) -> None:
        """Nothing was heard for so long."""
        self.close("timeout", seconds=int(seconds))

    def connection_lost(self) -> None:
        """The client is gone; content that is not complete goes too."""
        self.lost = self.closing = True
        self.state = CLOSED
        self.buffer = b""
        self.end_transaction()
        if self.started:
            try:
                self.terms.reception.closed(self.client)
            except Exception:
                _log.failure("The end of session {session} was not told", session=self.client.session)

    @property
    def patience(self) -> float:
        """Seconds for which the client may be silent now."""
        terms = self.terms
        if self.reader is not None:
            return terms.data_timeout
        return terms.greeting_timeout if self.state <= GREETED else terms.command_timeout

    @property
    def busy(self) -> bool:
        """Whether it is we who are awaited, not the client."""
        return self.question is not None

    # --- questions -----------------------------------------------------------

    def ask(self, then: Then, method: Callable[..., Any], *arguments: Any) -> None:
        """Ask the policy; ``then`` gets the answer, at once or later.

        An exception is answered as trouble of ours.
        """
        try:
            answer = method(*arguments)
        except Exception:
            _log.failure("A question of session {session} failed", session=self.client.session)
            answer = self.trouble()
        if answer is None or answer.__class__ is Reply or not isinstance(answer, Awaitable):
            then(self, answer)
        else:
            self.question = answer
            self._then = then

    def trouble(self) -> Reply:
        """Our own trouble, as a reply."""
        return REPLIES.reply("internal-trouble", ref=self.client.session)

    # --- output --------------------------------------------------------------

    def reply(self, reply: Reply) -> None:
        """Send a reply, and count it if it is an error."""
        envelope = self.envelope
        self.output.append(encode(reply, envelope is not None and envelope.smtputf8))
        self.count(reply)

    def count(self, reply: Reply) -> None:
        """Draw the consequences of a reply that was sent."""
        if reply.code == 421:
            # RFC 5321, 3.8: whoever says it closes, also where a policy does.
            self.hang_up()
        elif reply.code >= 500:
            self.errors += 1
            if self.errors > self.terms.limits.errors and not self.closing:
                self.close("too-many-errors", evidence={"errors": self.errors})

    def refuse(self, stage: str, reply: Reply, recipient: str = "") -> None:
        """Send a negative reply that belongs into the journal."""
        self.note_refusal(stage, reply, recipient)
        self.reply(reply)

    def close(
        self, name: str, *, stage: str = "session", evidence: dict[str, Any] | None = None, **values: Any
    ) -> None:
        """Say goodbye with a 421 of the catalogue, and close."""
        reply = REPLIES.reply(name, hostname=self.terms.hostname, **values)
        if name != "shutting-down":
            self.note_refusal(stage, reply.because(name, evidence))
        self.output.append(encode(reply))
        self.hang_up()

    def hang_up(self, linger: bool = False) -> None:
        """Close after what was said.

        :param linger: the client is still sending, and would not see our reply
            if its octets were thrown back at it.
        """
        self.end_transaction()
        self.lingers = linger
        self.state = CLOSED
        self.closing = True
        self.buffer = b""

    def note_refusal(self, stage: str, reply: Reply, recipient: str = "") -> None:
        """Put a refusal into the journal."""
        self.note(rejection(self.terms.seconds(), self.client, self.envelope, stage, reply, recipient))

    def note(self, event: Event) -> None:
        """Put an event into the journal; the session goes on if that fails."""
        try:
            self.terms.reception.note(event)
        except Exception:
            _log.failure("An event of session {session} was not noted", session=self.client.session)

    # --- what commands change --------------------------------------------------

    def amend(self, **changes: Any) -> None:
        """Change what is known of the client; messages keep what they were given."""
        if self.shared:
            self.client = replace(self.client, **changes)
            self.shared = False
        else:
            for name, value in changes.items():
                setattr(self.client, name, value)

    def drop_content(self) -> None:
        """Whatever was kept of the content is not wanted."""
        incoming, self.incoming = self.incoming, None
        if incoming is not None:
            try:
                incoming.abort()
            except Exception:
                _log.failure("Content of session {session} was not dropped", session=self.client.session)

    def end_transaction(self) -> None:
        """Forget the transaction, and content under way."""
        if self.incoming is not None:
            self.drop_content()
        self.envelope = self.gate = self.reader = self.chunk = self._recipient = None
        self.refused = False
        if self.state & TRANSACTION:
            self.state = READY

    def waiting_recipient(self, recipient: Recipient | None) -> Recipient | None:
        """Remember whom the question is about; give back whom the last one was about."""
        previous, self._recipient = self._recipient, recipient
        return previous


def _connected(session: ServerSession, reply: Reply | None) -> None:
    if reply is not None and not reply.is_positive:
        if reply.name == "internal-trouble":
            # Nobody is sent away for trouble of ours: the client may find out at MAIL.
            session.barred = reply
        else:
            # RFC 5321, 3.1 knows only these two instead of a greeting.
            code = 554 if reply.is_permanent else 421
            session.refuse(
                "connect",
                Reply(code, reply.lines, reply.enhanced, reply.name, reply.rule, reply.evidence),
            )
            session.hang_up()
            return
    session.state = GREETED
    session.output.append(session.terms.greeting)
    if session.draining:
        session.close("shutting-down")
