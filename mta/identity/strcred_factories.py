"""``--auth file:PATH`` and ``--auth ldap:URI/BASE?setting=value&...`` (twisted.cred.strcred).

Twisted has a ``file`` plugin of its own for another format, and plugins are
common to all of twistd's services: :class:`AuthOptions` therefore asks ours
first, and none of them is to be listed in ``twisted/plugins`` as ``file``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import ValidationError
from twisted.cred.strcred import AuthOptionMixin, ICheckerFactory
from twisted.internet.threads import deferToThread
from twisted.plugin import IPlugin
from twisted.python import usage
from zope.interface import implementer

from mta.identity.credentials import IScramCredentials, IUsernamePassword
from mta.identity.file import FileIdentity, FileSettings
from mta.identity.ldap import LdapIdentity
from mta.identity.ldap_settings import LdapSettings


@implementer(ICheckerFactory, IPlugin)
class FileFactory:
    """A passwd-file."""

    authType = "file"
    authHelp = "Accounts in a file of ADDRESS:{SCHEME}HASH lines, as Dovecot's passwd-file."
    argStringFormat = "PATH"
    credentialInterfaces = (IUsernamePassword, IScramCredentials)

    def generateChecker(self, argstring: str) -> FileIdentity:
        """Make the checker; ValueError if the file has errors."""
        from twisted.internet import reactor

        path = Path(argstring).absolute()
        return FileIdentity(path, FileSettings(path=argstring), reactor, deferToThread)


@implementer(ICheckerFactory, IPlugin)
class LdapFactory:
    """An LDAP directory."""

    authType = "ldap"
    authHelp = "Accounts in LDAP; settings as in [[identity]], percent-encoded in the query."
    argStringFormat = "ldap://HOST[:PORT]/BASE?setting=value&..."
    credentialInterfaces = (IUsernamePassword,)

    def generateChecker(self, argstring: str) -> LdapIdentity:
        """Make the checker; ValueError if a setting is wrong."""
        from twisted.internet import reactor

        parts = urlsplit(argstring)
        values: dict[str, Any] = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        values["uri"] = f"{parts.scheme}://{parts.netloc}"
        values["base"] = unquote(parts.path.lstrip("/"))
        try:
            settings = LdapSettings(**values)
        except ValidationError as error:
            mistakes = [
                f"{item['loc'][0]}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors()
            ]
            raise ValueError("; ".join(mistakes)) from None
        return LdapIdentity(settings, reactor, str(Path.cwd()))


FACTORIES = (FileFactory(), LdapFactory())


class AuthOptions(AuthOptionMixin):
    """``--auth`` with our kinds before Twisted's; mix into ``usage.Options``."""

    def opt_auth(self, description: str) -> None:
        """Add a checker: file:PATH, ldap:URI, or any of --help-auth."""
        kind, _, argument = description.partition(":")
        for factory in FACTORIES:
            if factory.authType == kind:
                try:
                    self.addChecker(factory.generateChecker(argument))  # type: ignore[no-untyped-call]
                except ValueError as error:
                    raise usage.UsageError(f"--auth {kind}: {error}") from None
                return
        super().opt_auth(description)  # type: ignore[no-untyped-call]
