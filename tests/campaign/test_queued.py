"""What a pause and a stop do to messages in the queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from mta.campaign.campaigns import Campaign
from mta.campaign.queued import Queued
from mta.model.message import Addressee
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
    def apply(self, **facts: Any) -> list[tuple[str, list[str], str, str]]:
        messages = [_Message("new", "queued", 0), _Message("tried", "queued", 2), _Message("held", "held", 0)]

        def find(tenant: str, name: str) -> Iterator[Any]:
            self.assertEqual(("shop", "spring"), (tenant, name))
            return iter(messages)

        queue: Any = _Queue()
        queued = Queued(queue, find, lambda work: succeed(work()))
        self.successResultOf(Deferred.fromCoroutine(queued.apply(replace(CAMPAIGN, **facts))))
        return queue.acts

    def test_held(self) -> None:
        """A pause holds what is in the queue, if that was asked for; a resumption releases it."""
        acts = self.apply()
        self.assertEqual([("hold", ["new", "tried"], "ann", "campaign spring was paused")], acts)
        self.assertEqual([], self.apply(hold=False))
        acts = self.apply(state="running")
        self.assertEqual([("release", ["held"], "ann", "campaign spring was resumed")], acts)
        self.assertEqual([], self.apply(state="running", hold=False))

    def test_stopped(self) -> None:
        """What was attempted goes on: it may have reached somebody."""
        acts = self.apply(state="stopped", hold=False)
        self.assertEqual([("remove", ["new", "held"], "ann", "campaign spring was stopped")], acts)
        acts = self.apply(state="stopped")
        self.assertEqual(["remove", "release"], [name for name, *_ in acts])

    def test_done(self) -> None:
        self.assertEqual([], self.apply(state="done"))
