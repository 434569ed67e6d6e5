from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.model.event import (
    Bounced,
    Complained,
    Completed,
    DeferredTo,
    DeliveredTo,
    Discarded,
    Event,
    FailedTo,
    Operated,
    Received,
)
from mta.model.event_engagement import Clicked, Opened, Unsubscribed
from mta.tracking import index as index_module
from mta.tracking.index import Index
from mta.tracking.reader import TrackedMessage, TrackingReader, Wanted
from mta.tracking.schema import ALL, BATCH, TAG
from tests.tracking.journals import NOW, Journals

DAY = 86400.0


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.spool = Path(self.mktemp()).absolute()
        self.journals = Journals(self.spool)
        self.reader = TrackingReader(self.spool)

    def index(self, shard: int = 0, keep: float = 30 * DAY, now: float = NOW + 10) -> Index:
        found = Index(self.journals.directory(shard), keep, lambda: now)
        self.addCleanup(found.close)
        return found

    def received(self, *recipients: str, shard: int = 0, at: float = NOW, **facts: Any) -> Received:
        facts.setdefault("tenant", "shop")
        people = list(recipients or ("a@x.example",))
        return Received(
            at=at, message=self.journals.id(shard, at), sender="me@shop.example", recipients=people, **facts
        )

    def got(self, identifier: str, tenant: str = "shop") -> TrackedMessage:
        found = self.reader.get(tenant, identifier)
        assert found is not None
        return found

    def state(self, first: Event, *events: Event) -> str:
        """The state of the only recipient after these."""
        self.journals.write([first, *events])
        self.index().catch_up()
        (one,) = self.got(first.message).recipients
        return one.state


class LagTests(Case):
    """How many events an index does not know."""

    def test_before_it_is_made(self) -> None:
        """A journal of which nobody has begun to make one: it knows nothing of it, which is no trouble."""
        self.journals.write([self.received(), self.received()])
        self.assertEqual(2, self.reader.lag(0))
        self.index().catch_up()
        self.assertEqual(0, self.reader.lag(0))
        self.journals.write([self.received()])
        self.assertEqual(1, self.reader.lag(0))


class StateTests(Case):
    """How a recipient stands after events."""

    def test_received(self) -> None:
        self.assertEqual("queued", self.state(self.received()))

    def test_scheduled(self) -> None:
        self.assertEqual("scheduled", self.state(self.received(scheduled=NOW + 3600)))

    def test_held(self) -> None:
        self.assertEqual("held", self.state(self.received(held="a rule: why")))

    def test_deferred(self) -> None:
        first = self.received("A@x.example")
        event = DeferredTo(
            at=NOW + 1,
            message=first.message,
            recipient="A@x.example",
            code=451,
            enhanced="4.7.1",
            reply="later",
            host="mx.x.example [192.0.2.1]",
            attempt=1,
            next_attempt=NOW + 61,
            bounce_class="greylisted",
        )
        self.assertEqual("deferred", self.state(first, event))
        (one,) = self.got(first.message).recipients
        self.assertEqual(
            ("a@x.example", 451, "4.7.1", "later", "mx.x.example [192.0.2.1]", 1, NOW + 61, "greylisted"),
            (
                one.address,
                one.code,
                one.enhanced,
                one.reply,
                one.host,
                one.attempts,
                one.due,
                one.bounce_class,
            ),
        )

    def after(self, *made: tuple[type[Event], dict[str, Any]]) -> str:
        first = self.received()
        events = [
            kind(at=NOW + 1 + number, message=first.message, **facts)
            for number, (kind, facts) in enumerate(made)
        ]
        return self.state(first, *events)

    def test_table(self) -> None:
        """What follows what."""
        to: dict[str, Any] = {"recipient": "a@x.example"}
        delivered = (DeliveredTo, to)
        table: list[tuple[str, list[tuple[type[Event], dict[str, Any]]]]] = [
            ("delivered", [(DeferredTo, to), delivered, (Completed, {})]),
            ("bounced", [(FailedTo, to)]),
            ("expired", [(DeferredTo, to), (FailedTo, {**to, "expired": True})]),
            ("removed", [(Operated, {"action": "remove", "recipients": ["a@x.example"]})]),
            ("removed", [(Discarded, {"reason": "why", "what": "message", "recipients": ["a@x.example"]})]),
            ("queued", [(Discarded, {"reason": "nobody wants it", "recipients": ["a@x.example"]})]),
            ("held", [(Operated, {"action": "hold", "recipients": ["a@x.example"]})]),
            (
                "queued",
                [
                    (Operated, {"action": "hold", "recipients": ["a@x.example"]}),
                    (Operated, {"action": "release", "recipients": ["a@x.example"]}),
                ],
            ),
            ("deferred", [(DeferredTo, to), (Operated, {"action": "retry", "recipients": ["a@x.example"]})]),
            (
                "scheduled",
                [(Operated, {"action": "reschedule", "until": NOW + 999, "recipients": ["a@x.example"]})],
            ),
            ("bounced", [delivered, (Bounced, to)]),
            ("delivered", [delivered, (Bounced, {**to, "action": "delayed"})]),
            ("opened", [delivered, (Opened, to)]),
            ("delivered", [delivered, (Opened, {**to, "sort": "proxy"})]),
            ("clicked", [delivered, (Clicked, to), (Opened, to)]),
            ("unsubscribed", [delivered, (Unsubscribed, to), (Clicked, to)]),
            ("delivered", [delivered, (Unsubscribed, to), (Unsubscribed, {**to, "action": "resubscribe"})]),
            (
                "unsubscribed",
                [
                    delivered,
                    (Unsubscribed, to),
                    (Unsubscribed, {**to, "action": "resubscribe"}),
                    (Unsubscribed, to),
                ],
            ),
            ("delivered", [delivered, (Unsubscribed, {**to, "action": "resubscribe"})]),
            ("complained", [delivered, (Complained, to), (Unsubscribed, to)]),
        ]
        for wanted, made in table:
            self.assertEqual(wanted, self.after(*made), made)

    def test_alias(self) -> None:
        """What becomes of the address behind an alias is told of the one that was written to."""
        first = self.received("team@x.example", "b@x.example")
        about: dict[str, Any] = {"message": first.message}
        self.journals.write(
            [
                first,
                DeliveredTo(at=NOW + 1, recipient="ann@y.example", original="team@x.example", **about),
                Bounced(at=NOW + 2, recipient="ann@y.example", **about),
            ]
        )
        self.index().catch_up()
        states = {one.address: one.state for one in self.got(first.message).recipients}
        self.assertEqual({"team@x.example": "bounced", "b@x.example": "queued"}, states)

    def test_without_a_tenant(self) -> None:
        first = self.received(tenant="")
        self.journals.write([first, DeliveredTo(at=NOW, message=first.message, recipient="a@x.example")])
        self.index().catch_up()
        self.assertIsNone(self.reader.get("", first.message))

    def test_what_is_in_the_message(self) -> None:
        first = self.received(
            subject="Your order",
            message_id="<One@Shop.example>",
            batch="b1",
            campaign="spring",
            tagged=["news", "shop"],
            metadata={"order": "7"},
            size=1234,
        )
        self.journals.write([first])
        self.index().catch_up()
        found = self.got(first.message)
        self.assertEqual(
            (NOW, "Your order", "one@shop.example", "b1", "spring", ["news", "shop"], {"order": "7"}, 1234),
            (
                found.at,
                found.subject,
                found.message_id,
                found.batch,
                found.campaign,
                found.tags,
                found.metadata,
                found.size,
            ),
        )


class PlaceTests(Case):
    """Everything counts once."""

    def test_in_pieces(self) -> None:
        self.patch(index_module, "SPAN", 3)
        index = self.index()
        firsts = [self.received(f"{number}@x.example", batch="b") for number in range(10)]
        self.journals.write(firsts)
        index.catch_up()
        self.journals.write(
            [DeliveredTo(at=NOW + 1, message=one.message, recipient=one.recipients[0]) for one in firsts]
        )
        self.assertEqual(10, index.catch_up())
        self.assertEqual(0, index.catch_up())
        states, reached = self.reader.counts("shop", BATCH, "b") or ({}, {})
        self.assertEqual(({"delivered": 10}, 10), (states, reached["recipients"]))

    def test_from_another_shard(self) -> None:
        """A bounce in another worker's journal counts, whoever comes first."""
        first = self.received(shard=0)
        about: dict[str, Any] = {"message": first.message, "recipient": "a@x.example"}
        self.journals.write([first, DeliveredTo(at=NOW + 1, **about)], 0)
        self.journals.write([Bounced(at=NOW + 2, **about)], 1)
        other = self.received(shard=1)
        self.journals.write([other], 1)
        for shard in (1, 0):
            self.index(shard).catch_up()
        self.assertEqual("bounced", self.got(first.message).recipients[0].state)
        self.assertEqual("queued", self.got(other.message).recipients[0].state)
        page = self.reader.page("shop", Wanted())
        self.assertEqual({first.message, other.message}, {one.id for one in page.messages})

    def test_a_journal_made_anew(self) -> None:
        self.journals.write([self.received(), self.received()])
        self.index().catch_up()
        for path in self.journals.directory().glob("queue.db*"):
            path.unlink()
        again = self.received()
        self.journals.write([again])
        self.index().catch_up()
        self.assertEqual("queued", self.got(again.message).recipients[0].state)

    def test_rebuild(self) -> None:
        first = self.received(batch="b", tagged=["t"], subject="hello")
        self.journals.write([first, DeliveredTo(at=NOW + 1, message=first.message, recipient="a@x.example")])
        index = self.index()
        index.catch_up()
        before = self.dump()
        self.assertEqual(2, index.rebuild())
        self.assertEqual(before, self.dump())

    def test_damaged(self) -> None:
        """A file that is no database is made anew out of the journal."""
        first = self.received()
        self.journals.write([first])
        (self.journals.directory() / "tracking.db").write_bytes(b"rubbish" * 1000)
        self.index().catch_up()
        self.assertEqual("queued", self.got(first.message).recipients[0].state)

    def test_prune(self) -> None:
        old = self.received(at=NOW - 40 * DAY, batch="b", subject="old words", tagged=["t"])
        new = self.received(batch="b", subject="new words", tagged=["t"])
        self.journals.write([old, new])
        index = self.index()
        index.catch_up()
        self.assertTrue(index.prune())
        self.assertFalse(index.prune())
        self.assertIsNone(self.reader.get("shop", old.message))
        self.assertEqual({"queued": 1}, (self.reader.counts("shop", TAG, "t") or ({}, {}))[0])
        found = self.reader.page("shop", Wanted(subject="words"))
        self.assertEqual([new.message], [one.id for one in found.messages])

    def dump(self) -> list[Any]:
        base = sqlite3.connect(self.journals.directory() / "tracking.db")
        try:
            return [
                base.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
                for table in ("messages", "recipients", "labels", "counts", "places")
            ]
        finally:
            base.close()


class SearchTests(Case):
    """What is found, and what another tenant finds."""

    def setUp(self) -> None:
        super().setUp()
        self.first = self.received(
            "a@x.example",
            "b@x.example",
            subject="Grüße vom Shop: order 17",
            message_id="<one@shop.example>",
            tagged=["news"],
            batch="b1",
            at=NOW - DAY,
        )
        self.second = self.received(
            "A@X.example", subject="Order 18", tagged=["news", "vip"], campaign="spring"
        )
        self.other = self.received(
            "a@x.example", subject="order", tenant="other", tagged=["news"], batch="b1"
        )
        delivered = DeliveredTo(at=NOW, message=self.second.message, recipient="A@X.example")
        self.journals.write([self.first, self.second, self.other, delivered])
        self.index().catch_up()

    def found(self, tenant: str = "shop", **wanted: Any) -> list[str]:
        names = {self.first.message: "first", self.second.message: "second", self.other.message: "other"}
        return [names[one.id] for one in self.reader.page(tenant, Wanted(**wanted)).messages]

    def test_each(self) -> None:
        table: list[tuple[list[str], dict[str, Any]]] = [
            (["second", "first"], {}),
            (["second", "first"], {"address": "a@X.EXAMPLE"}),
            (["first"], {"address": "b@x.example"}),
            (["first"], {"message_id": "<One@shop.example>"}),
            (["first"], {"message_id": "one@shop.example"}),
            (["first"], {"subject": "GRUßE shop"}),
            (["second", "first"], {"subject": "ord*"}),
            ([], {"subject": "ord"}),
            ([], {"subject": "!!"}),
            (["second"], {"subject": 'order "18'}),
            (["second", "first"], {"tag": "news"}),
            (["second"], {"tag": "vip"}),
            (["first"], {"batch": "b1"}),
            (["second"], {"campaign": "spring"}),
            (["second"], {"state": "delivered"}),
            (["first"], {"state": "queued"}),
            (["second"], {"tag": "news", "state": "delivered"}),
            ([], {"address": "a@x.example", "state": "bounced"}),
            (["second"], {"since": NOW - 3600}),
            (["first"], {"until": NOW - 3600}),
            (["second"], {"subject": "order", "tag": "vip"}),
            (["second"], {"tag": "vip", "subject": "order"}),
            (["second", "first"], {"sender": "ME@shop.example"}),
            ([], {"sender": "you@shop.example"}),
        ]
        for expected, wanted in table:
            self.assertEqual(expected, self.found(**wanted), wanted)

    def test_of_another_tenant(self) -> None:
        """Nothing is found with the words of another, whatever they are."""
        for wanted in (
            {},
            {"address": "a@x.example"},
            {"subject": "order"},
            {"tag": "news"},
            {"batch": "b1"},
        ):
            self.assertEqual(["other"], self.found("other", **wanted), wanted)
            self.assertEqual([], self.found("third", **wanted), wanted)
        self.assertIsNone(self.reader.get("other", self.first.message))
        self.assertEqual(1, len(self.reader.recipient("other", "a@x.example")))

    def test_pages(self) -> None:
        firsts = [self.received(shard=number % 2, at=NOW + number) for number in range(25)]
        for shard in (0, 1):
            self.journals.write([one for number, one in enumerate(firsts) if number % 2 == shard], shard)
            self.index(shard).catch_up()
        seen: list[str] = []
        after = ""
        while True:
            page = self.reader.page("shop", Wanted(), after, 4)
            seen += [one.id for one in page.messages]
            after = page.next
            if not after:
                break
        self.assertEqual(
            sorted([one.message for one in firsts] + [self.first.message, self.second.message]), sorted(seen)
        )
        self.assertEqual(sorted(seen, reverse=True), seen)

    def test_rare_ones_in_many(self) -> None:
        """A page that looked at enough says where to go on."""
        self.patch(__import__("mta.tracking.reader", fromlist=["x"]), "MOST_SEEN", 5)
        firsts = [
            self.received(f"{number}@x.example", tagged=["many"], at=NOW + number) for number in range(17)
        ]
        self.journals.write(
            [*firsts, DeliveredTo(at=NOW, message=firsts[0].message, recipient="0@x.example")]
        )
        self.index().catch_up()
        seen, after, pages = [], "", 0
        while pages < 10:
            page = self.reader.page("shop", Wanted(tag="many", state="delivered"), after)
            seen += [one.id for one in page.messages]
            after, pages = page.next, pages + 1
            if not after:
                break
        self.assertEqual([firsts[0].message], seen)
        self.assertEqual(4, pages)

    def test_counts_by_day(self) -> None:
        states, reached = self.reader.counts("shop", ALL) or ({}, {})
        self.assertEqual(({"queued": 2, "delivered": 1}, 1), (states, reached["delivered"]))
        today, _ = self.reader.counts("shop", ALL, since=NOW) or ({}, {})
        self.assertEqual({"delivered": 1}, today)
        self.assertEqual(["news", "vip"], self.reader.names("shop", TAG))
        self.assertIsNone(self.reader.counts("third", ALL))


class ManyTests(Case):
    """``MTA_EVENTS=10000000``: how fast it is among many."""

    def test_times(self) -> None:
        wanted = int(os.environ.get("MTA_EVENTS", "0"))
        if not wanted:
            self.skipTest("MTA_EVENTS says how many events to try")
        some: list[Event] = []
        ids = []
        for number in range(wanted // 4):
            first = self.received(
                f"{number % 1000}@x.example",
                at=NOW + number / 1000,
                subject=f"order {number}",
                batch=str(number // 10000),
                tagged=["t"],
            )
            about: dict[str, Any] = {"at": NOW, "message": first.message, "recipient": first.recipients[0]}
            some += [
                first,
                DeferredTo(**about, reply="later"),
                DeliveredTo(**about, reply="ok"),
                Completed(at=NOW, message=first.message),
            ]
            ids.append(first.message)
            if len(some) >= 100_000:
                self.journals.write(some)
                some = []
        began = time.perf_counter()
        count = self.index().catch_up()
        took = time.perf_counter() - began
        print(f"\n{count} events indexed in {took:.1f} s: {count / took:.0f}/s")
        from mta.journal.reader import JournalReader

        reader = JournalReader([self.journals.directory() / "queue.db"])
        for name, ask in (
            ("time line", lambda: reader.message(ids[len(ids) // 2])),
            ("message", lambda: self.reader.get("shop", ids[len(ids) // 2])),
            ("list", lambda: self.reader.page("shop", Wanted())),
            ("address", lambda: self.reader.page("shop", Wanted(address="7@x.example"))),
            ("subject", lambda: self.reader.page("shop", Wanted(subject=f"order {len(ids) // 2}"))),
            ("state", lambda: self.reader.page("shop", Wanted(state="delivered"))),
            ("tag and rare state", lambda: self.reader.page("shop", Wanted(tag="t", state="bounced"))),
            ("batch counts", lambda: self.reader.counts("shop", BATCH, "1")),
        ):
            began = time.perf_counter()
            ask()
            print(f"{name}: {(time.perf_counter() - began) * 1000:.1f} ms")
