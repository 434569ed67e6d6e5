"""The campaigns of all tenants: kept, changed while they are drafts, and led from state to state."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mta.campaign.definition import Definition
from mta.campaign.schema import TABLES
from mta.campaign.states import DRAFT, RUNNING, SCHEDULED, STOPPED, NotNow, after
from mta.registry.database import IDatabase

#: The name of a campaign; messages, events and statistics have it.
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
#: Campaigns of one tenant.
MOST = 10_000
#: Nothing has been chosen; everybody gets the variant that was drawn.
UNDECIDED, SPLIT = -1, -2

COLUMNS = (
    "id, tenant, name, state, definition, created, changed, begins, started, ended, reason, who, hold, epoch,"
    " prepared, total, active, looked, credit, tested, chosen, decision"
)


class NoCampaign(LookupError):
    """The tenant has no such campaign."""


class Exists(ValueError):
    """There is one of this name."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign.

    :ivar begins: when it begins by itself; 0: it does not.
    :ivar started: and ``ended``: in seconds since 1970; 0: not yet.
    :ivar reason: of its last change of state.
    :ivar who: has changed it last.
    :ivar hold: whether what is in the queue is held, too; after a pause, whether it was.
    :ivar epoch: grows with each change of state.
    :ivar prepared: whether everybody who gets it is known.
    :ivar total: how many they are.
    :ivar active: seconds for which it has run; with ``looked`` and ``credit`` its clock.
    :ivar tested: when the last of the test was handed over; 0: not yet, or there is no test.
    :ivar chosen: the variant that the rest gets; see :data:`UNDECIDED` and :data:`SPLIT`.
    :ivar decision: why, as JSON.
    """

    id: int
    tenant: str
    name: str
    state: str
    definition: Definition
    created: float
    changed: float
    begins: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    reason: str = ""
    who: str = ""
    hold: bool = False
    epoch: int = 0
    prepared: bool = False
    total: int = 0
    active: float = 0.0
    looked: float = 0.0
    credit: float = 1.0
    tested: float = 0.0
    chosen: int = UNDECIDED
    decision: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What no other campaign has; draws are made of it."""
        return f"{self.tenant}\n{self.name}"

    @property
    def waits_for_result(self) -> bool:
        """Whether the rest waits for what the test shows."""
        return self.definition.test is not None and self.chosen == UNDECIDED


def checked_name(name: str) -> str:
    """The name of a campaign.

    :raise ValueError: if it is none.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is no name of a campaign: 1 to 64 of a-z, 0-9, '.', '_' and '-', of these a"
            " letter or digit first and last"
        )
    return name


def campaign_of(row: Sequence[Any]) -> Campaign:
    """A campaign from its row, with the columns of :data:`COLUMNS`."""
    created, changed, begins, started, ended, reason, who, hold, epoch, prepared = row[5:15]
    total, active, looked, credit, tested, chosen, decision = row[15:22]
    return Campaign(
        id=row[0],
        tenant=row[1],
        name=row[2],
        state=row[3],
        definition=Definition.of(json.loads(row[4])),
        created=created,
        changed=changed,
        begins=begins,
        started=started,
        ended=ended,
        reason=reason,
        who=who,
        hold=bool(hold),
        epoch=epoch,
        prepared=bool(prepared),
        total=total,
        active=active,
        looked=looked,
        credit=credit,
        tested=tested,
        chosen=chosen,
        decision=json.loads(decision) if decision else {},
    )


def find(base: sqlite3.Connection, tenant: str, name: str) -> Campaign:
    """One.

    :raise NoCampaign: if there is none.
    """
    query = f"SELECT {COLUMNS} FROM campaigns WHERE tenant = ? AND name = ?"  # noqa: S608
    row = base.execute(query, (tenant, name)).fetchone()
    if row is None:
        raise NoCampaign(f"there is no campaign {name!r:.80}")
    return campaign_of(row)


def get(base: sqlite3.Connection, number: int) -> Campaign | None:
    """One by its number."""
    row = base.execute(f"SELECT {COLUMNS} FROM campaigns WHERE id = ?", (number,)).fetchone()  # noqa: S608
    return None if row is None else campaign_of(row)


def move(
    base: sqlite3.Connection,
    campaign: Campaign,
    act: str,
    now: float,
    *,
    who: str = "",
    reason: str = "",
    hold: bool = False,
    begins: float = 0.0,
    bundles: Sequence[str] = (),
) -> Campaign:
    """Lead it to its next state, in somebody's transaction.

    :param hold: of ``pause``: hold what is in the queue, too.
    :param begins: of ``schedule``: when.
    :param bundles: of ``start``: the contents, by variant, as they are sent from now on.
    :raise NotNow: if that cannot be done now.
    """
    state = after(act, campaign.state)
    started = now if act == "start" else campaign.started
    ended = now if act in ("stop", "finish") else 0.0
    base.execute(
        "UPDATE campaigns SET state = ?, changed = ?, begins = ?, started = ?, ended = ?, reason = ?,"
        " who = ?, hold = ?, epoch = epoch + 1, looked = CASE WHEN ? THEN ? ELSE looked END,"
        " bundles = CASE WHEN ? <> '' THEN ? ELSE bundles END WHERE id = ?",
        (
            state,
            now,
            begins if state == SCHEDULED else campaign.begins if state != DRAFT else 0.0,
            started,
            ended,
            reason,
            who,
            hold if act == "pause" else campaign.hold and act in ("resume", "stop"),
            # What lies between was no running.
            state == RUNNING,
            now,
            *(2 * (json.dumps(list(bundles)) if bundles else "",)),
            campaign.id,
        ),
    )
    found = get(base, campaign.id)
    assert found is not None
    return found


class Campaigns:
    """See the module.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database

    async def add(self, tenant: str, name: str, definition: Definition, now: float, who: str) -> Campaign:
        """Make a draft.

        :raise Exists: if there is one of this name, or there was.
        :raise ValueError: if there are too many.
        """
        text = json.dumps(asdict(definition))

        def work(base: sqlite3.Connection) -> Campaign:
            (count,) = base.execute("SELECT count(*) FROM campaigns WHERE tenant = ?", (tenant,)).fetchone()
            if count >= MOST:
                raise ValueError(f"there are {count} campaigns already, and {MOST} is the most")
            try:
                base.execute(
                    "INSERT INTO campaigns (tenant, name, state, definition, created, changed, who)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (tenant, name, DRAFT, text, now, now, who),
                )
            except sqlite3.IntegrityError:
                raise Exists(f"there is a campaign {name} already, and its numbers stay its own") from None
            return find(base, tenant, name)

        return await self._database.change(TABLES.noun, work)

    async def change(self, tenant: str, name: str, definition: Definition, now: float, who: str) -> Campaign:
        """Change a draft.

        :raise NoCampaign: if there is none.
        :raise NotNow: if it is no draft any more.
        """
        text = json.dumps(asdict(definition))

        def work(base: sqlite3.Connection) -> Campaign:
            campaign = find(base, tenant, name)
            if campaign.state != DRAFT:
                raise NotNow(f"only a draft may be changed, and {name} is {campaign.state}")
            base.execute(
                "UPDATE campaigns SET definition = ?, changed = ?, who = ? WHERE id = ?",
                (text, now, who, campaign.id),
            )
            return find(base, tenant, name)

        return await self._database.change(TABLES.noun, work)

    async def remove(self, tenant: str, name: str) -> Campaign:
        """Forget a draft.

        :raise NoCampaign: if there is none.
        :raise NotNow: if it was started: its name stays taken.
        """

        def work(base: sqlite3.Connection) -> Campaign:
            campaign = find(base, tenant, name)
            if campaign.state not in (DRAFT, STOPPED) or campaign.started:
                raise NotNow(f"only what was never started may be removed, and {name} is {campaign.state}")
            base.execute("DELETE FROM campaigns WHERE id = ?", (campaign.id,))
            return campaign

        return await self._database.change(TABLES.noun, work)

    async def get(self, tenant: str, name: str) -> Campaign:
        """One.

        :raise NoCampaign: if there is none.
        """
        return await self._database.read(lambda base: find(base, tenant, name))

    async def page(self, tenant: str, before: int = 0, limit: int = 100, state: str = "") -> list[Campaign]:
        """Campaigns, the last made first.

        :param before: the number of the last one of the page before; 0: the first page.
        """
        query = (
            f"SELECT {COLUMNS} FROM campaigns WHERE tenant = ? AND (? = 0 OR id < ?)"  # noqa: S608
            " AND (? = '' OR state = ?) ORDER BY id DESC LIMIT ?"
        )
        values = (tenant, before, before, state, state, limit)
        rows = await self._database.read(lambda base: base.execute(query, values).fetchall())
        return [campaign_of(row) for row in rows]

    async def act(self, tenant: str, name: str, act: str, now: float, **more: Any) -> Campaign:
        """Lead one to its next state; see :func:`move`.

        :raise NoCampaign: if there is none.
        :raise NotNow: if that cannot be done now.
        """
        return await self._database.change(
            TABLES.noun, lambda base: move(base, find(base, tenant, name), act, now, **more)
        )


def empty(base: sqlite3.Connection, tenant: str) -> None:
    """Forget all of a tenant that is gone, in somebody's transaction."""
    for (number,) in base.execute("SELECT id FROM campaigns WHERE tenant = ?", (tenant,)).fetchall():
        for table in ("people", "pieces", "waves", "applied", "held", "guard"):
            base.execute(f"DELETE FROM campaign_{table} WHERE campaign = ?", (number,))  # noqa: S608
        base.execute("DELETE FROM campaigns WHERE id = ?", (number,))
