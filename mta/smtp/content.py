"""DATA and BDAT: content on its way to the reception, and the reply behind it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from mta.model.catalogue import REPLIES
from mta.model.reply import Reply
from mta.smtp.framing import ChunkReader, ContentGate, DataReader, Fault
from mta.smtp.replies import START_DATA, encode
from mta.smtp.states import CHUNKING, RECIPIENTS, complaint

if TYPE_CHECKING:
    from mta.smtp.session import ServerSession

_log = Logger()

_BDAT = re.compile(rb"([0-9]{1,20})([ \t]+LAST)?\Z", re.IGNORECASE)


def data(session: ServerSession, argument: bytes) -> None:
    """DATA (RFC 5321, 4.1.1.4)."""
    envelope = session.envelope
    assert envelope is not None
    if argument:
        session.reply(REPLIES.reply("bad-syntax", command="DATA", problem="it takes no argument"))
    elif envelope.body == "BINARYMIME":
        session.refuse("data", REPLIES.reply("binary-needs-bdat"))
    elif not _begin(session, False):
        session.refuse("data", session.trouble())
        session.end_transaction()
    else:
        assert session.gate is not None
        session.reader = DataReader(session.gate)
        session.output.append(START_DATA)
        return
    impatient(session)


def out_of_order(session: ServerSession, verb: bytes) -> Reply:
    """The reply to a command that is not allowed in this state."""
    # RFC 2033, 4.2 wants 503 for LMTP in any case.
    unwanted = session.refused and not session.terms.lmtp and verb in (b"DATA", b"BDAT")
    name = "no-recipients" if unwanted else "bad-sequence"
    return REPLIES.reply(name, problem=complaint(verb, session.state))


def impatient(session: ServerSession) -> None:
    """DATA was refused: if the client did not wait for the reply, close.

    What follows is content, and must not be taken for commands.
    """
    if session.more and not session.closing:
        session.refuse("data", REPLIES.reply("pipelining-forbidden", command="DATA"))
        session.hang_up(linger=True)


def _begin(session: ServerSession, binary: bool) -> bool:
    """Have the reception take content; ``False`` if it cannot."""
    envelope, terms = session.envelope, session.terms
    assert envelope is not None
    try:
        session.incoming = incoming = terms.reception.data(session.client, envelope)
        incoming.register(session.wire)
    except Exception:
        session.drop_content()
        _log.failure("Session {session} cannot take content", session=session.client.session)
        return False
    limits = terms.limits
    session.gate = ContentGate(incoming.write, terms.message_size, limits.header_size, limits.hops, binary)
    return True


def bdat(session: ServerSession, argument: bytes) -> None:
    """BDAT (RFC 3030, 2): called in every state, because its octets follow in every state."""
    match = _BDAT.match(argument)
    limit = session.terms.message_size
    if match is None:
        session.reply(REPLIES.reply("bad-syntax", command="BDAT", problem="write BDAT <octets> [LAST]"))
        # Nobody knows how many octets follow, so none of them can be read as commands.
        session.hang_up(linger=True)
        return
    size, last = int(match[1]), match[2] is not None
    refusal: Reply | None = None
    carried = b""
    if session.state == CHUNKING:
        assert session.chunk is not None
        carried = session.chunk[3]
    elif session.state == RECIPIENTS:
        envelope = session.envelope
        assert envelope is not None
        if _begin(session, envelope.body == "BINARYMIME"):
            session.state = CHUNKING
        else:
            refusal = session.trouble()
    else:
        refusal = out_of_order(session, b"BDAT")
    gate = session.gate
    if gate is not None and gate.fault is None and gate.size + size > limit:
        gate.fault = Fault("message-too-large", {"limit": limit}, {"declared": gate.size + size})
        session.drop_content()
    session.chunk = (size, last, refusal, carried)
    if size > 2 * limit:
        overflowed(session)
        return
    session.reader = ChunkReader(size, gate if refusal is None else None, carried)
    if not size:
        content_ended(session)


def content_ended(session: ServerSession) -> None:
    """All of it has come: refuse it, acknowledge a chunk, or have the message kept."""
    reader, session.reader = session.reader, None
    gate, chunk = session.gate, session.chunk
    if isinstance(reader, ChunkReader):
        assert chunk is not None
        size, last, refusal, _ = chunk
        if refusal is not None:
            session.refuse("data", refusal)
            session.end_transaction()
            return
        if last:
            reader.end()
        assert gate is not None
        if gate.fault is None and not last:
            session.chunk = (size, last, None, reader.held)
            if size:
                # A message of many chunks is no idle talk.
                session.commands -= 1
            session.reply(REPLIES.reply("chunk-ok", octets=size))
            return
    assert gate is not None
    if gate.fault is not None:
        _refuse_content(session, gate.fault, chunk is None or chunk[1])
        session.end_transaction()
        _after_content(session)
        return
    incoming, session.incoming = session.incoming, None
    assert incoming is not None
    # From here on the reception has it: a connection lost now changes nothing.
    session.ask(_kept, incoming.finish)


def _refuse_content(session: ServerSession, fault: Fault, complete: bool) -> None:
    session.drop_content()
    ref = session.client.session
    reply = REPLIES.reply(fault.name, ref=ref, **fault.values).because(fault.name, fault.evidence)
    envelope = session.envelope
    assert envelope is not None
    _say(session, [reply] * (len(envelope.recipients) if session.terms.lmtp and complete else 1))


def overflowed(session: ServerSession) -> None:
    """More content than can be borne follows: answer before its end, and close."""
    chunk = session.chunk
    refusal = chunk[2] if chunk is not None else None
    if refusal is None:
        refusal = REPLIES.reply("message-too-large", limit=session.terms.message_size)
    session.refuse("data", refusal)
    session.hang_up(linger=True)


def _kept(session: ServerSession, answer: Any) -> None:
    envelope = session.envelope
    assert envelope is not None
    wanted = len(envelope.recipients) if session.terms.lmtp else 1
    replies = [answer] * wanted if isinstance(answer, Reply) else list(answer)
    if len(replies) != wanted:
        # LMTP clients count: one reply for each recipient, whatever happens.
        replies = (replies * wanted if len(replies) == 1 else replies + [session.trouble()] * wanted)[:wanted]
    if any(reply.is_positive for reply in replies):
        session.messages += 1
        session.errors = session.unknown = session.commands = 0
    session.shared = True
    _say(session, replies)
    session.end_transaction()
    _after_content(session)


def _say(session: ServerSession, replies: list[Reply]) -> None:
    envelope = session.envelope
    assert envelope is not None
    recipients = envelope.recipients
    refusal: Reply | None = None
    for number, reply in enumerate(replies):
        session.output.append(encode(reply, envelope.smtputf8))
        if reply.is_positive:
            continue
        one = len(replies) == len(recipients)
        if number == 0 or session.terms.lmtp:
            session.note_refusal("data", reply, recipients[number].address if one else "")
        if refusal is None or reply.code == 421:
            refusal = reply
    if refusal is not None:
        # A refused message is one error, however many recipients it has; and a goodbye that
        # follows from it comes behind all of them.
        session.count(refusal)


def _after_content(session: ServerSession) -> None:
    if session.draining and not session.closing:
        session.close("shutting-down")
