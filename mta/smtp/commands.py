"""What each command does: reads its argument, asks the policy, and changes the state.

Each is a function of the session and the octets behind the verb.  It is called
only in the states that :data:`mta.smtp.states.ALLOWED` names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mta.model.catalogue import REPLIES
from mta.model.envelope import Envelope, Recipient
from mta.model.reply import Reply
from mta.smtp.content import bdat, data
from mta.smtp.exchange import auth, offered
from mta.smtp.grammar import (
    SyntaxProblem,
    UnknownParameter,
    mail_argument,
    parse_hello,
    recipient_argument,
)
from mta.smtp.parameters import PriorityProblem, mail_parameters, recipient_parameters
from mta.smtp.replies import CANNOT_VERIFY, OK, START_TLS, encode
from mta.smtp.states import CLOSED, GREETED, READY, RECIPIENTS, SENDER, TLS, TRANSACTION

if TYPE_CHECKING:
    from mta.smtp.session import ServerSession

Command = Callable[["ServerSession", bytes], None]

#: Roles in which there is TLS to be had, so that its absence is temporary.
_TLS_ROLES = frozenset({"mx", "submission"})


# --- hello ---------------------------------------------------------------------


def _helo(session: ServerSession, argument: bytes) -> None:
    _hello(session, argument, "HELO", False)


def _ehlo(session: ServerSession, argument: bytes) -> None:
    _hello(session, argument, "EHLO", True)


def _lhlo(session: ServerSession, argument: bytes) -> None:
    _hello(session, argument, "LHLO", True)


def _hello(session: ServerSession, argument: bytes, command: str, esmtp: bool) -> None:
    if session.terms.lmtp is not (command == "LHLO"):
        # RFC 2033, 4.1: neither protocol's greeting works in the other.
        session.reply(REPLIES.reply("not-implemented", command=command))
        return
    try:
        name = parse_hello(argument)
    except SyntaxProblem as problem:
        session.reply(REPLIES.reply("bad-syntax", command=command, problem=problem))
        return
    if session.state & TRANSACTION:
        # RFC 5321, 4.1.4: as if RSET came before.
        session.end_transaction()
    session.esmtp = esmtp
    session.keyword = _keyword(session)
    session.amend(helo=name, protocol=session.keyword)
    session.ask(_greeted, session.terms.reception.hello, session.client)


def _keyword(session: ServerSession) -> str:
    """RFC 3848: ``with`` what a message comes."""
    base = "LMTP" if session.terms.lmtp else "ESMTP" if session.esmtp else "SMTP"
    if not session.esmtp:
        return base
    tls = "S" if session.client.tls_version else ""
    return f"{base}{tls}A" if session.account is not None else base + tls


def _greeted(session: ServerSession, reply: Reply | None) -> None:
    if reply is not None and not reply.is_positive:
        if session.state == READY:
            session.state = GREETED
        session.refuse("hello", reply)
        return
    session.state = READY
    terms = session.terms
    if not session.esmtp:
        session.output.append(f"250 {terms.hostname}\r\n".encode())
        return
    starttls = terms.starttls and not session.client.tls_version
    session.output.append(terms.ehlo(starttls, offered(session)))


def _starttls(session: ServerSession, argument: bytes) -> None:
    terms = session.terms
    if argument:
        session.reply(REPLIES.reply("bad-syntax", command="STARTTLS", problem="it takes no argument"))
    elif session.client.tls_version:
        session.reply(REPLIES.reply("bad-sequence", problem="TLS is active already"))
    elif not terms.starttls:
        name = "tls-unavailable" if terms.role in _TLS_ROLES else "not-implemented"
        session.reply(REPLIES.reply(name, command="STARTTLS"))
    elif session.more:
        # Whatever came behind STARTTLS in clear text may be somebody else's; were
        # it kept, it would be read as if it had come through TLS (CVE-2011-0411).
        session.refuse("command", REPLIES.reply("pipelining-forbidden", command="STARTTLS"))
        session.hang_up()
    else:
        session.output.append(START_TLS)
        session.state = TLS
        session.wants_tls = True


# --- transaction ---------------------------------------------------------------


def _mail(session: ServerSession, argument: bytes) -> None:
    terms = session.terms
    client = session.client
    if terms.tls_required and not client.tls_version:
        session.refuse("mail", REPLIES.reply("tls-required"))
        return
    if terms.auth_required and session.account is None:
        session.refuse("mail", REPLIES.reply("auth-required"))
        return
    if session.messages >= terms.limits.messages:
        session.close("too-many-messages")
        return
    try:
        path, parameters = mail_argument(argument)
    except SyntaxProblem as problem:
        session.refuse("mail", REPLIES.reply("bad-sender-syntax", problem=problem))
        return
    envelope = Envelope(path)
    if parameters and not _parameters(session, "MAIL", parameters, envelope):
        return
    if not path.isascii() and not envelope.smtputf8:
        session.refuse("mail", REPLIES.reply("utf8-not-declared", command="MAIL"))
        return
    session.envelope = envelope
    if envelope.size > terms.message_size:
        reply = REPLIES.reply("message-too-large", limit=terms.message_size)
        _sender_answered(session, reply.because(reply.name, {"declared": envelope.size}))
        return
    if session.barred is not None:
        _sender_answered(session, session.barred)
        return
    if session.account is None and envelope.auth:
        # RFC 4954, 5: who is not trusted may claim nobody else's name.
        envelope.auth = "<>"
    protocol = session.keyword
    if envelope.smtputf8:
        # RFC 6531, 4.3: UTF8SMTP stands for ESMTP, UTF8LMTP for LMTP.
        protocol = "UTF8" + protocol.removeprefix("E")
    if client.protocol != protocol:
        session.amend(protocol=protocol)
        client = session.client
    session.ask(_sender_answered, terms.reception.sender, client, session.account, envelope)


def _parameters(session: ServerSession, command: str, octets: bytes, target: Envelope | Recipient) -> bool:
    try:
        if isinstance(target, Envelope):
            mail_parameters(octets, target, session.terms.submission, session.terms.seconds())
        else:
            recipient_parameters(octets, target)
    except PriorityProblem as problem:
        reply = REPLIES.reply("bad-priority", command=command, problem=problem)
    except SyntaxProblem as problem:
        reply = REPLIES.reply("bad-syntax", command=command, problem=problem)
    except UnknownParameter as unknown:
        reply = REPLIES.reply("bad-parameter", command=command, parameter=str(unknown)[:64])
    else:
        return True
    session.refuse("mail" if command == "MAIL" else "recipient", reply)
    return False


def _sender_answered(session: ServerSession, reply: Reply) -> None:
    if reply.is_positive:
        session.state = SENDER
        session.reply(reply)
    else:
        session.refuse("mail", reply)
        session.envelope = None


def _rcpt(session: ServerSession, argument: bytes) -> None:
    envelope = session.envelope
    assert envelope is not None
    try:
        path, parameters = recipient_argument(argument)
    except SyntaxProblem as problem:
        session.refused = True
        session.refuse("recipient", REPLIES.reply("bad-recipient-syntax", problem=problem))
        return
    recipient = Recipient(path)
    if parameters and not _parameters(session, "RCPT", parameters, recipient):
        session.refused = True
        return
    if not path.isascii() and not envelope.smtputf8:
        session.refused = True
        session.refuse("recipient", REPLIES.reply("utf8-not-declared", command="RCPT"), path)
        return
    limits = session.terms.limits
    if len(envelope.recipients) >= limits.recipients:
        session.refused = True
        session.refuse("recipient", REPLIES.reply("too-many-recipients", limit=limits.recipients), path)
        return
    session.waiting_recipient(recipient)
    session.ask(_recipient_answered, session.terms.reception.recipient, session.client, envelope, recipient)


def _recipient_answered(session: ServerSession, reply: Reply) -> None:
    recipient = session.waiting_recipient(None)
    envelope = session.envelope
    assert recipient is not None and envelope is not None
    if reply.is_positive:
        envelope.recipients.append(recipient)
        session.state = RECIPIENTS
        # Recipients of a message are no idle commands: they have a limit of their own.
        session.commands -= 1
        session.reply(reply)
    else:
        session.refused = True
        session.refuse("recipient", reply, recipient.address)


def _rset(session: ServerSession, argument: bytes) -> None:
    if argument:
        session.reply(REPLIES.reply("bad-syntax", command="RSET", problem="it takes no argument"))
        return
    session.end_transaction()
    session.output.append(OK)


# --- the rest ------------------------------------------------------------------


def _noop(session: ServerSession, argument: bytes) -> None:
    session.output.append(OK)


def _help(session: ServerSession, argument: bytes) -> None:
    greeting = "LHLO" if session.terms.lmtp else "HELO EHLO"
    tls = " STARTTLS" if session.terms.starttls else ""
    sasl = " AUTH" if session.terms.authenticator is not None else ""
    commands = f"{greeting} MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT{tls}{sasl}"
    session.reply(REPLIES.reply("help", commands=commands))


def _vrfy(session: ServerSession, argument: bytes) -> None:
    if argument:
        session.output.append(CANNOT_VERIFY)
    else:
        session.reply(REPLIES.reply("bad-syntax", command="VRFY", problem="whom?"))


def _expn(session: ServerSession, argument: bytes) -> None:
    session.reply(REPLIES.reply("not-implemented", command="EXPN"))


def _quit(session: ServerSession, argument: bytes) -> None:
    if argument:
        session.reply(REPLIES.reply("bad-syntax", command="QUIT", problem="it takes no argument"))
        return
    session.output.append(encode(REPLIES.reply("closing", hostname=session.terms.hostname)))
    session.hang_up()
    assert session.state == CLOSED


#: By verb, in upper case, as nearly all clients write it.
COMMANDS: dict[bytes, Command] = {
    b"HELO": _helo,
    b"EHLO": _ehlo,
    b"LHLO": _lhlo,
    b"STARTTLS": _starttls,
    b"AUTH": auth,
    b"MAIL": _mail,
    b"RCPT": _rcpt,
    b"DATA": data,
    b"BDAT": bdat,
    b"RSET": _rset,
    b"NOOP": _noop,
    b"HELP": _help,
    b"VRFY": _vrfy,
    b"EXPN": _expn,
    b"QUIT": _quit,
}
