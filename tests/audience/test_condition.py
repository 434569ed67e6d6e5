"""Conditions as data: what is understood, and what is told of mistakes."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.audience.condition import Both, ConditionError, Did, Moment, Not, OfAttribute, Test, parse


class ConditionTests(SynchronousTestCase):
    def test_read(self) -> None:
        """All that there is, in one."""
        found = parse(
            {
                "all": [
                    {"attribute": "home.city", "is": "Wien", "exists": True},
                    {"not": {"behaviour": "opened", "within": "30d"}},
                    {"event": "bought", "at_most": 2, "where": {"amount": {"more": 10}, "currency": "EUR"}},
                ]
            }
        )
        assert isinstance(found, Both)
        first, second, third = found.parts
        self.assertEqual(OfAttribute(("home", "city"), (Test("is", "Wien"), Test("exists", True))), first)
        self.assertEqual(Not(Did("opened", since=Moment(-30 * 86400.0, True))), second)
        assert isinstance(third, Did)
        self.assertEqual((0, 2, "bought"), (third.least, third.most, third.name))
        self.assertEqual((("currency",), (Test("is", "EUR"),)), third.where[1])

    def test_mistakes(self) -> None:
        """Each mistake is told with its place."""
        deep: Any = {"attribute": "a", "is": 1}
        for _ in range(12):
            deep = {"not": deep}
        many = {"any": [{"attribute": "a", "is": 1}] * 300}
        for where, data in (
            ("", None),
            ("", []),
            ("", {}),
            ("", {"plan": "pro"}),
            ("", {"attribute": "a", "event": "b", "is": 1}),
            ("all", {"all": []}),
            ("all", {"all": {}}),
            ("all[1]", {"all": [{"attribute": "a", "is": 1}, 5]}),
            ("all[0].like", {"all": [{"attribute": "a", "like": "x"}]}),
            ("any[0].not.attribute", {"any": [{"not": {"attribute": "a b", "is": 1}}]}),
            ("attribute", {"attribute": 5, "is": 1}),
            ("", {"attribute": "a"}),
            ("is", {"attribute": "a", "is": None}),
            ("is", {"attribute": "a", "is": float("nan")}),
            ("is", {"attribute": "a", "is": "x\0"}),
            ("is", {"attribute": "a", "is": "x" * 1001}),
            ("in", {"attribute": "a", "in": []}),
            ("in[1]", {"attribute": "a", "in": ["x", {}]}),
            ("more", {"attribute": "a", "more": "5"}),
            ("more", {"attribute": "a", "more": True}),
            ("exists", {"attribute": "a", "exists": 1}),
            ("before", {"attribute": "a", "before": "soon"}),
            ("before", {"attribute": "a", "before": 5}),
            ("field", {"field": "shoe_size", "is": 5}),
            ("is", {"field": "created", "is": 5}),
            ("more", {"field": "name", "more": 5}),
            ("state", {"list": "news", "state": "happy"}),
            ("state", {"list": "news", "state": []}),
            ("list", {"list": ""}),
            ("behaviour", {"behaviour": "danced"}),
            ("behaviour", {"behaviour": "event"}),
            ("within", {"behaviour": "opened", "within": "a while"}),
            ("within", {"behaviour": "opened", "within": "1d", "since": "now-2d"}),
            ("at_least", {"behaviour": "opened", "at_least": -1}),
            ("at_least", {"behaviour": "opened", "at_least": True}),
            ("at_most", {"behaviour": "opened", "at_least": 3, "at_most": 2}),
            ("exactly", {"behaviour": "opened", "exactly": 3, "at_most": 2}),
            ("where", {"behaviour": "opened", "where": {"a": 1}}),
            ("where", {"event": "a", "where": []}),
            ("where.a.more", {"event": "a", "where": {"a": {"more": "x"}}}),
            ("link", {"behaviour": "opened", "link": "https://example.org/"}),
            ("segment", {"segment": 5}),
        ):
            with self.assertRaises(ConditionError, msg=repr(data)) as caught:
                parse(data)
            self.assertEqual(where, caught.exception.where, data)
        for data in (deep, many):
            with self.assertRaisesRegex(ConditionError, "than"):
                parse(data)

    def test_times(self) -> None:
        """Times are absolute, or told from when it is asked."""
        for text, at in (
            ("now", 1000.0),
            ("now-1h", -2600.0),
            ("now+1m", 1060.0),
            ("1970-01-02", 86400.0),
            ("1970-01-01T01:00:00+01:00", 0.0),
            ("1970-01-01T00:00:05Z", 5.0),
        ):
            found = parse({"field": "created", "after": text})
            self.assertEqual(at, found.tests[0].value.at(1000.0), text)  # type: ignore[union-attr]
