"""A checker that asks a riddle, and a directory that is a list in the configuration."""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, succeed
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Table
from mta.interfaces import IDirectory, IIdentity, IKind, Mailbox, PluginContext
from mta.model.address import Address


class RiddleSettings(Table):
    """The password of everybody is this word and their name backwards."""

    word: str


@implementer(IIdentity, ICredentialsChecker)
class Riddle:
    """Knows passwords, and nothing about mailboxes."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, word: str) -> None:
        self._word = word

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """The avatar id of who knows the answer."""
        name = credentials.username.decode()
        local = name.partition("@")[0]
        if credentials.password.decode() != self._word + local[::-1]:
            return fail(UnauthorizedLogin("wrong answer"))
        return succeed(credentials.username)


@implementer(IPlugin, IKind)
class RiddleKind:
    """Makes :class:`Riddle`."""

    seam = IIdentity
    kind = "riddle"
    settings = RiddleSettings

    def build(self, settings: RiddleSettings, context: PluginContext) -> Riddle:
        """Make it."""
        return Riddle(settings.word)


class ListSettings(Table):
    """The addresses that exist."""

    addresses: list[str]


@implementer(IIdentity, IDirectory)
class List:
    """Knows mailboxes, and nothing about passwords."""

    def __init__(self, addresses: list[str]) -> None:
        self._boxes = {address: Mailbox(address) for address in addresses}

    def look_up(self, address: Address) -> Mailbox | None:
        """The mailbox of an address."""
        return self._boxes.get(str(address))

    def account(self, avatar: str) -> Mailbox | None:
        """The mailbox of an account."""
        return self._boxes.get(avatar)


@implementer(IPlugin, IKind)
class ListKind:
    """Makes :class:`List`."""

    seam = IIdentity
    kind = "list"
    settings = ListSettings

    def build(self, settings: ListSettings, context: PluginContext) -> List:
        """Make it."""
        return List(settings.addresses)


RIDDLE = RiddleKind()
LIST = ListKind()
