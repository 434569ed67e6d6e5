"""Pauses a campaign that many bounce or complain about, before mailbox providers stop the sender.

It is looked at while the campaign runs.  Who resumes it has seen why: from then on only what comes after
that is counted, so that it does not pause again for what it has paused for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mta.campaign.campaigns import Campaign, get, move
from mta.campaign.definition import Guard
from mta.campaign.schema import TABLES
from mta.campaign.states import RUNNING
from mta.model.event import Event
from mta.model.event_campaign import CampaignChanged
from mta.registry.database import IDatabase

#: Who pauses it.
GUARD = "its guard"
#: Seconds between two looks at one campaign, at the least and at the most.
PAUSE = 1.0
_MOST_PAUSE = 120.0
_ROW = "SELECT halted, delivered, bounced, complained FROM campaign_guard WHERE campaign = ?"
_REMEDY = {
    "bounced": "the list is old or was not confirmed: `mta log --kind failed` tells what other servers say;"
    " take out who has not been heard of for long",
    "complained": "people do not want it, or do not know whom it is from: see where the addresses come from,"
    " and that it can be left easily",
}


@dataclass(frozen=True, slots=True)
class Tally:
    """What has come of a campaign's messages, by people."""

    delivered: int = 0
    bounced: int = 0
    complained: int = 0

    def since(self, before: Tally) -> Tally:
        """What has come since then."""
        return Tally(
            max(0, self.delivered - before.delivered),
            max(0, self.bounced - before.bounced),
            max(0, self.complained - before.complained),
        )


def tally(counts: Sequence[Mapping[str, int]]) -> Tally:
    """Of all variants together."""
    return Tally(
        *(sum(one.get(word, 0) for one in counts) for word in ("delivered", "bounced", "complained"))
    )


@dataclass(frozen=True, slots=True)
class Excess:
    """What there is too much of.

    :ivar what: ``bounced`` or ``complained``.
    :ivar count: that have done so, of ``of``.
    :ivar limit: the share that is allowed.
    """

    what: str
    count: int
    of: int
    limit: float

    @property
    def words(self) -> str:
        """Why, and what to do, in a sentence."""
        return (
            f"{self.count} of {self.of} {self.what} ({self.count / self.of:.2%}; more than {self.limit:.2%}"
            f" is too much); {_REMEDY[self.what]}; then resume or stop it"
        )


def excess(guard: Guard, found: Tally) -> Excess | None:
    """What there is too much of; complaints weigh more, and come first."""
    of = {"complained": found.delivered, "bounced": found.delivered + found.bounced}
    for what, all_of_them in of.items():
        bound, count = getattr(guard, what), getattr(found, what)
        # Reports of people to whom mail was forwarded may be more than what was delivered.
        base = max(all_of_them, count)
        if bound is not None and count >= bound.least and count > bound.share * base:
            return Excess(what, count, base, bound.share)
    return None


class Guarding:
    """See the module.

    :param database: has the campaigns.
    :param counts: what came of each variant.
    :param note: puts an event into the journal.
    :param seconds: the time.
    """

    def __init__(
        self,
        database: IDatabase,
        counts: Callable[[Campaign], Awaitable[Sequence[Mapping[str, int]]]],
        note: Callable[[Event], None],
        seconds: Callable[[], float],
    ) -> None:
        self._database = database
        self._counts = counts
        self._note = note
        self._seconds = seconds
        self._next: dict[int, float] = {}

    async def look(self, campaign: Campaign) -> bool:
        """Whether a running campaign was paused just now.

        :raise TemporarilyUnavailable: if the numbers or the database cannot be read.
        """
        guard, now, number = campaign.definition.guard, self._seconds(), campaign.id
        if guard is None or not campaign.started:
            return False
        if now < self._next.get(number, 0.0) <= now + _MOST_PAUSE:
            return False
        row = await self._database.read(lambda base: base.execute(_ROW, (number,)).fetchone())
        found = tally(await self._counts(campaign))
        if len(self._next) > 1000:
            self._next.clear()
        # Of a large campaign it takes a while: this is not to be what the worker does most.
        ended = self._seconds()
        self._next[number] = ended + min(_MOST_PAUSE, max(PAUSE, 20.0 * (ended - now)))
        if row is not None and row[0]:
            await self._change(lambda base: _resumed(base, number, found))
            return False
        much = excess(guard, found.since(Tally(*row[1:]) if row is not None else Tally()))
        if much is None:
            return False
        halted = await self._change(lambda base: _halted(base, campaign, row, now, much.words))
        if halted is None:
            return False
        self._note(
            CampaignChanged(
                at=now,
                action="halted",
                tenant=halted.tenant,
                campaign=halted.name,
                by=GUARD,
                reason=much.words,
                count=halted.total,
                evidence={much.what: much.count, "of": much.of, "limit": much.limit},
            )
        )
        return True

    async def _change(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        return await self._database.change(TABLES.noun, work)


def _halted(
    base: sqlite3.Connection, campaign: Campaign, before: tuple[int, ...] | None, now: float, why: str
) -> Campaign | None:
    """Pause it, unless somebody was before us, or something else is to be counted than was."""
    found = get(base, campaign.id)
    if found is None or found.state != RUNNING or found.definition.guard is None:
        return None
    if base.execute(_ROW, (campaign.id,)).fetchone() != before:
        return None
    base.execute(
        "INSERT INTO campaign_guard (campaign, halted) VALUES (?, 1)"
        " ON CONFLICT (campaign) DO UPDATE SET halted = 1",
        (campaign.id,),
    )
    return move(base, found, "pause", now, who=GUARD, reason=why, hold=found.definition.guard.hold)


def _resumed(base: sqlite3.Connection, number: int, found: Tally) -> None:
    """Count from now on, if nobody does yet."""
    base.execute(
        "UPDATE campaign_guard SET halted = 0, delivered = ?, bounced = ?, complained = ?"
        " WHERE campaign = ? AND halted = 1 AND EXISTS ("
        "SELECT 1 FROM campaigns WHERE id = ? AND state = 'running')",
        (found.delivered, found.bounced, found.complained, number, number),
    )
