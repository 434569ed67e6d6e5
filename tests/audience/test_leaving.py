"""Leaving and coming back, on the suppression list and on lists."""

from __future__ import annotations

from pathlib import Path

from mta.audience import memberships
from mta.audience.leaving import Leaving
from mta.registry.registry import Registry, direct
from tests.audience.base import NOW, AudienceCase

ANN = "ann@example.org"


class LeavingTests(AudienceCase):
    def setUp(self) -> None:
        super().setUp()
        state = Path(self.mktemp())
        state.mkdir()
        database = direct(state)
        self.addCleanup(database.close)
        self.suppressions = Registry(database).suppressions
        self.leaving = Leaving(self.suppressions, self.audience)
        self.ann = self.contact(ANN)
        self.news = self.list("news", title="The news")
        self.do(lambda base: memberships.join(base, "shop", self.news, self.ann.id, "key", NOW))

    def state(self) -> str:
        return self.do(lambda base: memberships.state(base, self.news.id, self.ann.id))

    def test_one_list(self) -> None:
        """Both know it, and both forget it."""
        self.done(self.leaving.leave("shop", ANN, "news", "0" * 13, NOW))
        self.assertEqual(
            (["news"], "unsubscribed"), (self.done(self.leaving.left("shop", ANN)), self.state())
        )
        self.done(self.leaving.come_back("shop", ANN, "news", NOW))
        self.assertEqual(([], "subscribed"), (self.done(self.leaving.left("shop", ANN)), self.state()))

    def test_all(self) -> None:
        """Who leaves everything is still known to be on their lists, for when they come back."""
        self.done(self.leaving.leave("shop", ANN, "", "0" * 13, NOW))
        self.assertEqual(([""], "subscribed"), (self.done(self.leaving.left("shop", ANN)), self.state()))

    def test_only_what_may_be_joined(self) -> None:
        """Who comes back gets on lists that they were on, or that are public."""
        for name, public in (("topics", True), ("staff", False)):
            self.list(name, public=public)
            self.done(self.leaving.come_back("shop", ANN, name, NOW))
        found = self.done(self.leaving.lists_of("shop", ANN))
        self.assertEqual([("news", "The news", "subscribed"), ("topics", "topics", "subscribed")], found)
        self.assertEqual([], self.done(self.leaving.lists_of("other", ANN)))
        self.assertEqual([], self.done(self.leaving.lists_of("shop", "nobody@example.org")))

    def test_names_without_a_list(self) -> None:
        """A name that stands in messages alone is left as before there were lists."""
        self.done(self.leaving.leave("shop", ANN, "some name", "0" * 13, NOW))
        self.assertEqual(["some name"], self.done(self.leaving.left("shop", ANN)))
