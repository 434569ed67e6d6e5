"""IMAP before the log-in: TLS, passwords and SASL (RFC 3501, 6.2; RFC 4959; RFC 2595)."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from mta.imap import capabilities
from mta.imap.refusal import Bad, Refused
from mta.interfaces import Challenge, Denied, Success, TemporarilyUnavailable
from mta.visit import login

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: How the journal calls the command LOGIN.
PASSWORD = "LOGIN"  # noqa: S105
#: Octets of a response of SASL in base64.
_LONGEST = 12_288


async def start_tls(session: ImapProtocol) -> bytes:
    """STARTTLS; the session begins TLS as soon as the answer is written."""
    if not login.offers_tls(session):
        raise Bad("TLS is not offered here, or is there already")
    session.tls_next = True
    return b"begin TLS"


async def log_in(session: ImapProtocol, name: bytes, password: bytes) -> bytes:
    """LOGIN.

    :raise Refused: if there is no log-in.
    """
    if not login.takes_passwords(session):
        raise _needs_tls(session)
    return await _stepped(session, await login.password(session, PASSWORD, name, password))


async def authenticate(session: ImapProtocol, mechanism: str, initial: bytes | None) -> bytes:
    """AUTHENTICATE.

    :param initial: the first response as it was written, if there was any.
    :raise Refused: if there is no log-in.
    :raise Bad: if the client writes no response, or takes it back.
    """
    names = login.mechanisms(session)
    if mechanism not in names:
        if not session.secure and mechanism in ("PLAIN", "LOGIN"):
            raise _needs_tls(session)
        raise Refused("this mechanism is not offered; there are: " + (" ".join(names) or "none"), "CANNOT")
    response = None if initial is None else _response(initial, True)
    try:
        answer = await login.begin(session, mechanism, response)
        while isinstance(answer, Challenge):
            session.say(b"+ " + binascii.b2a_base64(answer.data, newline=False))
            line = await session.line()
            if line is None:
                # Nobody is there any more.
                raise Bad("there is no log-in")
            if line == b"*":
                raise Bad("as you like: there is no log-in")
            answer = await login.step(session, _response(line))
    finally:
        session.exchange = None
    return await _stepped(session, answer)


def _response(text: bytes, initial: bool = False) -> bytes:
    """What a client sends in an exchange.

    :param initial: whether it stands behind AUTHENTICATE, where ``=`` is an empty one (RFC 4959, 3).
    :raise Bad: if it is not base64.  None of it is in the text: it may be a password.
    """
    if initial and text == b"=":
        return b""
    if len(text) > _LONGEST:
        raise Bad("the response is too long")
    try:
        return binascii.a2b_base64(text, strict_mode=True) if text else b""
    except ValueError:
        raise Bad("the response is not base64") from None


def _needs_tls(session: ImapProtocol) -> Refused:
    how = "STARTTLS comes first" if login.offers_tls(session) else "use the port for TLS"
    return Refused(f"passwords are taken inside TLS only; {how}", "PRIVACYREQUIRED")


async def _stepped(session: ImapProtocol, answer: Success | Denied | Challenge) -> bytes:
    if isinstance(answer, Success):
        return await _enter(session, str(answer.account.name))
    assert isinstance(answer, Denied)
    refusal = login.refusal_of(session, answer)
    code = "UNAVAILABLE" if refusal.temporary else "AUTHENTICATIONFAILED"
    login.note_denied(session, answer, refusal, f"NO [{code}] {refusal.text}")
    raise Refused(refusal.text, code)


async def _enter(session: ImapProtocol, name: str) -> bytes:
    try:
        account = await login.enter(session, name)
    except login.NoMailbox as problem:
        raise Refused(str(problem), "AUTHORIZATIONFAILED") from None
    except TemporarilyUnavailable as trouble:
        raise session.trouble(str(trouble)) from None
    if session.lost:
        account.close()
        raise Refused("nobody is there any more")
    try:
        await account.run(session.terms.folders.furnish)
    except TemporarilyUnavailable as trouble:
        # What is there can be read all the same.
        session.note_refusal("trouble", str(trouble))
    session.enter(account)
    return b"[%s] logged in" % capabilities.line(session)
