"""Which source a message takes: by weight, the same each time, and moved only where it must."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from mta.model.egress import Choice, Pool, Source


class PoolTests(SynchronousTestCase):
    def first(self, pool: Pool, count: int = 4000) -> list[str]:
        return [pool.ranking(f"Q{number}")[0] for number in range(count)]

    def test_weights(self) -> None:
        """Each source is first as often as its weight says."""
        found = Counter(self.first(Pool("p", {"a": 3, "b": 1})))
        self.assertLess(abs(found["a"] / 4000 - 0.75), 0.03)
        found = Counter(self.first(Pool("p", {"a": 0.5, "b": 0.5, "c": 1})))
        self.assertLess(abs(found["c"] / 4000 - 0.5), 0.03)

    def test_second_choices_have_weights_too(self) -> None:
        """What leaves a source that is spent goes to the others by their weights."""
        pool = Pool("p", {"a": 1, "b": 3, "c": 1})
        seconds = Counter(rank[1] for n in range(4000) if (rank := pool.ranking(f"Q{n}"))[0] == "a")
        self.assertLess(abs(seconds["b"] / seconds.total() - 0.75), 0.05)

    def test_known_choices(self) -> None:
        """The same in every process and every version: these must never change."""
        pool = Pool("p", {"a": 1, "b": 1, "c": 2})
        expected = [["a", "b", "c"], ["c", "a", "b"], ["a", "b", "c"], ["c", "a", "b"]]
        self.assertEqual(expected, [pool.ranking(f"Q{number}") for number in range(4)])

    def test_a_source_more_or_less(self) -> None:
        """Only those messages move that are, or were, its own."""
        before, after = Pool("p", {"a": 1, "b": 1}), Pool("p", {"a": 1, "b": 1, "c": 1})
        for one, other in zip(self.first(before), self.first(after), strict=True):
            self.assertIn(other, (one, "c"))

    def test_words(self) -> None:
        sources = [Source("a", "192.0.2.1", "2001:db8::1"), Source("b", "192.0.2.2", helo="b.test")]
        choice = Choice("p", "tenant acme", sources, {"a": 1, "b": 3})
        self.assertEqual(
            "from the pool p, by tenant acme: b (b.test [192.0.2.2]) for 75%; "
            "a (me.test [192.0.2.1, 2001:db8::1]) for 25%",
            choice.words("me.test"),
        )
