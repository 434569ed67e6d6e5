"""The ``twisted.cred`` side: checkers asked in order, the realm, the avatar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.cred.credentials import ICredentials, IUsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin, UnhandledCredentials
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer, providedBy

from mta.identity.credentials import IDecoy, UnknownAccount
from mta.interfaces import Answer, IAccount, TemporarilyUnavailable, settle

if TYPE_CHECKING:
    from mta.identity.directories import Directories

_log = Logger()


@implementer(ICredentialsChecker)
class CheckerChain:
    """Several checkers as one: the first that accepts wins.

    One that says "unauthorized" passes the question on.  If none accepts and
    one of them could not be asked, nobody knows that the credentials are wrong.

    :param checkers: in the order in which they are asked.
    """

    def __init__(self, checkers: Iterable[Any]) -> None:
        self.checkers: Sequence[Any] = tuple(checkers)
        interfaces = dict.fromkeys(kind for item in self.checkers for kind in item.credentialInterfaces)
        self.credentialInterfaces = tuple(interfaces)

    def requestAvatarId(self, credentials: ICredentials) -> Deferred[Any]:
        """Ask the checkers.

        :return: fires with the avatar id, ``str``.
        :raise UnauthorizedLogin: (later) if all that could know say no.
        :raise TemporarilyUnavailable: (later) if one that could know did not answer.
        """
        return Deferred.fromCoroutine(self._ask(credentials))

    async def _ask(self, credentials: ICredentials) -> Any:
        provided = set(providedBy(credentials).flattened())
        asked, strangers, denials, troubles = 0, [], [], []
        for checker in self.checkers:
            if provided.isdisjoint(checker.credentialInterfaces):
                continue
            asked += 1
            try:
                avatar = await settle(checker.requestAvatarId(credentials))
            except UnknownAccount as error:
                strangers.append(checker)
                denials.append(str(error) or "unknown account")
            except LoginFailed as error:
                denials.append(str(error) or "wrong password")
            except TemporarilyUnavailable as error:
                troubles.append(str(error) or "unavailable")
            except Exception as error:
                # A fault in one plugin must not turn into "wrong password".
                _log.failure("a credentials checker failed: {checker}", checker=type(checker).__name__)
                troubles.append(f"{type(checker).__name__} failed: {type(error).__name__}")
            else:
                name = avatar.decode() if isinstance(avatar, bytes) else avatar
                if name == ANONYMOUS or (isinstance(name, str) and name):
                    return name
                _log.error(
                    "a credentials checker gave no avatar id: {checker}", checker=type(checker).__name__
                )
                troubles.append(f"{type(checker).__name__} gave no avatar id")
        if troubles:
            raise TemporarilyUnavailable("; ".join(troubles))
        if not asked:
            raise UnhandledCredentials("no checker takes such credentials")
        if IUsernamePassword.providedBy(credentials):
            for checker in strangers:
                if IDecoy.providedBy(checker):
                    await settle(checker.decoy(credentials))
        raise UnauthorizedLogin("; ".join(denials))


@implementer(IAccount)
class Account:
    """The avatar of somebody who is authenticated.

    :param name: the avatar id.
    :param directories: tell which addresses belong to it.
    """

    __slots__ = ("_directories", "name")

    def __init__(self, name: str, directories: Directories) -> None:
        self.name = name
        self._directories = directories

    def may_send_as(self, address: str) -> Answer[bool]:
        """See :class:`~mta.interfaces.IAccount`."""
        return self._directories.may_send_as(self.name, address)

    def __repr__(self) -> str:
        return f"<Account {self.name}>"


@implementer(IRealm)
class Realm:
    """Gives an :class:`Account` for an avatar id.

    :param directories: the accounts' addresses.
    """

    def __init__(self, directories: Directories) -> None:
        self._directories = directories

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: Any) -> tuple[Any, Account, Any]:
        """The avatar; there is nothing to be done at log-out.

        :raise NotImplementedError: if another interface than ``IAccount`` is asked for.
        :raise UnauthorizedLogin: for an anonymous log-in.
        """
        if IAccount not in interfaces:
            raise NotImplementedError("avatars here provide IAccount only")
        if isinstance(avatarId, bytes):
            avatarId = avatarId.decode()
        if not isinstance(avatarId, str) or not avatarId:
            raise UnauthorizedLogin("an anonymous log-in has no account")
        return IAccount, Account(avatarId, self._directories), _log_out


def _log_out() -> None:
    """Nothing holds on to an avatar."""


def make_portal(checkers: Iterable[Any], directories: Directories) -> Portal:
    """A portal over checkers in order.

    :param checkers: providers of ``ICredentialsChecker``.
    :param directories: the accounts' addresses.
    """
    return Portal(Realm(directories), [CheckerChain(checkers)])
