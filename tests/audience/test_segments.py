"""Who is selected by conditions."""

from __future__ import annotations

from typing import Any

from mta.audience import facts, memberships, selecting
from mta.audience.condition import ConditionError, parse
from mta.audience.segments import NoSegment, Segment
from tests.audience.base import NOW, AudienceCase

DAY = 86400.0


class SelectingTests(AudienceCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.contact(
            "ann@example.org",
            name="Ann",
            locale="de-AT",
            attributes={
                "plan": "Pro",
                "age": 30,
                "vip": True,
                "score": 1.5,
                "one": "1",
                "tags": ["a", "B", 3, True],
                "home": {"city": "Wien"},
                "trial": "2027-01-20",
                "empty": "",
            },
        )
        self.bob = self.contact("bob@example.net", attributes={"plan": "free", "age": 20, "vip": 1, "one": 1})
        self.eve = self.contact("eve@example.com")
        self.contact("ann@example.org", "other", attributes={"plan": "Pro"})

    def chosen(self, condition: Any, now: float = NOW) -> str:
        """First letters of whom a condition holds for, found in three ways."""
        read = parse(condition)
        found, after = [], 0
        while after is not None:
            some, after = self.do(
                lambda base, after=after: selecting.piece(base, "shop", read, after, 1, now, 2)
            )
            found += [one.address[0] for one in some]
        alone = [
            one.address[0]
            for one in (self.ann, self.bob, self.eve)
            if self.do(lambda base, one=one: selecting.matches(base, "shop", read, one.id, now))
        ]
        self.assertEqual(alone, found)
        self.assertEqual(len(found), self.done(self.audience.segments.count("shop", read, now)))
        return "".join(found)

    def test_attributes(self) -> None:
        """Every operator, and types that are not mixed up."""
        for wanted, test in (
            ("a", {"attribute": "plan", "is": "Pro"}),
            ("", {"attribute": "plan", "is": "pro"}),
            ("be", {"attribute": "plan", "is_not": "Pro"}),
            ("ab", {"attribute": "plan", "in": ["Pro", "free", 5]}),
            ("be", {"attribute": "plan", "not_in": ["Pro"]}),
            ("a", {"attribute": "vip", "is": True}),
            ("b", {"attribute": "vip", "is": 1}),
            ("ab", {"attribute": "vip", "in": [1, True]}),
            ("a", {"attribute": "one", "is": "1"}),
            ("b", {"attribute": "one", "is": 1}),
            ("a", {"attribute": "age", "more": 20}),
            ("ab", {"attribute": "age", "at_least": 20, "at_most": 30}),
            ("b", {"attribute": "age", "less": 30}),
            ("a", {"attribute": "score", "at_most": 1.5}),
            ("", {"attribute": "plan", "more": 0}),
            ("a", {"attribute": "plan", "contains": "pR"}),
            ("b", {"attribute": "plan", "starts_with": "FR"}),
            ("a", {"attribute": "plan", "ends_with": "ro"}),
            ("a", {"attribute": "tags", "contains": "B"}),
            ("", {"attribute": "tags", "contains": "b"}),
            ("a", {"attribute": "tags", "contains": 3}),
            ("a", {"attribute": "tags", "contains": True}),
            ("", {"attribute": "tags", "contains": 1}),
            ("a", {"attribute": "home.city", "is": "Wien"}),
            ("a", {"attribute": "empty", "exists": True}),
            ("be", {"attribute": "empty", "exists": False}),
            ("a", {"attribute": "trial", "before": "now+7d"}),
            ("", {"attribute": "trial", "before": "now"}),
            ("a", {"attribute": "trial", "after": "2027-01-19T23:59:59Z"}),
            ("", {"attribute": "age", "after": "1970-01-01"}),
        ):
            self.assertEqual(wanted, self.chosen(test), test)

    def test_fields(self) -> None:
        """What every contact has."""
        for wanted, test in (
            ("a", {"field": "domain", "is": "example.org"}),
            ("be", {"field": "domain", "not_in": ["example.org"]}),
            ("a", {"field": "name", "exists": True}),
            ("be", {"field": "name", "exists": False}),
            ("a", {"field": "locale", "starts_with": "de"}),
            ("ab", {"field": "address", "in": ["ann@example.org", "bob@example.net"]}),
            ("abe", {"field": "created", "after": "now-1h"}),
            ("", {"field": "consented", "before": "now"}),
            ("abe", {"field": "consented", "exists": False}),
            ("e", {"field": "address", "contains": "EVE@"}),
        ):
            self.assertEqual(wanted, self.chosen(test), test)

    def test_logic(self) -> None:
        """Conditions are joined, and what is not known is not so."""
        pro, old = {"attribute": "plan", "is": "Pro"}, {"attribute": "age", "more": 25}
        self.assertEqual("a", self.chosen({"all": [pro, old]}))
        self.assertEqual("ae", self.chosen({"any": [pro, {"not": {"attribute": "age", "exists": True}}]}))
        self.assertEqual("be", self.chosen({"not": old}))
        self.assertEqual("be", self.chosen({"not": {"not": {"not": old}}}))

    def test_lists(self) -> None:
        """Who is on a list, and how."""
        news, theirs = self.list("news"), self.list("news", "other")
        self.do(lambda base: memberships.join(base, "shop", news, self.ann.id, "key", NOW))
        self.do(lambda base: memberships.leave(base, "shop", news, self.bob.id, "key", NOW))
        self.do(lambda base: memberships.join(base, "other", theirs, self.eve.id, "key", NOW))
        self.assertEqual("a", self.chosen({"list": "news"}))
        self.assertEqual("b", self.chosen({"list": "news", "state": "unsubscribed"}))
        self.assertEqual("ab", self.chosen({"list": "news", "state": ["subscribed", "unsubscribed"]}))
        self.assertEqual("", self.chosen({"list": "others"}))

    def test_behaviour(self) -> None:
        """How often something happened, when, and to which message."""

        def work(base: Any) -> None:
            for days, campaign in ((1, "x"), (5, "y"), (40, "x")):
                facts.record(base, "shop", self.ann.id, "opened", NOW - days * DAY, campaign=campaign)
            facts.record(base, "shop", self.bob.id, "clicked", NOW - DAY, name="https://a.example/")
            facts.record(base, "shop", self.bob.id, "opened", NOW - DAY)

        self.do(work)
        for wanted, test in (
            ("ab", {"behaviour": "opened"}),
            ("a", {"behaviour": "opened", "at_least": 3}),
            ("", {"behaviour": "opened", "at_least": 3, "within": "30d"}),
            ("a", {"behaviour": "opened", "exactly": 2, "within": "30d"}),
            ("be", {"behaviour": "opened", "at_most": 1}),
            ("e", {"behaviour": "opened", "exactly": 0}),
            ("a", {"behaviour": "opened", "campaign": "y"}),
            ("a", {"behaviour": "opened", "until": "now-30d"}),
            ("b", {"behaviour": "clicked", "link": "https://a.example/"}),
            ("", {"behaviour": "clicked", "link": "https://b.example/"}),
            ("ae", {"not": {"behaviour": "clicked"}}),
        ):
            self.assertEqual(wanted, self.chosen(test), test)

    def test_events(self) -> None:
        """The application's own events, with their properties."""

        def work(base: Any) -> None:
            for amount in (5, 15, 25):
                facts.record(
                    base, "shop", self.ann.id, "event", NOW - 1, name="bought", properties={"amount": amount}
                )
            facts.record(base, "shop", self.bob.id, "event", NOW - 1, name="bought")

        self.do(work)
        bought = {"event": "bought"}
        self.assertEqual("ab", self.chosen(bought))
        self.assertEqual("a", self.chosen({**bought, "at_least": 2, "where": {"amount": {"more": 10}}}))
        self.assertEqual("", self.chosen({**bought, "at_least": 3, "where": {"amount": {"more": 10}}}))
        self.assertEqual("b", self.chosen({**bought, "where": {"amount": {"exists": False}}}))
        self.assertEqual("", self.chosen({"event": "sold"}))
        # What is to come has not happened.
        self.assertEqual("", self.chosen(bought, NOW - 10))

    def test_nothing_is_pasted(self) -> None:
        """Whatever stands in a condition is a value."""
        nasty = "'; DROP TABLE contacts; --"
        for test in (
            {"attribute": "plan", "is": nasty},
            {"attribute": "plan", "contains": nasty},
            {"attribute": "plan", "in": [nasty, '"]) OR 1']},
            {"field": "name", "starts_with": nasty},
            {"list": nasty},
            {"event": nasty, "where": {"a": nasty}},
            {"behaviour": "opened", "campaign": nasty},
        ):
            self.assertEqual("", self.chosen(test), test)
        self.assertEqual(3, self.done(self.audience.contacts.count("shop")))


class SegmentTests(AudienceCase):
    def put(self, name: str, condition: Any, tenant: str = "shop") -> Segment:
        return self.done(self.audience.segments.put(tenant, Segment(name, "", condition), NOW))[0]

    def test_kept(self) -> None:
        """A segment is found by its name, by its tenant alone."""
        made = self.put("pros", {"attribute": "plan", "is": "pro"})
        self.assertEqual(made, self.done(self.audience.segments.find("shop", "pros")))
        self.assertIsNone(self.done(self.audience.segments.find("other", "pros")))
        self.assertEqual([made], self.done(self.audience.segments.page("shop")))
        with self.assertRaises(NoSegment):
            self.done(self.audience.segments.remove("other", "pros"))
        self.done(self.audience.segments.remove("shop", "pros"))
        self.assertEqual([], self.done(self.audience.segments.page("shop")))

    def test_wrong(self) -> None:
        """What is wrong is not kept."""
        for name, condition in (("pros", {"attribute": "plan"}), ("Pros", {"attribute": "a", "is": 1})):
            with self.assertRaises(ValueError):
                self.put(name, condition)
        with self.assertRaisesRegex(ConditionError, "no segment others"):
            self.put("pros", {"segment": "others"})
        self.assertEqual([], self.done(self.audience.segments.page("shop")))

    def test_of_others(self) -> None:
        """One may be part of another, and none of itself."""
        ann = self.contact("ann@example.org", attributes={"plan": "pro"})
        self.put("pros", {"attribute": "plan", "is": "pro"})
        self.put("old", {"all": [{"segment": "pros"}, {"attribute": "age", "exists": False}]})
        found, _ = self.done(self.audience.segments.members("shop", parse({"segment": "old"}), 0, 10, NOW))
        self.assertEqual([ann], found)
        with self.assertRaisesRegex(ConditionError, "leads to itself"):
            self.put("pros", {"segment": "old"})
        self.assertEqual(
            {"attribute": "plan", "is": "pro"},
            self.done(self.audience.segments.find("shop", "pros")).condition,  # type: ignore[union-attr]
        )

    def test_pieces(self) -> None:
        """Members come in as many calls as are asked for, each once."""
        for number in range(25):
            self.contact(f"n{number:02}@example.org", attributes={"even": number % 2 == 0})
        condition = parse({"attribute": "even", "is": True})
        found: list[str] = []
        after: int | None = 0
        while after is not None:
            some, after = self.done(self.audience.segments.members("shop", condition, after, 4, NOW))
            self.assertLessEqual(len(some), 4)
            found += [one.address for one in some]
        self.assertEqual([f"n{number:02}@example.org" for number in range(0, 25, 2)], found)
