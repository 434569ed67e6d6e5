"""The tree walk, alignment and policy: the tables of RFC 9989, and what strangers may publish."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.dmarc.discovery import Answer, Tree, path
from mta.dmarc.evaluation import Finding, Identifier, evaluate


class Zone:
    """A DNS of policy records; what it was asked is remembered."""

    def __init__(
        self, records: dict[str, str], missing: tuple[str, ...] = (), broken: tuple[str, ...] = ()
    ) -> None:
        self.records = records
        self.missing = missing
        self.broken = broken
        self.asked: list[str] = []

    def run(self, asking: Any) -> Any:
        try:
            question = next(asking)
            while True:
                self.asked.append(question.name)
                question = asking.send(self._answer(question.name))
        except StopIteration as end:
            return end.value

    def _answer(self, name: str) -> Answer:
        if name in self.broken:
            return Answer(trouble="SERVFAIL")
        text = self.records.get(name.removeprefix("_dmarc."))
        if name.startswith("_dmarc.") and text is not None:
            return Answer((text.encode(),))
        return Answer(exists=name not in self.missing)

    def evaluate(self, author: str, *passed: str) -> Finding:
        """With identifiers like ``spf=example.org``."""
        identifiers = [Identifier(*one.split("=")) for one in passed]  # type: ignore[arg-type]
        found: Finding = self.run(evaluate(author, identifiers))
        return found


PLAIN = "v=DMARC1; p=reject"


class TreeTests(SynchronousTestCase):
    def test_path(self) -> None:
        """Eight names at the most (4.10)."""
        self.assertEqual(
            [
                "a.b.c.d.e.f.g.h.i.j.mail.example.com",
                "g.h.i.j.mail.example.com",
                "h.i.j.mail.example.com",
                "i.j.mail.example.com",
                "j.mail.example.com",
                "mail.example.com",
                "example.com",
                "com",
            ],
            path("a.b.c.d.e.f.g.h.i.j.mail.example.com"),
        )
        self.assertEqual(["a.example.com", "example.com", "com"], path("a.example.com"))
        eight = "a.b.c.d.e.f.example.com"
        self.assertEqual([eight, "b.c.d.e.f.example.com"], path(eight)[:2])
        self.assertEqual(["com"], path("com"))

    def test_organization(self) -> None:
        for domain, records, expected in (
            ("a.mail.example.com", {"mail.example.com": PLAIN, "example.com": PLAIN}, "example.com"),
            (
                "a.mail.example.com",
                {"mail.example.com": PLAIN + "; psd=n", "example.com": PLAIN},
                "mail.example.com",
            ),
            ("a.mail.example.com", {"com": PLAIN + "; psd=y"}, "example.com"),
            ("a.mail.example.com", {"example.com": PLAIN + "; psd=y"}, "mail.example.com"),
            ("a.mail.example.com", {}, "a.mail.example.com"),
            ("bank.example", {"bank.example": PLAIN + "; psd=y"}, "bank.example"),
            ("example.com", {"example.com": PLAIN}, "example.com"),
            # Two records are none.
            ("a.example.com", {"a.example.com": PLAIN, "example.com": "v=DMARC2"}, "a.example.com"),
        ):
            self.assertEqual(expected, Zone(records).run(Tree().organization(domain)), (domain, records))


class EvaluationTests(SynchronousTestCase):
    """B.1 and B.3 of the standard, and what else may be."""

    def test_alignment(self) -> None:
        relaxed, strict = {"example.com": PLAIN}, {"example.com": PLAIN + "; adkim=s; aspf=s"}
        for author, identifier, records, result in (
            ("example.com", "spf=example.com", strict, "pass"),
            ("example.com", "spf=child.example.com", relaxed, "pass"),
            ("example.com", "spf=child.example.com", strict, "fail"),
            ("child.example.com", "spf=example.net", relaxed, "fail"),
            ("example.com", "dkim=example.com", strict, "pass"),
            ("child.example.com", "dkim=example.com", relaxed, "pass"),
            ("child.example.com", "dkim=example.com", strict, "fail"),
            ("child.example.com", "dkim=example.net", relaxed, "fail"),
            ("child.example.com", "dkim=other.child.example.com", relaxed, "pass"),
            ("example.com", "dkim=badexample.com", relaxed, "fail"),
            ("example.com", "dkim=com", relaxed, "fail"),
        ):
            found = Zone(records).evaluate(author, identifier)
            self.assertEqual(result, found.result, (author, identifier))
            self.assertEqual("none" if result == "pass" else "reject", found.disposition)

    def test_simple_example(self) -> None:
        zone = Zone({"example.com": PLAIN, "signing.example.com": PLAIN})
        found = zone.evaluate("example.com", "spf=example.com", "dkim=signing.example.com")
        self.assertTrue(found.is_aligned("spf") and found.is_aligned("dkim"))
        self.assertEqual("example.com", found.domain)

    def test_deep_example(self) -> None:
        zone = Zone({"example.com": PLAIN, "signing.example.com": PLAIN})
        author = "a.b.c.d.e.f.g.h.i.j.k.example.com"
        found = zone.evaluate(author, "spf=example.com", "dkim=signing.example.com")
        self.assertTrue(found.is_aligned("spf") and found.is_aligned("dkim"))
        self.assertEqual("example.com", found.domain)
        self.assertEqual([f"_dmarc.{name}" for name in path(author)], zone.asked[:8])
        self.assertEqual(9, len(zone.asked), "nothing is asked twice")

    def test_public_suffix_example(self) -> None:
        zone = Zone({"bank.example": PLAIN + "; psd=y", "giant.bank.example": PLAIN})
        found = zone.evaluate(
            "giant.bank.example", "spf=mail.giant.bank.example", "dkim=mail.mega.bank.example"
        )
        self.assertEqual(
            ("pass", True, False, "giant.bank.example"),
            (found.result, found.is_aligned("spf"), found.is_aligned("dkim"), found.domain),
        )

    def test_public_suffix_speaks_for_the_silent(self) -> None:
        """4.10.1: third in the order of preference, and with its sp or np."""
        zone = Zone(
            {"bank.example": "v=DMARC1; p=none; sp=quarantine; np=reject; psd=y"},
            missing=("no.bank.example",),
        )
        found = zone.evaluate("mega.bank.example")
        self.assertEqual(
            ("fail", "quarantine", "bank.example"), (found.result, found.disposition, found.domain)
        )
        found = zone.evaluate("no.bank.example")
        self.assertEqual(("fail", "reject", False), (found.result, found.disposition, found.exists))

    def test_policies(self) -> None:
        for records, author, policy, disposition in (
            ({"x.test": "v=DMARC1; p=quarantine"}, "x.test", "quarantine", "quarantine"),
            ({"x.test": "v=DMARC1; p=reject; t=y"}, "x.test", "reject", "quarantine"),
            ({"x.test": "v=DMARC1; p=quarantine; t=y"}, "x.test", "quarantine", "none"),
            ({"x.test": "v=DMARC1; p=none; sp=reject"}, "a.x.test", "reject", "reject"),
            # sp of a record that is the author's own is for nobody.
            ({"a.x.test": "v=DMARC1; p=none; sp=reject", "x.test": PLAIN}, "a.x.test", "none", "none"),
            ({"x.test": "v=DMARC1; p=none; np=reject"}, "gone.x.test", "reject", "reject"),
            ({"x.test": "v=DMARC1; p=none; np=reject"}, "a.x.test", "none", "none"),
        ):
            found = Zone(records, missing=("gone.x.test",)).evaluate(author, "dkim=other.example")
            self.assertEqual(
                ("fail", policy, disposition), (found.result, found.policy, found.disposition), records
            )

    def test_no_policy(self) -> None:
        found = Zone({}).evaluate("example.com", "spf=example.com")
        self.assertEqual(("none", "none"), (found.result, found.disposition))
        found = Zone({"example.com": "v=DMARC1; p=refuse"}).evaluate("example.com", "spf=example.com")
        self.assertEqual("permerror", found.result)
        self.assertIn("refuse", found.reason)

    def test_trouble(self) -> None:
        """Nobody can tell: neither pass nor fail, unless something stands for the author for sure."""
        records = {"example.com": PLAIN}
        found = Zone(records, broken=("_dmarc.example.com",)).evaluate("example.com", "spf=example.com")
        self.assertEqual("temperror", found.result)
        zone = Zone(records, broken=("_dmarc.a.example.com",))
        self.assertEqual("temperror", zone.evaluate("example.com", "dkim=a.example.com").result)
        self.assertEqual("pass", zone.evaluate("example.com", "dkim=a.example.com", "spf=example.com").result)
        zone = Zone({"example.com": PLAIN + "; np=none"}, broken=("a.example.com",))
        self.assertEqual("temperror", zone.evaluate("a.example.com").result)

    def test_few_questions(self) -> None:
        """What cannot stand for the author is not asked about."""
        zone = Zone({"example.com": PLAIN})
        zone.evaluate("example.com", *(f"dkim=d{number}.example.net" for number in range(50)))
        self.assertEqual(["_dmarc.example.com"], zone.asked)
        zone = Zone({"example.com": PLAIN})
        zone.evaluate("example.com", *(f"dkim=d{number}.other.com" for number in range(50)))
        self.assertLess(len(zone.asked), 15)

    @given(
        st.lists(st.sampled_from(["a", "b", "x.test", "y.test", "test"]), min_size=1, max_size=12).map(
            ".".join
        ),
        st.dictionaries(
            st.sampled_from(["test", "x.test", "a.x.test", "y.test", "b.y.test"]),
            st.sampled_from([PLAIN, PLAIN + "; psd=y", PLAIN + "; psd=n", "v=DMARC1", "nonsense"]),
        ),
    )
    def test_any_tree(self, domain: str, records: dict[str, str]) -> None:
        """An organizational domain is the domain or above it, found with eight questions; so is itself."""
        zone = Zone(records)
        tree = Tree()
        found = zone.run(tree.organization(domain))
        self.assertTrue(domain == found or domain.endswith("." + found), (domain, found))
        self.assertLessEqual(len(zone.asked), 8)
        if domain in records and zone.evaluate(domain, f"dkim={domain}").record is not None:
            self.assertIn(zone.evaluate(domain, f"dkim={domain}").result, ("pass", "permerror"))
