"""What is over a threshold, and what is suddenly another than on the days before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.analytics import measures as m
from mta.analytics.judging import Usual, Wanted, judge, usual, verdict
from mta.analytics.numbers import Numbers
from mta.analytics.reader import StatisticsReader
from mta.config.alert_settings import COUNTS, DIMENSIONS, RATES
from mta.model.event import DeliveredTo, Event, FailedTo
from tests.tracking.journals import NOW, Journals

HOUR = 3600.0
DAY = 24 * HOUR
#: Half past an hour.
AT = NOW // HOUR * HOUR + HOUR / 2


class NamesTests(SynchronousTestCase):
    def test_names(self) -> None:
        """The configuration knows what is counted."""
        self.assertEqual(list(m.RATES), list(RATES))
        self.assertEqual(list(m.NUMBERS), list(COUNTS))
        self.assertEqual(list(m.DIMENSIONS), list(DIMENSIONS))


class VerdictTests(SynchronousTestCase):
    def test_usual(self) -> None:
        """One wild day does not change what is usual; too few days tell nothing."""
        self.assertIsNone(usual([1.0, 2.0]))
        self.assertEqual(Usual(2.0, 1.0), usual([1.0, 2.0, 3.0, 1000.0, 1.0]))

    def test_table(self) -> None:
        """Whether somebody is told."""
        calm = Usual(0.02, 0.005)
        wild = Usual(0.02, 0.02)
        for wanted, value, known, over in (
            ({"above": 0.05}, 0.05, None, True),
            ({"above": 0.05}, 0.049, None, False),
            ({"above": 0.0}, 0.0, None, False),
            ({"above": 0.0}, 0.001, None, True),
            ({"below": 0.9}, 0.89, None, True),
            ({"below": 0.9}, 0.0, None, True),
            ({"below": 0.9}, 0.91, None, False),
            ({"change": 3}, 0.06, calm, True),
            ({"change": 3}, 0.059, calm, False),
            ({"change": 3}, 0.06, None, False),
            # Days differ so much that this is nothing new.
            ({"change": 3}, 0.08, wild, False),
            ({"change": 3}, 0.2, wild, True),
            # One bounce after none is no sudden change.
            ({"change": 3}, 0.02, Usual(0.0, 0.0), False),
            ({"change": 3}, 0.04, Usual(0.0, 0.0), True),
            ({"change": 0.5}, 0.02, Usual(0.9, 0.01), True),
            ({"change": 0.5}, 0.6, Usual(0.9, 0.01), False),
            ({"change": 0.5}, 0.0, Usual(0.0, 0.0), False),
            ({"above": 0.5, "change": 3}, 0.06, calm, True),
        ):
            found = verdict(Wanted("bounce_rate", **wanted), value, known, 0.01)
            self.assertEqual(over, found.excess >= 1, (wanted, value, known, found))


class JudgeTests(SynchronousTestCase):
    def setUp(self) -> None:
        spool = Path(self.mktemp()).absolute()
        self.journals = Journals(spool)
        self.journals.directory()
        self.reader = StatisticsReader(spool)
        self.numbers = Numbers(spool / "0", seconds=lambda: AT)
        self.addCleanup(self.numbers.close)

    def mail(self, at: float, delivered: int, bounced: int, host: str = "mx.google.com") -> None:
        about: dict[str, Any] = {"message": self.journals.id(0, at), "at": at, "host": host}
        about["recipient"] = "a@gmail.com" if "google" in host else "a@x.example"
        events: list[Event] = [DeliveredTo(**about) for _ in range(delivered)]
        events += [FailedTo(code=550, bounce_class="spam-content", **about) for _ in range(bounced)]
        self.journals.write(events)

    def found(self, statistic: str = "bounce_rate", now: float = AT, **more: Any) -> Any:
        self.numbers.catch_up()
        return judge(self.reader, Wanted(statistic, **more), now)

    def test_over(self) -> None:
        """With evidence, probable cause and remedy."""
        self.mail(AT, 150, 50)
        found = self.found(above=0.1)
        self.assertTrue(found.over)
        self.assertEqual("bounce_rate is 25 % of 200, over 10 %", found.words)
        self.assertEqual(["spam-content: 50 bounced, 0 in the time before"], found.evidence["class"])
        self.assertEqual(["google: 50 bounced, 0 in the time before"], found.evidence["provider"])
        self.assertIn("content", found.cause)
        self.assertTrue(found.remedy)

    def test_by(self) -> None:
        """Each provider alone; the worst is named, and the others too."""
        self.mail(AT, 150, 50)
        self.mail(AT, 50, 50, "mx.yahoodns.net")
        self.mail(AT, 1000, 1, "mx.t-online.de")
        found = self.found(above=0.1, by="provider")
        self.assertIn("of provider yahoo is 50 % of 100", found.words)
        self.assertEqual(2, len(found.evidence["all"]))
        self.assertEqual(["spam-content: 50 bounced, 0 in the time before"], found.evidence["class"])
        self.assertFalse(self.found(above=0.1, by="provider", value="telekom").over)

    def test_minimum(self) -> None:
        """Too little mail tells nothing."""
        self.mail(AT, 5, 5)
        found = self.found(above=0.1)
        self.assertEqual((False, True), (found.over, found.calm))
        self.assertTrue(self.found(above=0.1, minimum=10).over)

    def test_hysteresis(self) -> None:
        """Just below the threshold it is neither over nor calm."""
        self.mail(AT, 910, 90)
        found = self.found(above=0.1)
        self.assertEqual((False, False), (found.over, found.calm))

    def test_sudden(self) -> None:
        """Against the same hours of the days before; a bad hour each night is usual."""
        for day in range(1, 8):
            self.mail(AT - day * DAY, 98, 2 + day % 2)
            self.mail(AT - day * DAY - 6 * HOUR, 80, 20)
        self.mail(AT, 90, 10)
        self.mail(AT - 6 * HOUR, 80, 20)
        found = self.found(change=3, within=HOUR / 2)
        self.assertTrue(found.over, found)
        self.assertIn("usually 2.9", found.words)
        self.assertFalse(self.found(now=AT - 6 * HOUR, change=3, within=HOUR / 2).over)

    def test_gone(self) -> None:
        """Fewer deliveries than usual, and none at all; a server that is new knows no usual."""
        self.mail(AT - 8 * DAY, 500, 0)
        self.assertFalse(self.found("delivered", change=0.5).over)
        for day in range(1, 8):
            self.mail(AT - day * DAY - HOUR, 500, 0)
        found = self.found("delivered", change=0.5)
        self.assertTrue(found.over, found)
        self.assertIn("delivered is 0, usually 500 at this time", found.words)
        self.mail(AT - HOUR, 400, 0)
        self.assertFalse(self.found("delivered", change=0.5).over)
