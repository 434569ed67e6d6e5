"""Unit tests mirror mta/; end-to-end tests with real parts are in tests/e2e.

What hypothesis does is bounded here, for all: the same examples at each run, but for ``make fuzz``, and
no judgement of how fast they are made, which a busy machine would fail.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "mta",
    deadline=None,
    database=None,
    derandomize="MTA_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mta")
