"""Endpoints: where a tenant wants its events posted to, which of them, and the secrets that sign."""

from __future__ import annotations

import json
import secrets as random
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from mta.interfaces import Answer
from mta.model.a_labels import a_labels
from mta.registry import secret
from mta.registry.cached import Cached
from mta.registry.database import IDatabase
from mta.registry.schema import Tables
from mta.registry.secret import Secret

#: Endpoints that a tenant may have.
MOST = 50
#: In which format it may be told of events.
FORMATS = ("standard", "postmark", "sendgrid")
#: Characters of a URL.
LONGEST_URL = 2000
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

TABLES = Tables(
    "endpoints",
    (
        (
            """CREATE TABLE endpoints (
                id TEXT PRIMARY KEY,
                tenant TEXT NOT NULL,
                url TEXT NOT NULL,
                events TEXT NOT NULL,
                tags TEXT NOT NULL,
                description TEXT NOT NULL,
                created REAL NOT NULL,
                enabled INTEGER NOT NULL,
                disabled TEXT NOT NULL,
                secrets TEXT NOT NULL
            ) WITHOUT ROWID""",
            "CREATE INDEX endpoints_tenant ON endpoints (tenant, id)",
        ),
        ("ALTER TABLE endpoints ADD COLUMN format TEXT NOT NULL DEFAULT 'standard'",),
    ),
)


class NoEndpoint(LookupError):
    """The tenant has no such endpoint."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint.

    :ivar id: ``we_`` and sixteen characters.
    :ivar events: patterns of types: ``message.delivered``, ``message.*``, ``*``.
    :ivar tags: only events of messages with one of these; none: of all.
    :ivar description: for people.
    :ivar created: in seconds since 1970; earlier events are not its affair.
    :ivar enabled: whether events are posted to it.
    :ivar disabled: why not, where it was not the tenant who said so.
    :ivar secrets: the newest first.
    :ivar format: of :data:`FORMATS`.
    """

    id: str
    tenant: str
    url: str
    events: tuple[str, ...] = ("*",)
    tags: tuple[str, ...] = ()
    description: str = ""
    created: float = 0.0
    enabled: bool = True
    disabled: str = ""
    secrets: tuple[Secret, ...] = ()
    format: str = "standard"

    def wants(self, kind: str, tags: Iterable[str]) -> bool:
        """Whether an event is its affair."""
        if self.tags and not set(self.tags) & set(tags):
            return False
        group = kind.partition(".")[0] + ".*"
        return "*" in self.events or kind in self.events or group in self.events

    def signing(self, now: float) -> list[bytes]:
        """What signs now: while a secret is exchanged, two do."""
        return secret.signing(self.secrets, now)


def checked_url(text: str) -> str:
    """A URL to which events may be posted, with the host in A-labels.

    Whether its host may be reached is decided with each post.

    :raise ValueError: if it is none.
    """
    if len(text) > LONGEST_URL or not text.isprintable() or " " in text:
        raise ValueError(f"it is a URL of at most {LONGEST_URL} printable characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("it is no URL, such as https://app.example.org/hooks") from None
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError("it is no URL that begins with https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user and no password stands in it: what is posted is signed")
    if parts.fragment:
        raise ValueError("there is no fragment (#) in it")
    if port == 0:
        raise ValueError("0 is no port")
    if ":" in host:
        name = f"[{host}]"
    else:
        try:
            name = host if host.isascii() else a_labels(host)
        except UnicodeError:
            raise ValueError(f"{host!r} is no host") from None
    if not (parts.path + parts.query).isascii():
        raise ValueError("path and query are of ASCII characters: write the others as %XX")
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path or '/'}{query}"


class Endpoints:
    """The endpoints of all tenants.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database
        self._all = Cached(database, TABLES.noun, _all)

    def known(self) -> Answer[Mapping[str, Endpoint]]:
        """Every endpoint by its id."""
        return self._all.get()

    async def of(self, tenant: str) -> list[Endpoint]:
        """The endpoints of a tenant, by time."""
        found = await self._database.read(_all)
        mine = [one for one in found.values() if one.tenant == tenant]
        return sorted(mine, key=lambda one: (one.created, one.id))

    async def get(self, tenant: str, identifier: str) -> Endpoint:
        """One endpoint.

        :raise NoEndpoint: if the tenant has none of this id.
        """
        return await self._database.read(lambda base: _own(base, tenant, identifier))

    async def create(
        self,
        tenant: str,
        url: str,
        now: float,
        *,
        events: Sequence[str] = ("*",),
        tags: Sequence[str] = (),
        description: str = "",
        format: str = "standard",
    ) -> Endpoint:
        """Make one; its secret is in the answer.

        :raise ValueError: if the URL is none, or the tenant has too many.
        """
        identifier = "we_" + "".join(random.choice(_ALPHABET) for _ in range(16))
        made = Endpoint(
            identifier,
            tenant,
            checked_url(url),
            tuple(events),
            tuple(tags),
            description,
            now,
            secrets=(secret.new_secret(),),
            format=format,
        )

        def work(base: sqlite3.Connection) -> Endpoint:
            (count,) = base.execute("SELECT count(*) FROM endpoints WHERE tenant = ?", (tenant,)).fetchone()
            if count >= MOST:
                raise ValueError(f"there are {count} endpoints, and there may be {MOST}")
            _write(base, made)
            return made

        return await self._database.change(TABLES.noun, work)

    async def change(self, tenant: str, identifier: str, **changes: Any) -> Endpoint:
        """Set some of its fields.

        :raise NoEndpoint: if the tenant has none of this id.
        :raise ValueError: if the URL is none.
        """
        if "url" in changes:
            changes["url"] = checked_url(changes["url"])

        def work(base: sqlite3.Connection) -> Endpoint:
            changed = replace(_own(base, tenant, identifier), **changes)
            _write(base, changed)
            return changed

        return await self._database.change(TABLES.noun, work)

    async def rotate(self, tenant: str, identifier: str, now: float, overlap: float) -> Endpoint:
        """Give it a new secret; those before sign, too, for some seconds more.

        :raise NoEndpoint: if the tenant has none of this id.
        """

        def work(base: sqlite3.Connection) -> Endpoint:
            found = _own(base, tenant, identifier)
            changed = replace(found, secrets=secret.rotated(found.secrets, now, overlap))
            _write(base, changed)
            return changed

        return await self._database.change(TABLES.noun, work)

    async def remove(self, tenant: str, identifier: str) -> None:
        """Forget one.

        :raise NoEndpoint: if the tenant has none of this id.
        """

        def work(base: sqlite3.Connection) -> None:
            _own(base, tenant, identifier)
            base.execute("DELETE FROM endpoints WHERE id = ?", (identifier,))

        await self._database.change(TABLES.noun, work)


_COLUMNS = "id, tenant, url, events, tags, description, created, enabled, disabled, secrets, format"


def _endpoint(row: tuple[Any, ...]) -> Endpoint:
    identifier, tenant, url, events, tags, description, created, enabled, disabled, kept, format = row
    return Endpoint(
        identifier,
        tenant,
        url,
        tuple(json.loads(events)),
        tuple(json.loads(tags)),
        description,
        created,
        bool(enabled),
        disabled,
        secret.read(kept),
        format,
    )


def _all(base: sqlite3.Connection) -> dict[str, Endpoint]:
    return {row[0]: _endpoint(row) for row in base.execute(f"SELECT {_COLUMNS} FROM endpoints")}  # noqa: S608


def _own(base: sqlite3.Connection, tenant: str, identifier: str) -> Endpoint:
    query = f"SELECT {_COLUMNS} FROM endpoints WHERE id = ? AND tenant = ?"  # noqa: S608
    row = base.execute(query, (identifier, tenant)).fetchone()
    if row is None:
        raise NoEndpoint(identifier)
    return _endpoint(row)


def _write(base: sqlite3.Connection, one: Endpoint) -> None:
    base.execute(
        "INSERT OR REPLACE INTO endpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            one.id,
            one.tenant,
            one.url,
            json.dumps(one.events),
            json.dumps(one.tags),
            one.description,
            one.created,
            int(one.enabled),
            one.disabled,
            secret.kept(one.secrets),
            one.format,
        ),
    )
