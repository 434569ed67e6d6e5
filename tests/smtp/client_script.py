"""A server that does as a script says, for the tests of our client."""

from __future__ import annotations

from collections.abc import Callable

from mta.model.envelope import Client, Envelope, Recipient
from mta.model.message import Addressee, Content, InlineContent, Message
from mta.smtp.client_transaction import Transaction

MAIL = b"From: a@b.test\r\nSubject: x\r\n\r\nhello\r\n.dot\r\n"
TRACE = b"Received: from c.test by mx.local.test; now\r\n"
OFFER = ("PIPELINING", "8BITMIME", "SIZE 100000000", "ENHANCEDSTATUSCODES")


def transaction(
    *recipients: str,
    sender: str = "a@b.test",
    content: Content | bytes = MAIL,
    trace: bytes = TRACE,
    **envelope: object,
) -> Transaction:
    """A message to some recipients."""
    if isinstance(content, bytes):
        content = InlineContent(content)
    addresses = recipients or ("u@far.test",)
    addressees = [
        Addressee(number, address, address, "relay", "far.test") for number, address in enumerate(addresses)
    ]
    given = Envelope(sender, [Recipient(address) for address in addresses], **envelope)  # type: ignore[arg-type]
    message = Message("m1", given, Client("s1"), trace, content, addressees, 0.0, 0.0)
    return Transaction(message, addressees, sender)


class ScriptedServer:
    """Answers what a client sends.

    :param offer: keywords of EHLO.
    :param answers: by verb (or ``RCPT <address>``): the reply, or a list of replies
        used up one after the other; ``GREETING`` and ``END`` too.
    :param close_at: verb at which it closes instead of answering.
    :ivar commands: every command line.
    :ivar messages: (recipients, octets) of each message, dots undone.
    :ivar closed: whether it closed.
    """

    def __init__(
        self,
        offer: tuple[str, ...] = OFFER,
        answers: dict[str, str | list[str]] | None = None,
        close_at: str = "",
        lmtp: bool = False,
    ) -> None:
        self.offer = offer
        self.answers = dict(answers or {})
        self.close_at = close_at
        self.lmtp = lmtp
        self.commands: list[str] = []
        self.messages: list[tuple[list[str], bytes]] = []
        self.closed = False
        self.tls = False
        self.start_tls: Callable[[], None] = lambda: None
        self._buffer = b""
        self._recipients: list[str] = []
        self._mail = False
        self._data = False
        self._chunk = -1
        self.chunked = False

    def greet(self) -> bytes:
        """What it says first."""
        return self._answer("GREETING", "220 far.test ESMTP")

    def receive(self, data: bytes) -> bytes:
        """Octets from the client; the answer."""
        self._buffer += data
        out = b""
        while not self.closed:
            if self._data:
                end = self._buffer.find(b"\r\n.\r\n")
                if self._buffer.startswith(b".\r\n"):
                    content, self._buffer = b"", self._buffer[3:]
                elif end >= 0:
                    content, self._buffer = self._buffer[: end + 2], self._buffer[end + 5 :]
                else:
                    break
                self._data = False
                if content.startswith(b"."):
                    content = content[1:]
                out += self._finished(content.replace(b"\r\n.", b"\r\n"))
            elif self._chunk >= 0:
                if len(self._buffer) < self._chunk:
                    break
                content, self._buffer = self._buffer[: self._chunk], self._buffer[self._chunk :]
                self._chunk = -1
                out += self._finished(content)
            else:
                line, end_of_line, rest = self._buffer.partition(b"\r\n")
                if not end_of_line:
                    break
                self._buffer = rest
                out += self._command(line.decode())
        return out

    def _command(self, line: str) -> bytes:
        self.commands.append(line)
        verb = line.split(" ", 1)[0].upper()
        if verb == self.close_at:
            self.closed = True
            return b""
        if verb in ("EHLO", "LHLO"):
            lines = ["far.test", *self.offer]
            if self.tls and "STARTTLS" in lines:
                lines.remove("STARTTLS")
            hello = "\r\n".join([*(f"250-{item}" for item in lines[:-1]), f"250 {lines[-1]}"])
            return self._answer(verb, hello)
        if verb == "RCPT":
            address = line[line.index("<") : line.index(">") + 1]
            verb = f"RCPT {address}" if f"RCPT {address}" in self.answers else "RCPT"
            answer = self._answer(verb, "250 2.1.5 ok") if self._mail else b"503 5.5.1 MAIL first\r\n"
            if answer.startswith(b"2"):
                self._recipients.append(address)
            return answer
        if verb == "MAIL":
            if self._mail:
                return b"503 5.5.1 nested MAIL\r\n"
            answer = self._answer(verb, "250 2.1.0 ok")
            self._mail = answer.startswith(b"2")
            self._recipients = []
            return answer
        if verb == "RSET":
            self._mail = False
        if verb == "DATA":
            usual = "354 go on" if self._recipients else "554 5.5.1 no valid recipients"
            answer = self._answer(verb, usual)
            self._data = answer.startswith(b"354")
            return answer
        if verb == "BDAT":
            self._chunk = int(line.split()[1])
            self.chunked = True
            return b""
        if verb == "STARTTLS":
            self.start_tls()
            return self._answer(verb, "220 go on")
        if verb == "QUIT":
            answer = self._answer(verb, "221 2.0.0 bye")
            self.closed = True
            return answer
        return self._answer(verb, "250 2.0.0 ok")

    def _finished(self, content: bytes) -> bytes:
        if self.close_at == "END":
            self.closed = True
            return b""
        recipients, self._recipients = self._recipients, []
        if recipients or not self.chunked:
            self._mail = False
        usual = "250 2.0.0 taken" if recipients else "554 5.5.1 no valid recipients"
        replies = max(1, len(recipients)) if self.lmtp else 1
        answer = b"".join(self._answer("END", usual) for _ in range(replies))
        if recipients and b"2" in answer[:1]:
            self.messages.append((recipients, content))
        return answer

    def _answer(self, verb: str, usual: str) -> bytes:
        if verb == "GREETING" and self.close_at == verb:
            self.closed = True
            return b""
        answer = self.answers.get(verb, usual)
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else usual
        return answer.encode() + b"\r\n" if answer else b""
