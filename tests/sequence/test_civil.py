"""Times of day where a person is."""

from __future__ import annotations

from datetime import UTC, datetime, time

from twisted.trial.unittest import SynchronousTestCase

from mta.sequence.civil import DAYS, next_time, parse_time, quiet_until, zone_of

BERLIN = zone_of("Europe/Berlin")


def instant(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class NextTimeTests(SynchronousTestCase):
    def test_forward_and_back(self) -> None:
        """Nine in the morning stays nine when clocks are changed."""
        table = [
            ("2027-03-27 09:00", "2027-03-28 07:00"),
            ("2027-10-30 08:00", "2027-10-31 08:00"),
            ("2027-06-01 07:00", "2027-06-01 07:00"),
        ]
        for now, then in table:
            self.assertEqual(instant(then), next_time(instant(now), time(9), (), BERLIN), now)

    def test_a_time_that_is_not_there(self) -> None:
        """On the day on which 2:30 is left out it is 3:30."""
        self.assertEqual(
            instant("2027-03-28 01:30"), next_time(instant("2027-03-28 00:00"), time(2, 30), (), BERLIN)
        )

    def test_always_ahead_and_within_eight_days(self) -> None:
        begin = instant("2027-03-20 00:00")
        for name in (
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Pacific/Apia",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
        ):
            zone = zone_of(name)
            for hours in range(0, 24 * 30, 5):
                now = begin + hours * 3600
                for day in (DAYS, ("sun",), ()):
                    found = next_time(now, time(2, 30), day, zone)
                    self.assertTrue(now <= found <= now + 8.1 * 86400, (name, now, found))
                    self.assertEqual(found, next_time(found, time(2, 30), day, zone), (name, now))

    def test_a_day_only(self) -> None:
        wednesday = instant("2027-01-20 12:00")
        self.assertEqual(wednesday, next_time(wednesday, None, ("wed",), UTC))
        self.assertEqual(instant("2027-01-23 00:00"), next_time(wednesday, None, ("sat",), UTC))


class QuietTests(SynchronousTestCase):
    def test_over_midnight(self) -> None:
        for now, then in (
            ("2027-01-20 20:59", "2027-01-20 20:59"),
            ("2027-01-20 21:00", "2027-01-21 08:00"),
            ("2027-01-21 07:59", "2027-01-21 08:00"),
            ("2027-01-21 08:00", "2027-01-21 08:00"),
        ):
            self.assertEqual(instant(then), quiet_until(instant(now), time(21), time(8), UTC), now)

    def test_by_day(self) -> None:
        noon = instant("2027-01-20 12:30")
        self.assertEqual(instant("2027-01-20 14:00"), quiet_until(noon, time(12), time(14), UTC))


class NameTests(SynchronousTestCase):
    def test_times(self) -> None:
        for text in ("9:00", "24:00", "09:60", "09:00:00", ""):
            self.assertRaises(ValueError, parse_time, text)

    def test_zones(self) -> None:
        """A contact's zone that is unknown is UTC; a definition's is a mistake."""
        for name in ("", "Nowhere/Never", "../../etc/passwd", "/etc/passwd", "Europe/Berlin\0"):
            self.assertEqual(UTC, zone_of(name))
        self.assertRaises(ValueError, zone_of, "Europe/Berln", strict=True)
