"""Suppression lists as they are kept, and as files."""

from __future__ import annotations

import json
from typing import Any

from mta.interfaces import settle
from mta.model.event import Event
from mta.registry.administration import Administration, Refused
from mta.registry.database import finished
from mta.registry.suppression_file import heading, read, written
from mta.registry.suppressions import EVERYBODY, NoSuppression, Suppression, checked_address
from tests.registry.test_nouns import NOW, NounCase


class SuppressionTests(NounCase):
    def add(
        self, tenant: str, address: str, reason: str = "manual", mailing: str = "", **evidence: Any
    ) -> int:
        entry = Suppression(address, reason, mailing, NOW, evidence)
        return len(finished(self.registry.suppressions.add(tenant, [entry])))

    def found(self, tenant: str, *addresses: str, mailing: str = "") -> dict[str, str]:
        answer = finished(settle(self.registry.suppressions.find(tenant, addresses, mailing)))
        return {address: one.reason for address, one in answer.items()}

    def test_found_whatever_its_case(self) -> None:
        self.assertEqual({}, self.found("shop", "ann@b.example"))
        self.assertEqual(1, self.add("shop", checked_address("Ann@Bücher.example")))
        given = ("ANN@xn--bcher-kva.example", "ann@bücher.example", "bob@b.example")
        self.assertEqual(dict.fromkeys(given[:2], "manual"), self.found("shop", *given))

    def test_of_one_tenant_and_of_everybody(self) -> None:
        self.add("shop", "ann@b.example")
        self.assertEqual({}, self.found("other", "ann@b.example"))
        self.add(EVERYBODY, "bob@b.example")
        self.assertEqual({"bob@b.example": "manual"}, self.found("other", "ann@b.example", "bob@b.example"))
        self.assertEqual([], finished(self.registry.suppressions.of("other", "bob@b.example")))

    def test_the_gravest_reason_is_told_and_each_is_lifted_by_itself(self) -> None:
        for reason in ("manual", "bounce", "complaint"):
            self.add("shop", "ann@b.example", reason)
        self.assertEqual(0, self.add("shop", "ann@b.example", "bounce", reply="another"))
        self.assertEqual({"ann@b.example": "complaint"}, self.found("shop", "ann@b.example"))
        remove = self.registry.suppressions.remove
        finished(remove("shop", "ANN@b.example", "complaint"))
        self.assertEqual({"ann@b.example": "bounce"}, self.found("shop", "ann@b.example"))
        gone = finished(remove("shop", "ann@b.example"))
        self.assertEqual(["bounce", "manual"], sorted(one.reason for one in gone))
        self.assertEqual({}, self.found("shop", "ann@b.example"))
        with self.assertRaises(NoSuppression):
            finished(remove("shop", "ann@b.example"))

    def test_of_one_list(self) -> None:
        self.add("shop", "ann@b.example", "unsubscribe", "news")
        self.assertEqual({}, self.found("shop", "ann@b.example"))
        self.assertEqual({}, self.found("shop", "ann@b.example", mailing="offers"))
        self.assertEqual(
            {"ann@b.example": "unsubscribe"}, self.found("shop", "ann@b.example", mailing="news")
        )

    def test_many_at_once(self) -> None:
        for number in (0, 399, 400, 999):
            self.add("shop", f"u{number}@b.example")
        found = self.found("shop", *(f"u{number}@b.example" for number in range(1000)))
        self.assertEqual(
            ["u0@b.example", "u399@b.example", "u400@b.example", "u999@b.example"], sorted(found)
        )

    def test_pages(self) -> None:
        for number in range(5):
            self.add("shop", f"u{number}@b.example", "bounce" if number % 2 else "manual")
        self.add("other", "x@b.example")
        page = self.registry.suppressions.page
        first = finished(page("shop", limit=2))
        after = (first[-1].address, first[-1].reason, first[-1].list)
        rest = finished(page("shop", after))
        self.assertEqual([f"u{n}@b.example" for n in range(5)], [one.address for one in (*first, *rest)])
        self.assertEqual(2, len(finished(page("shop", reason="bounce"))))
        self.assertEqual(1, len(finished(page("shop", part="U3@"))))

    def test_followed_once(self) -> None:
        store = self.registry.suppressions
        self.assertIsNone(finished(store.place(3)))
        entry = Suppression("ann@b.example", "bounce", "", NOW, {"reply": "550"}, "shop")
        self.assertEqual([entry], finished(store.follow(3, 17, [entry])))
        self.assertEqual([], finished(store.follow(3, 18, [entry])))
        self.assertEqual((18, None), (finished(store.place(3)), finished(store.place(0))))
        # What was put there later than somebody came back stays.
        finished(store.follow(3, 19, [], [Suppression("ann@b.example", "bounce", "", NOW - 1, {}, "shop")]))
        self.assertEqual({"ann@b.example": "bounce"}, self.found("shop", "ann@b.example"))
        finished(store.follow(3, 20, [], [entry]))
        self.assertEqual({}, self.found("shop", "ann@b.example"))

    def test_no_addresses(self) -> None:
        for text in ("", "ann", "ann@", "@b.example", "a b@c.example", "ann@-.example\n"):
            with self.assertRaises(ValueError, msg=text):
                checked_address(text)


class SuppressionFileTests(NounCase):
    def test_there_and_back(self) -> None:
        entries = [
            Suppression("ann@b.example", "bounce", "", NOW, {"reply": '550 "no", he said'}),
            Suppression("bob@b.example", "unsubscribe", "news, weekly", NOW, {}),
        ]
        for form in ("csv", "ndjson"):
            with self.subTest(form):
                text = heading(form) + written(entries, form)
                self.assertEqual((entries, [], 0), read(text, 0.0))

    def test_exports_of_others(self) -> None:
        for text, expected in (
            ("email,created\r\nAnn@b.example,1800000000\r\n", ("bounce", NOW)),
            (
                "EmailAddress,SuppressionReason,CreatedAt\nann@b.example,HardBounce,2027-01-15T08:00:00Z\n",
                ("bounce", NOW),
            ),
            (
                'address,created_at,type\nann@b.example,"Fri, 15 Jan 2027 08:00:00 UTC",complaints\n',
                ("complaint", NOW),
            ),
            ("\ufeffann@b.example\n", ("bounce", 5.0)),
            ('{"recipient": "ann@b.example", "reason": "spam_complaint"}\n', ("complaint", 5.0)),
        ):
            with self.subTest(text):
                entries, problems, wrong = read(text, 5.0, "bounce")
                self.assertEqual(([], 0), (problems, wrong))
                self.assertEqual(
                    [("ann@b.example", *expected)],
                    [(one.address, one.reason, one.created) for one in entries],
                )

    def test_wrong_lines_are_named_and_the_others_taken(self) -> None:
        text = "address,reason,created\nann@b.example,,\nnobody,,\nx@b.example,odd,\ny@b.example,,soon\n"
        entries, problems, wrong = read(text, 5.0)
        self.assertEqual((1, 3, [3, 4, 5]), (len(entries), wrong, [line for line, _ in problems]))
        self.assertIn("local-part@domain", problems[0][1])
        self.assertIn("'odd' is no reason", problems[1][1])
        self.assertIn("'soon' is no time", problems[2][1])
        entries, problems, _ = read('{"address": "ann@b.example"}\n{broken\n[1]\n', 5.0)
        self.assertEqual((1, [2, 3]), (len(entries), [line for line, _ in problems]))


class SuppressionActTests(NounCase):
    def setUp(self) -> None:
        super().setUp()
        self.events: list[Event] = []
        self.administration = Administration(self.registry, lambda: NOW, self.events.append)

    def act(self, action: str, **asked: Any) -> Any:
        return finished(self.administration.act(f"suppression-{action}", {"by": "root", **asked}))

    def test_by_hand(self) -> None:
        self.assertEqual({"added": 1, "known": 0}, self.act("add", addresses=["Ann@b.example"], note="asked"))
        (entry,) = self.act("list")["suppressions"]
        self.assertEqual(
            ("ann@b.example", {"by": "root", "note": "asked"}), (entry["address"], entry["evidence"])
        )
        self.act("add", tenant="*", addresses=["ann@b.example"])
        self.act("remove", address="ann@b.example")
        with self.assertRaisesRegex(Refused, "is not suppressed"):
            self.act("remove", address="ann@b.example")
        self.assertEqual(1, len(self.act("list", tenant="*")["suppressions"]))
        told = [(event.payload()["action"], event.payload().get("tenant", "")) for event in self.events]
        self.assertEqual([("added", "default"), ("added", ""), ("removed", "default")], told)

    def test_files(self) -> None:
        answer = self.act("import", text="ann@b.example\nnobody\nbob@b.example\n", reason="bounce")
        self.assertEqual((2, 0, 1), (answer["added"], answer["known"], answer["wrong"]))
        first = self.act("export", limit=1, format="ndjson")
        second = self.act("export", limit=1, format="ndjson", after=first["next"])
        rows = [json.loads(line) for line in (first["text"] + second["text"]).splitlines()]
        self.assertEqual(["ann@b.example", "bob@b.example"], [row["address"] for row in rows])
        self.assertEqual("imported", self.events[-1].payload()["action"])

    def test_refused(self) -> None:
        for words, action, asked in (
            ("no tenant nobody", "list", {"tenant": "nobody"}),
            ("reason: it is one of", "add", {"addresses": ["a@b.example"], "reason": "odd"}),
            ("local-part@domain", "add", {"addresses": ["a"]}),
            ("format: it is one of", "export", {"format": "xml"}),
        ):
            with self.assertRaisesRegex(Refused, words):
                self.act(action, **asked)
