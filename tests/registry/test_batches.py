"""Batches on disk."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.registry import batches
from mta.registry.batches import Batch, Batches, NoBatch
from mta.registry.database import Direct, finished

NOW = 1_800_000_000.0


class BatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        database = Direct(Path(self.mktemp()), (batches.TABLES,))
        self.addCleanup(database.close)
        self.store = Batches(database, keep=100.0)

    def begin(self, identifier: str, tenant: str = "shop", shard: int = 0, at: float = NOW) -> Batch:
        batch = Batch(tenant, identifier, shard, at, True, {"total": 1})
        finished(self.store.begin(batch, b"plan " + identifier.encode()))
        return batch

    def test_what_is_left(self) -> None:
        first = self.begin("a")
        self.begin("b", shard=1)
        second = self.begin("c", tenant="other", at=NOW + 1)
        self.assertEqual([(first, b"plan a"), (second, b"plan c")], finished(self.store.left(0)))
        finished(self.store.note("shop", "a", {"total": 2}, [["i", "a@example.net", "waiting"]]))
        self.assertEqual([["i", "a@example.net", "waiting"]], finished(self.store.people("shop", "a")))
        self.assertTrue(finished(self.store.get("shop", "a")).open)
        finished(self.store.end("shop", "a", {"total": 3}, [["id", "ann@example.org", "queued"]]))
        self.assertEqual([(second, b"plan c")], finished(self.store.left(0)))
        found = finished(self.store.get("shop", "a"))
        self.assertEqual((False, {"total": 3}), (found.open, found.facts))
        self.assertEqual([["id", "ann@example.org", "queued"]], finished(self.store.people("shop", "a")))

    def test_pages(self) -> None:
        made = [self.begin(name, at=NOW + number // 2) for number, name in enumerate("abcd")]
        first = finished(self.store.page("shop", (), 3))
        rest = finished(self.store.page("shop", (first[-1].created, first[-1].id), 3))
        self.assertEqual(made[::-1], first + rest)

    def test_another_tenants(self) -> None:
        self.begin("a")
        self.assertRaises(NoBatch, finished, self.store.get("other", "a"))
        self.assertRaises(NoBatch, finished, self.store.people("other", "a"))
        finished(self.store.end("other", "a", {}, []))
        self.assertTrue(finished(self.store.get("shop", "a")).open)
        self.assertEqual([], finished(self.store.page("other", (), 10)))

    def test_a_tenant_that_is_gone(self) -> None:
        self.begin("a")
        self.begin("b", "other")
        finished(self.store.forget("shop"))
        self.assertEqual(["b"], [batch.id for batch, _ in finished(self.store.left(0))])

    def test_old_ones_are_forgotten_unless_they_are_open(self) -> None:
        for name in "ab":
            self.begin(name)
        finished(self.store.end("shop", "a", {}, []))
        self.begin("c", at=NOW + 101)
        self.assertEqual(["c", "b"], [one.id for one in finished(self.store.page("shop", (), 10))])
