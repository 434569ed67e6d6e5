"""Keys of applications: ``mk_<id>_<secret>``, of which only a hash is kept.

A secret has 256 random bits, so one round of SHA-256 keeps it as well as a slow hash would, and
costs a request nothing.  The id is no secret: it names the key in lists and in the journal.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mta.interfaces import Answer
from mta.registry.cached import Cached
from mta.registry.database import IDatabase
from mta.registry.schema import Tables

#: What keys may be for.
SCOPES: dict[str, str] = {
    "messages:send": "send messages, and cancel, reschedule, hold, release and retry those of the tenant",
    "messages:read": "look at messages and events, and follow them live",
    "statistics": "look at counts, rates and delivery times, by domain, tag, campaign and so on",
    "suppressions": "look at the suppression list and change it",
    "contacts": "look at contacts, lists and segments, change, import and export them",
    "contacts:read": "look at contacts, lists and segments",
    "sequences": "look at sequences, change them, and let contacts in, move and take them out",
    "sequences:read": "look at sequences and who is in them",
    "events": "tell what people did",
    "notifications": "tell contacts something by the channel that each has chosen",
    "domains": "look at domains, add them and have them verified",
    "templates": "look at templates and change them",
    "webhooks": "look at webhooks, change them, and have events delivered again",
    "campaigns": "make campaigns, start, pause and stop them, and look at what came of them",
    "campaigns:read": "look at campaigns and what came of them",
    "mailboxes": "look at the rules of mailboxes and change them",
    "keys": "look at keys, make them, rotate and revoke them",
    "admin": "everything of the tenant",
}
#: The name of the scope that has all others in it.
ADMIN = "admin"

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_KEY = re.compile(r"mk_([0-9a-z]{12})_([0-9A-Za-z]{43})")
_NOBODY = hashlib.sha256(b"").digest()

TABLES = Tables(
    "keys",
    (
        (
            """CREATE TABLE keys (
                id TEXT PRIMARY KEY,
                tenant TEXT NOT NULL,
                name TEXT NOT NULL,
                scopes TEXT NOT NULL,
                hash BLOB NOT NULL,
                created REAL NOT NULL,
                expires REAL NOT NULL,
                replaces TEXT NOT NULL
            ) WITHOUT ROWID""",
            "CREATE INDEX keys_tenant ON keys (tenant, id)",
        ),
    ),
)


class NoKey(LookupError):
    """The tenant has no such key."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key.

    :ivar id: twelve characters.
    :ivar name: for people.
    :ivar scopes: of :data:`SCOPES`.
    :ivar hash: SHA-256 of the secret.
    :ivar created: in seconds since 1970.
    :ivar expires: likewise; 0: never.
    :ivar replaces: the id of the key that it was rotated from.
    """

    id: str
    tenant: str
    name: str
    scopes: frozenset[str]
    hash: bytes
    created: float
    expires: float = 0.0
    replaces: str = ""

    def may(self, scope: str) -> bool:
        """Whether it is for something."""
        # Who may change something may look at it.
        return not self.scopes.isdisjoint((scope, scope.removesuffix(":read"), ADMIN))

    def is_expired(self, now: float) -> bool:
        """Whether its time is over."""
        return bool(self.expires) and self.expires <= now

    def __repr__(self) -> str:
        return f"<key {self.id} of {self.tenant}>"


def checked_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Scopes as they may be kept.

    :raise ValueError: if there are none, or one is unknown.
    """
    found = frozenset(scopes)
    if unknown := sorted(found - SCOPES.keys()):
        raise ValueError(f"there is no scope {unknown[0]!r}; known are {', '.join(SCOPES)}")
    if not found:
        raise ValueError(f"a key needs a scope; known are {', '.join(SCOPES)}")
    return found


class Keys:
    """The keys of all tenants.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database
        self._all = Cached(database, TABLES.noun, _all)

    def known(self) -> Answer[Mapping[str, Key]]:
        """Every key by its id, for :func:`matching`."""
        return self._all.get()

    async def of(self, tenant: str) -> list[Key]:
        """The keys of a tenant, by time."""

        def work(base: sqlite3.Connection) -> list[Key]:
            found = [key for key in _all(base).values() if key.tenant == tenant]
            return sorted(found, key=lambda key: (key.created, key.id))

        return await self._database.read(work)

    async def get(self, tenant: str, identifier: str) -> Key:
        """One key.

        :raise NoKey: if the tenant has none of this id.
        """
        return await self._database.read(lambda base: _own(base, tenant, identifier))

    async def create(
        self, tenant: str, name: str, scopes: Iterable[str], now: float, expires: float = 0.0
    ) -> tuple[Key, str]:
        """Make one; answers with it and its text, which is known only now.

        :raise ValueError: if the scopes are wrong.
        """
        key, text = _new(tenant, name, checked_scopes(scopes), now, expires, "")
        await self._database.change(TABLES.noun, lambda base: _write(base, key))
        return key, text

    async def rotate(
        self, tenant: str, identifier: str, now: float, overlap: float, expires: float = 0.0
    ) -> tuple[Key, str]:
        """Make one in place of another, which is good for some seconds more.

        :param overlap: so many.
        :raise NoKey: if the tenant has none of this id, or it is expired.
        """

        def work(base: sqlite3.Connection) -> tuple[Key, str]:
            old = _own(base, tenant, identifier)
            if old.is_expired(now):
                raise NoKey(identifier)
            key, text = _new(tenant, old.name, old.scopes, now, expires, old.id)
            until = now + overlap
            _write(base, replace(old, expires=min(old.expires, until) if old.expires else until))
            _write(base, key)
            return key, text

        return await self._database.change(TABLES.noun, work)

    async def revoke(self, tenant: str, identifier: str) -> None:
        """Forget one; requests with it are refused from now on.

        :raise NoKey: if the tenant has none of this id.
        """

        def work(base: sqlite3.Connection) -> None:
            _own(base, tenant, identifier)
            base.execute("DELETE FROM keys WHERE id = ?", (identifier,))

        await self._database.change(TABLES.noun, work)


def matching(known: Mapping[str, Key], text: str, now: float) -> Key | None:
    """The key that a text is, if it is one and not expired.

    Whether there is a key of this id takes as long to say as whether its secret is right.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    key = known.get(match[1])
    given = hashlib.sha256(match[2].encode()).digest()
    if not hmac.compare_digest(given, _NOBODY if key is None else key.hash):
        return None
    return None if key is None or key.is_expired(now) else key


def _new(
    tenant: str, name: str, scopes: frozenset[str], now: float, expires: float, replaces: str
) -> tuple[Key, str]:
    identifier = "".join(secrets.choice(_ALPHABET[:36]) for _ in range(12))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(43))
    hashed = hashlib.sha256(secret.encode()).digest()
    return Key(identifier, tenant, name, scopes, hashed, now, expires, replaces), f"mk_{identifier}_{secret}"


_COLUMNS = "id, tenant, name, scopes, hash, created, expires, replaces"


def _key(row: tuple[str, str, str, str, bytes, float, float, str]) -> Key:
    identifier, tenant, name, scopes, hashed, created, expires, replaces = row
    return Key(identifier, tenant, name, frozenset(scopes.split()), hashed, created, expires, replaces)


def _all(base: sqlite3.Connection) -> dict[str, Key]:
    return {row[0]: _key(row) for row in base.execute(f"SELECT {_COLUMNS} FROM keys")}  # noqa: S608


def _own(base: sqlite3.Connection, tenant: str, identifier: str) -> Key:
    query = f"SELECT {_COLUMNS} FROM keys WHERE id = ? AND tenant = ?"  # noqa: S608
    row = base.execute(query, (identifier, tenant)).fetchone()
    if row is None:
        raise NoKey(identifier)
    return _key(row)


def _write(base: sqlite3.Connection, key: Key) -> None:
    base.execute(
        f"INSERT OR REPLACE INTO keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            key.id,
            key.tenant,
            key.name,
            " ".join(sorted(key.scopes)),
            key.hash,
            key.created,
            key.expires,
            key.replaces,
        ),
    )
