"""What rules make a site do: rest or take less for a while, told in the journal, and over by itself."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.config.automations import automations_of
from mta.config.settings import Egress as Table
from mta.config.settings import EgressPool, Settings
from mta.journal.text import event_line
from mta.model.event import Automated
from mta.model.outcome import Postponed, RemoteReply
from mta.route.egress import Egress
from mta.route.shaping import Shaping
from tests.queue.fakes import NOW, OK, Bench
from tests.queue.test_manager_sites import Grouping

ENOUGH = Postponed(RemoteReply(451, "4.7.0", "enough of you", "mx1.big.test [192.0.2.9]:25", "RCPT TO"))


class AutomatismTests(SynchronousTestCase):
    def begin(self, *tables: dict[str, Any], sources: str = "") -> None:
        egress = Egress(Shaping())
        if sources:
            made = [Table(name=one, ipv4=f"192.0.2.{number}") for number, one in enumerate(sources, 1)]
            egress.use(made, [EgressPool(name="p", sources=dict.fromkeys(sources, 1.0), sender=["*"])])
        self.bench = Bench(egress=egress, retry=[600.0], warn_after=0)
        self.relay = Grouping(default=OK, concurrency=8)
        self.relay.sites = dict.fromkeys(("a.test", "b.test"), ("mx1.big.test",))
        self.bench.manager.replace(self.bench.settings, {"relay": self.relay})
        self.automate(*tables)
        self.bench.manager.start()

    def automate(self, *tables: dict[str, Any]) -> None:
        settings = Settings.model_validate({"automation": [*tables], "relay": {"providers": False}})
        self.bench.manager.automate(automations_of(settings))

    def answer(self, *answers: Any) -> None:
        """The next outcomes, and then all are taken."""
        left = list(answers)
        self.relay.answer = lambda delivery: [left.pop(0) if left else OK]  # type: ignore[method-assign]

    def send(self, count: int, *domains: str) -> None:
        for number in range(count):
            self.bench.send(f"u{number}@{domains[number % len(domains)]}")

    def count(self) -> int:
        return len(self.relay.deliveries)

    def test_suspend(self) -> None:
        """Nothing goes to any domain of the site, then one tries, and who waited follows."""
        self.begin({"name": "r", "text": ["enough"], "action": "suspend", "duration": "10m"})
        self.answer(ENOUGH)
        first = self.bench.send("x@a.test")
        self.send(4, "a.test", "b.test")
        self.send(1, "c.test")
        self.bench.run(590)
        self.assertEqual(
            ["x@a.test", "u0@c.test"], [one.addressees[0].address for one in self.relay.deliveries]
        )
        (event,) = self.bench.spool.of(Automated)
        self.assertEqual(
            (first.id, "r", "suspend", "mx1.big.test", NOW + 600),
            (event.message, event.rule, event.action, event.site, event.until),
        )
        self.assertIn("suspend mx1.big.test by rule r: nothing goes there until", event_line(event))
        self.assertIn("since mx1.big.test [192.0.2.9]:25 said: 451 4.7.0 enough of you", event_line(event))
        site = next(one for one in self.bench.manager.status()["destinations"] if one["site"])
        self.assertEqual({"rule": "r", "action": "suspend", "until": NOW + 600}, site["automation"])
        self.bench.run(200)
        self.assertEqual({}, self.bench.spool.messages)
        self.assertEqual(7, self.count())

    def test_slow(self) -> None:
        """So much goes, and no more; when it is over, as before."""
        self.begin(
            {"text": ["enough"], "action": "slow", "duration": "10m", "connections": 2, "messages": ["6/m"]}
        )
        self.answer(ENOUGH)
        self.bench.send("x@a.test")
        self.send(500, "a.test", "b.test")
        self.bench.run(599)
        self.assertTrue(45 <= self.count() <= 61, self.count())
        self.bench.run(60)
        self.assertEqual({}, self.bench.spool.messages)

    def test_connections(self) -> None:
        self.begin({"text": ["enough"], "action": "slow", "duration": "10m", "connections": 2})
        self.answer(ENOUGH)
        self.bench.send("x@a.test")
        self.relay.answer = lambda delivery: None  # type: ignore[method-assign]
        self.send(20, "a.test")
        self.assertEqual(3, self.count())
        self.bench.run(601)
        self.assertGreater(self.count(), 4)

    def test_prolonged_and_told_once(self) -> None:
        self.begin({"text": ["enough"], "action": "slow", "duration": "10m", "messages": ["6/m"]})
        self.relay.default = ENOUGH
        self.send(60, "a.test")
        self.bench.run(700)
        self.assertEqual(1, len(self.bench.spool.of(Automated)))

    def test_one_source(self) -> None:
        """What one source hears concerns that alone; unless the rule says that it is the whole site."""
        for scope, expected in (("source", {"b"}), ("site", set())):
            self.begin(
                {"text": ["enough"], "action": "suspend", "duration": "1h", "scope": scope}, sources="ab"
            )
            heard = self.relay
            heard.answer = lambda delivery: [  # type: ignore[method-assign]
                ENOUGH if delivery.source.name == "a" else OK
            ]
            self.send(30, "a.test")
            self.bench.run(2)
            before = self.count()
            self.send(30, "b.test")
            self.bench.run(2)
            names = {one.source.name for one in heard.deliveries[before:] if one.source is not None}
            self.assertEqual(expected, names, scope)
            (event,) = self.bench.spool.of(Automated)
            self.assertEqual("a" if scope == "source" else "", event.source)

    def test_an_operator_ends_it(self) -> None:
        self.begin({"text": ["enough"], "action": "suspend", "duration": "1h"})
        self.answer(ENOUGH)
        self.bench.send("x@a.test")
        self.bench.run(2)
        self.bench.manager._filling.probe(None)
        self.send(3, "a.test")
        self.bench.run(2)
        self.assertEqual(4, self.count())

    def test_nothing_follows(self) -> None:
        """Without rules nothing does; a reload brings and takes them."""
        self.begin()
        self.relay.default = ENOUGH
        self.send(3, "a.test")
        self.assertEqual([], self.bench.spool.of(Automated))
        self.automate({"text": ["enough"], "action": "suspend", "duration": "1h"})
        self.send(1, "a.test")
        self.assertEqual(1, len(self.bench.spool.of(Automated)))

    def test_stop(self) -> None:
        """No timer is left behind."""
        self.begin({"text": ["enough"], "action": "suspend", "duration": "1h"})
        self.answer(ENOUGH)
        self.bench.send("x@a.test")
        self.bench.run(1)
        self.successResultOf(Deferred.fromCoroutine(self.bench.manager.stop(0.0)))
        self.assertEqual([], [call for call in self.bench.clock.getDelayedCalls() if "_end" in str(call)])
