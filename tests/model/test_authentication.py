from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.model.authentication import AuthenticationResult
from mta.model.verdict import PASS, Verdict, together


class AuthenticationResultTests(SynchronousTestCase):
    def test_property(self) -> None:
        """The first of a name counts."""
        result = AuthenticationResult("dkim", "pass", (("header.d", "a.test"), ("header.d", "b.test")))
        self.assertEqual(("a.test", ""), (result.get("header.d"), result.get("header.i")))


class TogetherTests(SynchronousTestCase):
    """What several stages said is one verdict."""

    def test_nothing(self) -> None:
        self.assertIs(PASS, together(()))
        self.assertIs(PASS, together((PASS, Verdict())))

    def test_adds_up(self) -> None:
        spf = AuthenticationResult("spf", "pass")
        dkim = AuthenticationResult("dkim", "none")
        found = together(
            (
                Verdict(evidence={"spf": {"a": 1}, "x": 1}, authentication=(spf,)),
                Verdict("tag", fields=(("A", "1"),), evidence={"spf": {"b": 2}, "x": 2}),
                Verdict("tag", fields=(("B", "2"),), authentication=(dkim,)),
            )
        )
        self.assertEqual(
            Verdict(
                "tag",
                evidence={"spf": {"a": 1, "b": 2}, "x": 2},
                fields=(("A", "1"), ("B", "2")),
                authentication=(spf, dkim),
            ),
            found,
        )

    def test_first_hold_counts(self) -> None:
        found = together(
            (Verdict("tag", fields=(("A", "1"),)), Verdict("hold", "one"), Verdict("hold", "two"))
        )
        self.assertEqual(("hold", "one", (("A", "1"),)), (found.action, found.rule, found.fields))
