"""An IMAP session (RFC 3501 and its extensions).

``ImapProtocol`` is a ``twisted.mail.imap4.IMAP4Server`` whose input, commands and answers are ours.  There
a literal of any size is held in memory, each message is an object, files are read in the reactor, and
what is pipelined behind a slow command can be answered before it.

Octets wait in :mod:`~mta.imap.framing`; the next command is taken out when the one before is answered.
Nothing is read from a client that does not read our answers, or sends more than it may.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.mail.imap4 import IMAP4Server
from twisted.python.failure import Failure

from mta.config.settings import Imap
from mta.imap import capabilities, dispatch, updates
from mta.imap.framing import Continue, Frame, Framing, TooLong
from mta.imap.refusal import Bad, Refused
from mta.imap.selected import Selected
from mta.interfaces import TemporarilyUnavailable
from mta.mailbox.mailroom import Account
from mta.model.event_mailbox import MailboxSession
from mta.visit.visit import Visit

#: Octets of commands that wait before reading stops.
_WAITING = 64 * 1024


class ImapProtocol(Visit, IMAP4Server):
    """See the module.

    :ivar account: the mailbox, once somebody has logged in.
    :ivar selected: the folder that is selected.
    :ivar counts_changes: whether the client wants to be told of MODSEQs (RFC 7162).
    :ivar quick_resync: whether it has enabled QRESYNC.
    :ivar utf8: whether it has enabled UTF8=ACCEPT (RFC 6855).
    :ivar idling: whether it waits for news.
    :ivar appending: whether it brings messages.
    :ivar program: what the client calls itself (RFC 2971).
    :ivar fetched: messages of which something was sent.
    :ivar removed: messages that it has removed.
    :ivar tag: of the command that is being answered.
    """

    noisy = False
    speaks = "IMAP"
    account: Account | None = None
    selected: Selected | None = None
    counts_changes = False
    quick_resync = False
    utf8 = False
    idling = False
    fetched = 0
    removed = 0
    tag = b"*"
    program = ""
    _poked = False
    _waiting: Deferred[None] | None = None

    tls_next = False
    leaving = False
    appending = False

    def __init__(self) -> None:
        # Twisted's own makes what is done elsewhere here.
        self._framing = Framing()

    # --- what a visit asks -----------------------------------------------------

    @property
    def settings(self) -> Imap:
        """Of IMAP."""
        settings = self.terms.settings
        assert isinstance(settings, Imap)
        return settings

    def greet(self) -> None:
        """See :class:`~mta.visit.visit.Visit`."""
        words = f"{self.terms.hostname} IMAP ready, session {self.client.session}"
        self.say(b"* OK [%s] %s" % (capabilities.line(self), words.encode()))

    def last_words(self, text: str, ours: bool = True) -> bytes:
        """See :class:`~mta.visit.visit.Visit`."""
        return b"* BYE " + (b"[UNAVAILABLE] " if ours else b"") + text.encode("ascii", "replace")

    def is_inside(self) -> bool:
        """See :class:`~mta.visit.visit.Visit`."""
        return self.account is not None

    def at_work(self) -> bool:
        """See :class:`~mta.visit.visit.Visit`."""
        return self._running and self._waiting is None

    def may_be_silent(self) -> bool:
        """See :class:`~mta.visit.visit.Visit`.  Who waits for news has nothing to say."""
        return self.idling or self.at_work()

    def drain(self) -> None:
        """See :class:`~mta.visit.visit.Visit`.  A message that is being brought is taken."""
        if not self.at_work() and not self.appending:
            super().drain()

    def longest(self) -> float:
        """See :class:`~mta.visit.visit.Visit`.  People leave their mail open for weeks."""
        return 0 if self.is_inside() else self.terms.limits.session_time

    def leave(self) -> MailboxSession | None:
        """See :class:`~mta.visit.visit.Visit`."""
        self.unselect()
        account, self.account = self.account, None
        if account is None:
            return None
        account.close()
        return self.ended(fetched=self.fetched, removed=self.removed, program=self.program)

    def count_changes(self) -> None:
        """Tell of MODSEQs from now on, and first how far the selected folder is (RFC 7162, 3.1.2)."""
        if not self.counts_changes:
            self.counts_changes = True
            if self.selected is not None:
                self.say(b"* OK [HIGHESTMODSEQ %d] the last change" % self.selected.snapshot.modseq)

    def leave_folder(self) -> None:
        """No folder is selected any more, and the client is told so (RFC 7162, 3.2.11)."""
        if self.selected is not None:
            self.unselect()
            self.say(b"* OK [CLOSED] the folder is not selected any more")

    def unselect(self) -> None:
        """No folder is selected any more."""
        selected, self.selected = self.selected, None
        if selected is not None:
            selected.close()

    def forget_input(self) -> None:
        """See :class:`~mta.visit.visit.Visit`."""
        self._framing.clear()
        if self._closing:
            self.poke()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See :class:`~mta.visit.visit.Visit`."""
        super().connectionLost(reason)
        self.poke()

    # --- news ------------------------------------------------------------------

    @property
    def over_soon(self) -> bool:
        """Whether there is nobody to answer any more."""
        return self.lost or self._closing

    def poke(self) -> None:
        """Something has come: octets, a change of the selected folder, a time."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self._poked = True
        else:
            waiting.callback(None)

    async def poked(self) -> None:
        """Wait until something has come since this was last called."""
        if not self._poked and not self.over_soon:
            self._waiting = Deferred()
            await self._waiting
        self._poked = False

    def changed(self) -> None:
        """The selected folder may have changed."""
        if self.selected is not None and not self.selected.stale:
            self.selected.stale = True
            if self.idling:
                self.poke()

    # --- answers ---------------------------------------------------------------

    @property
    def inside(self) -> Account:
        """The mailbox of who has logged in."""
        assert self.account is not None
        return self.account

    def enter(self, account: Account) -> None:
        """Somebody has logged in: what comes may be larger."""
        self.account = account
        self._framing.inside = True

    def trouble(self, why: str) -> Refused:
        """Something of ours does not work: why is told to the journal; what the client is told."""
        self.note_refusal("trouble", why)
        return Refused(
            f"the mailbox cannot be used now, try again later, session {self.client.session}", "UNAVAILABLE"
        )

    # --- commands --------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Octets have come."""
        if self._closing:
            return
        self.hear()
        self._framing.feed(data)
        self._regulate()
        self.poke()
        if not self._running:
            self._running = True
            Deferred.fromCoroutine(self._run()).addErrback(self._broken)

    def _regulate(self) -> None:
        self.hold(self._framing.held > _WAITING)

    def next_line(self) -> bytes | None:
        """A line that is no command; ``None`` if it has not come yet."""
        found = self._framing.line()
        self._regulate()
        return found

    def literal(self, most: int) -> bytes:
        """Octets of a literal that have come."""
        found = self._framing.take(most)
        self._regulate()
        return found

    async def line(self) -> bytes | None:
        """The next line, which is no command; ``None`` if the client goes."""
        while not self.over_soon:
            found = self.next_line()
            if found is not None:
                return found
            if not self.runs_on():
                await self.poked()
        return None

    def runs_on(self) -> bool:
        """Whether the client writes a line without an end: then the session has one."""
        if not self._framing.endless:
            return False
        self._end_endless()
        return True

    def _end_endless(self) -> None:
        self.ending = "errors"
        self.say_last(self.last_words("the line is too long", False))

    async def _run(self) -> None:
        """Answer commands until none is left."""
        try:
            while not (self.over_soon or self.premises.draining):
                frame = self._framing.command()
                self._regulate()
                if frame is None:
                    break
                await self._take(frame)
                await self.flow()
                self.hear()
        finally:
            self._running = False
            if self.lost:
                self.over()
            elif self.premises.draining:
                self.drain()

    async def _take(self, frame: Frame | Continue | TooLong) -> None:
        if isinstance(frame, Continue):
            self.say(b"+ go on")
        elif isinstance(frame, TooLong):
            tag = dispatch.tag_of(frame.text)
            if frame.whole:
                self.mistake(tag, "the command is too long")
            else:
                self._end_endless()
        else:
            await self._answer(frame)

    async def _answer(self, frame: Frame) -> None:
        tag = self.tag = dispatch.tag_of(frame.parts[0])
        try:
            done = await dispatch.run(self, frame)
        except (Bad, Refused, TemporarilyUnavailable) as problem:
            if not self.over_soon:
                self._decline(tag, problem)
        except updates.Inconsistent as problem:
            self.ending = "inconsistent"
            self.say_last(self.last_words(str(problem)))
        else:
            if self.over_soon:
                return
            if self.leaving:
                self.say_last(tag + b" OK " + done)
                return
            self.say(tag + b" OK " + done)
            if self.is_inside():
                # Mistakes count that come one after the other.
                self._errors = 0
            if self.tls_next:
                self.tls_next = False
                self.start_tls()

    def _decline(self, tag: bytes, problem: Bad | Refused | TemporarilyUnavailable) -> None:
        if isinstance(problem, Bad):
            self.mistake(tag, str(problem))
        elif isinstance(problem, Refused):
            self.refuse(tag, problem)
        else:
            self.refuse(tag, self.trouble(str(problem)))

    def mistake(self, tag: bytes, text: str) -> None:
        """The client did something wrong; too much of that ends the session."""
        if not self.count_error():
            self.say(tag + b" BAD " + _plain(text))

    def refuse(self, tag: bytes, refusal: Refused) -> None:
        """A command is not done."""
        code = f"[{refusal.code}] ".encode() if refusal.code else b""
        # Passwords may be tried so often only.
        if self.is_inside() or not self.count_error():
            self.say(tag + b" NO " + code + _plain(str(refusal)))

    def _broken(self, failure: Failure) -> None:
        self.log.failure("Session {session} is broken", failure, session=self.client.session)
        self.ending = "trouble"
        if not self.lost:
            self.say_last(self.last_words("trouble on our side"))


def _plain(text: str) -> bytes:
    """One line of visible ASCII."""
    return bytes(octet if 32 <= octet < 127 else 63 for octet in text.encode("ascii", "replace"))[:480]
