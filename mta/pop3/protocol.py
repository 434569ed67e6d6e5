"""A POP3 session (RFC 1939, 2449, 2595, 5034, 6856).

``Pop3Protocol`` is a ``twisted.mail.pop3.POP3`` whose commands are coroutines.  There a command that
arrives behind a slow one and is wrong stops the session for ever, files are read in the reactor, a
response of SASL must be two words, and there are no response codes.

Lines wait in order; the next is looked at when the one before is answered, and nothing is read from
a client that does not read our answers.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.mail.pop3 import POP3
from twisted.python.failure import Failure

from mta.interfaces import TemporarilyUnavailable
from mta.model.event_mailbox import MailboxSession
from mta.pop3 import login, mail
from mta.pop3.command import LONGEST, BadLine, Command, error, parse
from mta.pop3.maildrop import Maildrop
from mta.visit.visit import Visit

_log = Logger()

#: Lines and octets of commands that may wait before reading stops.
_WAITING_LINES, _WAITING_OCTETS = 500, 32 * 1024


class Pop3Protocol(Visit, POP3):
    """See the module.

    :ivar drop: the mailbox, once somebody has logged in.
    """

    noisy = False
    speaks = "POP3"
    MAX_LENGTH = LONGEST + 2
    drop: Maildrop | None = None
    user: bytes | None = None

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._octets = 0

    # --- what a visit asks -----------------------------------------------------

    def greet(self) -> None:
        """See :class:`~mta.visit.visit.Visit`."""
        self.say(f"+OK {self.terms.hostname} POP3 ready, session {self.client.session}".encode())

    def last_words(self, text: str, ours: bool = True) -> bytes:
        """See :class:`~mta.visit.visit.Visit`."""
        return error(text, "SYS/TEMP" if ours else "")

    def is_inside(self) -> bool:
        """See :class:`~mta.visit.visit.Visit`."""
        return self.drop is not None

    def leave(self) -> MailboxSession | None:
        """Let others have the mailbox; nothing is removed without QUIT."""
        drop, self.drop = self.drop, None
        if drop is None:
            return None
        drop.close()
        return self.ended(
            messages=len(drop.uids),
            fetched=len(drop.retrieved),
            removed=len(drop.deleted) if self.ending == "quit" else 0,
        )

    def forget_input(self) -> None:
        """See :class:`~mta.visit.visit.Visit`.  A removal that has begun is answered all the same."""
        self._lines.clear()
        self._octets = 0
        self.clearLineBuffer()
        self.user = None

    def clearLineBuffer(self) -> bytes:
        """Forget what has come of a line that has not ended."""
        held: bytes = getattr(self, "_buffer", b"")
        self._buffer = b""
        return held

    # --- lines -----------------------------------------------------------------

    def lineReceived(self, line: bytes) -> None:
        """A line has come."""
        if self._closing:
            return
        self.hear()
        self._lines.append(line)
        self._octets += len(line)
        self._regulate()
        if not self._running:
            self._running = True
            Deferred.fromCoroutine(self._run()).addErrback(self._broken)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Nobody sends such lines in earnest."""
        self.say_last(error("the line is too long"))

    async def _run(self) -> None:
        """Answer lines until none is left."""
        try:
            while self._lines and not self.lost and not self._closing:
                line = self._lines.popleft()
                self._octets -= len(line)
                self._regulate()
                await self._answer(line)
                await self.flow()
                self.hear()
        finally:
            self._running = False
            if self.lost:
                self.over()
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
            self.say_last(error("trouble on our side", "SYS/TEMP"))

    # --- answers ---------------------------------------------------------------

    def mistake(self, text: str, code: str = "") -> None:
        """The client did something wrong; too much of that ends the session."""
        if not self.count_error():
            self.say(error(text, code))

    def trouble(self, why: str, text: str = "the mailbox cannot be used now, try again later") -> None:
        """Something of ours does not work: said to the client, and why to the journal."""
        self.note_refusal("trouble", why)
        self.say(error(f"{text}, session {self.client.session}", "SYS/TEMP"))

    def goodbye(self, line: bytes) -> None:
        """The last answer."""
        self.say_last(line)

    def _regulate(self) -> None:
        """Read no more than can be answered."""
        self.hold(len(self._lines) > _WAITING_LINES or self._octets > _WAITING_OCTETS)
