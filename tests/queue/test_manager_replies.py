"""What the queue makes of what replies mean: when it tries again, what it records, what it tells."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.model.bounce import Rule
from mta.model.bounce_data import classifier
from mta.model.event import DeferredTo, FailedTo
from mta.model.outcome import Failed, Postponed, RemoteReply
from tests.queue.fakes import NOW, Bench
from tests.queue.test_manager import HOME


def reply(code: int, enhanced: str, text: str, command: str = "RCPT TO") -> RemoteReply:
    return RemoteReply(code, enhanced, text, "mx.far.test [192.0.2.1]", command)


class ReplyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(dict(HOME), retry=[60, 3600], expire=86400, warn_after=0)
        self.bench.manager.start()

    def use(self, *rules: Rule) -> None:
        """Rules of an operator, as a reload brings them."""
        transports = {"relay": self.bench.relay, "maildir": self.bench.local}
        self.bench.manager.replace(self.bench.settings, transports, classifier(rules))

    def send(self, outcome: Any, seconds: float = 10.0) -> None:
        self.bench.relay.default = outcome
        self.bench.send("x@far.test")
        self.bench.run(seconds)

    def times(self) -> list[float]:
        return [event.at - NOW for event in self.bench.spool.of(DeferredTo)]

    def test_class_in_events(self) -> None:
        self.send(Postponed(reply(451, "4.3.5", "Server configuration problem")))
        self.send(Failed(reply(550, "5.1.1", "User unknown")))
        self.assertEqual("trouble", self.bench.spool.of(DeferredTo)[0].bounce_class)
        self.assertEqual("bad-mailbox", self.bench.spool.of(FailedTo)[0].bounce_class)
        payload = self.bench.spool.of(FailedTo)[0].payload()
        self.assertEqual("bad-mailbox", payload["bounce_class"])

    def test_greylisted(self) -> None:
        """Not before five minutes, but not by a schedule of hours either."""
        self.send(Postponed(reply(450, "4.2.0", "Greylisted, see postgrey")), 2500)
        self.assertEqual([0, 315, 915, 1515, 2115], self.times())

    def test_greylisted_for_ever(self) -> None:
        """What is greylisting in name only goes by the schedule in the end."""
        self.send(Postponed(reply(450, "4.2.0", "Greylisted, see postgrey")), 12000)
        self.assertEqual([0, 315, 915, 1515, 2115, 5715, 9315], self.times())

    def test_full(self) -> None:
        self.send(Postponed(reply(452, "4.2.2", "Mailbox is full")), 15000)
        self.assertEqual([0, 7560], self.times())

    def test_postponed_whatever_the_code(self) -> None:
        """What is to be tried again for another reason is, though the reply was for good."""
        self.send(Postponed(reply(554, "5.7.1", "You are not allowed to connect", "connect")), 70)
        self.assertEqual([0, 60], self.times())

    def test_an_operator_knows_better(self) -> None:
        self.use(
            Rule("reputation", text=["our block list"], action="retry", delay=1000.0),
            Rule("bad-mailbox", enhanced=["4.1.1"], action="fail"),
        )
        self.send(Failed(reply(550, "5.7.1", "part of their network is on our block list")))
        (event,) = self.bench.spool.of(DeferredTo)
        self.assertEqual(1050, event.next_attempt - NOW)
        self.send(Postponed(reply(450, "4.1.1", "User unknown")))
        (failed,) = self.bench.spool.of(FailedTo)
        self.assertEqual(450, failed.code)

    def test_words_of_an_operator(self) -> None:
        """A bounce says what the operator's rule says."""
        self.use(Rule("other", text=["xyzzy"], cause="It is magic.", remedy="Say plugh."))
        self.send(Failed(reply(550, "5.0.0", "xyzzy")))
        text = " ".join(self.notification().split())
        self.assertIn("What it means: It is magic.", text)
        self.assertIn("What to do: Say plugh.", text)

    def test_words_of_a_class(self) -> None:
        self.send(Failed(reply(550, "5.7.1", "Client host [192.0.2.9] blocked using zen.spamhaus.org")))
        self.assertIn("a blocklist names it", " ".join(self.notification().split()))

    def notification(self) -> str:
        return self.bench.local.deliveries[-1].message.content.read().decode()

    def test_expired(self) -> None:
        """The class of what came last tells why, not that time was over."""
        self.send(Postponed(reply(452, "4.2.2", "Mailbox is full")), 90000)
        (failed,) = self.bench.spool.of(FailedTo)
        self.assertTrue(failed.expired)
        self.assertEqual("full", failed.bounce_class)

    def test_advice_for_a_site(self) -> None:
        self.send(Failed(reply(554, "5.7.1", "Client host [192.0.2.9] blocked using zen.spamhaus.org")))
        self.bench.relay.default = None
        self.bench.send("y@far.test")
        (site,) = [one for one in self.bench.manager.status()["destinations"] if one["transport"] == "relay"]
        self.assertEqual(("reputation", "fail"), (site["advice"]["class"], site["advice"]["action"]))
        # One message may earn it; a rest takes three in a row.
        self.assertEqual(0, site["advice"]["until"])

    def test_no_advice_from_one_recipient(self) -> None:
        self.send(Failed(reply(550, "5.1.1", "User unknown")))
        self.bench.relay.default = None
        self.bench.send("y@far.test")
        (site,) = [one for one in self.bench.manager.status()["destinations"] if one["transport"] == "relay"]
        self.assertIsNone(site["advice"])
