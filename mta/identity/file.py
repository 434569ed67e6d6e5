"""Kind ``file``: accounts in a passwd-file as Dovecot reads it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Table as SettingsTable
from mta.identity.credentials import (
    IDecoy,
    IPasswordMark,
    IScramCredentials,
    IScramKeySource,
    IUsernamePassword,
    UnknownAccount,
)
from mta.identity.entry import Entry, Table, parse_passwd
from mta.identity.scram import ScramKeys
from mta.interfaces import (
    Answer,
    IDirectory,
    IIdentity,
    IKind,
    IReloadable,
    Mailbox,
    PluginContext,
    TemporarilyUnavailable,
    settle,
)
from mta.model.address import Address

_log = Logger()
_REMEMBERED = 10_000
#: Passwords verified at once, and those that wait for that.  One of argon2id takes 64 MiB and
#: a processor for a while, and the threads are for aliases, content and the operator as well.
AT_ONCE = min(4, os.cpu_count() or 1)
MOST_WAITING = 200


class FileSettings(SettingsTable):
    """Settings of ``kind = "file"``.

    ``path`` is relative to the configuration; names without ``@`` belong to
    ``domain``, or to the host name; ``scram = false`` offers no SCRAM.
    """

    path: str
    domain: str = ""
    default_scheme: str = "CRYPT"
    scram: bool = True


@implementer(IIdentity, ICredentialsChecker, IDirectory, IReloadable, IScramKeySource, IDecoy, IPasswordMark)
class FileIdentity:
    """Verifies passwords and finds mailboxes in one file.

    :param path: absolute.
    :param settings: the rest of the table.
    :param clock: ``seconds()``.
    :param run_in_thread: ``(callable, *args) -> Awaitable``.
    :param domain: for names without ``@``.
    :raise ValueError: if the file cannot be read or has errors.
    """

    credentialInterfaces = (IUsernamePassword, IScramCredentials)
    #: Seconds for which a verified password is remembered, as a keyed hash.
    remember = 60.0

    def __init__(
        self, path: Path, settings: FileSettings, clock: Any, run_in_thread: Any, domain: str = ""
    ) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock
        self._run = run_in_thread
        self._domain = domain
        self._key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, float] = OrderedDict()
        self._free = DeferredSemaphore(AT_ONCE)
        self._checked = clock.seconds()
        self._mark, self._table = self._load()

    @property
    def offers_scram(self) -> bool:
        """See ``IScramKeySource``."""
        return self._settings.scram and self._table.has_scram

    @property
    def scram_iterations(self) -> int:
        """See ``IScramKeySource``."""
        return self._table.iterations

    def _load(self) -> tuple[tuple[int, ...], Table]:
        try:
            mark = self._stat()
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            raise ValueError(
                f"path: there is no file {self._path}; `mta user add ADDRESS` makes it"
            ) from None
        except OSError as error:
            raise ValueError(f"path: {self._path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"path: {self._path} cannot be read: {error}") from None
        return mark, parse_passwd(text, str(self._path), self._domain, self._settings.default_scheme)

    def _stat(self) -> tuple[int, ...]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _load_if_changed(self) -> tuple[tuple[int, ...], Table] | None:
        try:
            if self._stat() == self._mark:
                return None
        except OSError as error:
            raise ValueError(f"{self._path}: cannot be read: {error}") from None
        return self._load()

    async def reload(self) -> None:
        """See :class:`~mta.interfaces.IReloadable`."""
        self._mark, self._table = await self._run(self._load)

    def _look(self) -> Deferred[None] | None:
        """Have a thread see, once a second, whether the file changed.

        :return: fires when it has; ``None`` if it was seen just now.
        """
        now = self._clock.seconds()
        if now < self._checked + 1:
            return None
        self._checked = now
        return Deferred.fromCoroutine(self._refresh())

    async def _refresh(self) -> None:
        self._use(await self._run(self._try_to_load))

    def _try_to_load(self) -> tuple[tuple[int, ...], Table] | None:
        """The file, if it changed and can be read.  In a thread."""
        try:
            return self._load_if_changed()
        except Exception as error:
            _log.error("keeping the accounts as they were: {error}", error=str(error))
            return None

    def _use(self, fresh: tuple[tuple[int, ...], Table] | None) -> bool:
        if fresh is None:
            return False
        self._mark, self._table = fresh
        return True

    def _entry(self, name: str) -> Entry | None:
        name = name.lower()
        entry = self._table.entries.get(name)
        if entry is None and "@" not in name and self._domain:
            entry = self._table.entries.get(f"{name}@{self._domain}".lower())
        return entry

    def look_up(self, address: Address) -> Answer[Mailbox | None]:
        """See :class:`~mta.interfaces.IDirectory`."""
        return self.account(str(address))

    def account(self, avatar: str) -> Answer[Mailbox | None]:
        """See :class:`~mta.interfaces.IDirectory`."""
        looking = self._look()
        entry = self._entry(avatar)
        if entry is not None:
            return entry.mailbox
        # Who was added a moment ago is not to be refused: a 550 is for good.
        return None if looking is None else self._account(looking, avatar)

    async def _account(self, looking: Deferred[None], avatar: str) -> Mailbox | None:
        await looking
        entry = self._entry(avatar)
        return entry.mailbox if entry else None

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """Verify; fires with the address.

        :raise UnauthorizedLogin: (later) if the password is wrong or nobody may log in.
        :raise TemporarilyUnavailable: (later) if too many wait for being verified.
        """
        return Deferred.fromCoroutine(self._verify(credentials))

    async def _verify(self, credentials: Any) -> str:
        looking = self._look()
        if looking is not None:
            # A password that was taken away a moment ago does not hold any more.
            await looking
        entry = self._entry(credentials.username.decode("utf-8", "replace"))
        if entry is None or entry.verify is None:
            raise UnknownAccount(f"{self._path.name}: no such account, or one that may not log in")
        address = entry.mailbox.address
        if IScramCredentials.providedBy(credentials):
            keys = await self._keys(entry, credentials.salt)
            if keys is None or not credentials.check_keys(keys):
                raise UnauthorizedLogin(f"{self._path.name}: wrong password")
            return address
        password = credentials.password
        # Keyed and over the stored hash too: forgotten as soon as the password changes.
        parts = (address.encode(), entry.stored.encode(), password)
        token = hmac.digest(self._key, b"\0".join(hashlib.sha256(part).digest() for part in parts), "sha256")
        until = self._verified.get(token)
        if until is not None and self._clock.seconds() < until:
            return address
        right, fresh = await self._hash(self._compare, entry.verify, password)
        if not right:
            if self._use(fresh):
                return await self._verify(credentials)
            raise UnauthorizedLogin(f"{self._path.name}: wrong password")
        self._verified[token] = self._clock.seconds() + self.remember
        self._verified.move_to_end(token)
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
        return address

    def _compare(self, verify: Any, password: bytes) -> tuple[bool, tuple[tuple[int, ...], Table] | None]:
        """Whether it is the password; if not, what the file says if it changed a moment ago.  In a thread."""
        return (True, None) if verify(password) else (False, self._try_to_load())

    async def password_mark(self, account: str) -> str:
        """See ``IPasswordMark``."""
        looking = self._look()
        if looking is not None:
            await looking
        entry = self._entry(account)
        return entry.stored if entry is not None and entry.verify is not None else ""

    async def decoy(self, credentials: Any) -> None:
        """Verify against somebody's hash, and forget the result."""
        if self._table.decoy is not None:
            await self._hash(self._table.decoy, credentials.password)

    async def _hash(self, function: Any, *arguments: Any) -> Any:
        """Run in a thread what a stranger can make us compute, a few at once.

        :raise TemporarilyUnavailable: if too many wait.
        """
        if len(self._free.waiting) >= MOST_WAITING:
            raise TemporarilyUnavailable(f"{self._path.name}: too many passwords wait for being verified")
        await self._free.acquire()
        try:
            return await self._run(function, *arguments)
        finally:
            self._free.release()

    def scram_keys(self, username: str, salt: bytes) -> Answer[ScramKeys | None]:
        """See ``IScramKeySource``."""
        looking = self._look()
        if looking is not None:
            return self._current_keys(looking, username, salt)
        entry = self._entry(username)
        if entry is None or entry.verify is None or not self._settings.scram:
            return None
        return self._keys(entry, salt)

    async def _current_keys(self, looking: Deferred[None], username: str, salt: bytes) -> ScramKeys | None:
        await looking
        return await settle(self.scram_keys(username, salt))

    async def _keys(self, entry: Entry, salt: bytes) -> ScramKeys | None:
        if entry.scram is None and entry.clear:
            keys: ScramKeys = await self._hash(ScramKeys.derive, entry.clear, salt, self.scram_iterations)
            return keys
        return entry.scram


@implementer(IPlugin, IKind)
class FileKind:
    """Makes :class:`FileIdentity`."""

    seam = IIdentity
    kind = "file"
    settings = FileSettings

    def build(self, settings: FileSettings, context: PluginContext) -> FileIdentity:
        """See :class:`~mta.interfaces.IKind`."""
        path = Path(context.base) / settings.path
        domain = settings.domain or context.hostname
        return FileIdentity(path, settings, context.reactor, context.run_in_thread, domain)


FILE = FileKind()
