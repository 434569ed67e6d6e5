"""A request with a key is carried out once, whoever dies in between."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.registry.database import finished
from mta.registry.idempotency import Answered, Begun, Busy, Idempotency, Mismatch
from mta.registry.registry import direct

NOW = 1_800_000_000.0
ONE, TWO = b"1" * 32, b"2" * 32


class IdempotencyTests(SynchronousTestCase):
    def setUp(self) -> None:
        state = Path(self.mktemp())
        state.mkdir()
        self.database = direct(state)
        self.addCleanup(self.database.close)
        self.store = self.worker("1:a")

    def worker(self, owner: str) -> Idempotency:
        return Idempotency(self.database, owner, 100.0)

    def begin(
        self, store: Idempotency | None = None, *, print_: bytes = ONE, now: float = NOW, tenant: str = "t"
    ):
        return finished((store or self.store).begin(tenant, "key", print_, ["id1"], now))

    def test_once(self) -> None:
        self.assertEqual(Begun(), self.begin())
        self.assertRaises(Busy, self.begin)
        self.assertRaises(Busy, self.begin, self.worker("2:b"))
        self.assertRaises(Mismatch, self.begin, print_=TWO)
        # Another tenant's key is another key.
        self.assertEqual(Begun(), self.begin(tenant="u"))
        finished(self.store.end("t", "key", 202, b"done"))
        self.assertEqual(Answered(202, b"done"), self.begin(self.worker("2:b"), now=NOW + 100))
        self.assertRaises(Mismatch, self.begin, print_=TWO)

    def test_ends_after_its_time(self) -> None:
        self.begin()
        finished(self.store.end("t", "key", 202, b"done"))
        self.assertEqual(Begun(), self.begin(print_=TWO, now=NOW + 101))

    def test_refused_requests_may_be_mended(self) -> None:
        self.begin()
        finished(self.store.forget("t", "key"))
        self.assertEqual(Begun(), self.begin(print_=TWO))

    def test_a_worker_that_died(self) -> None:
        """Its next start leaves its reservations to whoever is asked next; those of others stay."""
        self.begin()
        self.begin(self.worker("11:x"), tenant="u")
        finished(self.worker("1:b").adopt())
        self.assertEqual(Begun(("id1",)), self.begin(self.worker("2:b")))
        self.assertRaises(Busy, self.begin)
        self.assertRaises(Busy, self.begin, tenant="u")
        # And that one dies, too.
        finished(self.worker("2:c").adopt())
        self.assertEqual(Begun(("id1", "id1")), self.begin())

    def test_left(self) -> None:
        self.begin()
        finished(self.store.leave("t", "key"))
        self.assertEqual(Begun(("id1",)), self.begin())
