"""POP3 before the log-in: capabilities, TLS, passwords and SASL.

Whatever a client sends here may be a password: none of it goes into a reply, an event or the log.
"""

from __future__ import annotations

import binascii
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from mta.config.settings import Pop3
from mta.interfaces import Challenge, Denied, Success, TemporarilyUnavailable
from mta.mailbox.folder import Gone
from mta.mailbox.lock import InUse
from mta.pop3.command import BadLine, Command, error, sasl_response
from mta.pop3.maildrop import Maildrop, TooSoon
from mta.visit import login

if TYPE_CHECKING:
    from mta.pop3.protocol import Pop3Protocol

Handler = Callable[["Pop3Protocol", Command], Awaitable[None]]
#: How the journal calls USER with PASS.
PASSWORD = "PASS"  # noqa: S105


def capabilities(session: Pop3Protocol) -> list[str]:
    """What CAPA lists (RFC 2449, 6; RFC 3206; RFC 6856)."""
    found = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "UTF8 USER"]
    delay = settings_of(session).login_delay
    if delay:
        found.append(f"LOGIN-DELAY {int(delay)}")
    if session.drop is None:
        if login.takes_passwords(session):
            found.append("USER")
        names = login.mechanisms(session)
        if names:
            found.append("SASL " + " ".join(names))
        if login.offers_tls(session):
            found.append("STLS")
    found.append("IMPLEMENTATION mta")
    return found


def settings_of(session: Pop3Protocol) -> Pop3:
    """The settings of POP3."""
    settings = session.terms.settings
    assert isinstance(settings, Pop3)
    return settings


async def capa(session: Pop3Protocol, command: Command) -> None:
    """CAPA (RFC 2449, 5)."""
    lines = ["+OK these are known", *capabilities(session), "."]
    session.say("\r\n".join(lines).encode())


async def stls(session: Pop3Protocol, command: Command) -> None:
    """STLS (RFC 2595, 4)."""
    if not login.offers_tls(session):
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
    if not login.takes_passwords(session):
        _needs_tls(session)
        return
    if not command.rest.strip():
        raise BadLine("USER takes the name of an account")
    session.user = command.rest.strip()
    session.say(b"+OK now the password")


async def password(session: Pop3Protocol, command: Command) -> None:
    """PASS: all of the line is the password."""
    name, session.user = session.user, None
    if not login.takes_passwords(session):
        _needs_tls(session)
        return
    if name is None:
        raise BadLine("USER comes first")
    await _stepped(session, await login.password(session, PASSWORD, name, command.rest))


async def auth(session: Pop3Protocol, command: Command) -> None:
    """AUTH (RFC 5034, 4)."""
    names = login.mechanisms(session)
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
    await _stepped(session, await login.begin(session, mechanism, response))


async def respond(session: Pop3Protocol, line: bytes) -> None:
    """A line of an exchange."""
    if line == b"*":
        session.exchange = None
        session.mistake("as you like: there is no log-in")
        return
    try:
        response = sasl_response(line)
    except BadLine:
        session.exchange = None
        raise
    await _stepped(session, await login.step(session, response))


async def _stepped(session: Pop3Protocol, answer: Challenge | Success | Denied) -> None:
    if isinstance(answer, Challenge):
        session.say(b"+ " + binascii.b2a_base64(answer.data, newline=False))
    elif isinstance(answer, Success):
        await _log_in(session, str(answer.account.name))
    else:
        refusal = login.refusal_of(session, answer)
        code = "SYS/TEMP" if refusal.temporary else "AUTH"
        login.note_denied(session, answer, refusal, error(refusal.text, code).decode("ascii"))
        session.mistake(refusal.text, code)


def _needs_tls(session: Pop3Protocol) -> None:
    how = "STLS comes first" if login.offers_tls(session) else "use the port for TLS"
    session.mistake(f"passwords are taken inside TLS only; {how}")


async def _log_in(session: Pop3Protocol, account: str) -> None:
    """The password was right: open the mailbox."""
    try:
        opened = await login.enter(session, account)
    except login.NoMailbox as problem:
        session.mistake(str(problem), "SYS/PERM")
        return
    except TemporarilyUnavailable as trouble:
        session.trouble(str(trouble))
        return
    drop = None
    try:
        drop = await Maildrop.open(
            opened, settings_of(session).login_delay, session.premises.reactor.seconds()
        )
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
