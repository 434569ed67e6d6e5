"""From octets to commands: takes lines and content out of the input, and hands them on.

Only CR LF ends a command (RFC 5321, 2.3.8).  A line that is too long is answered
once and forgotten; what follows it is read as usual.  What stands before or behind
a bare LF is part of a line that is none: each part is answered, so that nobody waits,
and none is a command, or whoever can put a bare LF into what another server says to us
could have that server say anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.model.catalogue import REPLIES
from mta.smtp.commands import COMMANDS
from mta.smtp.content import content_ended, impatient, out_of_order, overflowed
from mta.smtp.exchange import auth_line
from mta.smtp.states import ALLOWED, CHUNKING, FOREIGN, KNOWN, TLS

if TYPE_CHECKING:
    from mta.smtp.session import ServerSession

#: RFC 4954, 4: octets of a base64 line in an exchange, CRLF included.
MAX_AUTH_LINE = 12288
#: Octets of a line without an end that are passed over before the session is closed.
MAX_SKIPPED = 65536
#: How a TLS record of a handshake begins.
_HANDSHAKE = b"\x16\x03"


def consume(session: ServerSession, data: bytes) -> None:
    """Work through what has arrived, until a question is open or more is needed.

    What is left over stays in ``session.buffer``.
    """
    session.buffer = b""
    position, size = 0, len(data)
    while position < size and session.question is None and not session.closing:
        if session.reader is not None:
            rest = _content(session, data[position:] if position else data)
            if rest is None:
                return
            data, position, size = rest, 0, len(rest)
            content_ended(session)
            continue
        end = data.find(b"\n", position)
        if end < 0:
            _unfinished(session, data[position:] if position else data)
            return
        line = data[position : end + 1]
        position = end + 1
        session.more = position < size
        torn, session.torn = session.torn, line[-2:] != b"\r\n"
        if session.skipped or len(line) > _longest(session):
            session.skipped = 0
            session.exchange = None
            session.reply(REPLIES.reply("line-too-long", limit=session.terms.limits.line))
            continue
        text = line[:-2]
        if torn or session.torn or b"\r" in text:
            _bad_ending(session, line)
        elif session.exchange is not None:
            auth_line(session, text)
        else:
            _command(session, text)
    if position < size and not session.closing and session.state != TLS:
        session.buffer = data[position:] if position else data


def _content(session: ServerSession, block: bytes) -> bytes | None:
    """Feed the reader; gives back what follows the content once it is complete."""
    reader, gate = session.reader, session.gate
    assert reader is not None
    rest = reader.feed(block)
    if gate is not None:
        if gate.fault is not None and session.incoming is not None:
            session.drop_content()
        if rest is None and gate.size > 2 * session.terms.message_size:
            overflowed(session)
    return rest


def _longest(session: ServerSession) -> int:
    limit = session.terms.limits.line
    return limit if session.exchange is None else max(limit, MAX_AUTH_LINE)


def _unfinished(session: ServerSession, rest: bytes) -> None:
    """The end of the line is yet to come."""
    if not session.skipped and len(rest) <= _longest(session):
        if rest.startswith(_HANDSHAKE) and _is_foreign(session, rest):
            session.close("not-smtp", stage="command")
        else:
            session.buffer = rest
        return
    session.skipped += len(rest)
    if rest.endswith(b"\r"):
        # Without it the end of this line would look torn, and so would the next one.
        session.skipped -= 1
        session.buffer = b"\r"
    if session.skipped > MAX_SKIPPED:
        session.refuse("command", REPLIES.reply("line-too-long", limit=session.terms.limits.line))
        if not session.closing:
            session.close("too-many-errors")


def _bad_ending(session: ServerSession, line: bytes) -> None:
    session.exchange = None
    if _is_foreign(session, line):
        session.close("not-smtp", stage="command")
    else:
        session.refuse("command", REPLIES.reply("bad-line-ending"))


def _is_foreign(session: ServerSession, line: bytes) -> bool:
    """Whether it is the speech of another protocol: HTTP, or TLS where it is not expected."""
    if line.startswith(_HANDSHAKE):
        return not session.commands
    return line.partition(b" ")[0].upper() in FOREIGN


def _command(session: ServerSession, line: bytes) -> None:
    verb, _, argument = line.partition(b" ")
    handler = COMMANDS.get(verb)
    if handler is None:
        verb = verb.rstrip().upper()
        handler = COMMANDS.get(verb)
    session.commands += 1
    if handler is None:
        _unknown(session, verb)
    elif session.commands > session.terms.limits.commands:
        session.close("too-many-commands")
    elif session.draining and verb != b"QUIT" and not (session.state == CHUNKING and verb == b"BDAT"):
        session.close("shutting-down")
    elif 0 in argument and verb != b"BDAT":
        session.refuse("command", REPLIES.reply("bad-syntax", command=verb.decode(), problem="a NUL octet"))
    elif session.state & ALLOWED[verb][0] or verb == b"BDAT":
        handler(session, argument.strip())
    else:
        session.reply(out_of_order(session, verb))
        if verb == b"DATA":
            impatient(session)


def _unknown(session: ServerSession, verb: bytes) -> None:
    session.commands -= 1
    if _is_foreign(session, verb):
        session.close("not-smtp", stage="command")
        return
    session.commands += 1
    if verb in KNOWN:
        session.reply(REPLIES.reply("not-implemented", command=verb.decode()))
        return
    session.unknown += 1
    session.reply(REPLIES.reply("unknown-command"))
    if session.unknown > session.terms.limits.unknown_commands and not session.closing:
        session.close("too-many-errors", evidence={"unknown_commands": session.unknown})
