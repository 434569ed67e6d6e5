"""Lists, and who is on them."""

from __future__ import annotations

from mta.audience import memberships
from mta.audience.lists import MailingList, NoList
from tests.audience.base import NOW, AudienceCase


class ListTests(AudienceCase):
    def test_kept(self) -> None:
        """A list is found by its name, and changed under it."""
        news = self.list("news", title="News", opt_in="double")
        self.assertEqual(news, self.done(self.audience.lists.find("shop", "news")))
        self.assertIsNone(self.done(self.audience.lists.find("other", "news")))
        changed, new = self.done(self.audience.lists.put("shop", MailingList("news", "More"), NOW + 1))
        self.assertEqual((news.id, False, "More", "single"), (changed.id, new, changed.title, changed.opt_in))

    def test_names(self) -> None:
        """A name stands in links and paths."""
        for name in ("", "News", "a b", "-a", "a/b", "x" * 64):
            with self.assertRaisesRegex(ValueError, "is no name of a list", msg=name):
                self.list(name)

    def test_removed(self) -> None:
        """Nothing is left of a list that is removed."""
        news, ann = self.list("news"), self.contact("ann@example.org")
        self.do(lambda base: memberships.join(base, "shop", news, ann.id, "test", NOW))
        with self.assertRaises(NoList):
            self.done(self.audience.lists.remove("other", "news"))
        self.done(self.audience.lists.remove("shop", "news"))
        self.assertEqual([], self.done(self.audience.memberships.of("shop", ann.id)))
        self.assertEqual([], self.done(self.audience.memberships.history("shop", ann.id)))


class MembershipTests(AudienceCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.contact("ann@example.org")

    def join(self, mailing: MailingList, **more: bool) -> str:
        work = self.do(lambda base: memberships.join(base, "shop", mailing, self.ann.id, "key", NOW, **more))
        return work.state

    def test_single(self) -> None:
        """On a list with single opt-in one is at once."""
        news = self.list("news")
        self.assertEqual("subscribed", self.join(news))
        (one,) = self.done(self.audience.memberships.of("shop", self.ann.id))
        self.assertEqual(("news", "subscribed", NOW), (one.name, one.state, one.since))
        self.assertEqual([], self.done(self.audience.memberships.of("other", self.ann.id)))

    def test_double(self) -> None:
        """With double opt-in one waits for the person."""
        news = self.list("news", opt_in="double")
        self.assertEqual("pending", self.join(news))
        self.assertEqual("pending", self.join(news))
        self.assertTrue(self.do(lambda base: memberships.confirm(base, news, self.ann.id, "them", NOW + 1)))
        self.assertFalse(self.do(lambda base: memberships.confirm(base, news, self.ann.id, "them", NOW + 2)))
        steps = self.done(self.audience.memberships.history("shop", self.ann.id))
        self.assertEqual(
            [("subscribed", "them"), ("pending", "key")], [(one.state, one.who) for one in steps]
        )

    def test_confirmed_elsewhere(self) -> None:
        """Who has confirmed elsewhere need not here."""
        news = self.list("news", opt_in="double")
        self.join(news)
        self.assertEqual("subscribed", self.join(news, confirmed=True))

    def test_who_left_stays_away(self) -> None:
        """Nobody but the person brings themselves back."""
        news = self.list("news")
        self.join(news)
        evidence = {"message": "0" * 13, "empty": ""}
        for new in (True, False):
            left = self.do(
                lambda base: memberships.leave(base, "shop", news, self.ann.id, "them", NOW + 1, evidence)
            )
            self.assertEqual(new, left)
        self.assertEqual("unsubscribed", self.join(news))
        self.assertEqual("unsubscribed", self.join(news, confirmed=True))
        again = self.do(lambda base: memberships.ask_again(base, news, self.ann.id, "key", NOW + 2, "form"))
        self.assertEqual(("pending", "form"), (again.state, again.source))
        steps = self.done(self.audience.memberships.history("shop", self.ann.id))
        self.assertEqual({"message": "0" * 13}, steps[1].evidence)

    def test_members(self) -> None:
        """Who is on a list comes in pieces, by number."""
        news = self.list("news")
        made = [self.contact(f"{name}@example.org") for name in "cab"]
        for one in made:
            self.do(lambda base, one=one: memberships.join(base, "shop", news, one.id, "key", NOW))
        self.do(lambda base: memberships.leave(base, "shop", news, made[1].id, "key", NOW))
        page = self.done(self.audience.memberships.members("shop", "news", limit=1))
        self.assertEqual([made[0]], page)
        page = self.done(self.audience.memberships.members("shop", "news", page[-1].id, 9))
        self.assertEqual([made[2]], page)
        counts = self.done(self.audience.memberships.counts("shop", "news"))
        self.assertEqual({"pending": 0, "subscribed": 2, "unsubscribed": 1}, counts)
        with self.assertRaises(NoList):
            self.done(self.audience.memberships.members("other", "news"))

    def test_history_is_bounded(self) -> None:
        """Who comes and goes for ever leaves the newest steps."""
        news = self.list("news")

        def work(base: object) -> None:
            for number in range(memberships.MOST_HISTORY):
                memberships.leave(base, "shop", news, self.ann.id, "a", NOW + number)  # type: ignore[arg-type]
                memberships.confirm(base, news, self.ann.id, "a", NOW + number)  # type: ignore[arg-type]

        self.do(work)
        steps = self.done(self.audience.memberships.history("shop", self.ann.id))
        self.assertEqual(memberships.MOST_HISTORY, len(steps))
        self.assertEqual(NOW + memberships.MOST_HISTORY - 1, steps[0].at)
