from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.analytics import numbers as numbers_module
from mta.analytics import rollup as rollup_module
from mta.analytics.numbers import Keep, Numbers
from mta.analytics.reader import StatisticsReader
from mta.analytics.schema import DATABASE
from mta.interfaces import TemporarilyUnavailable
from mta.model.event import (
    Bounced,
    Complained,
    Completed,
    DeferredTo,
    DeliveredTo,
    Event,
    FailedTo,
    Received,
    Rejected,
)
from mta.model.event_engagement import Clicked, Opened, Unsubscribed
from mta.model.event_suppression import SuppressedTo
from tests.analytics.counted import table, tables
from tests.tracking.journals import NOW, Journals

HOUR = 3600.0
DAY = 86400.0
#: A whole hour.
BEGIN = NOW // HOUR * HOUR


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.make(Path(self.mktemp()).absolute())

    def make(self, spool: Path) -> None:
        self.spool = spool
        self.journals = Journals(spool)
        self.reader = StatisticsReader(spool)

    def numbers(self, shard: int = 0, keep: Keep | None = None, now: float = BEGIN + HOUR) -> Numbers:
        found = Numbers(self.journals.directory(shard), keep, lambda: now)
        self.addCleanup(found.close)
        return found

    def received(self, shard: int = 0, at: float = BEGIN, **facts: Any) -> Received:
        facts.setdefault("recipients", ["a@x.example"])
        return Received(at=at, message=self.journals.id(shard, at), sender="me@shop.example", **facts)

    def forget(self, upto: int, shard: int = 0) -> None:
        """As the journal forgets: the oldest events go."""
        base = sqlite3.connect(self.journals.directory(shard) / "queue.db")
        base.execute("DELETE FROM events WHERE id <= ?", (upto,))
        base.commit()
        base.close()

    def told(self, by: str = "", value: str = "", tenant: str | None = None) -> dict[str, int]:
        """What was counted, by name."""
        found = self.reader.total(tenant, BEGIN - 60 * DAY, BEGIN + 10 * DAY, by, value)
        return {name: number for name, number in found.counts().items() if number}


class CountTests(Case):
    """What events count for."""

    def test_a_life(self) -> None:
        """Received, put off, delivered, opened, complained about."""
        first = self.received(
            tenant="shop",
            campaign="spring",
            tagged=["news", "big"],
            size=100,
            template="hello",
            metadata={"variant": "b"},
        )
        about: dict[str, Any] = {"message": first.message, "recipient": "a@gmail.com"}
        back = {**about, "tenant": "shop"}
        host = {"host": "mx.gmail.com", "tls": "TLSv1.3", "source": "192.0.2.1", "transport": "relay"}
        self.journals.write(
            [
                first,
                DeferredTo(at=BEGIN + 1, code=450, bounce_class="greylisted", **about, **host),
                DeliveredTo(at=BEGIN + 61, code=250, delay=61.0, **about, **host),
                Opened(at=BEGIN + 70, **back),
                Opened(at=BEGIN + 71, **back),
                Opened(at=BEGIN + 72, sort="proxy", **back),
                Clicked(at=BEGIN + 73, sort="scanner", **back),
                Clicked(at=BEGIN + 74, **back),
                Complained(at=BEGIN + 75, **about),
                Unsubscribed(at=BEGIN + 76, **back),
                Unsubscribed(at=BEGIN + 77, action="resubscribe", **back),
                Bounced(at=BEGIN + 78, bounce_class="full", **about),
                Bounced(at=BEGIN + 79, action="delayed", **about),
                Completed(at=BEGIN + 80, message=first.message),
            ]
        )
        self.assertEqual(13, self.numbers().catch_up())
        accepted = {"accepted": 1, "recipients": 1, "octets": 100}
        tried = {
            "attempted": 2,
            "delivered": 1,
            "deferred": 1,
            "bounced": 1,
            "bounced_later": 1,
            "complained": 1,
            "unsubscribed": 1,
            "opened": 1,
            "opens": 2,
            "opens_proxy": 1,
            "clicked": 1,
            "clicks": 1,
            "clicks_scanner": 1,
        }
        for place in (
            (),
            ("tag", "news"),
            ("tag", "big"),
            ("campaign", "spring"),
            ("tenant", "shop"),
            ("template", "hello"),
            ("variant", "spring/b"),
        ):
            self.assertEqual({**accepted, **tried}, self.told(*place), place)
        self.assertEqual({**accepted, **tried}, self.told(tenant="shop"))
        self.assertEqual({}, self.told(tenant=""))
        self.assertEqual({}, self.told("tag", "news", tenant="other"))
        for place in (("domain", "gmail.com"), ("provider", "google")):
            self.assertEqual(tried, self.told(*place), place)
        attempts = {"attempted": 2, "delivered": 1, "deferred": 1}
        for place in (("tls", "yes"), ("source", "192.0.2.1")):
            self.assertEqual(attempts, self.told(*place), place)
        self.assertEqual({"attempted": 1, "delivered": 1}, self.told("reply", "2xx"))
        self.assertEqual({"attempted": 1, "deferred": 1}, self.told("class", "greylisted"))
        self.assertEqual({"bounced": 1, "bounced_later": 1}, self.told("provider-class", "google/full"))
        total = self.reader.total("shop", BEGIN, BEGIN + HOUR)
        self.assertEqual([61.0], total.percentiles([0.5]))

    def test_refused(self) -> None:
        """By rule, or by the name of the reply."""
        self.journals.write(
            [
                Rejected(at=BEGIN, stage="connect", code=554, reply="no", rule="dnsbl"),
                Rejected(at=BEGIN, stage="mail", code=550, reply="no", name="relay-denied"),
            ]
        )
        self.numbers().catch_up()
        self.assertEqual({"refused": 2}, self.told())
        self.assertEqual({"refused": 1}, self.told("rule", "dnsbl"))
        self.assertEqual({"refused": 1}, self.told("rule", "relay-denied"))

    def test_others(self) -> None:
        """Failures by time, suppressed recipients, deliveries here, domains with odd addresses."""
        first = self.received()
        self.journals.write(
            [
                first,
                FailedTo(at=BEGIN, message=first.message, recipient='"a@b"@X.example', expired=True),
                DeliveredTo(at=BEGIN, message=first.message, recipient="u@here.example", transport="maildir"),
                SuppressedTo(at=BEGIN, message=first.message, recipient="a@x.example", tenant="shop"),
            ]
        )
        self.numbers().catch_up()
        gone = {"attempted": 1, "bounced": 1, "expired": 1}
        self.assertEqual({**gone, "suppressed": 1}, self.told("domain", "x.example"))
        self.assertEqual({"attempted": 1, "delivered": 1}, self.told("provider", "here"))
        self.assertEqual({"suppressed": 1}, self.told(tenant="shop"))

    def test_once(self) -> None:
        """A recipient opens once, at the first time, whichever journal is read first."""
        first = self.received(shard=0, tenant="shop")
        about: dict[str, Any] = {"message": first.message, "recipient": "a@x.example", "tenant": "shop"}
        self.journals.write([first, Opened(at=BEGIN + 2 * HOUR, **about)])
        self.journals.write([Rejected(at=BEGIN, stage="connect", code=554, reply="no")], shard=1)
        numbers = self.numbers()
        numbers.catch_up()
        self.journals.write([Opened(at=BEGIN + HOUR, **about), Opened(at=BEGIN + 3 * HOUR, **about)], shard=1)
        numbers.catch_up()
        points = self.reader.series("shop", BEGIN, BEGIN + 4 * HOUR, "hour")
        self.assertEqual([0, 1, 0, 0], [one.tally.count("opened") for one in points])
        self.assertEqual([0, 1, 1, 1], [one.tally.count("opens") for one in points])
        live = table(numbers.directory)
        numbers.rebuild()
        self.assertEqual(live, table(numbers.directory))

    def test_late(self) -> None:
        """Long after its acceptance nobody knows by what a message was labelled."""
        first = self.received(tenant="shop", tagged=["news"])
        about: dict[str, Any] = {"message": first.message, "recipient": "a@x.example", "tenant": "shop"}
        self.journals.write([first, Opened(at=BEGIN + 15 * DAY, **about)])
        numbers = self.numbers(now=BEGIN + 15 * DAY)
        numbers.catch_up()
        late = self.reader.total("shop", BEGIN + 14 * DAY, BEGIN + 16 * DAY)
        self.assertEqual((1, 0), (late.count("opens"), late.count("opened")))
        self.assertEqual({"accepted": 1, "recipients": 1}, self.told("tag", "news"))

    def test_room(self) -> None:
        """What comes when there is no room is counted together, in whatever pieces it is read."""
        self.patch(rollup_module, "MOST", 3)
        events = []
        for number in (1, 2, 3, 4, 2, 5):
            first = self.received()
            about: dict[str, Any] = {"message": first.message, "recipient": f"a@{number}.example"}
            events += [first, DeliveredTo(at=BEGIN, **about)]
        self.journals.write(events)
        numbers = self.numbers()
        numbers.catch_up()
        rows = self.reader.breakdown(None, "domain", BEGIN, BEGIN + HOUR).rows
        self.assertEqual(
            [("", 2), ("2.example", 2), ("1.example", 1), ("3.example", 1)],
            sorted(
                ((row.value, row.tally.count("delivered")) for row in rows), key=lambda one: (-one[1], one)
            ),
        )
        self.assertEqual([True], [row.other for row in rows if not row.value])

    def test_hostile_values(self) -> None:
        """Names that applications give are names, whatever is in them."""
        tags = ["\0other", "x" * 300, "", "'; DROP TABLE counts; --", "ü"]
        first = self.received(tenant="shop", tagged=tags)
        self.journals.write([first])
        self.numbers().catch_up()
        rows = self.reader.breakdown("shop", "tag", BEGIN, BEGIN + HOUR).rows
        self.assertEqual({"other", "x" * 200, "'; DROP TABLE counts; --", "ü"}, {row.value for row in rows})
        self.assertFalse(any(row.other for row in rows))

    def test_a_journal_made_anew(self) -> None:
        """What was counted stays, and counting goes on."""
        self.journals.write([self.received(), self.received()])
        numbers = self.numbers()
        numbers.catch_up()
        for path in self.journals.directory().glob("queue.db*"):
            path.unlink()
        self.journals.write([self.received()])
        numbers.catch_up()
        self.assertEqual(3, self.told()["accepted"])
        numbers.rebuild()
        self.assertEqual(3, self.told()["accepted"])

    def test_damaged(self) -> None:
        """A damaged database is put aside, and what the journal has is counted once more."""
        self.journals.write([self.received()])
        numbers = self.numbers()
        numbers.catch_up()
        numbers.close()
        for path in numbers.directory.glob(f"{DATABASE}*"):
            path.write_bytes(b"damaged" * 1000)
        numbers.catch_up()
        self.assertEqual(1, self.told()["accepted"])
        self.assertTrue((numbers.directory / f"{DATABASE}.damaged").exists())

    def test_newer(self) -> None:
        """What a newer program has written is left alone."""
        numbers = self.numbers()
        numbers.catch_up()
        base = sqlite3.connect(numbers.path)
        base.execute("PRAGMA user_version = 99")
        base.close()
        numbers.close()
        error = self.assertRaises(TemporarilyUnavailable, numbers.catch_up)
        self.assertIn("use a newer mta", str(error))


class RebuiltTests(Case):
    """Numbers made anew are those that there were."""

    def test_forgotten(self) -> None:
        """What the journal has forgotten stays, and it is told of how much that is so."""
        for hour in range(3):
            self.journals.write([self.received(at=BEGIN + hour * HOUR + n) for n in range(4)])
        numbers = self.numbers()
        numbers.catch_up()
        live = table(numbers.directory)
        self.forget(6)
        found = numbers.rebuild()
        self.assertEqual(live, table(numbers.directory))
        self.assertEqual((4, 2, BEGIN + 2 * HOUR), (found.events, found.kept, found.newest))
        # The hour that is only half there goes on.
        self.journals.write([self.received(at=BEGIN + HOUR)])
        numbers.catch_up()
        self.assertEqual(13, self.told()["accepted"])
        numbers.rebuild()
        self.assertEqual(13, self.told()["accepted"])

    def test_wrong_numbers(self) -> None:
        """What is not as the journal has it is put right."""
        self.journals.write([self.received()])
        numbers = self.numbers()
        numbers.catch_up()
        live = table(numbers.directory)
        base = sqlite3.connect(numbers.path)
        base.execute("UPDATE counts SET number = 77")
        base.commit()
        base.close()
        numbers.rebuild()
        self.assertEqual(live, table(numbers.directory))

    def test_given_up_half_way(self) -> None:
        """A rebuild that was killed is finished by whoever reads on."""
        self.patch(numbers_module, "SPAN", 2)
        for hour in range(3):
            self.journals.write([self.received(at=BEGIN + hour * HOUR + n) for n in range(4)])
        numbers = self.numbers()
        numbers.catch_up()
        live = table(numbers.directory)
        self.forget(2)
        for steps in range(7):
            broken = self.numbers()
            with (
                patch.object(Numbers, "_count", self.breaking(steps, Numbers._count)),
                contextlib.suppress(TemporarilyUnavailable),
            ):
                broken.rebuild()
            broken.close()
        # Another process has the old numbers in mind, or so it could.
        numbers.catch_up()
        self.assertEqual(live, table(numbers.directory))

    def breaking(self, steps: int, real: Any) -> Any:
        left = [steps]

        def count(numbers: Numbers, base: Any, span: Any) -> Any:
            total = real(numbers, base, span)
            left[0] -= 1
            if left[0] < 0:
                raise OSError(5, "the disk is gone")
            return total

        return count

    def test_summed_up(self) -> None:
        """Days that are over are summed up, and once more when something comes for them; answers stay."""
        for hour in range(-50, 3):
            first = self.received(at=BEGIN + hour * HOUR, tenant="shop", tagged=[f"t{hour % 5}"])
            self.journals.write([first])
        numbers = self.numbers(now=BEGIN + 3 * HOUR)
        numbers.catch_up()

        def answers() -> list[Any]:
            found: list[Any] = []
            for since in range(-60, 4, 7):
                at = BEGIN + since * HOUR
                found.append(self.reader.breakdown("shop", "tag", at, BEGIN + 2 * HOUR).rows)
                found.append(self.reader.total(None, at, BEGIN + DAY))
                found.append(self.reader.series("shop", at, BEGIN + 2 * HOUR, "day", "tag", "t1"))
                found.append(self.reader.series(None, at, BEGIN + 2 * HOUR, "hour"))
            return found

        before = answers()
        while numbers.prune():
            pass
        base = sqlite3.connect(numbers.path)
        self.assertEqual([(2,)], base.execute("SELECT count(*) FROM summed").fetchall())
        self.assertEqual(before, answers())
        # The sums are read, and not the hours.
        base.execute("UPDATE counts SET number = number + 1000 WHERE width = 3 AND measure = 1")
        base.commit()
        self.assertNotEqual(before, answers())
        self.journals.write([self.received(at=BEGIN - 30 * HOUR, tenant="shop", tagged=["late"])])
        numbers.catch_up()
        self.assertEqual([(1,)], base.execute("SELECT count(*) FROM summed").fetchall())
        numbers.rebuild()
        self.assertEqual([(2,)], base.execute("SELECT count(*) FROM summed").fetchall())
        self.assertEqual(54, self.told(tenant="shop")["accepted"])
        self.assertEqual(1, self.told("tag", "late")["accepted"])
        base.close()

    def test_coarser(self) -> None:
        """Days are made of hours when these are old, and a rebuild leaves them."""
        self.patch(rollup_module, "MOST_OF_DAY", 2)
        from mta.analytics import coarsening

        self.patch(coarsening, "MOST_OF_DAY", 2)
        events: list[Event] = []
        for number in (1, 1, 1, 2, 2, 3):
            first = self.received(at=BEGIN + number * HOUR)
            about: dict[str, Any] = {"message": first.message, "recipient": f"a@{number}.example"}
            events += [first, DeliveredTo(at=first.at, delay=2.0, **about)]
        self.journals.write(events)
        keep = Keep(minutes=DAY, hours=3 * DAY, days=30 * DAY)
        self.numbers(keep=keep).catch_up()
        before = self.reader.total(None, BEGIN - DAY, BEGIN + 2 * DAY)
        numbers = self.numbers(keep=keep, now=BEGIN + 6 * DAY)
        numbers.prune()
        coarse = table(numbers.directory)
        self.assertEqual({2}, {key[2] for key in coarse})
        self.assertEqual(before, self.reader.total(None, BEGIN - DAY, BEGIN + 2 * DAY))
        rows = self.reader.breakdown(None, "domain", BEGIN - DAY, BEGIN + 2 * DAY).rows
        self.assertEqual({"1.example", "2.example", ""}, {row.value for row in rows})
        numbers.rebuild()
        self.assertEqual(coarse, table(numbers.directory))
        # What comes for such a day is too late, live and rebuilt.
        self.journals.write([self.received(at=BEGIN)])
        numbers.catch_up()
        self.assertEqual(coarse, table(numbers.directory))
        late = self.numbers(keep=keep, now=BEGIN + 60 * DAY)
        late.prune()
        self.assertEqual({}, table(numbers.directory))

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 1 << 30))
    def test_in_whatever_pieces(self, seed: int) -> None:
        """Events of two workers, read in pieces, by several processes, forgotten in part, made anew."""
        dice = random.Random(seed)
        self.make(Path(self.mktemp()).absolute())
        with (
            patch.object(numbers_module, "SPAN", dice.choice([3, 7, 50])),
            patch.object(rollup_module, "MOST", dice.choice([2, 500])),
        ):
            every = [self.numbers(shard) for shard in (0, 1) for _ in range(2)]
            for shard in (0, 1):
                self.journals.write([Completed(at=BEGIN)], shard)
            sent: list[tuple[str, str, float]] = []
            for at in sorted(BEGIN + dice.random() * 5 * HOUR for _ in range(dice.randint(1, 60))):
                self.journals.write(self.some(dice, at, sent), dice.randint(0, 1))
                if dice.random() < 0.3:
                    dice.choice(every).catch_up()
            for one in every:
                one.catch_up()
            live = tables(self.spool)
            for shard in (0, 1):
                if dice.random() < 0.7:
                    self.forget(dice.randint(0, 40), shard)
            for one in every[::2]:
                one.rebuild()
            self.assertEqual(live, tables(self.spool))
            every[1].rebuild()
            self.assertEqual(live, tables(self.spool))
            if not any(self.forgotten(shard) for shard in (0, 1)):
                for one in every:
                    one.close()
                    for path in one.directory.glob(f"{DATABASE}*"):
                        path.unlink()
                for one in every:
                    one.catch_up()
                self.assertEqual(live, tables(self.spool))

    def forgotten(self, shard: int) -> bool:
        base = sqlite3.connect(self.journals.directory(shard) / "queue.db")
        (first,) = base.execute("SELECT min(id) FROM events").fetchone()
        base.close()
        return bool(first != 1)

    def some(self, dice: random.Random, at: float, sent: list[tuple[str, str, float]]) -> list[Event]:
        """What happens at once."""
        tenant = dice.choice(["", "shop", "club"])
        found: list[Event] = []
        if not sent or dice.random() < 0.4:
            shard = dice.randint(0, 1)
            first = self.received(
                shard, at, tenant=tenant, tagged=dice.sample(["a", "b", "c", "d"], dice.randint(0, 3))
            )
            # It is accepted where its shard is.
            self.journals.write([first], shard)
            sent.append((first.message, f"u{dice.randint(0, 2)}@{dice.randint(0, 4)}.example", at))
            return [Completed(at=at)]
        message, recipient, _ = dice.choice(sent)
        about: dict[str, Any] = {"message": message, "recipient": recipient, "at": at}
        kind = dice.randint(0, 6)
        if kind < 2:
            found.append(DeliveredTo(delay=dice.random() * 100, host="mx.example", **about))
        elif kind == 2:
            found.append(DeferredTo(code=451, bounce_class="greylisted", **about))
        elif kind < 5:
            found.append(Opened(tenant=tenant, **about))
        elif kind == 5:
            found.append(Clicked(tenant=tenant, sort=dice.choice(["human", "scanner"]), **about))
        else:
            found.append(Complained(**about))
        return found
