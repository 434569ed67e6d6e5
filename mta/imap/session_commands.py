"""Commands about the session itself (RFC 3501, 6.1; RFC 2971; RFC 5161; RFC 2342)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta import __version__
from mta.imap import capabilities, updates
from mta.imap.idle import idle
from mta.imap.refusal import Bad
from mta.imap.selecting import selected_of

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: Octets that are kept of what a client calls itself.
_NAME = 80


async def capability(session: ImapProtocol) -> bytes:
    """CAPABILITY."""
    session.say(b"* " + capabilities.line(session))
    return b"these are known"


async def noop(session: ImapProtocol) -> bytes:
    """NOOP: what has changed is told."""
    await updates.tell(session)
    return b"done"


async def check(session: ImapProtocol) -> bytes:
    """CHECK."""
    selected_of(session)
    return await noop(session)


async def logout(session: ImapProtocol) -> bytes:
    """LOGOUT; the session ends when the answer is written."""
    session.ending = "quit"
    session.say(b"* BYE as you like")
    session.leaving = True
    return b"bye"


async def enable(session: ImapProtocol, names: list[bytes]) -> bytes:
    """ENABLE: extensions that a client must ask for; what is not known is passed over (RFC 5161, 3.1)."""
    done = []
    for name in names:
        if name.upper() == b"CONDSTORE":
            session.count_changes()
        elif name.upper() == b"QRESYNC":
            session.quick_resync = True
            session.count_changes()
        elif name.upper() == b"UTF8=ACCEPT":
            session.utf8 = True
        else:
            continue
        done.append(name.upper())
    session.say(b" ".join([b"* ENABLED", *done]))
    return b"enabled"


async def identify(session: ImapProtocol, fields: dict[bytes, bytes]) -> bytes:
    """ID: who the client is goes to the journal, with the session's end; who we are is no secret but the
    version before the log-in."""
    name = b" ".join(filter(None, (fields.get(b"name"), fields.get(b"version"))))
    session.program = "".join(filter(str.isprintable, name[:_NAME].decode("ascii", "replace")))
    own = b'"name" "mta"'
    if session.is_inside():
        own += b' "version" "%s"' % __version__.encode()
    session.say(b"* ID (" + own + b")")
    return b"pleased to meet you"


async def namespace(session: ImapProtocol) -> bytes:
    """NAMESPACE: there is one, of the account itself."""
    session.say(b'* NAMESPACE (("" ".")) NIL NIL')
    return b"that is all"


async def wait_for_news(session: ImapProtocol) -> bytes:
    """IDLE."""
    if not await idle(session):
        raise Bad("DONE ends it, and nothing else")
    return b"no more news"
