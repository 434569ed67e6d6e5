from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.analytics.histogram import ERROR, LAST, bucket, bucket_of, percentiles, seconds

TIMES = st.lists(st.floats(0.001, 9e6), min_size=1, max_size=200)


class HistogramTests(SynchronousTestCase):
    def test_buckets(self) -> None:
        """Two digits, whatever the size."""
        for value, told in ((0.12, 0.12), (1.24, 1.2), (12.6, 13), (86400, 86000), (0.0012, 0.0012)):
            self.assertAlmostEqual(told, seconds(bucket(value)), msg=str(value))

    def test_bounds(self) -> None:
        """What is shorter or longer than any is in the first or the last."""
        for value, place in ((0.0, 0), (0.0004, 0), (-3.0, 0), (1e12, LAST), (float("inf"), 0)):
            self.assertEqual(place, bucket(value), value)
        self.assertEqual(0, bucket_of(""))

    @given(st.floats(0.001, 9e6))
    def test_error(self, value: float) -> None:
        """It is bounded, relatively."""
        self.assertLessEqual(abs(seconds(bucket(value)) - value), ERROR * value * 1.000001)

    @given(TIMES, st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
    def test_percentile(self, times: list[float], wanted: float) -> None:
        """As exact as a bucket."""
        (found,) = percentiles(Counter(map(bucket, times)), [wanted])
        exact = sorted(times)[max(1, -int(-wanted * len(times) // 1)) - 1]
        assert found is not None
        self.assertLessEqual(abs(found - exact), ERROR * exact * 1.000001)

    @given(TIMES, TIMES)
    def test_merged(self, some: list[float], others: list[float]) -> None:
        """Parts added up are the whole."""
        parts = Counter(map(bucket, some)) + Counter(map(bucket, others))
        self.assertEqual(Counter(map(bucket, [*some, *others])), parts)

    def test_nothing(self) -> None:
        """Of nothing there are none."""
        self.assertEqual([None, None], percentiles({}, [0.5, 0.9]))
