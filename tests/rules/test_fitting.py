"""Which rules fit which messages."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from mta.rules.fitting import fits
from mta.rules.letter import Letter
from mta.rules.rule import Rule

TEXT = (
    b"From: =?utf-8?q?J=C3=BCrgen?= Boss <boss@far.test>\r\n"
    b"To: Team <team@example.org>,\r\n ann@example.org\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from\r\n the sea\r\n"
    b"List-Id: The list <dev.far.test>\r\n"
    b"X-Kind: a\r\nX-Kind: b\r\n\r\nFrom: body@far.test\r\n"
)


class FittingTests(SynchronousTestCase):
    """Conditions of a rule."""

    def fits(self, letter: Letter | None = None, **conditions: object) -> bool:
        rule = Rule.model_validate({"stop": True, **conditions})
        return fits(rule, letter or Letter(TEXT, 5000, ("ann+x@example.org",)))

    def test_conditions(self) -> None:
        for right, wrong in (
            ({"from": "boss@far.test"}, {"from": "oss@far.test"}),
            ({"from": "@FAR.test"}, {"from": "@test"}),
            ({"from": "jürgen"}, {"from": "body@far.test"}),
            ({"from": ["nobody", "boss@*.test"]}, {"from": "boss@*.org"}),
            ({"to": "ann@example.org"}, {"to": "nn@example.org"}),
            ({"to": "ann+x@example.org"}, {"to": "ann+y@example.org"}),
            ({"subject": "grüße from the"}, {"subject": "sea *"}),
            ({"subject": "grü*sea"}, {"subject": "grü*land*sea"}),
            ({"list": "dev.far.test"}, {"list": "dev.near.test"}),
            ({"header": {"x-kind": "b"}}, {"header": {"x-kind": "c"}}),
            ({"larger": "4K"}, {"larger": "5K"}),
            ({"smaller": 6000}, {"smaller": 5000}),
            ({"from": "boss", "subject": "sea"}, {"from": "boss", "subject": "land"}),
            (
                {"from": "boss", "subject": "land", "match": "any"},
                {"from": "x", "subject": "y", "match": "any"},
            ),
            ({"unless": {"from": "ann"}}, {"unless": {"from": "boss"}}),
            ({}, {"enabled": False}),
        ):
            self.assertTrue(self.fits(**right), right)
            self.assertFalse(self.fits(**wrong), wrong)

    def test_junk(self) -> None:
        """What a filter calls spam is only for rules that ask for it."""
        spam = Letter(TEXT, 5000, (), True)
        self.assertEqual([False, True, True], [self.fits(spam, junk=one) for one in (False, True, "any")])
        self.assertEqual([True, False, True], [self.fits(junk=one) for one in (False, True, "any")])

    def test_hostile(self) -> None:
        """No header section takes long, or makes it fail."""
        began = time.process_time()
        for field in (b"From: " + b"<(" * 50_000, b"Subject: " + b"ab" * 100_000, b"To: " + b"a@b," * 60_000):
            letter = Letter(field + b"\r\n\r\n", 1)
            self.assertFalse(self.fits(letter, **{"from": "x", "to": "y", "match": "any"}))
            self.assertFalse(self.fits(letter, subject="*a*a*a*a*a*a*a*a*c"))
        for field in (
            b"From: =?utf-8?b?////?= <\xff>",
            b"Subject: =?none?q?x?=",
            b"To: a\0b@c",
            b": x",
            b"x",
        ):
            self.fits(
                Letter(field + b"\r\n\r\n", 1), **{"from": "x", "subject": "y", "to": "z", "match": "any"}
            )
        self.assertLess(time.process_time() - began, 5.0)
