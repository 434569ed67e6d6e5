"""Addresses that lead back to one copy."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.feedback.token import Token, TokenError, make_token, read_token
from mta.model.ids import IdSource

KEY, OTHER = b"k" * 32, b"o" * 32
NOW = 1_800_000_000.0
ID = IdSource(3).next(NOW)
DAY = 86400.0


class TokenTests(SynchronousTestCase):
    @given(st.text(min_size=1, max_size=80), st.sampled_from(["bounce", "return"]))
    def test_round_trip(self, recipient: str, purpose: str) -> None:
        """Whatever the recipient, and in whatever case it comes back."""
        local = make_token(KEY, purpose, ID, recipient)  # type: ignore[arg-type]
        self.assertLessEqual(len(local), 64)
        for written in (local, local.upper()):
            token = read_token([OTHER, KEY], written, NOW + DAY, 21 * DAY)
            assert token is not None
            self.assertEqual((purpose, ID), (token.purpose, token.message))
            self.assertEqual(recipient, token.recipient(["somebody@else.test", recipient]))

    @given(st.integers(0, 36), st.sampled_from("0123456789abcdefghjkmnpqrstvwxyz"))
    def test_one_digit_is_wrong(self, place: int, digit: str) -> None:
        local = make_token(KEY, "bounce", ID, "a@far.test")
        wrong = local[:place] + digit + local[place + 1 :]
        if wrong != local:
            with contextlib.suppress(TokenError):
                self.assertIsNone(read_token([KEY], wrong, NOW, 21 * DAY))

    @given(st.text(max_size=80))
    def test_anything(self, local: str) -> None:
        """No text makes it fall over."""
        self.assertIsNone(read_token([KEY], local, NOW, DAY))

    def test_refused(self) -> None:
        local = make_token(KEY, "bounce", ID, "a@far.test")
        self.assertRaises(TokenError, read_token, [OTHER], local, NOW, 21 * DAY)
        self.assertRaises(TokenError, read_token, [KEY], local, NOW + 22 * DAY, 21 * DAY)
        self.assertRaises(TokenError, read_token, [KEY], local, NOW - DAY, 21 * DAY)
        # What was made for one purpose is not good for the other.
        other = local.replace("bounce-", "return-")
        self.assertRaises(TokenError, read_token, [KEY], other, NOW, 21 * DAY)

    def test_another_recipient(self) -> None:
        self.assertEqual("", Token("bounce", ID, "000000").recipient(["a@far.test"]))
