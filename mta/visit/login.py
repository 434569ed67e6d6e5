"""Log-ins of those who read mail: what is offered, what an answer means, whose mailbox it is.

Whatever a client sends here may be a password: none of it goes into a reply, an event or the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mta.interfaces import Challenge, Denied, Success
from mta.mailbox.mailroom import Account
from mta.model.catalogue import REPLIES
from mta.model.event import Authenticated, AuthenticationFailed
from mta.model.network import is_within
from mta.model.waiting import in_words

if TYPE_CHECKING:
    from mta.visit.visit import Visit


class NoMailbox(Exception):
    """The account is known, but has no mailbox here."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no log-in.

    :ivar name: in the catalogue of replies.
    :ivar temporary: whether the same password may be right later.
    """

    name: str
    text: str
    temporary: bool


def mechanisms(visit: Visit) -> list[str]:
    """SASL mechanisms that are offered now."""
    authenticator = visit.terms.authenticator
    return [] if authenticator is None else authenticator.mechanisms(visit.secure, visit.secure)


def takes_passwords(visit: Visit) -> bool:
    """Whether a password may be said in clear: inside TLS, and from networks that are trusted without."""
    authenticator = visit.terms.authenticator
    if authenticator is None or "PLAIN" not in authenticator.mechanisms(True, True):
        return False
    return visit.secure or is_within(visit.client.address, visit.terms.settings.clear_from)


def offers_tls(visit: Visit) -> bool:
    """Whether the session can begin TLS."""
    return visit.terms.tls is not None and not visit.terms.implicit and not visit.secure


async def password(visit: Visit, mechanism: str, name: bytes, secret: bytes) -> Success | Denied:
    """Try a password.

    :param mechanism: how the journal calls it.
    """
    visit.mechanism = mechanism
    try:
        words = name.decode(), secret.decode()
    except UnicodeDecodeError:
        return Denied(False, "name or password are not UTF-8", "", malformed=True)
    answer: Success | Denied = await visit.terms.authenticator.password(*words, visit.client.address)
    return answer


async def begin(visit: Visit, mechanism: str, response: bytes | None) -> Challenge | Success | Denied:
    """Begin an exchange of SASL with a mechanism that is offered.

    :param response: the initial one, if there is any.
    """
    visit.mechanism = mechanism
    visit.exchange = visit.terms.authenticator.begin(mechanism, visit.client, visit.channel_binding)
    return await step(visit, response)


async def step(visit: Visit, response: bytes | None) -> Challenge | Success | Denied:
    """Go on with the exchange; it is over with anything but a challenge."""
    answer: Any = await visit.exchange.step(response)
    if isinstance(answer, Challenge):
        return answer
    visit.exchange = None
    if isinstance(answer, (Success, Denied)):
        return answer
    return Denied(True, "trouble on our side")


def refusal_of(visit: Visit, denied: Denied) -> Refusal:
    """What the client is told."""
    session = visit.client.session
    if denied.wait:
        words = in_words(denied.wait)
        return Refusal(
            "auth-throttled", f"too many failed log-ins, try again in {words}, session {session}", True
        )
    if denied.temporary:
        text = f"nobody can tell now whether the password is right, try again later, session {session}"
        return Refusal("auth-unavailable", text, True)
    if denied.malformed:
        return Refusal("auth-bad-response", "this is not what the mechanism demands", False)
    text = f"the account is not known, or the password is wrong, session {session}"
    return Refusal("auth-failed", text, False)


def note_denied(visit: Visit, denied: Denied, refusal: Refusal, reply: str) -> None:
    """Tell the journal that somebody did not log in.

    :param reply: as it is sent.
    """
    visit.premises.note(
        AuthenticationFailed(
            at=visit.premises.reactor.seconds(),
            session=visit.client.session,
            account=denied.account[:320],
            mechanism=visit.mechanism,
            client=visit.client.address,
            tls=visit.tls,
            reason=denied.reason,
            temporary=denied.temporary,
            code=REPLIES[refusal.name].code,
            reply=reply,
            name=refusal.name,
        )
    )


async def enter(visit: Visit, name: str) -> Account:
    """Somebody has logged in: tell the journal, and open the mailbox.

    :param name: of the account.
    :return: the mailbox; the session must ``close()`` it.
    :raise NoMailbox: if there is none here; the journal is told.
    :raise TemporarilyUnavailable: if it cannot be opened now.
    """
    premises, client = visit.premises, visit.client
    premises.note(
        Authenticated(
            at=premises.reactor.seconds(),
            session=client.session,
            account=name,
            mechanism=visit.mechanism,
            client=client.address,
            tls=visit.tls,
        )
    )
    visit.account_name = name
    home = await visit.terms.home(name)
    if home is None:
        visit.note_refusal("refused", "the account has no mailbox here")
        raise NoMailbox("this account has no mailbox here")
    account = await premises.room.open(home.maildir)
    account.quota = home.quota
    return account
