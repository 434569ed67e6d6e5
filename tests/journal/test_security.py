from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.journal.security import KINDS, SecurityCounts
from mta.model.event import AuthenticationFailed, Received, Rejected
from mta.model.event_access import Banned, Suspended
from mta.model.event_security import Alerted

NOW = 1_800_000_000.0


def refused(rule: str) -> Rejected:
    return Rejected(at=NOW, stage="data", code=550, reply="no", rule=rule)


class CountTests(SynchronousTestCase):
    """What concerns security is counted, since the start and in the last hour."""

    def test_each(self) -> None:
        now = NOW
        counts = SecurityCounts(lambda: now)
        counts.events(
            [
                AuthenticationFailed(at=NOW, reason="wrong"),
                AuthenticationFailed(at=NOW, reason="down", temporary=True),
                AuthenticationFailed(at=NOW, temporary=True, name="auth-throttled"),
                refused("relay"),
                refused("tls-failed"),
                refused("bare-line-ending"),
                refused("route"),
                refused("banned"),
                Banned(at=NOW, network="192.0.2.0/24"),
                Banned(at=NOW, network="192.0.2.0/24", action="lifted"),
                Suspended(at=NOW, account="ann"),
                Alerted(at=NOW, rule="x", action="raised"),
                Alerted(at=NOW, rule="x", action="recovered"),
                Received(at=NOW, sender="", recipients=[]),
            ]
        )
        status = counts.status()
        self.assertEqual(set(KINDS), set(status))
        self.assertEqual({key: {"since_start": 1, "last_hour": 1} for key in KINDS}, status)
        now += 3700
        self.assertEqual({key: {"since_start": 1, "last_hour": 0} for key in KINDS}, counts.status())
