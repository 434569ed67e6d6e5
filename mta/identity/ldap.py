"""Kind ``ldap``: accounts and addresses in an LDAP directory."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.plugin import IPlugin
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mta.config.settings import parse_size
from mta.identity.cache import CachedDirectory
from mta.identity.credentials import IUsernamePassword, UnknownAccount
from mta.identity.ldap_settings import LdapSettings, fill
from mta.interfaces import (
    Alias,
    Answer,
    HostedDomain,
    IDirectory,
    IDomains,
    IIdentity,
    IKind,
    IReloadable,
    Mailbox,
    PluginContext,
    TemporarilyUnavailable,
)
from mta.model.address import Address, AddressError, parse_address

if TYPE_CHECKING:
    from mta.identity.ldap_pool import Found, LdapPool

_log = Logger()


class LdapSearches:
    """The questions, answered by blocking searches in a thread.

    :param settings: see :class:`LdapSettings`.
    :param pool: the connections.
    """

    def __init__(self, settings: LdapSettings, pool: LdapPool) -> None:
        self._settings = settings
        self._pool = pool

    def log_in(self, name: str, password: str) -> str:
        """Verify a password.

        :return: the avatar id: the address of the account.
        :raise UnauthorizedLogin: if the directory says no.
        :raise TemporarilyUnavailable: if it cannot say.
        """
        settings = self._settings
        if not password:
            raise UnauthorizedLogin("ldap: empty password")
        if "@" not in name and settings.domain:
            name = f"{name}@{settings.domain}"
        if settings.bind_dn_template:
            if "@" not in name:
                # Bound without a search, it would be an account that no address belongs to.
                raise UnknownAccount("ldap: the name has no @, and no domain is set to complete it")
            if not self._pool.bind(fill(settings.bind_dn_template, name, "dn"), password):
                raise UnauthorizedLogin("ldap: invalid credentials")
            return str(parse_address(name)).lower()
        found = self._one(settings.login_filter or settings.filter, name, [settings.mail])
        if found is None:
            bare = "" if "@" in name else "; the name has no @, and no domain is set to complete it"
            raise UnknownAccount(f"ldap: no such account{bare}")
        if not self._pool.bind(found[0], password):
            raise UnauthorizedLogin("ldap: invalid credentials")
        return self._address(found) or name.lower()

    def look_up(self, address: Address) -> Mailbox | Alias | None:
        """See :class:`~mta.interfaces.IDirectory`."""
        settings = self._settings
        wanted = [settings.mail, settings.forward, settings.keep, settings.quota]
        wanted += [settings.maildir, settings.senders]
        found = self._one(settings.filter, str(address), [name for name in wanted if name])
        if found is not None:
            return self._mailbox(found, str(address))
        if settings.list_filter:
            found = self._one(settings.list_filter, str(address), [settings.mail, *settings.list_member])
            if found is not None:
                return Alias(str(address), self._members(found))
        return None

    def domain(self, name: str) -> HostedDomain | None:
        """See :class:`~mta.interfaces.IDomains`."""
        settings = self._settings
        keys = {
            "catch_all": settings.domain_catch_all,
            "transport": settings.domain_transport,
            "next_hop": settings.domain_next_hop,
        }
        wanted = [one for one in (settings.domain_alias, *keys.values()) if one]
        found = self._one(settings.domain_filter, f"@{name}", wanted)
        if found is None:
            return None
        alias = self._values(found, settings.domain_alias)
        own = [(key, values[0]) for key, one in keys.items() if (values := self._values(found, one))]
        return HostedDomain(name, alias[0].lower() if alias else "", settings.domain_like, tuple(own))

    def account(self, avatar: str) -> Mailbox | None:
        """See :class:`~mta.interfaces.IDirectory`."""
        try:
            found = self.look_up(parse_address(avatar))
        except AddressError:
            return None
        return found if isinstance(found, Mailbox) else None

    def _one(self, template: str, address: str, attributes: list[str]) -> Found | None:
        query = fill(template, address, "filter")
        found = self._pool.search(self._settings.base, query, "SUBTREE", attributes, 1)
        if len(found) > 1:
            names = " and ".join(dn for dn, _ in found[:2])
            raise TemporarilyUnavailable(f"ldap: more than one entry matches {address!r}: {names}")
        return found[0] if found else None

    def _values(self, found: Found, attribute: str) -> list[str]:
        return [value.decode("utf-8", "replace") for value in found[1].get(attribute.lower(), ())]

    def _addresses(self, found: Found, attribute: str) -> list[str]:
        result = []
        for value in self._values(found, attribute):
            text = value[5:] if value.lower().startswith("smtp:") else value
            result.append(self._parsed(text, found, attribute))
        return result

    def _parsed(self, text: str, found: Found, attribute: str) -> str:
        """The address in canonical form; what is none is the directory's trouble, not the client's."""
        try:
            return str(parse_address(text))
        except AddressError:
            raise TemporarilyUnavailable(f"ldap: {found[0]}: {attribute} is no address") from None

    def _address(self, found: Found) -> str:
        # The order of values is not kept by a directory: take the same one always.
        return min(self._addresses(found, self._settings.mail), default="")

    def _mailbox(self, found: Found, address: str) -> Mailbox:
        settings = self._settings
        quota = self._values(found, settings.quota)
        try:
            octets = int(parse_size(quota[0])) if quota else 0
        except ValueError:
            raise TemporarilyUnavailable(f"ldap: {found[0]}: {settings.quota} is no size") from None
        keep = self._values(found, settings.keep)
        maildir = self._values(found, settings.maildir)
        return Mailbox(
            self._address(found) or address,
            maildir=maildir[0] if maildir else "",
            quota=octets,
            forwards=tuple(sorted(self._addresses(found, settings.forward))),
            keep=not keep or keep[0].upper() != "FALSE",
            senders=tuple(sorted(self._values(found, settings.senders))),
        )

    def _members(self, found: Found) -> tuple[str, ...]:
        targets: list[str] = []
        for attribute in self._settings.list_member:
            for value in self._values(found, attribute):
                if "=" not in value.partition("@")[0]:
                    targets.append(self._parsed(value, found, attribute))
                    continue
                base, mail = value, self._settings.mail
                for entry in self._pool.search(base, "(objectClass=*)", "BASE", [mail], 1):
                    targets.append(self._address(entry))
        return tuple(dict.fromkeys(target for target in targets if target))


def _is_here(uri: str) -> bool:
    host = urlsplit(uri).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")


@implementer(IIdentity, ICredentialsChecker, IDirectory, IDomains, IReloadable)
class LdapIdentity:
    """Checker and directory over one LDAP directory, searches in threads of its own.

    :param settings: see :class:`LdapSettings`.
    :param reactor: for time and threads.
    :param base: directory that ``password_file`` and ``ca_file`` are relative to.
    :raise ValueError: if the password or the authorities cannot be read.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, settings: LdapSettings, reactor: Any, base: str) -> None:
        if settings.ca_file:
            ca_file = str(Path(base) / settings.ca_file)
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
            except ssl.SSLError:
                raise ValueError(f"ca_file: {ca_file}: there is no PEM certificate in it") from None
            except OSError as error:
                raise ValueError(f"ca_file: {ca_file}: {error.strerror}") from None
            settings = settings.model_copy(update={"ca_file": ca_file})
        for uri in settings.uri:
            if uri.startswith("ldap://") and not settings.start_tls and not _is_here(uri):
                _log.warn("passwords go to {uri} in clear text; set start_tls, or use ldaps://", uri=uri)
        self._password_file = Path(base) / settings.password_file if settings.password_file else None
        self._settings = settings
        self._reactor = reactor
        # ldap3 takes megabytes, and this module is imported to know which kinds of identity there are.
        from mta.identity.ldap_pool import LdapPool

        self._pool = LdapPool(settings, self._read_password())
        self._searches = LdapSearches(settings, self._pool)
        self._threads = ThreadPool(0, settings.connections, "ldap")
        self._waiting = 0
        self._cached = CachedDirectory(
            _Threaded(self), reactor, settings.cache, settings.negative_cache, settings.stale
        )

    def _read_password(self) -> str:
        if self._password_file is None:
            return ""
        try:
            return self._password_file.read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            raise ValueError(f"password_file: {self._password_file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"password_file: {self._password_file} is not UTF-8") from None

    async def ask(self, question: str, *arguments: Any) -> Any:
        """Have a thread answer.

        :raise TemporarilyUnavailable: also if too many questions wait.
        """
        if self._waiting >= self._settings.waiting:
            raise TemporarilyUnavailable("ldap: too many questions wait for an answer")
        if not self._threads.started:
            self._threads.start()
            self._reactor.addSystemEventTrigger("during", "shutdown", self.stop)
        self._waiting += 1
        try:
            call = getattr(self._searches, question)
            return await deferToThreadPool(self._reactor, self._threads, call, *arguments)
        finally:
            self._waiting -= 1

    def stop(self) -> None:
        """Wait for what is under way, at most the timeouts, and close."""
        if self._threads.started:
            self._threads.stop()
        self._pool.close()

    async def reload(self) -> None:
        """See :class:`~mta.interfaces.IReloadable`."""
        password = self._read_password()
        if password != self._pool.password:
            self._pool.password = password
            if self._threads.started:
                # What is bound with the old one would hide that the new one is wrong.
                await deferToThreadPool(self._reactor, self._threads, self._pool.close)
        self._cached.forget()

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """Verify by a bind; fires with the address of the account."""
        name = credentials.username.decode("utf-8", "replace")
        password = credentials.password.decode("utf-8", "replace")
        return Deferred.fromCoroutine(self.ask("log_in", name, password))

    def look_up(self, address: Address) -> Answer[Mailbox | Alias | None]:
        """See :class:`~mta.interfaces.IDirectory`."""
        return self._cached.look_up(address)

    def account(self, avatar: str) -> Answer[Mailbox | None]:
        """See :class:`~mta.interfaces.IDirectory`."""
        return self._cached.account(avatar)

    def domain(self, name: str) -> Answer[HostedDomain | None]:
        """See :class:`~mta.interfaces.IDomains`."""
        return self._cached.domain(name) if self._settings.domain_filter else None


class _Threaded:
    def __init__(self, identity: LdapIdentity) -> None:
        self._identity = identity

    def look_up(self, address: Address) -> Any:
        return self._identity.ask("look_up", address)

    def account(self, avatar: str) -> Any:
        return self._identity.ask("account", avatar)

    def domain(self, name: str) -> Any:
        return self._identity.ask("domain", name)


@implementer(IPlugin, IKind)
class LdapKind:
    """Makes :class:`LdapIdentity`."""

    seam = IIdentity
    kind = "ldap"
    settings = LdapSettings

    def build(self, settings: LdapSettings, context: PluginContext) -> LdapIdentity:
        """See :class:`~mta.interfaces.IKind`."""
        return LdapIdentity(settings, context.reactor, context.base)


LDAP = LdapKind()
