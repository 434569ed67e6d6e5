"""POP3 before the log-in: capabilities, TLS, passwords and SASL.

Whatever a client sends here may be a password: none of it goes into a reply, an event or the log.
"""

from __future__ import annotations

import binascii
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from mta.interfaces import Challenge, Denied, Success, TemporarilyUnavailable
from mta.mailbox.folder import Gone
from mta.mailbox.lock import InUse
from mta.model.catalogue import REPLIES
from mta.model.event import Authenticated, AuthenticationFailed
from mta.model.network import is_within
from mta.model.waiting import in_words
from mta.pop3.command import BadLine, Command, error, sasl_response
from mta.pop3.maildrop import Maildrop, TooSoon

if TYPE_CHECKING:
    from mta.pop3.protocol import Pop3Protocol

Handler = Callable[["Pop3Protocol", Command], Awaitable[None]]
#: How the journal calls USER with PASS.
PASSWORD = "PASS"  # noqa: S105


def capabilities(session: Pop3Protocol) -> list[str]:
    """What CAPA lists (RFC 2449, 6; RFC 3206; RFC 6856)."""
    terms = session.terms
    found = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "UTF8 USER"]
    if terms.settings.login_delay:
        found.append(f"LOGIN-DELAY {int(terms.settings.login_delay)}")
    if session.drop is None:
        if takes_passwords(session):
            found.append("USER")
        names = mechanisms(session)
        if names:
            found.append("SASL " + " ".join(names))
        if offers_tls(session):
            found.append("STLS")
    found.append("IMPLEMENTATION mta")
    return found


def mechanisms(session: Pop3Protocol) -> list[str]:
    """SASL mechanisms that are offered now."""
    authenticator = session.terms.authenticator
    return [] if authenticator is None else authenticator.mechanisms(session.secure, session.secure)


def takes_passwords(session: Pop3Protocol) -> bool:
    """Whether USER and PASS are taken: inside TLS, and from networks that are trusted without."""
    if session.terms.authenticator is None or "PLAIN" not in session.terms.authenticator.mechanisms(
        True, True
    ):
        return False
    return session.secure or is_within(session.client.address, session.terms.settings.clear_from)


def offers_tls(session: Pop3Protocol) -> bool:
    """Whether STLS can be had."""
    return session.terms.tls is not None and session.terms.role == "pop3" and not session.secure


async def capa(session: Pop3Protocol, command: Command) -> None:
    """CAPA (RFC 2449, 5)."""
    lines = ["+OK these are known", *capabilities(session), "."]
    session.say("\r\n".join(lines).encode())


async def stls(session: Pop3Protocol, command: Command) -> None:
    """STLS (RFC 2595, 4)."""
    if not offers_tls(session):
        session.mistake("TLS is not offered here, or is there already")
        return
    session.say(b"+OK begin TLS")
    session.start_tls()


async def utf8(session: Pop3Protocol, command: Command) -> None:
    """UTF8 (RFC 6856, 2.1): messages are sent as they are, with it and without."""
    session.say(b"+OK UTF-8 it is")


async def noop(session: Pop3Protocol, command: Command) -> None:
    """NOOP before the log-in, which RFC 1939 does not know, but programs send."""
    session.say(b"+OK")


async def quit_early(session: Pop3Protocol, command: Command) -> None:
    """QUIT without a log-in."""
    session.goodbye(b"+OK bye")


async def user(session: Pop3Protocol, command: Command) -> None:
    """USER (RFC 1939, 7)."""
    if not takes_passwords(session):
        _needs_tls(session)
        return
    if not command.rest.strip():
        raise BadLine("USER takes the name of an account")
    session.user = command.rest.strip()
    session.say(b"+OK now the password")


async def password(session: Pop3Protocol, command: Command) -> None:
    """PASS: all of the line is the password."""
    name, session.user = session.user, None
    if not takes_passwords(session):
        _needs_tls(session)
        return
    if name is None:
        raise BadLine("USER comes first")
    session.mechanism = PASSWORD
    try:
        words = name.decode(), command.rest.decode()
    except UnicodeDecodeError:
        await _denied(session, Denied(False, "name or password are not UTF-8", "", malformed=True))
        return
    answer = await session.terms.authenticator.password(*words, session.client.address)
    await _stepped(session, answer)


async def auth(session: Pop3Protocol, command: Command) -> None:
    """AUTH (RFC 5034, 4)."""
    names = mechanisms(session)
    name, _, initial = command.rest.strip().partition(b" ")
    if not name:
        # Some old programs ask so what is offered.
        session.say("\r\n".join(["+OK these are known", *names, "."]).encode())
        return
    mechanism = name.decode("ascii", "replace").upper()
    if mechanism not in names:
        if not session.secure and mechanism in ("PLAIN", "LOGIN"):
            _needs_tls(session)
        else:
            session.mistake("this mechanism is not offered; there are: " + (" ".join(names) or "none"))
        return
    response = sasl_response(initial.strip(), True) if initial.strip() else None
    session.mechanism = mechanism
    session.exchange = session.terms.authenticator.begin(mechanism, session.client, session.channel_binding)
    await _stepped(session, await session.exchange.step(response))


async def respond(session: Pop3Protocol, line: bytes) -> None:
    """A line of an exchange."""
    exchange = session.exchange
    if line == b"*":
        session.exchange = None
        session.mistake("as you like: there is no log-in")
        return
    try:
        response = sasl_response(line)
    except BadLine:
        session.exchange = None
        raise
    await _stepped(session, await exchange.step(response))


async def _stepped(session: Pop3Protocol, answer: object) -> None:
    if isinstance(answer, Challenge):
        session.say(b"+ " + binascii.b2a_base64(answer.data, newline=False))
        return
    session.exchange = None
    if isinstance(answer, Success):
        await _log_in(session, str(answer.account.name))
    else:
        await _denied(session, answer if isinstance(answer, Denied) else Denied(True, "trouble on our side"))


def _needs_tls(session: Pop3Protocol) -> None:
    how = "STLS comes first" if offers_tls(session) else "use the port for TLS"
    session.mistake(f"passwords are taken inside TLS only; {how}")


async def _denied(session: Pop3Protocol, denied: Denied) -> None:
    client = session.client
    name, code = "auth-failed", "AUTH"
    text = f"the account is not known, or the password is wrong, session {client.session}"
    if denied.wait:
        name, code = "auth-throttled", "SYS/TEMP"
        text = f"too many failed log-ins, try again in {in_words(denied.wait)}, session {client.session}"
    elif denied.temporary:
        name, code = "auth-unavailable", "SYS/TEMP"
        text = f"nobody can tell now whether the password is right, try again later, session {client.session}"
    elif denied.malformed:
        name, text = "auth-bad-response", "this is not what the mechanism demands"
    line = error(text, code)
    session.premises.note(
        AuthenticationFailed(
            at=session.premises.reactor.seconds(),
            session=client.session,
            account=denied.account[:320],
            mechanism=session.mechanism,
            client=client.address,
            tls=session.tls,
            reason=denied.reason,
            temporary=denied.temporary,
            code=REPLIES[name].code,
            reply=line.decode("ascii"),
            name=name,
        )
    )
    session.mistake(text, code)


async def _log_in(session: Pop3Protocol, account: str) -> None:
    """The password was right: open the mailbox."""
    premises, client = session.premises, session.client
    premises.note(
        Authenticated(
            at=premises.reactor.seconds(),
            session=client.session,
            account=account,
            mechanism=session.mechanism,
            client=client.address,
            tls=session.tls,
        )
    )
    session.account = account
    try:
        maildir = await session.terms.maildir(account)
        if maildir is None:
            session.note_refusal("refused", "the account has no mailbox here")
            session.mistake("this account has no mailbox here", "SYS/PERM")
            return
        opened = await premises.room.open(maildir)
    except TemporarilyUnavailable as trouble:
        session.trouble(str(trouble))
        return
    drop = None
    try:
        drop = await Maildrop.open(opened, session.terms.settings.login_delay, premises.reactor.seconds())
    except InUse:
        session.note_refusal("refused", "another session has the mailbox")
        session.mistake("another session has the mailbox", "IN-USE")
    except TooSoon as problem:
        session.note_refusal("refused", str(problem))
        session.mistake(str(problem), "LOGIN-DELAY")
    except (TemporarilyUnavailable, Gone) as trouble:
        session.trouble(str(trouble))
    finally:
        if drop is None:
            opened.close()
    if drop is None:
        return
    session.drop = session.mbox = drop
    if not session.lost:
        count, octets = drop.total()
        session.say(f"+OK {count} messages, {octets} octets".encode())


COMMANDS: dict[str, Handler] = {
    "CAPA": capa,
    "STLS": stls,
    "UTF8": utf8,
    "NOOP": noop,
    "USER": user,
    "PASS": password,
    "AUTH": auth,
    "QUIT": quit_early,
}
