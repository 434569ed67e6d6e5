"""Runs the campaigns of all tenants in one worker: begins them, claims and sends pieces, decides tests.

Every second it looks whether something is due.  All workers do; what is claimed in a transaction is the
claimer's alone, so that it does not matter which of them comes first, or dies.  A piece that a dead worker
has left is settled at its next start: what the journal knows is sent, the rest waits for its turn again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from mta.campaign import dispatch
from mta.campaign.campaigns import COLUMNS, SPLIT, Campaign, campaign_of, get, move
from mta.campaign.contents import Unready
from mta.campaign.dispatch import Piece, Somebody
from mta.campaign.schema import TABLES, TAKEN, WAITING
from mta.campaign.states import RUNNING, SCHEDULED
from mta.campaign.statistics import Trial
from mta.campaign.verdict import judge
from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Event
from mta.model.event_campaign import CampaignChanged
from mta.registry.database import IDatabase, Work

#: Seconds between two looks.
_TICK = 1.0
#: Seconds after which the campaign's clock is written, whether anybody may go or not.
_BEAT = 15.0
#: Seconds for which a campaign rests that could not go on.
_REST = 30.0
#: Seconds by which a scheduled campaign may be late: after that a person is asked.
LATE = 86400.0
#: Who acts when nobody does.
ITSELF = "its schedule"


class Runs(Protocol):
    """Hands pieces over; see :class:`mta.campaign.sending.Sending`."""

    async def run(
        self, campaign: Campaign, bundles: Sequence[str], piece: Piece
    ) -> dict[int, tuple[int, str]]:
        """Hand over a piece."""


class Applies(Protocol):
    """Acts on the queue; see :class:`mta.campaign.queued.Queued`."""

    async def apply(self, campaign: Campaign) -> int:
        """Do what the state of a campaign asks for."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a runner asks of others.

    :ivar used: whether there may be campaigns at all.
    :ivar members: some of an audience: (base, tenant, condition, after, now) to people, and where it goes on.
    :ivar freeze: looks at a campaign that begins; its contents, by variant.
    :ivar allow: how many of so many a tenant may send to now; they are counted.
    :ivar give_back: some were not sent to after all.
    :ivar trials: what came of each variant, by the metric of its test.
    :ivar halts: whether a campaign was paused just now, for many bounce or complain.
    :ivar accepted: of queue ids those that the journal knows.
    :ivar new_id: gives queue ids.
    """

    used: Callable[[], bool]
    members: Callable[
        [sqlite3.Connection, str, dict[str, Any], int, float], tuple[Sequence[Somebody], int | None]
    ]
    freeze: Callable[[Campaign], Awaitable[Sequence[str]]]
    allow: Callable[[str, int], Awaitable[int]]
    give_back: Callable[[str, int], None]
    trials: Callable[[Campaign], Awaitable[Sequence[Trial]]]
    halts: Callable[[Campaign], Awaitable[bool]]
    accepted: Callable[[Collection[str]], Awaitable[Collection[str]]]
    new_id: Callable[[], str]
    note: Callable[[Event], None]


class Runner:
    """See the module.

    :param reactor: the reactor.
    :param shard: of this worker.
    :param workers: how many there are.
    :param database: has the campaigns.
    :param around: what it asks of others.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        shard: int,
        workers: int,
        database: IDatabase,
        sending: Runs,
        queued: Applies,
        around: Around,
    ) -> None:
        self._reactor = reactor
        self._shard = shard
        self._workers = workers
        self._database = database
        self._sending = sending
        self._queued = queued
        self._around = around
        self._busy: dict[int, Deferred[None]] = {}
        self._rests: dict[int, float] = {}
        self._bundles: dict[int, list[str]] = {}
        self._sent: set[str] = set()
        self._version = -2
        self._active = False
        self._later: Any = None
        self._stopping = False
        self._settled = False
        self._looking = False

    def start(self) -> None:
        """Begin to look."""
        # A worker that only empties the queue of a shard that is given up begins nothing.
        if self._shard < self._workers:
            self._later = self._reactor.callLater(_TICK, self._tick)

    async def stop(self) -> None:
        """Claim nothing any more, and wait for what is under way."""
        self._stopping = True
        if self._later is not None and self._later.active():
            self._later.cancel()
        await DeferredList(list(self._busy.values()))

    def wake(self) -> None:
        """Look now: something was changed here."""
        self._version = -2
        if self._later is not None and self._later.active() and not self._stopping:
            self._later.reset(0)

    async def runs(self, number: int) -> bool:
        """Whether a campaign may hand over still."""
        query = "SELECT state FROM campaigns WHERE id = ?"
        row = await self._database.read(lambda base: base.execute(query, (number,)).fetchone())
        return not self._stopping and row is not None and row[0] == RUNNING

    # --- looking -------------------------------------------------------------------

    def _tick(self) -> None:
        self._later = None
        if self._looking or not self._around.used():
            self._again()
            return
        version = self._database.version(TABLES.noun)
        if version >= 0 and version == self._version and not self._active and self._settled:
            self._again()
            return
        self._version = version
        self._looking = True

        def done(result: Any) -> None:
            self._looking = False
            self._again()

        Deferred.fromCoroutine(self.look()).addErrback(self._failed).addBoth(done)

    def _again(self) -> None:
        if not self._stopping:
            self._later = self._reactor.callLater(_TICK, self._tick)

    def _failed(self, failure: Any) -> None:
        if failure.check(TemporarilyUnavailable):
            self.log.warn("Campaigns wait: {why}", why=failure.getErrorMessage())
        else:
            self.log.failure("Campaigns wait", failure)
        self._version = -2

    async def look(self) -> None:
        """See what is due, and do it."""
        if not self._settled:
            await self._settle_left()
            self._settled = True
        now = self._reactor.seconds()
        shard = self._shard

        def work(base: sqlite3.Connection) -> tuple[list[Campaign], list[Campaign]]:
            rows = base.execute(
                f"SELECT {COLUMNS} FROM campaigns WHERE state IN ('scheduled', 'running')"  # noqa: S608
            )
            going = [campaign_of(row) for row in rows]
            rows = base.execute(
                f"SELECT {COLUMNS} FROM campaigns c WHERE started > 0"  # noqa: S608
                " AND (state IN ('running', 'paused', 'stopped') OR EXISTS ("
                "SELECT 1 FROM campaign_held h WHERE h.campaign = c.id AND shard = ?)) AND epoch > coalesce("
                "(SELECT a.epoch FROM campaign_applied a WHERE a.campaign = c.id AND shard = ?), 0)",
                (shard, shard),
            )
            return going, [campaign_of(row) for row in rows]

        going, changed = await self._database.read(work)
        self._active = bool(going or changed)
        for campaign in changed:
            self._do(campaign, self._apply)
        for campaign in going:
            if campaign.state == SCHEDULED:
                if campaign.begins <= now:
                    self._do(campaign, self._begin)
            elif self._rests.get(campaign.id, 0.0) <= now:
                self._do(campaign, self._advance)

    def _do(self, campaign: Campaign, act: Callable[[Campaign], Awaitable[None]]) -> None:
        number = campaign.id
        if number in self._busy or self._stopping:
            return
        ended: Deferred[None] = Deferred()
        self._busy[number] = ended

        async def run() -> None:
            await act(campaign)

        def failed(failure: Any) -> None:
            self._rests[number] = self._reactor.seconds() + _REST
            if failure.check(TemporarilyUnavailable):
                self.log.warn(
                    "campaign {name} waits: {why}", name=campaign.name, why=failure.getErrorMessage()
                )
            else:
                self.log.failure("campaign {name} waits", failure, name=campaign.name)

        def done(result: Any) -> None:
            self._busy.pop(number).callback(None)

        Deferred.fromCoroutine(run()).addErrback(failed).addBoth(done)

    # --- its states -----------------------------------------------------------------

    async def _begin(self, campaign: Campaign) -> None:
        """Start what is scheduled, unless it is too late or not fit."""
        now = self._reactor.seconds()
        try:
            if now - campaign.begins > LATE:
                raise Unready(
                    "its time passed more than a day ago, when no server ran: schedule it anew, or start it"
                )
            bundles = await self._around.freeze(campaign)
        except Unready as why:
            await self._move(campaign, "unschedule", reason=str(why))
            return
        await self._move(campaign, "start", bundles=bundles)

    async def _move(self, campaign: Campaign, act: str, **more: Any) -> None:
        """Do what the schedule asks for, if nobody was before us."""
        now = self._reactor.seconds()

        def work(base: sqlite3.Connection) -> Campaign | None:
            found = get(base, campaign.id)
            if found is None or found.epoch != campaign.epoch:
                return None
            return move(base, found, act, now, who=ITSELF, **more)

        moved = await self._change(work)
        if moved is not None:
            self.told(moved, act)

    async def _apply(self, campaign: Campaign) -> None:
        """Do to our queue what a change of state asks for."""
        count = await self._queued.apply(campaign)
        if count:
            self.log.info(
                "campaign {name} is {state}: {count} messages of it in the queue were changed",
                name=campaign.name,
                state=campaign.state,
                count=count,
            )
        values = (campaign.id, self._shard, campaign.epoch)
        query = "INSERT OR REPLACE INTO campaign_applied VALUES (?, ?, ?)"
        await self._change(lambda base: base.execute(query, values).rowcount)

    async def _advance(self, campaign: Campaign) -> None:
        """Do what a running campaign has to do just now."""
        if not campaign.prepared and not await self._prepare(campaign):
            return
        while not self._stopping:
            if await self._around.halts(campaign):
                return
            if not await self._piece(campaign):
                break
        await self._decide(campaign.id)

    async def _prepare(self, campaign: Campaign) -> bool:
        """Write down who gets it; whether all are."""
        condition = campaign.definition.target.condition()
        started = campaign.started

        def work(base: sqlite3.Connection) -> bool:
            row = base.execute(
                "SELECT reached, prepared FROM campaigns WHERE id = ? AND state = 'running'", (campaign.id,)
            ).fetchone()
            if row is None or row[1]:
                return True
            people, following = self._around.members(base, campaign.tenant, condition, row[0], started)
            dispatch.enrol(base, campaign, row[0], people, following)
            return following is None

        while not self._stopping:
            if await self._change(work):
                return True
        return False

    async def _piece(self, campaign: Campaign) -> bool:
        """Claim a piece and send it; whether there may be another at once."""
        number, shard, now = campaign.id, self._shard, self._reactor.seconds()

        def look(base: sqlite3.Connection) -> tuple[Campaign | None, int]:
            found = get(base, number)
            return found, dispatch.ready(base, found, now) if found is not None else 0

        found, count = await self._database.read(look)
        if found is None or found.state != RUNNING:
            return False
        beat = not 0 <= now - found.looked < _BEAT
        allowed = await self._around.allow(found.tenant, count) if count else 0
        if not allowed and not (beat or self._over(found)):
            return False
        ids = [self._around.new_id() for _ in range(allowed)]
        name = ids[0] if ids else ""
        claimed = None
        try:
            claimed = await self._change(lambda base: dispatch.claim(base, number, shard, now, name, ids))
        finally:
            taken = len(claimed.people) if isinstance(claimed, Piece) else 0
            if allowed > taken:
                self._around.give_back(found.tenant, allowed - taken)
        if isinstance(claimed, Campaign):
            self.told(claimed, "finish")
            return False
        if claimed is None:
            return False
        return await self._send(found, claimed)

    def _over(self, campaign: Campaign) -> bool:
        """Whether it may be that everybody had his turn, and nobody has said so yet."""
        return not campaign.total

    async def _send(self, campaign: Campaign, piece: Piece) -> bool:
        # What breaks off in another way than that stays here, and open, until the next start: some of it may
        # be under way still, and the journal does not know of that yet.
        self._sent.add(piece.id)
        try:
            results = await self._sending.run(campaign, await self._contents(campaign.id), piece)
        except TemporarilyUnavailable as trouble:
            # Nothing is under way any more: what was handed over before is in the journal.
            self.log.warn("campaign {name} waits: {why}", name=campaign.name, why=str(trouble))
            results = await self._asked(piece)
        ended = await self._finish(piece, results)
        self._sent.discard(piece.id)
        back = sum(state == WAITING for state, _ in results.values())
        taken = sum(state == TAKEN for state, _ in results.values())
        self._around.give_back(campaign.tenant, len(piece.people) - taken)
        if ended is not None:
            self.told(ended, "finish")
            return False
        if back and await self.runs(campaign.id):
            self._rests[campaign.id] = self._reactor.seconds() + _REST
        if back or not await self.runs(campaign.id):
            # What was under way when it was paused may have come to the queue after that.
            await self._apply_again(campaign.id)
            return False
        return True

    async def _apply_again(self, number: int) -> None:
        found = await self._database.read(lambda base: get(base, number))
        if found is not None and found.state != RUNNING:
            await self._apply(found)

    async def _finish(self, piece: Piece, results: dict[int, tuple[int, str]]) -> Campaign | None:
        now = self._reactor.seconds()
        try:
            done: Campaign | None = await self._change(
                lambda base: dispatch.finish(base, piece, results, now)
            )
            return done
        except TemporarilyUnavailable:
            # The record stays open; the journal knows what was taken.
            self._sent.discard(piece.id)
            self._settled = False
            raise

    async def _contents(self, number: int) -> list[str]:
        if number not in self._bundles:
            query = "SELECT bundles FROM campaigns WHERE id = ?"
            (text,) = await self._database.read(lambda base: base.execute(query, (number,)).fetchone())
            if len(self._bundles) > 20:
                self._bundles.clear()
            self._bundles[number] = json.loads(text)
        return self._bundles[number]

    # --- tests of variants ------------------------------------------------------------

    async def _decide(self, number: int) -> None:
        """Look at the test of variants, once, when it has ended."""
        campaign = await self._database.read(lambda base: get(base, number))
        now = self._reactor.seconds()
        if campaign is None or campaign.state != RUNNING or campaign.definition.test is None:
            return
        test = campaign.definition.test
        if not campaign.waits_for_result or not campaign.tested or campaign.decision:
            return
        if now < campaign.tested + test.wait:
            return
        names = [one.name for one in campaign.definition.variants]
        verdict = judge(
            names,
            await self._around.trials(campaign),
            test.metric,
            confidence=test.confidence,
            least=test.least,
        )
        clear = verdict.clear
        words = verdict.words
        if clear:
            chosen = names.index(verdict.leader)
            words += f" The rest gets {verdict.leader}."
        elif test.otherwise == "wait":
            chosen = None
            words += " The rest waits for a person to choose."
        else:
            chosen = SPLIT if test.otherwise == "split" else 0
            words += (
                " The rest is split as the test was." if chosen == SPLIT else f" The rest gets {names[0]}."
            )
        decision = json.dumps({"clear": clear, "words": words, "at": now, "who": ITSELF})

        def work(base: sqlite3.Connection) -> Campaign | None:
            if chosen is not None:
                return dispatch.decide(base, number, chosen, decision, now)
            done = base.execute(
                "UPDATE campaigns SET decision = ? WHERE id = ? AND decision = ''", (decision, number)
            )
            return get(base, number) if done.rowcount else None

        decided = await self._change(work)
        if decided is not None:
            self._around.note(
                CampaignChanged(
                    at=now,
                    action="decide" if chosen is not None else "undecided",
                    tenant=decided.tenant,
                    campaign=decided.name,
                    by=ITSELF,
                    reason=words,
                )
            )

    # --- after a crash ---------------------------------------------------------------

    async def _settle_left(self) -> None:
        """Find out what became of the pieces that an earlier worker has left."""
        shard, workers = self._shard, self._workers
        for piece in await self._database.read(lambda base: dispatch.left_open(base, shard, workers)):
            if piece.id in self._sent:
                continue
            results = await self._asked(piece)
            taken = sum(state == TAKEN for state, _ in results.values())
            self.log.info(
                "campaign {number}: of a piece that was left {taken} are sent, {back} wait for their turn",
                number=piece.campaign,
                taken=taken,
                back=len(results) - taken,
            )
            ended = await self._finish(piece, results)
            if ended is not None:
                self.told(ended, "finish")

    async def _asked(self, piece: Piece) -> dict[int, tuple[int, str]]:
        """What the journal knows of a piece."""
        there = await self._around.accepted([one.message for one in piece.people])
        return {one.contact: (TAKEN if one.message in there else WAITING, "") for one in piece.people}

    # --- beside ----------------------------------------------------------------------

    def told(self, campaign: Campaign, action: str, until: float = 0.0) -> None:
        """Put a change into the journal."""
        self._around.note(
            CampaignChanged(
                at=self._reactor.seconds(),
                action=action,
                tenant=campaign.tenant,
                campaign=campaign.name,
                by=campaign.who if action != "finish" else "",
                reason=campaign.reason,
                count=campaign.total,
                until=until,
            )
        )

    async def _change(self, work: Work[Any]) -> Any:
        return await self._database.change(TABLES.noun, work)
