"""POP3 after the log-in: lists, messages, and the end (RFC 1939, 5 to 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.interfaces import TemporarilyUnavailable
from mta.mailbox.folder import Gone
from mta.pop3.command import BadLine, Command, error, message_and_lines, message_number
from mta.pop3.login import Handler, capa, settings_of
from mta.pop3.maildrop import CHUNK, Maildrop

if TYPE_CHECKING:
    from mta.pop3.protocol import Pop3Protocol


def _drop(session: Pop3Protocol) -> Maildrop:
    assert session.drop is not None
    return session.drop


def _there(session: Pop3Protocol, place: int) -> bool:
    """Whether there is a message; says so if there is none."""
    drop = _drop(session)
    if place >= len(drop.uids):
        session.mistake(f"there are {len(drop.uids)} messages only")
        return False
    if place in drop.deleted:
        session.mistake("this message is marked as deleted")
        return False
    return True


async def stat(session: Pop3Protocol, command: Command) -> None:
    """STAT."""
    session.say(b"+OK %d %d" % _drop(session).total())


async def list_(session: Pop3Protocol, command: Command) -> None:
    """LIST, of one message or of all."""
    drop = _drop(session)
    if command.arguments:
        place = message_number(command)
        if _there(session, place):
            session.say(b"+OK %d %d" % (place + 1, drop.sizes[place]))
        return
    if not await session.write(b"+OK %d messages, %d octets\r\n" % drop.total()):
        return
    for start in range(0, len(drop.uids), CHUNK):
        places = range(start, min(start + CHUNK, len(drop.uids)))
        lines = [b"%d %d\r\n" % (place + 1, drop.sizes[place]) for place in places if drop.there(place)]
        if not await session.write(b"".join(lines)):
            return
    session.say(b".")


async def uidl(session: Pop3Protocol, command: Command) -> None:
    """UIDL, of one message or of all."""
    drop = _drop(session)
    if command.arguments:
        place = message_number(command)
        if _there(session, place):
            ((_, name),) = await drop.unique_ids(place, 1)
            session.say(b"+OK %d %s" % (place + 1, name))
        return
    # Before the first line: once it is written, nothing can be refused.
    found = await drop.unique_ids(0)
    if not await session.write(b"+OK\r\n"):
        return
    for start in range(0, len(drop.uids), CHUNK):
        try:
            found = await drop.unique_ids(start) if start else found
        except TemporarilyUnavailable as trouble:
            session.cut_off(str(trouble))
            return
        lines = [b"%d %s\r\n" % (place + 1, name) for place, name in found if drop.there(place)]
        if not await session.write(b"".join(lines)):
            return
    session.say(b".")


async def retr(session: Pop3Protocol, command: Command) -> None:
    """RETR."""
    place = message_number(command)
    if _there(session, place) and await _send(session, place, None):
        _drop(session).retrieved.add(place)


async def top(session: Pop3Protocol, command: Command) -> None:
    """TOP."""
    place, lines = message_and_lines(command)
    if _there(session, place):
        await _send(session, place, lines)


async def _send(session: Pop3Protocol, place: int, lines: int | None) -> bool:
    """Send a message, or its top; whether all of it was written."""
    drop = _drop(session)
    try:
        reading, block = await drop.reading(place, lines)
    except Gone:
        session.say(error("another program has removed this message"))
        return False
    try:
        first = b"+OK\r\n" if lines is not None else b"+OK %d octets\r\n" % drop.sizes[place]
        block = first + block
        while block:
            session.sent += len(block)
            if not await session.write(block):
                return False
            try:
                block = await drop.read_on(reading)
            except OSError as trouble:
                session.cut_off(f"a message cannot be read: {trouble.strerror}")
                return False
    finally:
        reading.close()
    session.say(b".")
    return True


async def dele(session: Pop3Protocol, command: Command) -> None:
    """DELE: it is removed at QUIT."""
    place = message_number(command)
    if _there(session, place):
        _drop(session).deleteMessage(place)
        session.say(b"+OK it goes at QUIT")


async def rset(session: Pop3Protocol, command: Command) -> None:
    """RSET."""
    _drop(session).undeleteMessages()
    session.say(b"+OK %d messages, %d octets" % _drop(session).total())


async def noop(session: Pop3Protocol, command: Command) -> None:
    """NOOP."""
    session.say(b"+OK")


async def quit_(session: Pop3Protocol, command: Command) -> None:
    """QUIT: what is marked as deleted goes, all of it or nothing (RFC 1939, 6)."""
    drop = _drop(session)
    try:
        left = await drop.commit(settings_of(session).mark_seen)
    except (TemporarilyUnavailable, Gone) as trouble:
        drop.close()
        session.note_refusal("trouble", str(trouble))
        session.ending = "trouble"
        session.goodbye(error(f"nothing was removed, session {session.client.session}", "SYS/TEMP"))
        return
    # Who reads our answer may come again at once, in another worker.
    drop.close()
    if left:
        session.note_refusal(
            "trouble", f"{left} messages could not be removed: the directory may not be ours"
        )
        session.goodbye(error(f"{left} messages were not removed", "SYS/TEMP"))
        return
    session.ending = "quit"
    session.goodbye(b"+OK %d messages are gone" % len(drop.deleted))


def _without_arguments(handler: Handler) -> Handler:
    async def strict(session: Pop3Protocol, command: Command) -> None:
        if command.arguments:
            raise BadLine(f"{command.keyword} takes no arguments")
        await handler(session, command)

    return strict


COMMANDS: dict[str, Handler] = {
    "CAPA": capa,
    "STAT": _without_arguments(stat),
    "LIST": list_,
    "UIDL": uidl,
    "RETR": retr,
    "TOP": top,
    "DELE": dele,
    "RSET": _without_arguments(rset),
    "NOOP": _without_arguments(noop),
    "QUIT": _without_arguments(quit_),
}
