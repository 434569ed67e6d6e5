"""Times in requests."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError
from twisted.trial.unittest import SynchronousTestCase

from mta.api.v1.moment import Moment

MOMENT = TypeAdapter(Moment)


class MomentTests(SynchronousTestCase):
    def test_with_a_zone(self) -> None:
        for text, at in (
            ("2027-01-15T08:00:00Z", 1.8e9),
            ("2027-01-15T09:00+01:00", 1.8e9),
            ("2027-01-15T09:00:00.500 01:00", 1.8e9 + 0.5),
            ("2027-01-15 08:00:00Z", 1.8e9),
        ):
            self.assertEqual(at, MOMENT.validate_python(text).timestamp(), text)

    def test_others(self) -> None:
        for text in (
            "0.5",
            "1800000000",
            "2027-01-15",
            "2027-01-15T08:00:00",
            "soon",
            "1960-01-01T00:00:00Z",
            "",
        ):
            self.assertRaises(ValidationError, MOMENT.validate_python, text)
