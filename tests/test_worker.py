"""The order of things when a worker starts, reloads and stops."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import TemporarilyUnavailable
from mta.worker import Worker


class Recorder:
    """Stands for any collaborator, and writes down what it is told."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name = name
        self.told = told
        self.role = "mx"
        self.address = "127.0.0.1:25"
        self.trouble: Exception | None = None
        self.pending: Deferred[None] | None = None

    def bind(self, factory: Any) -> None:
        self.told.append(f"{self.name} bound")

    def open(self) -> None:
        self.told.append(f"{self.name} opened")

    async def close(self) -> None:
        self.told.append(f"{self.name} closed")

    async def start_slowly(self) -> None:
        if self.pending is not None:
            await self.pending
        if self.trouble is not None:
            raise self.trouble
        self.told.append(f"{self.name} started")

    async def stop(self, grace: float | None = None) -> None:
        self.told.append(f"{self.name} stopped")

    async def drain(self, grace: float) -> None:
        self.told.append(f"{self.name} drained")


class Spool(Recorder):
    """A spool."""

    def __init__(self, name: str, told: list[str]) -> None:
        super().__init__(name, told)
        self.details: list[str] = []

    async def start(self) -> None:
        await self.start_slowly()

    def note(self, events: Any) -> None:
        self.told += [f"noted {event.what}" for event in events]
        self.details += [event.detail for event in events]


class Plugin(Recorder):
    """A plugin."""

    async def start(self) -> None:
        await self.start_slowly()


class Manager(Recorder):
    """A queue."""

    def start(self) -> None:
        self.told.append(f"{self.name} started")


class Threads:
    """A pool of threads."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def start(self) -> None:
        self.told.append("threads started")

    def stop(self) -> None:
        self.told.append("threads stopped")


class WorkerTests(SynchronousTestCase):
    """With recorders."""

    def setUp(self) -> None:
        self.told: list[str] = []
        self.spool = Spool("spool", self.told)
        self.failures: list[str] = []
        self.renewals: list[Deferred[dict[str, Any]]] = []
        listener: Any = Recorder("listener", self.told)
        socket: Any = Recorder("socket", self.told)
        self.worker = Worker(
            Clock(),
            shard=0,
            spool=self.spool,
            manager=Manager("queue", self.told),
            listeners=[(listener, None)],
            sockets=[socket],
            sessions=[Recorder("sessions", self.told)],
            plugins=lambda: [Plugin("plugin", self.told)],
            threads=Threads(self.told),
            renew=self.renew,
            ready=lambda: self.told.append("ready"),
            failed=self.failures.append,
        )

    def renew(self) -> Deferred[dict[str, Any]]:
        self.renewals.append(Deferred())
        return self.renewals[-1]

    def test_sockets_open_last(self) -> None:
        self.worker.privilegedStartService()
        self.worker.startService()
        self.assertEqual(
            [
                "listener bound",
                "threads started",
                "spool started",
                "plugin started",
                "queue started",
                "socket opened",
                "noted started",
                "listener opened",
                "ready",
            ],
            self.told,
        )

    def test_spool_closes_last(self) -> None:
        self.worker.startService()
        self.told.clear()
        self.successResultOf(self.worker.stopService())
        self.assertEqual(
            [
                "listener closed",
                "socket closed",
                "noted stopping",
                "sessions drained",
                "queue stopped",
                "plugin stopped",
                "spool stopped",
                "threads stopped",
            ],
            self.told,
        )

    def test_nothing_opens_when_the_spool_cannot(self) -> None:
        self.spool.trouble = TemporarilyUnavailable("another server has this spool")
        self.worker.startService()
        self.assertEqual(["another server has this spool"], self.failures)
        self.assertNotIn("listener opened", self.told)
        self.successResultOf(self.worker.stopService())
        self.assertNotIn("spool stopped", self.told)

    def test_stopped_while_starting(self) -> None:
        self.spool.pending = Deferred()
        self.worker.startService()
        stopped = self.worker.stopService()
        self.assertNoResult(stopped)
        self.spool.pending.callback(None)
        self.successResultOf(stopped)
        self.assertEqual("threads stopped", self.told[-1])

    def test_reloads_do_not_overlap(self) -> None:
        self.worker.startService()
        first = Deferred.fromCoroutine(self.worker.reload())
        second = self.successResultOf(Deferred.fromCoroutine(self.worker.reload()))
        self.assertEqual(1, len(self.renewals))
        self.assertFalse(second["reloaded"])
        self.renewals[0].callback({"reloaded": True, "notes": []})
        self.assertTrue(self.successResultOf(first)["reloaded"])
        # What was asked for meanwhile follows.
        self.assertEqual(2, len(self.renewals))
        self.renewals[1].callback({"reloaded": True, "notes": []})
        self.assertEqual(2, self.told.count("noted reloaded"))

    def test_reload_is_told_with_its_notes(self) -> None:
        """Who reloaded, and what a person should know of it."""
        for notes, words in (([], "worker 0 (pid"), (["listen needs a restart"], "worker 0; listen needs")):
            self.renewals.clear()
            done = Deferred.fromCoroutine(self.worker.reload())
            self.renewals[0].callback({"reloaded": True, "notes": notes})
            self.successResultOf(done)
            self.assertTrue(self.spool.details[-1].startswith(words), self.spool.details)

    def test_reload_with_a_mistake(self) -> None:
        self.worker.startService()
        done = Deferred.fromCoroutine(self.worker.reload())
        self.renewals[0].errback(ValueError("mta.toml:3: no"))
        self.failureResultOf(done, ValueError)
        self.assertNotIn("noted reloaded", self.told)
