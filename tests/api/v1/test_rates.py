"""How many requests are taken in a time."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.api.v1.rates import Rates, Standing, headers_of


class RatesTests(SynchronousTestCase):
    def test_so_many_at_once_and_as_many_again(self) -> None:
        rates = Rates("x", 10, 10)
        self.assertEqual(list(range(9, -1, -1)), [rates.take("a", 100.0).left for _ in range(10)])
        self.assertAlmostEqual(1.0, rates.take("a", 100.0).wait)
        self.assertEqual(0.0, rates.take("a", 101.0).wait)
        self.assertAlmostEqual(0.5, rates.take("a", 101.5).wait)
        self.assertEqual(0.0, rates.take("b", 101.0).wait)

    def test_more_than_there_may_ever_be(self) -> None:
        """They are taken where nobody came before, and then it takes its time."""
        rates = Rates("x", 10, 10)
        self.assertEqual(0.0, rates.take("a", 100.0, 50).wait)
        self.assertAlmostEqual(41.0, rates.take("a", 100.0).wait)
        rates.give_back("a", 50)
        self.assertEqual(9, rates.take("a", 100.0).left)

    def test_no_limit(self) -> None:
        rates = Rates("x", 0)
        self.assertEqual([], headers_of([rates.take("a", 1.0)]))
        self.assertEqual(0.0, rates.take("a", 1.0, 10**9).wait)

    def test_names_are_forgotten(self) -> None:
        rates = Rates("x", 1, 1)
        for number in range(30_000):
            rates.take(str(number), number / 1000)
        self.assertLess(len(rates._full), 12_000)

    def test_headers(self) -> None:
        day = Standing("day", 100, 86400, 7, 0.0, 3600.2)
        second = Standing("recipients", 5, 1, 0, 0.2, 1.0)
        self.assertEqual(
            [
                ("ratelimit-policy", '"day";q=100;w=86400, "recipients";q=5;w=1'),
                ("ratelimit", '"day";r=7;t=3601, "recipients";r=0;t=1'),
                ("retry-after", "1"),
            ],
            headers_of([day, second]),
        )
