"""A client's conversation up to the first message: greeting, hello, TLS, AUTH.

Everything that does not concern a message is here, the end included; the
messages are in :mod:`mta.smtp.client_session`.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

from mta.model.outcome import RemoteReply
from mta.smtp.client_auth import (
    AuthTrouble,
    Credentials,
    Exchange,
    KeyWanted,
    ScramSha256,
    choose,
    decode_challenge,
)
from mta.smtp.client_event import Derive, Over, Ready, SessionEvent, StartTls, Trouble
from mta.smtp.client_reply import BadReply, ReplyReader, ServerReply
from mta.smtp.client_transaction import Offer, own_reply, quote

TlsPolicy: TypeAlias = Literal["opportunistic", "require", "verify", "implicit", "never"]
_Handler: TypeAlias = Callable[[ServerReply, int], None]
_Awaited: TypeAlias = tuple[_Handler, int, str]


class ClientOpening:
    """One conversation.

    :param helo: the name under which we introduce ourselves.
    :param host: the server, in words for outcomes: ``mx.example.org [192.0.2.1]:25``.
    :param lmtp: whether to speak LMTP.
    :param tls: ``opportunistic``: STARTTLS where offered; ``require``: encryption
        by whatever certificate; ``verify``: a certificate that fits; ``implicit``:
        TLS from the first octet, with a certificate that fits; ``never``.
    :param credentials: for AUTH before the first message.
    :param demanded: which TLS was demanded and by whom, in words for outcomes.
    :param clear: why TLS is not even tried, in words for outcomes.
    :ivar peer: what the server calls itself in its answer to EHLO; ``""`` if it does not say.
    :ivar offer: what the server offered in its last answer to EHLO.
    :ivar tls: in words, TLS of the connection, or why there is none, and what was demanded;
        ``""`` in clear text of which there is nothing to say.
    :ivar encrypted: whether there is TLS.
    :ivar ready: whether messages may be begun.
    :ivar over: whether the conversation has ended.
    :ivar heard: how many replies came.
    """

    def __init__(
        self,
        *,
        helo: str,
        host: str,
        lmtp: bool = False,
        tls: TlsPolicy = "opportunistic",
        credentials: Credentials | None = None,
        demanded: str = "",
        clear: str = "",
    ) -> None:
        self.host = host
        self.peer = ""
        self.offer = Offer()
        self.encrypted = False
        self._demanded = demanded
        self.tls = self._in_words(f"clear text: {clear}" if clear else "")
        self.ready = False
        self.over = False
        self.heard = 0
        self._helo = helo
        self._lmtp = lmtp
        self._policy = tls
        self._verified = False
        self._shaking = tls == "implicit"
        self._credentials = credentials
        self._exchanges: list[tuple[str, Exchange]] = []
        self._reader = ReplyReader()
        self._out: list[bytes] = []
        self._events: list[SessionEvent] = []
        self._awaited: deque[_Awaited] = deque()
        self._quitting = False
        self._command = ""
        if not self._shaking:
            self._awaited.append((self._on_greeting, 0, "connect"))

    # --- what the protocol asks ----------------------------------------------

    def take(self) -> list[bytes]:
        """The octets to be sent now."""
        out = self._out
        self._out = []
        return out

    @property
    def idle(self) -> bool:
        """Whether the server owes us no reply."""
        return not self._awaited

    @property
    def awaited_command(self) -> str:
        """What the next reply answers; ``""`` while none is owed."""
        return self._awaited[0][2] if self._awaited else ""

    @property
    def shaking(self) -> bool:
        """Whether a TLS handshake is under way."""
        return self._shaking

    # --- what happens ----------------------------------------------------------

    def receive(self, data: bytes) -> list[SessionEvent]:
        """Octets came from the server."""
        try:
            replies = self._reader.feed(data)
            self.heard += len(replies)
            for reply in replies:
                if self.over:
                    break
                if not self._awaited:
                    self._unasked(reply)
                    break
                handler, index, command = self._awaited.popleft()
                self._command = command
                if reply.code == 421 and not self._quitting:
                    self._end(Trouble(quote(reply, self.host, command, self.tls), "reply"))
                    break
                handler(reply, index)
                if self._shaking and not self.over and (self._reader.pending or reply is not replies[-1]):
                    # What came in clear text behind the answer to STARTTLS is somebody else's.
                    raise BadReply("it went on in clear text after STARTTLS")
            self._command = self._awaited[0][2] if self._awaited else "idle"
            if self._reader.problem:
                raise BadReply(self._reader.problem)
        except BadReply as problem:
            self._broken(str(problem))
        return self._take_events()

    def lost(self, problem: str = "") -> list[SessionEvent]:
        """The connection is gone.

        :param problem: why, if TLS had something to say about it.
        """
        if not self.over:
            if self._shaking:
                problem = problem or "the handshake broke off"
                self._end(Trouble(self._own("remote-tls", problem=problem), "handshake", problem))
            elif self._quitting:
                self._over(None)
            else:
                self._end(Trouble(self._own("connection-lost"), "lost"))
        return self._take_events()

    def timed_out(self) -> list[SessionEvent]:
        """The server was silent for too long, or took nothing."""
        return self.lost("the handshake took too long" if self._shaking else "")

    def tls_established(self, words: str, verified: bool, problem: str) -> list[SessionEvent]:
        """The handshake that ``StartTls`` asked for, or ``implicit`` began with, is done.

        :param words: for outcomes: version, cipher, and whether the name was verified.
        :param verified: whether the certificate fits.
        :param problem: why not.
        """
        self.encrypted = True
        self.tls = self._in_words(words)
        self._verified = verified
        self._shaking = False
        if self._policy in ("verify", "implicit") and not verified:
            self._end(Trouble(self._own("remote-tls", problem=problem), "tls"))
        elif self._policy == "implicit":
            self._awaited.append((self._on_greeting, 0, "connect"))
        else:
            self._hello()
        return self._take_events()

    def derived(self, salted: bytes) -> list[SessionEvent]:
        """The salted password that ``Derive`` asked for."""
        exchange = self._exchanges[0][1]
        if isinstance(exchange, ScramSha256) and not self.over:
            self._respond(exchange.key(salted))
        return self._take_events()

    def quit(self) -> list[SessionEvent]:
        """Take leave; ``Over`` follows when the server has answered."""
        if not self.over and not self._quitting:
            self._quitting = True
            self.ready = False
            self._send(b"QUIT\r\n", self._on_quit, "QUIT")
        return self._take_events()

    # --- greeting, hello, TLS ---------------------------------------------------

    def _send(self, line: bytes, handler: _Handler, command: str, index: int = 0) -> None:
        self._out.append(line)
        self._awaited.append((handler, index, command))

    def _on_greeting(self, reply: ServerReply, index: int) -> None:
        if reply.code != 220:
            self._turned_away(reply, "connect")
        else:
            self._hello()

    def _hello(self) -> None:
        if self._lmtp:
            self._send(f"LHLO {self._helo}\r\n".encode(), self._on_hello, "LHLO")
        else:
            self._send(f"EHLO {self._helo}\r\n".encode(), self._on_hello, "EHLO")

    def _on_hello(self, reply: ServerReply, index: int) -> None:
        if reply.code == 250:
            self.offer = Offer(reply.lines)
            self.peer = b"".join(reply.lines[0].split()[:1])[:255].decode("ascii", "replace")
            self._greeted()
        elif reply.code >= 500 and not self._lmtp and not self.encrypted:
            self._send(f"HELO {self._helo}\r\n".encode(), self._on_helo, "HELO")
        else:
            self._turned_away(reply, "LHLO" if self._lmtp else "EHLO")

    def _on_helo(self, reply: ServerReply, index: int) -> None:
        if reply.code == 250:
            self.offer = Offer()
            self._greeted()
        else:
            self._turned_away(reply, "HELO")

    def _turned_away(self, reply: ServerReply, command: str) -> None:
        if reply.code < 400:
            raise BadReply(f"{reply.code} does not answer it")
        self._end(Trouble(quote(reply, self.host, command, self.tls), "reply"))

    def _greeted(self) -> None:
        if not self.encrypted and self._policy in ("opportunistic", "require", "verify"):
            if self.offer.starttls:
                self._send(b"STARTTLS\r\n", self._on_starttls, "STARTTLS")
                return
            if self._policy != "opportunistic":
                self._end(Trouble(self._own("remote-tls", problem="it does not offer STARTTLS"), "tls"))
                return
        self._log_in()

    def _on_starttls(self, reply: ServerReply, index: int) -> None:
        if reply.code == 220:
            self._shaking = True
            self._events.append(StartTls())
        elif reply.code < 400:
            raise BadReply(f"{reply.code} does not answer STARTTLS")
        elif self._policy == "opportunistic":
            self.tls = self._in_words(f"clear text: STARTTLS was answered {reply.code} {reply.text}")
            self._log_in()
        else:
            self._end(Trouble(self._own("remote-tls", problem=f"{reply.code} {reply.text}"), "tls"))

    # --- AUTH -------------------------------------------------------------------

    def _log_in(self) -> None:
        credentials = self._credentials
        if credentials is None:
            self._get_ready()
            return
        # Whoever can present any certificate at all would otherwise get the password.
        plaintext = self.encrypted and (self._verified or self._policy == "require")
        self._exchanges = choose(self.offer.auth, credentials, plaintext)
        if not self._exchanges:
            if plaintext or not self.offer.auth:
                problem = "it offers none of SCRAM-SHA-256, PLAIN and LOGIN"
            else:
                why = (
                    "its certificate is not verified" if self.encrypted else "the connection is not encrypted"
                )
                problem = f"{why}, so the password is not shown to it"
            self._auth_trouble(problem)
            return
        self._authenticate()

    def _authenticate(self) -> None:
        name, exchange = self._exchanges[0]
        initial = exchange.initial
        first = b"" if initial is None else b" " + base64.b64encode(initial)
        self._send(b"AUTH " + name.encode() + first + b"\r\n", self._on_auth, "AUTH")

    def _on_auth(self, reply: ServerReply, index: int) -> None:
        exchange = self._exchanges[0][1]
        if reply.code == 235:
            if exchange.proven:
                self._get_ready()
            else:
                self._auth_trouble("it took us in without proof that it knows our password")
        elif reply.code == 334:
            try:
                answer = exchange.respond(decode_challenge(reply.lines[-1]))
            except AuthTrouble as trouble:
                self._auth_trouble(str(trouble))
                return
            if isinstance(answer, KeyWanted):
                self._events.append(Derive(answer.salt, answer.iterations))
            else:
                self._respond(answer)
        elif reply.code < 400:
            raise BadReply(f"{reply.code} does not answer AUTH")
        elif reply.code >= 500 and len(self._exchanges) > 1:
            # An account may have a hash from which SCRAM's keys cannot be made.
            del self._exchanges[0]
            self._authenticate()
        else:
            self._auth_trouble(f"{reply.code} {reply.enhanced} {reply.text}".replace("  ", " "))

    def _respond(self, answer: bytes) -> None:
        self._send(base64.b64encode(answer) + b"\r\n", self._on_auth, "AUTH")

    def _auth_trouble(self, problem: str) -> None:
        self._end(Trouble(self._own("remote-auth", problem=problem), "auth"))

    def _in_words(self, found: str) -> str:
        """What was found, and what was demanded."""
        return f"{found or 'clear text'}, demanded: {self._demanded}" if self._demanded else found

    def _get_ready(self) -> None:
        self._exchanges = []
        self.ready = True
        self._events.append(Ready())

    # --- the end ----------------------------------------------------------------

    def _on_quit(self, reply: ServerReply, index: int) -> None:
        self._over(None)

    def _unasked(self, reply: ServerReply) -> None:
        if reply.code == 421:
            self._end(Trouble(quote(reply, self.host, "idle", self.tls), "reply"))
        else:
            raise BadReply(f"{reply.code}, though it was not asked")

    def _broken(self, problem: str) -> None:
        if not self.over:
            command = self._command
            reply = own_reply(
                "remote-protocol", command, self.tls, host=self.host, command=command, problem=problem
            )
            self._end(Trouble(reply, "protocol"))

    def _own(self, name: str, **values: object) -> RemoteReply:
        command = "STARTTLS" if self._shaking else "idle"
        if self._awaited:
            command = self._awaited[0][2]
        return own_reply(name, command, self.tls, host=self.host, command=command, **values)

    def _end(self, trouble: Trouble) -> None:
        """The conversation is over before its time: nobody who is open was delivered to."""
        self._abandon(trouble.reply)
        self._over(trouble)

    def _abandon(self, reply: RemoteReply) -> None:
        """Postpone whatever is under way."""

    def _over(self, trouble: Trouble | None) -> None:
        self.over = True
        self.ready = False
        self._awaited.clear()
        self._out.clear()
        self._events.append(Over(trouble))

    def _take_events(self) -> list[SessionEvent]:
        events = self._events
        if events:
            self._events = []
        return events
