"""IDLE: the client waits for news (RFC 2177).

A delivery or another session wakes it at once.  Now and then it hears that we are still there: what
translates addresses on the way forgets connections that are silent, and a client that has gone is noticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.imap import updates

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol


async def idle(session: ImapProtocol) -> bool:
    """Tell what changes until the client says DONE.

    :return: whether it has said so, and nothing else.
    :raise Inconsistent: see :func:`~mta.imap.updates.tell`.
    :raise TemporarilyUnavailable: if the folder cannot be looked at.
    """
    reactor, pause = session.premises.reactor, session.settings.still_here
    session.say(b"+ idling")
    due = reactor.seconds() + pause
    timer = reactor.callLater(pause, session.poke)
    session.idling = True
    try:
        await updates.tell(session)
        while not session.over_soon:
            said = session.next_line()
            if said is not None:
                return said.strip().upper() == b"DONE"
            if session.runs_on():
                break
            selected = session.selected
            if selected is not None and selected.stale:
                await updates.tell(session)
                continue
            if reactor.seconds() >= due:
                session.say(b"* OK still here")
                due = reactor.seconds() + pause
            if not timer.active():
                timer = reactor.callLater(max(due - reactor.seconds(), 0.001), session.poke)
            await session.poked()
        return True
    finally:
        session.idling = False
        if timer.active():
            timer.cancel()
