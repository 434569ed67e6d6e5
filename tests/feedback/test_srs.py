"""The Sender Rewriting Scheme."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.feedback.srs import SrsError, is_srs, restored, rewritten

KEY, OTHER = b"tops3cr3t", b"another"
NOW = 1_577_836_860.0  # 2020-01-01
DAY = 86400.0
LOCALS = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789.+-=_!#é", min_size=1, max_size=40)
DOMAINS = st.from_regex(r"[a-z][a-z0-9-]{0,10}\.test", fullmatch=True)


class SrsTests(SynchronousTestCase):
    def test_as_others_write_it(self) -> None:
        """With the same key and day other programs make the same address."""
        self.assertEqual("SRS0=vmyz=2W=otherdomain.com=test", rewritten(KEY, "test", "otherdomain.com", NOW))

    @given(LOCALS, DOMAINS, st.integers(0, 20))
    def test_round_trip(self, local: str, domain: str, days: int) -> None:
        assume(not is_srs(local))
        made = rewritten(KEY, local, domain, NOW)
        self.assertTrue(is_srs(made))
        self.assertEqual((local, domain), restored([OTHER, KEY], made, NOW + days * DAY, 21 * DAY))

    @given(LOCALS, DOMAINS, st.lists(DOMAINS, min_size=1, max_size=5))
    def test_chain(self, local: str, domain: str, forwarders: list[str]) -> None:
        """Over any number of forwarders, each with its own key, a bounce goes to the first of them."""
        assume(not is_srs(local))
        first = rewritten(b"first", local, domain, NOW)
        path, at = first, "first.test"
        for forwarder in forwarders:
            path, at = rewritten(forwarder.encode(), path, at, NOW), forwarder
        self.assertTrue(path.startswith("SRS1="))
        self.assertEqual((first, "first.test"), restored([at.encode()], path, NOW, 21 * DAY))

    @given(st.text(max_size=60))
    def test_anything(self, local: str) -> None:
        """No text makes it fall over, and none counts without the key."""
        self.assertRaises(SrsError, restored, [KEY], f"SRS0={local}", NOW, 21 * DAY)
        self.assertRaises(SrsError, restored, [KEY], f"SRS1={local}", NOW, 21 * DAY)
        rewritten(KEY, local, "far.test", NOW)
        rewritten(KEY, f"SRS1={local}", "far.test", NOW)

    def test_expired(self) -> None:
        made = rewritten(KEY, "ann", "far.test", NOW)
        self.assertRaises(SrsError, restored, [KEY], made, NOW + 22 * DAY, 21 * DAY)
        # In another zone it is tomorrow already.
        self.assertEqual(("ann", "far.test"), restored([KEY], made, NOW - DAY, 21 * DAY))
        self.assertRaises(SrsError, restored, [KEY], made, NOW - 3 * DAY, 21 * DAY)

    def test_other_key(self) -> None:
        made = rewritten(KEY, "ann", "far.test", NOW)
        self.assertRaises(SrsError, restored, [OTHER], made, NOW, 21 * DAY)

    def test_case(self) -> None:
        """Some servers write everything in lower case; the domain does not mind, the hash neither."""
        made = rewritten(KEY, "ann", "far.test", NOW).lower()
        self.assertEqual(("ann", "far.test"), restored([KEY], made, NOW, 21 * DAY))
