"""What outcomes mean, where it needs no queue."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.model.envelope import Client, Envelope
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Postponed, RemoteReply
from mta.queue.retry import Schedule
from mta.queue.settlement import settle_outcomes


class PostponedTests(SynchronousTestCase):
    """When the next attempt is due."""

    def due(self, after: float, expires: float = 100_000.0) -> float:
        addressee = Addressee(0, "a@b.test", "a@b.test", "app", "")
        mail = Message("I", Envelope(""), Client("s"), b"", InlineContent(b""), [addressee], 0.0, expires)
        outcome = Postponed(RemoteReply(451, "4.3.0", "later"), after)
        settle_outcomes(
            mail,
            [addressee],
            [outcome],
            1000.0,
            "",
            schedule=Schedule([60.0], 0.0, lambda: 0.5),
            warn_after=0.0,
        )
        return addressee.due

    def test_not_before_the_other_side_asked(self) -> None:
        self.assertEqual(1060.0, self.due(0.0))
        self.assertEqual(1060.0, self.due(10.0))
        self.assertEqual(1600.0, self.due(600.0))

    def test_the_last_attempt_is_made(self) -> None:
        """Nobody can have a message wait for longer than it lives."""
        self.assertEqual(1500.0, self.due(600.0, expires=1500.0))
