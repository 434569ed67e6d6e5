"""A campaign on a database of its own, with contacts, a clock and a queue of the test."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from mta.campaign.campaigns import Campaign, Campaigns
from mta.campaign.definition import Definition, Target, Test, Variant
from mta.campaign.dispatch import Piece, Somebody
from mta.campaign.guarding import Guarding
from mta.campaign.runner import Around, Runner
from mta.campaign.schema import TABLES, TAKEN, WAITING
from mta.campaign.statistics import Trial
from mta.model.event import Event
from mta.model.event_campaign import CampaignChanged
from mta.model.ids import IdSource
from mta.registry.database import Direct, finished

NOW = 1_800_000_000.0
DEFINITION = Definition(
    Target(("news",)), ("shop@example.org", "Shop"), (Variant("A", text="Hello", subject="Hi"),)
)
TWO = (Variant("A", subject="Hi", text="a"), Variant("B", subject="Ho", text="b"))


@dataclass(frozen=True)
class Person:
    id: int
    time_zone: str = ""


class Crash(BaseException):
    """The worker dies here."""


@dataclass
class World:
    """What is around a runner.

    :ivar there: by queue id the contacts whose message is on disk.
    :ivar dies: after so many messages the worker dies; below 0: it does not.
    :ivar how: what is raised then.
    """

    path: Path
    people: list[Person] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)
    there: dict[str, int] = field(default_factory=dict)
    variants: dict[int, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    applied: list[tuple[str, bool, int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    trials: Sequence[Trial] = ()
    counts: Sequence[Mapping[str, int]] = ()
    dies: int = -1
    how: BaseException = field(default_factory=Crash)
    left: set[int] = field(default_factory=set)
    allowed: int = 1 << 30
    on_message: Any = None

    def __post_init__(self) -> None:
        self.clock.advance(NOW)
        self.database = Direct(self.path, (TABLES,))
        self.campaigns = Campaigns(self.database)
        self._ids = [IdSource(shard) for shard in range(4)]

    def add(self, definition: Definition = DEFINITION, name: str = "spring") -> Campaign:
        return finished(self.campaigns.add("shop", name, definition, self.clock.seconds(), "ann"))

    def act(self, act: str, name: str = "spring", **more: Any) -> Campaign:
        more = {"who": "ann", **({"bundles": ["a", "b"]} if act == "start" else {}), **more}
        return finished(self.campaigns.act("shop", name, act, self.clock.seconds(), **more))

    def get(self, name: str = "spring") -> Campaign:
        return finished(self.campaigns.get("shop", name))

    def runner(self, shard: int = 0, workers: int = 1) -> Runner:
        world = self

        class Sends:
            def __init__(self) -> None:
                self.runner: Any = None

            async def run(
                self, campaign: Campaign, bundles: Sequence[str], piece: Piece
            ) -> dict[int, tuple[int, str]]:
                results = {}
                for one in piece.people:
                    if not await self.runner.runs(campaign.id) or one.contact in world.left:
                        results[one.contact] = (WAITING, "")
                        continue
                    if world.dies == 0:
                        raise world.how
                    world.dies -= 1
                    world.there[one.message] = one.contact
                    world.variants[one.contact] = one.variant
                    world.times.append(world.clock.seconds())
                    results[one.contact] = (TAKEN, "")
                    if world.on_message is not None:
                        world.on_message()
                return results

        class Applies:
            async def apply(self, campaign: Campaign) -> int:
                world.applied.append((campaign.state, campaign.hold, shard))
                return 0

        def members(
            base: sqlite3.Connection, tenant: str, condition: dict[str, Any], after: int, now: float
        ) -> tuple[Sequence[Somebody], int | None]:
            some = [one for one in self.people if one.id > after][:100]
            return some, some[-1].id if len(some) == 100 else None

        async def freeze(campaign: Campaign) -> Sequence[str]:
            return ["a", "b"]

        async def allow(tenant: str, count: int) -> int:
            some = min(count, self.allowed)
            self.allowed -= some
            return some

        def give_back(tenant: str, count: int) -> None:
            self.allowed += count

        async def trials(campaign: Campaign) -> Sequence[Trial]:
            return self.trials

        async def counts(campaign: Campaign) -> Sequence[Mapping[str, int]]:
            return self.counts

        async def accepted(ids: Collection[str]) -> Collection[str]:
            return [one for one in ids if one in self.there]

        sends = Sends()
        runner = Runner(
            self.clock,
            shard,
            workers,
            self.database,
            sends,
            Applies(),
            Around(
                lambda: True,
                members,
                freeze,
                allow,
                give_back,
                trials,
                Guarding(self.database, counts, self.events.append, self.clock.seconds).look,
                accepted,
                lambda: self._ids[shard].next(self.clock.seconds()),
                self.events.append,
            ),
        )
        sends.runner = runner
        runner.start()
        return runner

    def run(self, seconds: float, step: float = 1.0) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)

    def said(self) -> list[str]:
        return [one.action for one in self.events if isinstance(one, CampaignChanged)]

    def once(self) -> list[int]:
        """Whom a message was sent to; each stands there as often as he got one."""
        return sorted(self.there.values())


def tested(**more: Any) -> Definition:
    """A campaign with two variants that are tried first."""
    values = {"share": 0.3, "wait": 3600.0, "least": 20, **more}
    return Definition(Target(("news",)), ("shop@example.org", ""), TWO, test=Test(**values))
