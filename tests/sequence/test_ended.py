"""Runs that ended long ago: forgotten but for the last of each contact, and counted for ever."""

from __future__ import annotations

from unittest import mock

from mta.sequence import ended
from tests.sequence.base import DAY, SequenceCase

SEND = {"do": "send", "template": "t"}
ANN, BOB = "ann@example.net", "bob@example.net"


class EndedTests(SequenceCase):
    def setUp(self) -> None:
        super().setUp()
        for address in (ANN, BOB):
            self.contact(address)

    def counted(self, name: str = "s") -> int:
        _, outcomes = self.done(self.sequences.counts("shop", name))
        return sum(outcomes.values())

    def later(self, days: float) -> None:
        self.server.now += days * DAY
        self.turn()

    def test_forgotten(self) -> None:
        """A year later each contact's last is there, and all are counted."""
        self.sequence(SEND, reentry="after_end")
        for number in range(4):
            self.enrol(ANN, *[BOB] * (number == 0))
            self.later(1)
        self.later(350)
        self.assertEqual((4, 1, 5), (len(self.runs(ANN)), len(self.runs(BOB)), self.counted()))
        self.later(30)
        self.assertEqual((1, 1, 5), (len(self.runs(ANN)), len(self.runs(BOB)), self.counted()))
        # One who comes in once more takes the place of what was left.
        self.enrol(ANN)
        self.later(0)
        self.assertEqual((1, 6), (len(self.runs(ANN)), self.counted()))

    def test_never_again(self) -> None:
        """Who may come in once only, may not a year later either."""
        self.sequence(SEND, reentry="never")
        self.enrol(ANN)
        self.later(0)
        self.later(400)
        (why,) = self.enrol(ANN)
        self.assertIn("never", why)

    def test_in_pieces(self) -> None:
        """As many as ended in one moment, in several transactions."""
        with mock.patch.object(ended, "PIECE", 2):
            self.sequence(SEND, reentry="always")
            for _ in range(7):
                self.enrol(ANN)
            self.later(0)
            self.assertEqual(7, len(self.runs(ANN)))
            self.server.now += 400 * DAY
            for _ in range(5):
                self.turn()
        self.assertEqual((1, 7), (len(self.runs(ANN)), self.counted()))

    def test_removed(self) -> None:
        """With the sequence its counts are gone."""
        self.sequence(SEND, reentry="always")
        for _ in range(2):
            self.enrol(ANN)
        self.later(0)
        self.later(400)
        self.assertEqual(2, self.counted())
        self.done(self.sequences.remove("shop", "s", self.server.now, "ann"))
        self.sequence(SEND)
        self.assertEqual(0, self.counted())
