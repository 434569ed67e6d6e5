"""What would happen, on a clock that is moved; and the drawing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.sequence.drawing import drawn
from mta.sequence.reading import read
from mta.sequence.rehearsal import Rehearsed, Supposed, rehearse
from tests.sequence.fakes import DAY, HOUR, NOW, anything, at
from tests.sequence.test_reading import WELCOME


class RehearsalTests(SynchronousTestCase):
    def told(self, *supposed: Supposed) -> list[tuple[float, str, str, str]]:
        made = read(WELCOME, "w.toml", anything)
        lines = rehearse(made, at(""), Rehearsed(supposed=supposed), NOW)
        return [
            ((line.at - NOW) / DAY, line.action.kind, line.action.step, line.action.way) for line in lines
        ]

    def test_who_does_nothing(self) -> None:
        self.assertEqual(
            [
                (0.0, "enter", "welcome", ""),
                (0.0, "send", "welcome", "mail"),
                (0.0, "wait", "pause", ""),
                (2.0, "branch", "opened", "otherwise"),
                (2.0, "send", "again", "mail"),
                (2.0, "wait", "bye", ""),
                (4.875, "end", "bye", "finished"),
            ],
            self.told(),
        )

    def test_who_opens(self) -> None:
        steps = [line[2] for line in self.told(Supposed(HOUR, "opened", "welcome")) if line[1] == "send"]
        self.assertEqual(["welcome", "tips"], steps)

    def test_who_buys(self) -> None:
        """The exit is found when it happens, not with the next step."""
        self.assertEqual((1.0, "end", "pause", "goal"), self.told(Supposed(DAY, event="purchase"))[-1])


class DrawingTests(SynchronousTestCase):
    def test_flow(self) -> None:
        self.assertEqual(
            """\
▷ event signed_up where plan is free and amount more 3
▷ never a second time
◁ leaves (goal): event purchase
☾ nothing is sent from 21:00 to 08:00, where the contact is
≤ 2 messages in 24 hours; one more waits
│
● welcome: send welcome
│
● pause: wait 2 days   [3 here]
│
● opened: if welcome was opened
├─ yes → tips
├─ no ↓
│
● again: send welcome-again
├─ → bye

● tips: send tips
│
● bye: wait until 09:00 mon, where the contact is
◼ end""".splitlines(),
            drawn(read(WELCOME, "w.toml", anything), {"pause": 3}),
        )
