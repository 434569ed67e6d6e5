"""Runs SASL mechanisms against the portal: what a session sees of identity."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from typing import Any

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginFailed
from twisted.cred.portal import Portal
from twisted.logger import Logger
from zope.interface import implementer

from mta.identity.credentials import IPasswordMark, IScramCredentials, IScramKeySource
from mta.identity.mechanisms import (
    BINDING_TYPES,
    Done,
    Login,
    LookUp,
    Malformed,
    Mechanism,
    Next,
    Plain,
    Refused,
    Scram,
    Verify,
)
from mta.identity.scram import DEFAULT_ITERATIONS, ScramKeys, account_salt, pretended_keys
from mta.identity.throttle import Throttle
from mta.interfaces import (
    Challenge,
    Denied,
    IAccount,
    IAuthenticator,
    IExchange,
    Success,
    TemporarilyUnavailable,
    settle,
)
from mta.model.envelope import Client
from mta.model.waiting import in_words

_log = Logger()

SCRAM = "SCRAM-SHA-256"
SCRAM_PLUS = "SCRAM-SHA-256-PLUS"


@implementer(IAuthenticator)
class Authenticator:
    """Offers mechanisms as the checkers allow, and runs them.

    :param portal: as :func:`~mta.identity.portal.make_portal` makes it.
    :param checkers: the same checkers; those that provide ``IScramKeySource``
        are asked for SCRAM keys.
    :param secret: random octets that stay the same over restarts (see
        :func:`~mta.identity.secret.load_secret`); unknown accounts get their
        salt from it, so that nobody can tell them from known ones.
    :param throttle: has passwords tried slowly; ``None``: as fast as they come.
    """

    def __init__(
        self, portal: Portal, checkers: Iterable[Any], secret: bytes, throttle: Throttle | None = None
    ) -> None:
        self._portal = portal
        self.throttle = throttle
        checkers = tuple(checkers)
        self._marking = tuple(item for item in checkers if IPasswordMark.providedBy(item))
        self._sources = tuple(item for item in checkers if IScramKeySource.providedBy(item))
        interfaces = {kind for item in checkers for kind in item.credentialInterfaces}
        self._passwords = IUsernamePassword in interfaces
        self._keyless = any(
            IUsernamePassword in item.credentialInterfaces and not IScramKeySource.providedBy(item)
            for item in checkers
        )
        self._scram = IScramCredentials in interfaces
        self._secret = secret

    def mechanisms(self, tls: bool, binding_available: bool) -> list[str]:
        """See :class:`~mta.interfaces.IAuthenticator`."""
        offer: list[str] = []
        # A client takes the strongest that is offered; it must be one that every account has.
        if self._scram and not self._keyless and all(source.offers_scram for source in self._sources):
            if tls and binding_available:
                offer.append(SCRAM_PLUS)
            offer.append(SCRAM)
        if tls and self._passwords:
            offer += ["PLAIN", "LOGIN"]
        return offer

    def begin(
        self, mechanism: str, client: Client, channel_binding: Callable[[str], bytes | None]
    ) -> Exchange:
        """See :class:`~mta.interfaces.IAuthenticator`."""
        tls = bool(client.tls_version)
        scram = mechanism in (SCRAM, SCRAM_PLUS)
        bound = scram and tls and any(channel_binding(kind) is not None for kind in BINDING_TYPES)
        if mechanism not in self.mechanisms(tls, bound):
            raise ValueError(f"the mechanism {mechanism[:32]!r} is not offered in this session")
        machine: Mechanism
        if scram:
            machine = Scram(mechanism == SCRAM_PLUS, bound, channel_binding)
        else:
            machine = Plain() if mechanism == "PLAIN" else Login()
        return Exchange(self, machine, client.address)

    async def password(self, username: str, password: str, address: str) -> Success | Denied:
        """Try a password as AUTH PLAIN does: for those who sign in by other means than SMTP.

        :param address: the client's.
        """
        exchange = Exchange(self, Plain(), address)
        answer = await exchange.step(b"\0".join((b"", username.encode(), password.encode())))
        assert isinstance(answer, (Success, Denied))
        return answer

    async def password_mark(self, account: str) -> str:
        """What changes when the password of an account does; ``""``: nobody can tell."""
        for checker in self._marking:
            mark = await settle(checker.password_mark(account))
            if mark:
                # Keyed: what may be a password in clear cannot be guessed from it.
                return hmac.digest(self._secret, b"password mark " + mark.encode(), "sha256").hex()[:16]
        return ""

    async def scram_keys(self, username: str, salt: bytes) -> ScramKeys:
        """Keys of an account; pretended ones if no source has any.

        :raise TemporarilyUnavailable: if a source cannot tell and no earlier one knew.
        """
        for source in self._sources:
            keys: ScramKeys | None = await settle(source.scram_keys(username, salt))
            if keys is not None:
                return keys
        counts = (source.scram_iterations for source in self._sources if source.offers_scram)
        return pretended_keys(salt, next(counts, DEFAULT_ITERATIONS), self._secret)

    def salt(self, username: str) -> bytes:
        """The salt of an account that has none of its own."""
        return account_salt(self._secret, username)

    async def log_in(self, credentials: Any) -> Any:
        """Ask the portal.

        :return: the avatar.
        """
        _, avatar, _ = await self._portal.login(credentials, None, IAccount)
        return avatar


class Throttled(Exception):
    """The next attempt is not due yet.

    :ivar seconds: until it is.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not before {seconds:.0f} s")
        self.seconds = seconds


@implementer(IExchange)
class Exchange:
    """One run of a mechanism.

    :param authenticator: asks the portal.
    :param mechanism: the sans-IO half.
    :param address: the client's; ``""`` if it has none.
    """

    def __init__(self, authenticator: Authenticator, mechanism: Mechanism, address: str = "") -> None:
        self._authenticator = authenticator
        self._mechanism = mechanism
        self._address = address
        self._account: Any = None
        self._username = ""

    async def step(self, response: bytes | None) -> Challenge | Success | Denied:
        """See :class:`~mta.interfaces.IExchange`."""
        try:
            return await self._step(response)
        except Malformed as error:
            return Denied(False, str(error), self._username, malformed=True)
        except Throttled as error:
            reason = f"not looked at: the next attempt is due in {in_words(error.seconds)}"
            return Denied(True, reason, self._username, wait=error.seconds)
        except (Refused, LoginFailed) as error:
            if self._authenticator.throttle is not None:
                await self._authenticator.throttle.failed(self._username, self._address)
            return Denied(False, str(error), self._username)
        except TemporarilyUnavailable as error:
            return Denied(True, str(error), self._username)
        except Exception as error:
            _log.failure("authentication failed for a reason of our own")
            return Denied(True, f"trouble on our side: {type(error).__name__}", self._username)

    async def _step(self, response: bytes | None) -> Challenge | Success | Denied:
        following: Next = self._mechanism.step(response)
        if isinstance(following, LookUp):
            self._username = following.username
            await self._turn()
            assert isinstance(self._mechanism, Scram)
            salt = self._authenticator.salt(following.username)
            keys = await self._authenticator.scram_keys(following.username, salt)
            return self._mechanism.supply(keys, salt)
        if isinstance(following, Verify):
            if not self._username:
                self._username = following.username
                await self._turn()
            account = await self._authenticator.log_in(following.credentials)
            identity = following.authzid.lower()
            if identity and identity not in (following.username.lower(), account.name.lower()):
                raise Refused("an account cannot act as another one")
            self._account = account
            following = self._mechanism.accepted()
        if isinstance(following, Done):
            if self._authenticator.throttle is not None:
                self._authenticator.throttle.succeeded(self._username, self._address)
            return Success(self._account)
        assert isinstance(following, Challenge)
        return following

    async def _turn(self) -> None:
        """Wait until this attempt may be made.

        :raise Throttled: if that takes too long.
        """
        throttle = self._authenticator.throttle
        if throttle is not None:
            turn = await throttle.turn(self._username, self._address)
            if turn.refused:
                raise Throttled(turn.wait)
