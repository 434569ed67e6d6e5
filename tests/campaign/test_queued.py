"""What a pause and a stop do to messages in the queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from mta.campaign.campaigns import Campaign
from mta.campaign.held import ALL, Held
from mta.campaign.queued import Queued
from mta.campaign.schema import TABLES
from mta.model.message import Addressee
from mta.registry.database import Direct
from tests.campaign.base import DEFINITION, NOW

CAMPAIGN = Campaign(1, "shop", "spring", "paused", DEFINITION, NOW, NOW, who="ann", hold=True)


class _Message:
    def __init__(self, name: str, state: str, attempts: int) -> None:
        self.id = name
        self.addressees = [Addressee(0, "a@b.example", "a@b.example", "relay", "", attempts=attempts)]
        self.addressees[0].state = state


class _Queue:
    def __init__(self) -> None:
        self.acts: list[tuple[str, list[str], str, str]] = []

    def _act(self, name: str, ids: Sequence[str], by: str, reason: str) -> Deferred[int]:
        self.acts.append((name, list(ids), by, reason))
        return succeed(len(ids))

    def hold(self, ids: Sequence[str], by: str, reason: str) -> Deferred[int]:
        return self._act("hold", ids, by, reason)

    def release(self, ids: Sequence[str], by: str, reason: str) -> Deferred[int]:
        return self._act("release", ids, by, reason)

    def remove(self, ids: Sequence[str], by: str, reason: str, notify: bool) -> Deferred[int]:
        return self._act("remove", ids, by, reason)


class QueuedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.database = Direct(Path(self.mktemp()), (TABLES,))
        self.addCleanup(self.database.close)
        self.held = Held(self.database, 0)

    def apply(self, **facts: Any) -> list[tuple[str, list[str], str, str]]:
        # One is held by the pause, if there was one; one by a person.
        messages = [_Message("new", "queued", 0), _Message("tried", "queued", 2), _Message("held", "held", 0)]
        messages += [_Message("by hand", "held", 3)]

        def find(tenant: str, name: str) -> Iterator[Any]:
            self.assertEqual(("shop", "spring"), (tenant, name))
            return iter(messages)

        queue: Any = _Queue()
        queued = Queued(queue, find, lambda work: succeed(work()), self.held)
        self.successResultOf(Deferred.fromCoroutine(queued.apply(replace(CAMPAIGN, **facts))))
        return queue.acts

    def paused(self, *ids: str) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.held.remember(1, ids)))

    def test_held(self) -> None:
        """A pause holds what is in the queue, if that was asked for; a resumption releases it."""
        acts = self.apply()
        self.assertEqual([("hold", ["new", "tried"], "ann", "campaign spring was paused")], acts)
        kept = self.successResultOf(Deferred.fromCoroutine(self.held.of(1)))
        self.assertEqual(["new", "tried"], kept)

    def test_released(self) -> None:
        """What a person holds by hand stays held."""
        self.paused("held", "gone")
        acts = self.apply(state="running")
        self.assertEqual([("release", ["held"], "ann", "campaign spring was resumed")], acts)
        self.assertEqual([], self.apply(state="running"))

    def test_nothing_held(self) -> None:
        self.assertEqual([], self.apply(hold=False))
        self.assertEqual([], self.apply(state="running", hold=False))

    def test_was_down(self) -> None:
        """A worker that was down from a pause that holds to one that does not releases what it held."""
        self.paused("held")
        self.assertEqual(
            [("release", ["held"], "ann", "campaign spring was resumed")], self.apply(hold=False)
        )

    def test_held_before_each_was_remembered(self) -> None:
        self.paused(ALL)
        acts = self.apply(state="running")
        self.assertEqual([("release", ["held", "by hand"], "ann", "campaign spring was resumed")], acts)

    def test_stopped(self) -> None:
        """What was attempted goes on: it may have reached somebody."""
        acts = self.apply(state="stopped", hold=False)
        self.assertEqual([("remove", ["new", "held"], "ann", "campaign spring was stopped")], acts)
        self.paused("held")
        acts = self.apply(state="stopped")
        self.assertEqual(["remove", "release"], [name for name, *_ in acts])

    def test_done(self) -> None:
        self.assertEqual([], self.apply(state="done"))
        self.paused("held")
        self.assertEqual(["release"], [name for name, *_ in self.apply(state="done")])
