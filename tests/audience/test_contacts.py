"""Contacts as they are kept."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.audience import facts, memberships
from mta.audience.contact import MOST_ATTRIBUTES, Contact, NoContact, checked, checked_attributes
from mta.audience.contacts import Erased
from tests.audience.base import NOW, AudienceCase


class CheckTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """What is wrong is told with the field's name."""
        for words, contact in (
            ("address: ", Contact("no address")),
            ("name: there is a character", Contact("a@example.org", name="a\nb")),
            ("name: it has 201", Contact("a@example.org", name="x" * 201)),
            ("time_zone: 'Mars/Base'", Contact("a@example.org", time_zone="Mars/Base")),
            ("time_zone: ", Contact("a@example.org", time_zone="../../etc/passwd")),
            ("locale: ", Contact("a@example.org", locale="no locale")),
            ("channel: ", Contact("a@example.org", channel="smoke")),  # type: ignore[arg-type]
            ("webhook: the channel", Contact("a@example.org", channel="webhook")),
            ("webhook: ", Contact("a@example.org", webhook="ftp://example.org/")),
            ("webhook: ", Contact("a@example.org", webhook="https://u:p@example.org/")),
            ("consented: ", Contact("a@example.org", consented=-1.0)),
        ):
            with self.assertRaisesRegex(ValueError, words, msg=words):
                checked(contact)

    def test_form(self) -> None:
        """Fields are kept in one form."""
        found = checked(Contact("Ann@BÜCHER.example", " Ann ", locale="de_at", time_zone="Europe/Vienna"))
        self.assertEqual("ann@xn--bcher-kva.example", found.address)
        self.assertEqual(("Ann", "de-AT", "Europe/Vienna"), (found.name, found.locale, found.time_zone))

    def test_attributes(self) -> None:
        """Values of JSON keep their types; null takes one away."""
        values = {"a": 1, "b": 1.5, "c": True, "d": "x", "e": ["x", 2], "f": {"g": "h"}, "gone": None}
        self.assertEqual({**{k: v for k, v in values.items() if k != "gone"}}, checked_attributes(values))

    def test_bounds(self) -> None:
        """Attributes are bounded in every direction."""
        deep: object = 1
        for _ in range(10):
            deep = [deep]
        for words, values in (
            ("is none: a letter", {"a.b": 1}),
            ("is none: a letter", {"": 1}),
            ("deeper", {"a": deep}),
            ("2\\*\\*53", {"a": 2**60}),
            ("no number", {"a": float("nan")}),
            ("no text has", {"a": "\ud800"}),
            ("no text has", {"a": "x\0y"}),
            ("octets", {"a": "ä" * 9000}),
            ("there are", {f"a{number}": 1 for number in range(MOST_ATTRIBUTES + 1)}),
        ):
            with self.assertRaisesRegex(ValueError, words, msg=words):
                checked_attributes(values)


class ContactTests(AudienceCase):
    def test_one_for_an_address(self) -> None:
        """The spelling of an address makes no second contact, and merging keeps what was known."""
        first = self.contact("Ann@Example.org", name="Ann", attributes={"plan": "free", "age": 3})
        found, new = self.done(
            self.audience.contacts.put(
                "shop", Contact("ann@example.org", attributes={"plan": "pro", "age": None}), NOW + 5
            )
        )
        self.assertFalse(new)
        self.assertEqual((first.id, "Ann", {"plan": "pro"}), (found.id, found.name, found.attributes))
        self.assertEqual((NOW, NOW + 5), (found.created, found.changed))
        self.assertEqual(found, self.done(self.audience.contacts.find("shop", "ANN@example.org")))

    def test_replaced(self) -> None:
        """Without merging nothing of before is left."""
        self.contact("ann@example.org", name="Ann", attributes={"plan": "free"})
        put = self.audience.contacts.put("shop", Contact("ann@example.org"), NOW, merge=False)
        self.assertEqual(
            ("", {}), (self.done(put)[0].name, self.done(self.found("ann@example.org")).attributes)
        )

    async def found(self, address: str) -> Contact:
        found = await self.audience.contacts.find("shop", address)
        assert found is not None
        return found

    def test_unchanged(self) -> None:
        """Who brings nothing new changes nothing."""
        first = self.contact("ann@example.org", name="Ann")
        again, _ = self.done(self.audience.contacts.put("shop", Contact("ann@example.org"), NOW + 9))
        self.assertEqual(first, again)

    def test_consent_is_kept(self) -> None:
        """The first known consent is the evidence."""
        self.contact("ann@example.org", source="form", consented=5.0)
        again = self.contact("ann@example.org", source="file", consented=9.0)
        self.assertEqual(("form", 5.0), (again.source, again.consented))

    def test_tenants_apart(self) -> None:
        """The same address of two tenants is two contacts."""
        mine = self.contact("ann@example.org")
        theirs = self.contact("ann@example.org", "other", name="X")
        self.assertNotEqual(mine.id, theirs.id)
        self.assertIsNone(self.done(self.audience.contacts.get("shop", theirs.id)))
        self.assertEqual([mine], self.done(self.audience.contacts.page("shop")))
        with self.assertRaises(NoContact):
            self.done(self.audience.contacts.set_attributes("shop", theirs.id, {"a": 1}, NOW))

    def test_pages(self) -> None:
        """Pages go on after an address."""
        for name in "cab":
            self.contact(f"{name}@example.org")
        first = self.done(self.audience.contacts.page("shop", limit=2))
        self.assertEqual(["a@example.org", "b@example.org"], [one.address for one in first])
        rest = self.done(self.audience.contacts.page("shop", first[-1].address, 2))
        self.assertEqual(["c@example.org"], [one.address for one in rest])
        self.assertEqual(3, self.done(self.audience.contacts.count("shop")))

    def test_attributes(self) -> None:
        """Some attributes are changed, one taken away."""
        one = self.contact("ann@example.org", attributes={"a": 1, "b": 2})
        done = self.done(
            self.audience.contacts.set_attributes("shop", one.id, {"a": None, "c": [1]}, NOW + 1)
        )
        self.assertEqual({"b": 2, "c": [1]}, done.attributes)


class ErasingTests(AudienceCase):
    def test_forgotten_everywhere(self) -> None:
        """Nothing is left of who is erased, not even with those who keep more of contacts."""
        ann, bob = self.contact("ann@example.org"), self.contact("bob@example.org")
        news = self.list("news")
        told: list[tuple[str, int]] = []
        self.audience.erasing.append(lambda base, tenant, contact: told.append((tenant, contact)))
        for one in (ann, bob):
            self.do(lambda base, one=one: memberships.join(base, "shop", news, one.id, "test", NOW))
            self.do(lambda base, one=one: facts.record(base, "shop", one.id, "event", NOW, name="x"))
        self.assertTrue(self.done(self.audience.contacts.erase("shop", "Ann@example.org", NOW)))
        self.assertEqual([("shop", ann.id)], told)
        for table in ("memberships", "membership_history", "facts"):
            rows = self.do(lambda base, table=table: base.execute(f"SELECT contact FROM {table}").fetchall())
            self.assertEqual([(bob.id,)], rows, table)
        self.assertFalse(self.done(self.audience.contacts.erase("shop", "ann@example.org", NOW)))
        # Without a hash the person may come back, as somebody else.
        self.assertNotEqual(ann.id, self.contact("ann@example.org").id)

    def test_hash(self) -> None:
        """Who is never to come back does not, in any spelling, and nothing tells who it was."""
        self.contact("ann@example.org")
        self.done(self.audience.contacts.erase("shop", "ann@example.org", NOW, keep_hash=True))
        with self.assertRaises(Erased):
            self.contact("ANN@example.org")
        self.contact("ann@example.org", "other")
        self.done(self.audience.contacts.erase("other", "ann@example.org", NOW))
        self.do(lambda base: base.execute("PRAGMA user_version").fetchone())
        rows = self.do(lambda base: base.execute("SELECT * FROM erased").fetchall())
        self.assertNotIn("ann", repr(rows))
        self.assertTrue(self.done(self.audience.contacts.readmit("shop", "ann@example.org")))
        self.contact("ann@example.org")

    def test_tenant_that_is_gone(self) -> None:
        """Nothing is left of a tenant that is gone, and everything of the others."""
        for tenant in ("shop", "other"):
            news = self.list("news", tenant)
            for number in range(3):
                one = self.contact(f"n{number}@example.org", tenant)
                self.do(
                    lambda base, one=one, news=news: memberships.join(
                        base, one.tenant, news, one.id, "x", NOW
                    )
                )
                self.do(lambda base, one=one: facts.record(base, one.tenant, one.id, "event", NOW, name="x"))
            self.done(self.audience.contacts.erase(tenant, "n0@example.org", NOW, keep_hash=True))
        before = self.rows()
        told: list[str] = []
        self.audience.emptying.append(lambda base, tenant: told.append(tenant))
        self.done(self.audience.forget("shop"))
        self.assertEqual(["shop"], told)
        self.assertEqual({name: count // 2 for name, count in before.items()}, self.rows())
        self.assertEqual([], self.done(self.audience.contacts.page("shop")))
        self.contact("n0@example.org")

    def rows(self) -> dict[str, int]:
        """How many rows the tables have."""
        tables = ("contacts", "lists", "memberships", "membership_history", "facts", "erased")
        return {
            name: self.do(lambda base, name=name: base.execute(f"SELECT count(*) FROM {name}").fetchone()[0])
            for name in tables
        }
