"""What events say of contacts, and what the watch makes of a journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.audience import memberships
from mta.audience.audience import Audience
from mta.audience.behaviour import Origin, deed, origin
from mta.audience.watch import AudienceWatch
from mta.journal.reader import JournalReader
from mta.model.event import Bounced, Complained, DeliveredTo, Event, FailedTo, Received
from mta.model.event_engagement import Clicked, Opened, Unsubscribed
from mta.model.ids import encode_id
from tests.audience.base import NOW, AudienceCase, Looks
from tests.journal.shard import Shard

ANN = "ann@example.org"
MESSAGE = encode_id(5)
SHOP = Origin("shop", "may", frozenset({ANN}))


class DeedTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """What people do counts, and what programs do does not."""
        link: dict[str, Any] = {"at": 1.0, "message": MESSAGE, "recipient": ANN, "tenant": "shop"}
        about: dict[str, Any] = {"at": 1.0, "message": MESSAGE, "recipient": ANN}
        report: dict[str, Any] = {**about, "notification": "x"}
        for wanted, event in (
            (("delivered", ""), DeliveredTo(**about)),
            (("bounced", "bad-mailbox"), FailedTo(**about, bounce_class="bad-mailbox")),
            (("bounced", "inactive"), Bounced(**report, matched="token", bounce_class="inactive")),
            (None, Bounced(**report, matched="token", action="delayed")),
            (("complained", "abuse"), Complained(**report, matched="message-id")),
            (None, Complained(**{**report, "recipient": "eve@example.org"}, matched="message-id")),
            (("opened", ""), Opened(**link)),
            (("opened", ""), Opened(**link, sort="proxy", visitor="gmail")),
            (None, Opened(**link, sort="proxy", visitor="apple")),
            (None, Opened(**link, sort="scanner")),
            (("clicked", "https://a.example/"), Clicked(**link, target="https://a.example/")),
            (None, Clicked(**link, sort="scanner", target="https://a.example/")),
            (("unsubscribed", ""), Unsubscribed(**link, list="news")),
            (("resubscribed", ""), Unsubscribed(**link, action="resubscribe")),
            (None, Opened(**{**link, "recipient": ""})),
        ):
            found = deed(event, SHOP)
            self.assertEqual(wanted, found and (found.kind, found.name), event)
            if found is not None:
                self.assertEqual(("shop", ANN, "may"), (found.tenant, found.address, found.campaign))

    def test_alias(self) -> None:
        """What was delivered behind an alias was sent to the alias."""
        found = deed(DeliveredTo(at=1.0, recipient="box@inner.example", original=ANN), SHOP)
        assert found is not None
        self.assertEqual(ANN, found.address)

    def test_of_nobody(self) -> None:
        """Mail of people is nobody's contact."""
        person = origin(Received(at=1.0, recipients=[ANN]))
        self.assertIsNone(deed(DeliveredTo(at=1.0, recipient=ANN), person))


class Journal:
    """Those of all shards."""

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader
        self.asked: list[str] = []

    async def message(self, identifier: str) -> Sequence[Event]:
        self.asked.append(identifier)
        return [record.event for record in self._reader.message(identifier)]


class WatchTests(AudienceCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.advance(NOW)
        self.shard = Shard(Path(self.mktemp()))
        self.addCleanup(self.shard.close)
        self.used = True
        self.watch = self.made()

    def made(self) -> AudienceWatch:
        def run(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            return maybeDeferred(work, *arguments)

        self.journal = Journal(JournalReader([self.shard.path]))
        audience = Audience(self.database, Looks(self.database), lambda: self.used)
        return AudienceWatch(
            self.clock,
            audience,
            self.shard.path,
            0,
            journal=self.journal,  # type: ignore[arg-type]
            run_in_thread=run,
            keep=lambda: 100.0,
        )

    def happens(self, *events: Event) -> None:
        self.shard.write(events)
        self.watch.events(events)
        self.clock.advance(1.0)

    def kinds(self, contact: int) -> list[str]:
        return [fact.kind for fact in self.done(self.audience.facts.of("shop", contact))]

    def events(self) -> list[Event]:
        about: dict[str, Any] = {"at": NOW, "message": MESSAGE}
        return [
            Received(**about, tenant="shop", campaign="may", recipients=[ANN]),
            DeliveredTo(**about, recipient=ANN),
        ]

    def test_folded_once(self) -> None:
        """Each event becomes one fact, whoever reads the journal after whom."""
        ann = self.contact(ANN)
        self.successResultOf(Deferred.fromCoroutine(self.watch.start()))
        self.happens(*self.events())
        self.assertEqual(["delivered"], self.kinds(ann.id))
        # The message was known: the journal is not asked for each event.
        self.assertEqual([], self.journal.asked)
        self.successResultOf(Deferred.fromCoroutine(self.watch.stop()))
        opened = Opened(at=NOW, message=MESSAGE, recipient=ANN, tenant="shop")
        self.shard.write([opened])
        self.watch = self.made()
        self.successResultOf(Deferred.fromCoroutine(self.watch.start()))
        self.assertEqual(["opened", "delivered"], self.kinds(ann.id))
        self.assertEqual([MESSAGE], self.journal.asked)

    def test_asleep(self) -> None:
        """Without contacts nothing is read; with the first one, nothing of its time is missed."""
        self.used = False
        self.successResultOf(Deferred.fromCoroutine(self.watch.start()))
        self.happens(*self.events())
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertIsNone(self.done(self.audience.facts.place(0)))
        ann = self.contact(ANN)
        self.used = True
        self.happens(*self.events())
        # Both: those of just before may have been of who has become a contact meanwhile.
        self.assertEqual(["delivered", "delivered"], self.kinds(ann.id))

    def test_lists(self) -> None:
        """Who has left by a link is off the list; what was changed since counts more."""
        ann, news = self.contact(ANN), self.list("news")
        self.do(lambda base: memberships.join(base, "shop", news, ann.id, "key", NOW))
        self.successResultOf(Deferred.fromCoroutine(self.watch.start()))
        about: dict[str, Any] = {"message": MESSAGE, "recipient": ANN, "tenant": "shop", "list": "news"}
        self.happens(Unsubscribed(at=NOW - 5, **about))
        self.assertEqual("subscribed", self.do(lambda base: memberships.state(base, news.id, ann.id)))
        self.happens(Unsubscribed(at=NOW + 5, **about))
        self.assertEqual("unsubscribed", self.do(lambda base: memberships.state(base, news.id, ann.id)))
        self.happens(Unsubscribed(at=NOW + 6, action="resubscribe", **about))
        self.assertEqual("subscribed", self.do(lambda base: memberships.state(base, news.id, ann.id)))
        self.assertEqual(["unsubscribed", "unsubscribed"], self.kinds(ann.id))

    def test_forgets(self) -> None:
        """What is older than is kept goes, in rounds."""
        ann = self.contact(ANN)
        self.successResultOf(Deferred.fromCoroutine(self.watch.start()))
        self.happens(*self.events())
        self.clock.advance(3600.0)
        self.assertEqual([], self.kinds(ann.id))
        self.successResultOf(Deferred.fromCoroutine(self.watch.stop()))
        self.assertEqual([], self.clock.getDelayedCalls())
