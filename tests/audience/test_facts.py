"""Facts as they are kept."""

from __future__ import annotations

from typing import Any

from mta.audience import facts
from tests.audience.base import NOW, AudienceCase


class FactTests(AudienceCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.contact("ann@example.org")

    def record(self, kind: str = "event", at: float = NOW, tenant: str = "shop", **more: Any) -> int:
        return self.do(lambda base: facts.record(base, tenant, self.ann.id, kind, at, **more))

    def test_kept(self) -> None:
        """Facts of a contact come with the last first."""
        self.record("opened", NOW - 5, message="0" * 13, campaign="c")
        self.record(name="bought", properties={"amount": 3})
        found = self.done(self.audience.facts.of("shop", self.ann.id))
        self.assertEqual([("event", "bought"), ("opened", "")], [(one.kind, one.name) for one in found])
        self.assertEqual({"amount": 3}, found[0].properties)
        self.assertEqual([], self.done(self.audience.facts.of("other", self.ann.id)))
        recent = self.done(self.audience.facts.of("shop", self.ann.id, since=NOW - 1))
        self.assertEqual(["event"], [one.kind for one in recent])

    def test_keys(self) -> None:
        """The same key of a tenant is the same event."""
        self.assertTrue(self.record(name="a", key="k"))
        self.assertEqual(0, self.record(name="a", key="k"))
        self.assertTrue(self.record(name="a", key="k", tenant="other"))
        self.assertTrue(self.record(name="a") and self.record(name="a"))

    def test_after(self) -> None:
        """Numbers grow, also after the newest was forgotten."""
        self.assertEqual(0, self.do(facts.last))
        first, second = self.record(name="a"), self.record(name="b")
        self.assertEqual([second], [one.id for one in self.do(lambda base: facts.after(base, first))])
        self.do(lambda base: facts.forget(base, NOW + 1))
        self.assertEqual(second, self.do(facts.last))
        self.assertGreater(self.record(name="c"), second)

    def test_bounds(self) -> None:
        """What cannot be kept is told."""
        for words, more in (
            ("is no name", {"name": ""}),
            ("is no name", {"name": "a\nb"}),
            ("octets", {"name": "a", "properties": {"x": "y" * 9000}}),
            ("properties", {"name": "a", "properties": {"x": float("nan")}}),
            ("kind", {"kind": "danced"}),
        ):
            with self.assertRaisesRegex(ValueError, words, msg=words):
                self.record(**more)

    def test_forgotten(self) -> None:
        """What is old is forgotten, in pieces."""
        for number in range(5):
            self.record(at=NOW + number, name="a")
        self.assertEqual(2, self.do(lambda base: facts.forget(base, NOW + 3, 2)))
        self.assertEqual(1, self.do(lambda base: facts.forget(base, NOW + 3, 2)))
        self.assertEqual(2, len(self.done(self.audience.facts.of("shop", self.ann.id))))
