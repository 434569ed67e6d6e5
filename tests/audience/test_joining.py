"""People join lists: asked once, not too often, and across a crash."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mta.audience import confirmations, memberships
from mta.audience.confirmations import CLAIM, Limits
from mta.audience.contact import Contact, NoContact
from mta.audience.joining import Joining
from mta.audience.lists import MailingList, NoList
from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Event
from tests.audience.base import NOW, AudienceCase


class JoiningTests(AudienceCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.advance(NOW)
        self.mails: list[tuple[str, str]] = []
        self.answer: str | Exception = "sent"
        self.told: list[Event] = []
        self.limits = Limits(pause=60.0, most=2, of_all=3)
        self.joining = self.made()
        self.ann = self.contact("ann@example.org")
        self.news = self.list("news", opt_in="double")

    def made(self) -> Joining:
        async def send(tenant: str, mailing: MailingList, contact: Contact, name: str) -> str:
            self.mails.append((contact.address, name))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        joining = Joining(self.clock, self.audience, send, self.told.append, lambda: self.limits)
        self.successResultOf(Deferred.fromCoroutine(joining.start()))
        return joining

    def join(self, name: str = "news", **more: Any) -> tuple[str, str]:
        member, asked = self.done(
            self.joining.join("shop", name, self.ann.id, who="key", now=self.clock.seconds(), **more)
        )
        return member.state, asked

    def confirm(self) -> str:
        return self.done(self.joining.confirm("shop", "news", self.ann.id, self.clock.seconds(), "192.0.2.1"))

    def actions(self) -> list[str]:
        return [event.action for event in self.told]  # type: ignore[attr-defined]

    def test_single(self) -> None:
        """Nobody is asked where nobody must be."""
        self.list("simple")
        self.assertEqual(("subscribed", ""), self.join("simple"))
        self.assertEqual([], self.mails)
        self.assertEqual(["joined"], self.actions())
        self.assertEqual(("subscribed", ""), self.join("simple"))
        self.assertEqual(["joined"], self.actions())

    def test_double(self) -> None:
        """One mail, one answer."""
        self.assertEqual(("pending", "sent"), self.join())
        self.assertEqual(("pending", "wait"), self.join())
        self.assertEqual(1, len(self.mails))
        self.assertEqual("confirmed", self.confirm())
        self.assertEqual("already", self.confirm())
        self.assertEqual(("subscribed", ""), self.join())
        self.assertEqual(["asked", "confirmed"], self.actions())

    def test_confirmed_elsewhere(self) -> None:
        self.assertEqual(("subscribed", ""), self.join(confirmed=True))
        self.assertEqual([], self.mails)

    def test_unknown(self) -> None:
        for error, work in (
            (NoList, self.joining.join("shop", "none", self.ann.id, who="", now=NOW)),
            (NoContact, self.joining.join("shop", "news", 999, who="", now=NOW)),
            (NoList, self.joining.join("other", "news", self.ann.id, who="", now=NOW)),
        ):
            with self.assertRaises(error):
                self.done(work)

    def test_not_too_often(self) -> None:
        """Pauses, so many a day for one list, and so many for all."""
        self.join()
        self.clock.advance(61.0)
        self.assertEqual("sent", self.resend())
        self.clock.advance(61.0)
        self.assertEqual("wait", self.resend())
        for number in range(2):
            self.list(f"list{number}", opt_in="double")
            self.assertEqual(("pending", "sent"), self.join(f"list{number}"))
        self.list("one-more", opt_in="double")
        self.assertEqual(("pending", "wait"), self.join("one-more"))
        self.clock.advance(86400.0)
        self.assertEqual("sent", self.resend())
        names = [name for _, name in self.mails]
        self.assertEqual(len(names), len(set(names)))

    def resend(self) -> str:
        return self.done(self.joining.resend("shop", "news", self.ann.id, "key", self.clock.seconds()))

    def test_names(self) -> None:
        """No two mails have the same name: what was sent under one is not sent again."""
        for _ in range(3):
            self.assertEqual(("pending", "sent"), self.join())
            self.assertEqual("confirmed", self.confirm())
            self.done(self.joining.leave("shop", "news", self.ann.id, who="key", now=NOW))
            self.clock.advance(61.0)
        self.assertEqual(3, len({name for _, name in self.mails}))

    def test_what_never_went(self) -> None:
        """A mail that nobody got counts for nothing, and once it is mended another is sent."""
        self.answer = "failed: the template is gone"
        self.assertEqual(("pending", self.answer), self.join())
        self.answer = "sent"
        self.assertEqual("sent", self.resend())
        self.assertEqual(2, len(set(self.mails)))

    def test_nobody_waits(self) -> None:
        """Only who is pending is asked again, and an old link brings nobody back."""
        self.assertEqual("", self.resend())
        self.join()
        self.assertTrue(self.done(self.joining.leave("shop", "news", self.ann.id, who="key", now=NOW)))
        self.assertEqual("", self.resend())
        self.assertEqual("gone", self.confirm())
        self.assertFalse(self.done(self.joining.leave("shop", "news", self.ann.id, who="key", now=NOW)))

    def test_trouble(self) -> None:
        """What cannot be sent now is sent later, under the same name."""
        self.answer = TemporarilyUnavailable("the disk is full")
        self.assertEqual(("pending", "later"), self.join())
        self.assertEqual(("pending", "later"), self.join())
        self.answer = "sent"
        self.clock.advance(CLAIM + 1)
        self.assertEqual(2, len(self.mails))
        self.assertEqual(1, len(set(self.mails)))
        self.clock.advance(10 * CLAIM)
        self.assertEqual(2, len(self.mails))

    def test_killed(self) -> None:
        """A worker that died before the mail leaves it to the next one."""

        def work(base: Any) -> None:
            memberships.join(base, "shop", self.news, self.ann.id, "key", NOW)
            confirmations.ask(base, "shop", self.news.id, self.ann.id, NOW, self.limits)

        self.do(work)
        self.successResultOf(Deferred.fromCoroutine(self.joining.stop()))
        self.joining = self.made()
        self.clock.advance(6.0)
        # Whoever has begun it has time.
        self.assertEqual([], self.mails)
        self.clock.advance(CLAIM)
        self.assertEqual([("ann@example.org", f"confirm:{self.news.id}:{self.ann.id}:0")], self.mails)

    def test_many(self) -> None:
        """Who came with a file is asked piece by piece, and not who has left or confirmed meanwhile."""
        people = [self.contact(f"n{number}@example.org") for number in range(50)]

        def work(base: Any) -> None:
            for one in people:
                memberships.join(base, "shop", self.news, one.id, "file", NOW)
                confirmations.ask(base, "shop", self.news.id, one.id, NOW, self.limits, claim=False)
            memberships.confirm(base, self.news, people[7].id, "them", NOW)

        self.do(work)
        self.joining.soon()
        self.clock.advance(0.6)
        self.assertLess(len(self.mails), 50)
        self.clock.pump([0.6] * 10)
        self.assertEqual({one.address for one in people} - {"n7@example.org"}, {who for who, _ in self.mails})
        self.assertEqual(49, len(self.mails))
        self.successResultOf(Deferred.fromCoroutine(self.joining.stop()))
        self.assertEqual([], self.clock.getDelayedCalls())
