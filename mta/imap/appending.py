"""APPEND: a client brings messages (RFC 3501, 6.3.11; RFC 3502; RFC 4315; RFC 6855, 4; RFC 7889).

A message goes to disk as it comes; nothing is read from the client while the disk is slow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mta.imap import date_time, flags, folder_name, updates
from mta.imap.arguments import Arguments
from mta.imap.flags import BadFlag, Named
from mta.imap.framing import Frame
from mta.imap.refusal import Bad, Refused
from mta.imap.sequence_set import compact
from mta.interfaces import TemporarilyUnavailable
from mta.mailbox import names
from mta.mailbox.append import Append
from mta.mailbox.folder import Gone

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: Octets that are written at once.
_BLOCK = 64 * 1024
#: Messages of one command.
_MOST = 1000
_ANNOUNCED = re.compile(rb"~?\{([0-9]{1,10})(\+?)\}\Z")


@dataclass(frozen=True, slots=True)
class _Coming:
    """A message that is announced.

    :ivar waits: whether its client waits to be asked for it.
    :ivar closed: whether a parenthesis follows it (UTF8).
    """

    octets: int
    waits: bool
    named: Named
    received: float | None
    closed: bool


async def append(session: ImapProtocol, frame: Frame, text: bytes) -> bytes:
    """APPEND.

    :param frame: as far as the first message.
    :param text: what stands behind the command's name.
    :raise Bad: if it is none.  What the client sends all the same is passed over.
    :raise Refused: if nothing is put there.
    """
    arguments = Arguments((text, *frame.parts[1:]))
    appending = _Appending(session)
    session.appending = True
    try:
        coming = None
        try:
            name = arguments.word()
            arguments.space()
            coming = _announced(arguments.left())
            await appending.open(name)
        except (Bad, Refused, TemporarilyUnavailable) as problem:
            appending.problem = problem
        size, waits = (frame.streamed or 0), frame.waits
        count = 0
        while True:
            count += 1
            await appending.take(coming, size, waits)
            rest = await session.line()
            if rest is None:
                raise Bad("nobody is there any more")
            if coming is not None and coming.closed:
                rest = rest.removeprefix(b")")
            if not rest:
                break
            following = _ANNOUNCED.search(rest)
            if following is None:
                raise Bad("there is more behind the message")
            size, waits = int(following[1]), not following[2]
            try:
                if count >= _MOST:
                    raise Bad(f"there can be {_MOST} messages in one command")
                coming = _announced(rest[1:])
            except Bad as problem:
                coming, appending.problem = None, appending.problem or problem
        return await appending.commit()
    finally:
        session.appending = False
        await appending.abandon()


def _announced(text: bytes) -> _Coming:
    """What stands in front of a message."""
    literal = _ANNOUNCED.search(text)
    if literal is None:
        raise Bad("APPEND takes the name of a folder, flags, a time, and a message as a literal")
    closed = False
    before = text[: literal.start()]
    if before.upper().endswith(b"UTF8 ("):
        closed, before = True, before[: -len(b"UTF8 (")]
    named, received = Named(0, ()), None
    arguments = Arguments((before.rstrip(b" "),))
    values = [] if arguments.over else [arguments.value(), *arguments.rest()]
    try:
        if values and isinstance(values[0], tuple):
            words = values.pop(0)
            assert isinstance(words, tuple)
            named = flags.named(word for word in words if isinstance(word, bytes))
        if values and isinstance(values[0], bytes):
            received = float(date_time.read(values[0]))
            del values[0]
    except (BadFlag, ValueError) as problem:
        raise Bad(str(problem)) from None
    if values:
        raise Bad("APPEND takes the name of a folder, flags, a time, and a message as a literal")
    return _Coming(int(literal[1]), not literal[2], named, received, closed)


class _Appending:
    """One command, under way.

    :ivar problem: why nothing will come of it.  What follows is read, and passed over.
    """

    def __init__(self, session: ImapProtocol) -> None:
        self._session = session
        self._append: Append | None = None
        self._directory = b""
        self.problem: Bad | Refused | TemporarilyUnavailable | None = None

    async def open(self, name: bytes) -> None:
        """Open the folder.

        :raise Refused: if it is not there, and the client may want to make it.
        """
        session = self._session
        text = folder_name.read(session, name)
        self._directory = directory = names.directory_of(text)
        account = session.inside
        try:
            self._append = await account.run(lambda index: Append(index, directory, account.quota))
        except Gone:
            raise Refused("there is no folder of this name", "TRYCREATE") from None

    async def take(self, coming: _Coming | None, octets: int, waits: bool) -> None:
        """Take a message, to disk or to nowhere.

        :raise Bad: if the client waits to be asked for it, and nobody wants it.
        """
        session = self._session
        most = session.terms.limits.message_size
        if self.problem is None and octets > most:
            self.problem = Refused(f"a message may have {most} octets", "TOOBIG")
        if self.problem is None and not octets:
            self.problem = Refused("a message without octets is none")
        append = self._append
        if self.problem is None and append is not None and coming is not None:
            named = coming.named
            await self._do(append.begin, octets, named.system, named.keywords, coming.received)
        if waits:
            if self.problem is not None:
                raise self.problem
            session.say(b"+ go on")
        left = octets
        while left:
            block = session.literal(min(left, _BLOCK))
            if not block:
                if session.over_soon:
                    raise Bad("nobody is there any more")
                await session.poked()
                continue
            left -= len(block)
            if self.problem is None and append is not None:
                await self._do(append.write, block)
            session.hear()
        if self.problem is None and append is not None:
            await self._do(append.end)

    async def _do(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            await self._session.inside.work(work, *arguments)
        except (Refused, TemporarilyUnavailable) as problem:
            self.problem = problem

    async def commit(self) -> bytes:
        """Have all of them in the folder; the answer."""
        if self.problem is not None:
            raise self.problem
        append, session = self._append, self._session
        assert append is not None
        try:
            placed = await session.inside.run(append.commit)
        except Gone:
            raise Refused("the folder was removed meanwhile", "TRYCREATE") from None
        session.inside.wake(self._directory)
        await updates.tell(session)
        return b"[APPENDUID %d %s] it is there" % (placed.validity, compact(placed.uids))

    async def abandon(self) -> None:
        """Leave nothing behind of what is not committed."""
        append, self._append = self._append, None
        if append is not None:
            await self._session.premises.room.in_thread(append.abandon)
