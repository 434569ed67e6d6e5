"""AUTH (RFC 4954): lines of base64 between the client and an exchange of the authenticator.

Whatever a client sends here may be a password, also when it is not what it
should be: none of it goes into a reply, an event or the log.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from mta.interfaces import Challenge, Denied, Success
from mta.model.catalogue import REPLIES
from mta.model.event import Authenticated, AuthenticationFailed
from mta.model.waiting import in_words
from mta.smtp.replies import AUTHENTICATED

if TYPE_CHECKING:
    from mta.smtp.session import ServerSession

_log = Logger()


def offered(session: ServerSession) -> tuple[str, ...]:
    """The mechanisms that EHLO offers now."""
    if session.account is not None:
        return ()
    return _mechanisms(session, bool(session.client.tls_version))


def _mechanisms(session: ServerSession, tls: bool) -> tuple[str, ...]:
    authenticator = session.terms.authenticator
    if authenticator is None:
        return ()
    try:
        return tuple(authenticator.mechanisms(tls, tls))
    except Exception:
        _log.failure("The authenticator cannot say what it offers")
        return ()


def auth(session: ServerSession, argument: bytes) -> None:
    """AUTH mechanism [initial-response]."""
    authenticator = session.terms.authenticator
    if authenticator is None:
        session.refuse("auth", REPLIES.reply("not-implemented", command="AUTH"))
        return
    if session.account is not None:
        session.reply(REPLIES.reply("auth-already"))
        return
    name, _, initial = argument.partition(b" ")
    mechanism = name.decode("ascii", "replace").upper()
    if not mechanism:
        session.reply(REPLIES.reply("bad-syntax", command="AUTH", problem="the mechanism is missing"))
        return
    mechanisms = offered(session)
    if mechanism not in mechanisms:
        _not_offered(session, mechanism, mechanisms)
        return
    response: bytes | None = None
    initial = initial.strip()
    if initial == b"=":
        response = b""
    elif initial:
        response = _decode(session, initial)
        if response is None:
            return
    session.mechanism = mechanism
    try:
        session.exchange = authenticator.begin(mechanism, session.client, session.wire.channel_binding)
    except ValueError:
        _not_offered(session, mechanism, mechanisms)
    except Exception:
        _log.failure("The authenticator cannot begin")
        _stepped(session, Denied(True, "trouble on our side"))
    else:
        session.ask(_stepped, session.exchange.step, response)


def _not_offered(session: ServerSession, mechanism: str, mechanisms: tuple[str, ...]) -> None:
    if not session.client.tls_version and mechanism in _mechanisms(session, True):
        session.refuse("auth", REPLIES.reply("auth-needs-tls"))
    else:
        choice = ", ".join(mechanisms) or "none; STARTTLS comes first"
        session.refuse("auth", REPLIES.reply("auth-mechanism", mechanisms=choice))


def auth_line(session: ServerSession, line: bytes) -> None:
    """The client's answer to a challenge."""
    exchange = session.exchange
    assert exchange is not None
    if line == b"*":
        session.exchange = None
        session.reply(REPLIES.reply("auth-cancelled"))
        return
    response = _decode(session, line)
    if response is None:
        session.exchange = None
        return
    session.ask(_stepped, exchange.step, response)


def _decode(session: ServerSession, text: bytes) -> bytes | None:
    if not text:
        return b""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        session.refuse("auth", REPLIES.reply("auth-bad-response", problem="it is not base64"))
        return None


def _stepped(session: ServerSession, answer: Any) -> None:
    if isinstance(answer, Challenge):
        session.output.append(b"334 " + binascii.b2a_base64(answer.data, newline=False) + b"\r\n")
        return
    session.exchange = None
    client = session.client
    tls = f"{client.tls_version} {client.tls_cipher}".strip()
    now = session.terms.seconds()
    if isinstance(answer, Success):
        account = answer.account
        session.account = account
        name = str(account.name)
        letter = "" if session.keyword.endswith("A") or not session.esmtp else "A"
        session.keyword += letter
        session.amend(account=name, mechanism=session.mechanism, protocol=session.keyword)
        session.note(
            Authenticated(
                at=now,
                session=client.session,
                account=name,
                mechanism=session.mechanism,
                client=client.address,
                tls=tls,
            )
        )
        session.output.append(AUTHENTICATED)
        return
    denied = answer if isinstance(answer, Denied) else Denied(True, "trouble on our side")
    if denied.wait:
        reply = REPLIES.reply("auth-throttled", wait=in_words(denied.wait), ref=client.session)
    elif denied.temporary:
        reply = REPLIES.reply("auth-unavailable", ref=client.session)
    elif denied.malformed:
        reply = REPLIES.reply("auth-bad-response", problem="it is not what the mechanism demands")
    else:
        reply = REPLIES.reply("auth-failed", ref=client.session)
    session.note(
        AuthenticationFailed(
            at=now,
            session=client.session,
            account=denied.account[:320],
            mechanism=session.mechanism,
            client=client.address,
            tls=tls,
            reason=denied.reason,
            temporary=denied.temporary,
            code=reply.code,
            reply=str(reply),
            name=reply.name,
        )
    )
    session.reply(reply)
