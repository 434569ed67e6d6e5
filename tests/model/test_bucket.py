"""A token bucket gives what its rate allows, and no more."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.model.bucket import Bucket

BOUNDED = settings(max_examples=150)


class BucketTests(SynchronousTestCase):
    @BOUNDED
    @given(
        st.integers(1, 20),
        st.integers(1, 100),
        st.integers(0, 20),
        st.lists(st.floats(0, 30), min_size=1, max_size=60),
    )
    def test_never_more(self, number: int, seconds: int, burst: int, pauses: list[float]) -> None:
        """In no span of time is more taken than a bucket holds, and what comes into it meanwhile."""
        bucket = Bucket.of((number, float(seconds)), burst)
        kept, now, taken = None, 1.8e9, []
        for pause in pauses:
            now += pause
            wait = bucket.wait(kept, now)
            if wait <= 0:
                kept = bucket.take(kept, now)
                taken.append(now)
            else:
                self.assertLessEqual(bucket.wait(kept, now + wait), 1e-6)
        for first in range(len(taken)):
            for last in range(first, len(taken)):
                span = taken[last] - taken[first]
                self.assertLessEqual(last - first + 1, bucket.size + span * bucket.pace + 1e-6)
