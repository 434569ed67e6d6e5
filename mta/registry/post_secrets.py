"""What signs posts of a tenant that go to no endpoint of it: to people, and to URLs of sequences.

The first is made of the server's secret, and kept nowhere; those that take its place are kept.
"""

from __future__ import annotations

import hmac
import sqlite3

from mta.registry import secret
from mta.registry.database import IDatabase
from mta.registry.schema import Tables
from mta.registry.secret import Secret

TABLES = Tables(
    "post_secrets",
    (("CREATE TABLE post_secrets (tenant TEXT PRIMARY KEY, secrets TEXT NOT NULL) WITHOUT ROWID",),),
)


class PostSecrets:
    """Those of all tenants.

    :param database: keeps them.
    :param root: the server's secret; all its workers have the same.
    """

    def __init__(self, database: IDatabase, root: bytes) -> None:
        self._database = database
        self._root = root

    async def of(self, tenant: str) -> tuple[Secret, ...]:
        """Those of a tenant, the newest first.

        :raise TemporarilyUnavailable: if that cannot be read.
        """
        return await self._database.read(lambda base: self._find(base, tenant))

    async def rotate(self, tenant: str, now: float, overlap: float) -> tuple[Secret, ...]:
        """Give a tenant a new one; those before sign, too, for some seconds more.

        :raise TemporarilyUnavailable: if it cannot be kept.
        """

        def work(base: sqlite3.Connection) -> tuple[Secret, ...]:
            found = secret.rotated(self._find(base, tenant), now, overlap)
            base.execute("INSERT OR REPLACE INTO post_secrets VALUES (?, ?)", (tenant, secret.kept(found)))
            return found

        return await self._database.change(TABLES.noun, work)

    def _find(self, base: sqlite3.Connection, tenant: str) -> tuple[Secret, ...]:
        row = base.execute("SELECT secrets FROM post_secrets WHERE tenant = ?", (tenant,)).fetchone()
        if row is not None:
            return secret.read(row[0])
        return (Secret(hmac.digest(self._root, b"notifications of\n" + tenant.encode(), "sha256")),)
