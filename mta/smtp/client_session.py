"""Our side of an SMTP or LMTP conversation as a client, without I/O.

Octets come in by :meth:`ClientSession.receive`, which answers with events
(:mod:`mta.smtp.client_event`); octets to be sent are taken with
:meth:`ClientSession.take`.

Every command that was sent stands in a queue with what is to be done with its
reply, so pipelining needs no states of its own: replies come in order
(RFC 2920), and each takes the head of the queue.  Where the server offers
PIPELINING the envelope goes in one write; with CHUNKING a small message goes
with it, so that it needs one round trip; with DATA, the next message's
envelope may go in the write that ends this one (RFC 2920, 3.1).

::

    greeting - EHLO (or HELO, LHLO) - [STARTTLS - TLS - EHLO] - [AUTH] - ready
    ready:  MAIL RCPT... BDAT content         one write
            MAIL RCPT... DATA | content .     two writes
            MAIL RCPT... | BDAT | content     content in a file: only once a recipient was accepted

A recipient's outcome comes from the reply that decided it: its own RCPT, or
for all that were accepted the reply to DATA or to the end of the data, or in
LMTP its own reply after the data (RFC 2033, 4.2).  Whatever ends the
conversation earlier postpones those that are open.
"""

from __future__ import annotations

from collections import deque

from mta.model.message import InlineContent
from mta.model.outcome import Postponed, RemoteReply
from mta.smtp.client_auth import Credentials
from mta.smtp.client_event import Ended, Examine, SessionEvent, Stream, Trouble
from mta.smtp.client_opening import ClientOpening, TlsPolicy
from mta.smtp.client_reply import BadReply, ServerReply
from mta.smtp.client_stuffing import stuffed
from mta.smtp.client_transaction import Transaction, quote

END_OF_DATA = "end of data"


class ClientSession(ClientOpening):
    """One conversation; see :class:`~mta.smtp.client_opening.ClientOpening` for its parameters."""

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
        super().__init__(
            helo=helo,
            host=host,
            lmtp=lmtp,
            tls=tls,
            credentials=credentials,
            demanded=demanded,
            clear=clear,
        )
        self._flight: deque[Transaction] = deque()

    # --- what the protocol asks ----------------------------------------------

    @property
    def waits_for_content(self) -> bool:
        """Whether the next reply is the one to the end of data, for which there is a time of its own."""
        return bool(self._awaited) and self._awaited[0][2] is END_OF_DATA

    @property
    def free(self) -> bool:
        """Whether a message may be begun now."""
        if not self.ready:
            return False
        if not self._awaited and not self._flight:
            return True
        # Behind the end of data there may stand the next envelope, and no more than one.
        return (
            len(self._flight) == 1
            and self._flight[0].sent
            and self._awaited[0][2] is END_OF_DATA
            and self.offer.pipelining
            and not self._by_chunks(self._flight[0])
        )

    @property
    def busy(self) -> bool:
        """Whether a message is on its way."""
        return bool(self._flight)

    # --- what happens ----------------------------------------------------------

    def begin(self, transaction: Transaction) -> list[SessionEvent]:
        """Send a message; only while ``free``."""
        assert self.free
        self._flight.append(transaction)
        if transaction.unexamined(self.offer):
            self._events.append(Examine(transaction))
        else:
            self._open(transaction)
        return self._take_events()

    def examined(self, transaction: Transaction) -> list[SessionEvent]:
        """The content that ``Examine`` named was examined, and the transaction knows the result."""
        if not self.over and transaction in self._flight:
            self._open(transaction)
        return self._take_events()

    def streamed(self, transaction: Transaction) -> list[SessionEvent]:
        """The content that ``Stream`` named was handed to the network, its end included."""
        transaction.sent = True
        return self._take_events()

    def fail(self, transaction: Transaction, reply: RemoteReply) -> list[SessionEvent]:
        """We cannot go on with the content, and the server must not take what it has for all of it."""
        transaction.postpone_rest(reply)
        self._end(Trouble(reply, "lost"))
        return self._take_events()

    # --- a message --------------------------------------------------------------

    def _open(self, transaction: Transaction) -> None:
        offer = self.offer
        transaction.prepare(offer, self.host, self.tls)
        commands = transaction.commands
        if not commands:
            self._finish(transaction, True)
            return
        awaited = self._awaited
        if not offer.pipelining or transaction.probe:
            transaction.held = True
            self._send(commands[0], self._on_mail, "MAIL FROM")
            return
        out = self._out
        out.extend(commands)
        awaited.append((self._on_mail, 0, "MAIL FROM"))
        for index in transaction.going:
            awaited.append((self._on_recipient, index, "RCPT TO"))
        if not self._by_chunks(transaction):
            out.append(b"DATA\r\n")
            awaited.append((self._on_data, 0, "DATA"))
        elif self._lmtp or not transaction.inline:
            transaction.held = True
            transaction.commands = []
        else:
            self._send_chunk(transaction)

    def _by_chunks(self, transaction: Transaction) -> bool:
        """Whether BDAT is used.  In LMTP only where it must be: RFC 3030 does not say
        how many replies a chunk gets there if no recipient was accepted."""
        if self._lmtp:
            return transaction.message.envelope.body == "BINARYMIME"
        return self.offer.chunking

    def _send_chunk(self, transaction: Transaction) -> None:
        message = transaction.message
        self._out.append(b"BDAT %d LAST\r\n" % message.size)
        if isinstance(message.content, InlineContent):
            self._out.append(message.trace)
            self._out.append(message.content.data)
            transaction.sent = True
        else:
            self._events.append(Stream(transaction, False))
        self._await_end(transaction)

    def _await_end(self, transaction: Transaction) -> None:
        if self._lmtp:
            for index in transaction.accepted:
                self._awaited.append((self._on_delivered, index, END_OF_DATA))
        else:
            self._awaited.append((self._on_end, 0, END_OF_DATA))

    def _on_mail(self, reply: ServerReply, index: int) -> None:
        transaction = self._flight[0]
        transaction.touched = True
        if reply.code >= 400:
            transaction.mail_refused = True
            transaction.decide_rest(quote(reply, self.host, "MAIL FROM", self.tls))
            if transaction.held and len(transaction.commands) > 0:
                self._finish(transaction, True)
                return
        elif reply.code >= 300:
            raise BadReply(f"{reply.code} does not answer MAIL")
        if transaction.held and transaction.commands:
            self._step(transaction)

    def _on_recipient(self, reply: ServerReply, index: int) -> None:
        transaction = self._flight[0]
        transaction.awaited -= 1
        code = reply.code
        if transaction.mail_refused:
            pass
        elif code < 300:
            transaction.accepted.append(index)
            if transaction.probe:
                transaction.deliver(index, quote(reply, self.host, "RCPT TO", self.tls))
        elif code == 552 and transaction.accepted and reply.enhanced in ("", "5.5.3"):
            # Too many recipients, as RFC 821 had it: the others are welcome later (RFC 5321, 4.5.3.1.10).
            transaction.outcomes[index] = Postponed(quote(reply, self.host, "RCPT TO", self.tls))
        elif code >= 400:
            transaction.decide(index, quote(reply, self.host, "RCPT TO", self.tls))
        else:
            raise BadReply(f"{code} does not answer RCPT")
        if transaction.held:
            self._step(transaction)

    def _step(self, transaction: Transaction) -> None:
        """The next command of a message whose commands do not all go at once."""
        if transaction.awaited:
            if transaction.commands:
                done = len(transaction.going) - transaction.awaited
                self._send(
                    transaction.commands[1 + done], self._on_recipient, "RCPT TO", transaction.going[done]
                )
        elif transaction.probe or not transaction.accepted:
            self._finish(transaction, transaction.mail_refused)
        elif self._by_chunks(transaction):
            self._send_chunk(transaction)
        else:
            self._send(b"DATA\r\n", self._on_data, "DATA")

    def _on_data(self, reply: ServerReply, index: int) -> None:
        transaction = self._flight[0]
        if reply.code == 354:
            if transaction.accepted:
                self._await_end(transaction)
                message = transaction.message
                if isinstance(message.content, InlineContent):
                    self._out.append(stuffed(message.trace, message.content.data))
                    transaction.sent = True
                else:
                    self._events.append(Stream(transaction, True))
            elif self._lmtp:
                # RFC 2033 forbids it; how many replies would follow, nobody knows.
                raise BadReply("354, though it accepted no recipient")
            else:
                # RFC 2920, 3.1: end it at once; whatever it answers, nobody gets anything.
                self._send(b".\r\n", self._on_nothing, END_OF_DATA)
                self._finish(transaction, True)
        elif reply.code >= 400:
            if transaction.accepted:
                transaction.decide_rest(quote(reply, self.host, "DATA", self.tls))
            self._finish(transaction, transaction.mail_refused)
        else:
            raise BadReply(f"{reply.code} does not answer DATA")

    def _on_end(self, reply: ServerReply, index: int) -> None:
        transaction = self._flight[0]
        code = reply.code
        if 300 <= code < 400:
            raise BadReply(f"{code} does not answer the end of data")
        if code < 300:
            if not transaction.sent:
                raise BadReply("it accepted the message before it had it")
            if transaction.accepted:
                taken = quote(reply, self.host, END_OF_DATA, self.tls)
                for index in transaction.accepted:
                    transaction.deliver(index, taken)
            self._finish(transaction, True)
            return
        if transaction.accepted:
            transaction.decide_rest(quote(reply, self.host, END_OF_DATA, self.tls))
        if transaction.sent:
            # After a chunk that was refused only RSET leads on (RFC 3030, 2).
            self._finish(transaction, not self.offer.chunking or transaction.mail_refused)
        else:
            self._finish(transaction, True)
            self._over(Trouble(quote(reply, self.host, END_OF_DATA, self.tls), "reply"))

    def _on_delivered(self, reply: ServerReply, index: int) -> None:
        transaction = self._flight[0]
        code = reply.code
        if 300 <= code < 400 or (code < 300 and not transaction.sent):
            raise BadReply(f"{code} does not answer the end of data")
        answer = quote(reply, self.host, END_OF_DATA, self.tls)
        if code < 300:
            transaction.deliver(index, answer)
        else:
            transaction.decide(index, answer)
        if index == transaction.accepted[-1]:
            sent = transaction.sent
            self._finish(transaction, True)
            if not sent:
                self._over(Trouble(answer, "reply"))

    def _on_nothing(self, reply: ServerReply, index: int) -> None:
        """A reply on which nothing depends."""

    def _on_reset(self, reply: ServerReply, index: int) -> None:
        if reply.code >= 300:
            raise BadReply(f"{reply.code} does not answer RSET")

    def _finish(self, transaction: Transaction, clean: bool) -> None:
        """A transaction has its outcomes.

        :param clean: whether the server has none open, so that MAIL may follow.
        """
        self._flight.remove(transaction)
        self._events.append(Ended(transaction))
        if not clean and not self.over:
            self._send(b"RSET\r\n", self._on_reset, "RSET")

    def _abandon(self, reply: RemoteReply) -> None:
        for transaction in list(self._flight):
            transaction.postpone_rest(reply)
            self._events.append(Ended(transaction))
        self._flight.clear()
