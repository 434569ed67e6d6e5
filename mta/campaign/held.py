"""Which messages a pause has held, so that a resumption releases these, and none that a person holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mta.campaign.schema import TABLES
from mta.registry.database import IDatabase

#: In place of an id: all that are held, as it was before each was remembered.
ALL = ""


class Held:
    """Those of one worker's queue.

    :param database: has the campaigns.
    :param shard: of the worker.
    """

    def __init__(self, database: IDatabase, shard: int) -> None:
        self._database = database
        self._shard = shard

    async def of(self, campaign: int) -> list[str]:
        """The queue ids; :data:`ALL` may be among them."""
        query = "SELECT message FROM campaign_held WHERE campaign = ? AND shard = ?"
        values = (campaign, self._shard)
        rows = await self._database.read(lambda base: base.execute(query, values).fetchall())
        return [message for (message,) in rows]

    async def remember(self, campaign: int, messages: Sequence[str]) -> None:
        """Remember that these are held, before they are: a crash between leaves none behind."""
        rows = [(campaign, self._shard, one) for one in messages]

        def work(base: sqlite3.Connection) -> None:
            base.executemany("INSERT OR IGNORE INTO campaign_held VALUES (?, ?, ?)", rows)

        await self._database.change(TABLES.noun, work)

    async def forget(self, campaign: int) -> None:
        """None is held any more."""
        query, values = "DELETE FROM campaign_held WHERE campaign = ? AND shard = ?", (campaign, self._shard)
        await self._database.change(TABLES.noun, lambda base: base.execute(query, values).rowcount)
