"""Files in which there are no authorities; those in which there are stand in the tests of what reads them."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.https.authorities import trust_of


class AuthoritiesTests(SynchronousTestCase):
    def test_wrong(self) -> None:
        place = Path(self.mktemp())
        self.assertIn("No such file", str(self.assertRaises(ValueError, trust_of, place)))
        place.write_text("nothing")
        self.assertIn("no PEM certificates", str(self.assertRaises(ValueError, trust_of, place)))
