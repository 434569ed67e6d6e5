"""Twisted's own doors to an SMTP server, as our reception and authenticator.

A protocol that was given ``portal``, ``challengers``, ``delivery`` or
``deliveryFactory``, or whose class overrides ``validateFrom``, ``validateTo``
and ``receivedHeader``, is served through these: the session asks as ever, and
what Twisted's interfaces answer becomes replies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

from twisted.cred.error import UnauthorizedLogin, UnhandledCredentials
from twisted.internet.defer import DeferredList, maybeDeferred
from twisted.internet.interfaces import ITLSTransport
from twisted.logger import Logger
from twisted.mail.interfaces import IMessageDelivery, IMessageDeliveryFactory
from twisted.mail.smtp import Address, SMTPServerError, User
from zope.interface import implementer

from mta.config.settings import Limits
from mta.interfaces import (
    Challenge,
    Denied,
    IAuthenticator,
    IExchange,
    IIncoming,
    IReception,
    Success,
    settle,
)
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Event
from mta.model.reply import Reply
from mta.smtp.terms import Terms

if TYPE_CHECKING:
    from mta.smtp.protocol import Premises, SmtpProtocol

_log = Logger()
_numbers = count(1)
_PLAINTEXT = frozenset({"PLAIN", "LOGIN"})


@lru_cache(maxsize=8)
def _limits(timeout: float | None) -> Limits:
    patience = 86400.0 if timeout is None else float(timeout)
    return Limits.model_validate(
        {"greeting_timeout": patience, "command_timeout": patience, "data_timeout": patience}
    )


def premises_of(protocol: SmtpProtocol) -> Premises:
    """What a protocol without a factory of ours needs."""
    from mta.smtp.protocol import Premises

    reactor: Any = getattr(protocol.factory, "reactor", None)
    if reactor is None:
        from twisted.internet import reactor as installed

        reactor = installed
    authenticator = DoorAuthenticator(protocol) if protocol.challengers else None
    terms = Terms(
        role="mx",
        hostname=protocol.host.decode("ascii", "replace"),
        reception=DoorReception(protocol),
        limits=_limits(protocol.timeout),
        seconds=reactor.seconds,
        authenticator=authenticator,
        starttls=protocol.ctx is not None and ITLSTransport.providedBy(protocol.transport),
    )
    return Premises(reactor, terms, lambda: f"t{next(_numbers)}", protocol.ctx)


def _reply_of(error: SMTPServerError) -> Reply:
    text = error.resp.decode("utf-8", "replace") if isinstance(error.resp, bytes) else str(error.resp)
    return Reply(error.code, (text.replace("\r", " ").replace("\n", " "),), rule="twisted")


@implementer(IReception)
class DoorReception:
    """Asks ``validateFrom`` and ``validateTo`` of a protocol, and feeds ``IMessage``.

    :param protocol: whose doors they are.
    """

    def __init__(self, protocol: SmtpProtocol) -> None:
        self._protocol = protocol
        self._helo = (b"", b"")
        self._origin: Any = None

    def connect(self, client: Client) -> None:
        """Everybody may speak."""

    def hello(self, client: Client) -> None:
        """Kept for the questions that follow."""
        self._helo = self._protocol._helo = (client.helo.encode(), client.address.encode())

    async def sender(self, client: Client, account: Any, envelope: Envelope) -> Reply:
        """``validateFrom``."""
        try:
            origin = Address(envelope.reverse_path.encode(), self._protocol.host)
            self._origin = await maybeDeferred(self._protocol.validateFrom, self._helo, origin)
        except SMTPServerError as error:
            return _reply_of(error)
        return REPLIES.reply("sender-ok")

    async def recipient(self, client: Client, envelope: Envelope, recipient: Recipient) -> Reply:
        """``validateTo``; what makes the ``IMessage`` is kept as the route."""
        try:
            user = User(recipient.address.encode(), self._helo, self._protocol, self._origin)
            make = await maybeDeferred(self._protocol.validateTo, user)
        except SMTPServerError as error:
            return _reply_of(error)
        recipient.routes = ((user, make),)
        return REPLIES.reply("recipient-ok")

    def data(self, client: Client, envelope: Envelope) -> DoorIncoming:
        """The content begins."""
        routes: list[tuple[User, Callable[[], Any]]] = [item.routes[0] for item in envelope.recipients]
        return DoorIncoming(self._protocol, self._helo, self._origin, routes)

    def closed(self, client: Client) -> None:
        """Nobody need know."""

    def note(self, event: Event) -> None:
        """Twisted's doors have no journal; what is refused stands in the log."""
        _log.debug("{event}", event=event)


@implementer(IIncoming)
class DoorIncoming:
    """Hands content to each recipient's ``IMessage``, line by line as it demands.

    :param protocol: gives the Received field.
    :param helo: name and address of the client.
    :param origin: the sender.
    :param routes: each recipient's user and message maker.
    """

    def __init__(
        self,
        protocol: Any,
        helo: tuple[bytes, bytes],
        origin: Any,
        routes: Sequence[tuple[User, Callable[[], Any]]],
    ) -> None:
        self._messages: list[Any] = []
        self._rest = b""
        self._first = True
        self._refusal: Reply | None = None
        try:
            for user, make in routes:
                message = make()
                self._messages.append(message)
                trace = protocol.receivedHeader(helo, origin, [user])
                if trace:
                    message.lineReceived(trace)
        except SMTPServerError as error:
            self._refuse(error)

    def write(self, block: bytes) -> None:
        """Take some octets."""
        *lines, self._rest = (self._rest + block).split(b"\r\n")
        self._take(lines)

    def _take(self, lines: Sequence[bytes]) -> None:
        if self._refusal is not None:
            return
        try:
            for line in lines:
                if self._first:
                    self._first = False
                    if line and b":" not in line:
                        # There is no header section: an empty line ends what we put before.
                        for message in self._messages:
                            message.lineReceived(b"")
                for message in self._messages:
                    message.lineReceived(line)
        except SMTPServerError as error:
            self._refuse(error)

    def _refuse(self, error: SMTPServerError) -> None:
        self.abort()
        self._refusal = _reply_of(error)

    def register(self, producer: Any) -> None:
        """``IMessage`` cannot hold anybody back."""

    async def finish(self) -> list[Reply]:
        """``eomReceived`` of all."""
        if self._rest:
            self._take([self._rest])
        if self._refusal is not None:
            return [self._refusal]
        messages, self._messages = self._messages, []
        results: list[Any] = await DeferredList(
            [maybeDeferred(message.eomReceived) for message in messages], consumeErrors=True
        )
        failures = [failure for success, failure in results if not success]
        for failure in failures:
            if failure.check(SMTPServerError):
                return [_reply_of(failure.value)]
            _log.failure("A message was not delivered", failure)
        if failures:
            return [Reply(451, ("Could not deliver the message, try again later",), "4.3.0")]
        return [Reply(250, ("Delivery in progress",), "2.0.0")]

    def abort(self) -> None:
        """``connectionLost`` of all."""
        messages, self._messages = self._messages, []
        for message in messages:
            try:
                message.connectionLost()
            except Exception:
                _log.failure("A message could not be dropped")


class DoorAccount:
    """Who logged in through a portal; whom they may send as is for their avatar to say.

    :param name: the user name of the credentials.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def may_send_as(self, address: str) -> bool:
        """``validateFrom`` decides."""
        return True


@implementer(IAuthenticator)
class DoorAuthenticator:
    """Runs a protocol's ``challengers`` against its ``portal``.

    :param protocol: whose they are.
    """

    def __init__(self, protocol: SmtpProtocol) -> None:
        self._protocol = protocol

    def mechanisms(self, tls: bool, binding_available: bool) -> list[str]:
        """The challengers' names; those that send a password only inside TLS."""
        names = [name.decode("ascii").upper() for name in self._protocol.challengers]
        if tls or self._protocol.plaintext_without_tls:
            return names
        return [name for name in names if name not in _PLAINTEXT]

    def begin(self, mechanism: str, client: Client, channel_binding: Any) -> DoorExchange:
        """Start with a new challenger."""
        for name, make in self._protocol.challengers.items():
            if name.decode("ascii").upper() == mechanism:
                return DoorExchange(self._protocol, make())
        raise ValueError(f"the mechanism {mechanism[:32]!r} is not offered")


@implementer(IExchange)
class DoorExchange:
    """One run of an ``IChallengeResponse``.

    :param protocol: has the portal, and gets the avatar.
    :param challenger: the credentials in the making.
    """

    def __init__(self, protocol: Any, challenger: Any) -> None:
        self._protocol = protocol
        self._challenger = challenger
        self._begun = False

    async def step(self, response: bytes | None) -> Challenge | Success | Denied:
        """See :class:`~mta.interfaces.IExchange`."""
        protocol, challenger = self._protocol, self._challenger
        if protocol.portal is None:
            return Denied(True, "there is no portal")
        if not self._begun:
            self._begun = True
            challenge = challenger.getChallenge()
            if response is None:
                return Challenge(challenge)
        assert response is not None
        try:
            challenger.setResponse(response)
        except Exception as error:
            return Denied(False, f"{type(error).__name__} in the response", malformed=True)
        if challenger.moreChallenges():
            return Challenge(challenger.getChallenge())
        name = getattr(challenger, "username", b"") or b""
        account = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        try:
            login = await settle(
                protocol.portal.login(challenger, None, IMessageDeliveryFactory, IMessageDelivery)
            )
        except (UnauthorizedLogin, UnhandledCredentials) as error:
            return Denied(False, type(error).__name__, account)
        except Exception as error:
            _log.failure("The portal failed")
            return Denied(True, f"trouble in the portal: {type(error).__name__}", account)
        protocol._cbAuthenticated(login)
        return Success(DoorAccount(account))
