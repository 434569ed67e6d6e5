"""So much in so much time."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Limit
from mta.interfaces import Facts
from mta.judge.access.patterns import WrongPattern
from mta.judge.limits import LimitJudge
from mta.model.bucket import Bucket
from mta.model.verdict import PASS, Stage, Verdict
from mta.model.waiting import in_words, rate_words
from tests.judge.facts import facts, verdict
from tests.ledger.memory import MemoryLedger


class BucketTests(SynchronousTestCase):
    """The arithmetic."""

    def test_life(self) -> None:
        bucket = Bucket.of((10, 100.0))
        kept: Any = None
        for _ in range(10):
            self.assertEqual(0.0, bucket.wait(kept, 0.0))
            kept = bucket.take(kept, 0.0)
        self.assertEqual(10.0, bucket.wait(kept, 0.0))
        self.assertAlmostEqual(4.0, bucket.wait(kept, 6.0))
        self.assertEqual(0.0, bucket.wait(kept, 10.0))
        self.assertEqual(101.0, bucket.full_in(kept, 0.0))

    def test_burst(self) -> None:
        kept = Bucket.of((10, 100.0), 2).take(None, 0.0)
        self.assertEqual([1.0, 0.0], kept)

    def test_clock_set_back(self) -> None:
        bucket = Bucket.of((10, 100.0))
        self.assertEqual(3.0, bucket.level([3.0, 500.0], 100.0))

    def test_words(self) -> None:
        for seconds, words in (
            (0.2, "1 second"),
            (90, "90 seconds"),
            (91, "2 minutes"),
            (3600, "60 minutes"),
            (7000, "2 hours"),
            (36 * 3600, "36 hours"),
            (3 * 86400, "3 days"),
        ):
            self.assertEqual(words, in_words(seconds))
        self.assertEqual("1 message in 10 seconds", rate_words((1, 10.0), "messages"))


class LimitTests(SynchronousTestCase):
    """``[[limit]]``."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1.8e9)
        self.ledger = MemoryLedger(self.clock)

    def judge(self, *limits: dict[str, Any]) -> LimitJudge:
        made = [Limit.model_validate(limit) for limit in limits]
        tenants = {"ann@example.org": "shop"}
        return LimitJudge(made, self.ledger, lambda account: tenants.get(account, ""), self.clock.seconds)  # type: ignore[arg-type]

    def ask(self, judge: LimitJudge, stage: Stage, **options: Any) -> Verdict:
        found = facts(**options)
        if stage != "recipient":
            found = Facts(found.client, None if stage == "connect" else found.envelope, results=found.results)
        return verdict(judge.judge(stage, found))

    def test_messages_by_client(self) -> None:
        judge = self.judge({"name": "few", "by": "client", "messages": "2/m"})
        self.assertEqual(["pass", "pass"], [self.ask(judge, "mail").action for _ in range(2)])
        said = self.ask(judge, "mail")
        self.assertEqual(("defer", "limit.few"), (said.action, said.rule))
        self.assertEqual(
            "450 4.7.1 2 messages in 60 seconds by client 192.0.2.1 is the limit, "
            "come again in 30 seconds [s1]",
            str(said.reply),
        )
        self.assertEqual("pass", self.ask(judge, "mail", address="192.0.2.2").action)
        self.clock.advance(30)
        self.assertEqual("pass", self.ask(judge, "mail").action)

    def test_by_each(self) -> None:
        """What is counted by, at which stage, and what is the same."""
        ann = {"account": "ann@example.org", "role": "submission"}
        for by, stage, same, other in (
            ("client", "mail", {"sender": "x@y.test"}, {"address": "192.0.2.2"}),
            ("network", "mail", {"address": "192.0.2.9"}, {"address": "192.0.3.1"}),
            ("account", "mail", {**ann, "address": "192.0.9.9"}, {"account": "ben@example.org"}),
            ("tenant", "mail", ann, {"account": "ben@example.org"}),
            ("sender", "mail", {"address": "192.0.9.9"}, {"sender": "x@far.test"}),
            ("sender_domain", "mail", {"sender": "x@far.test"}, {"sender": "x@y.test"}),
            ("recipient", "recipient", {"address": "192.0.9.9"}, {"recipient": "anna@example.org"}),
            ("domain", "recipient", {"recipient": "anna@example.org"}, {"recipient": "a@b.test"}),
        ):
            judge = self.judge({"by": by, "messages": "1/h"})
            first: dict[str, Any] = ann if by in ("account", "tenant") else {}
            moment: Any = stage
            self.assertEqual("pass", self.ask(judge, moment, **first).action, by)
            self.assertEqual("defer", self.ask(judge, moment, **same).action, by)
            self.assertEqual("pass", self.ask(judge, moment, **other).action, by)

    def test_recipients(self) -> None:
        judge = self.judge({"by": "account", "recipients": "3/h", "role": ["submission"]})
        ann: dict[str, Any] = {"account": "ann@example.org", "role": "submission"}
        self.assertEqual(PASS, self.ask(judge, "mail", **ann))
        found = [self.ask(judge, "recipient", **ann).action for _ in range(4)]
        self.assertEqual(["pass", "pass", "pass", "defer"], found)

    def test_connections(self) -> None:
        judge = self.judge({"by": "network", "connections": "1/m"})
        self.ask(judge, "connect")
        said = self.ask(judge, "connect", address="192.0.2.77")
        self.assertEqual(421, said.reply and said.reply.code)

    def test_together(self) -> None:
        """Of two limits, what one refuses takes nothing from the other."""
        judge = self.judge({"by": "client", "messages": "5/h"}, {"by": "sender", "messages": "1/h"})
        self.ask(judge, "mail")
        for _ in range(3):
            self.assertEqual("defer", self.ask(judge, "mail").action)
        for number in range(4):
            self.assertEqual("pass", self.ask(judge, "mail", sender=f"{number}@far.test").action)
        self.assertEqual("defer", self.ask(judge, "mail", sender="9@far.test").action)

    def test_combined(self) -> None:
        judge = self.judge({"by": ["client", "recipient"], "messages": "1/h"})
        self.assertEqual("pass", self.ask(judge, "recipient").action)
        self.assertEqual("pass", self.ask(judge, "recipient", address="192.0.2.2").action)
        self.assertEqual("defer", self.ask(judge, "recipient").action)

    def test_match(self) -> None:
        judge = self.judge(
            {"by": "client", "messages": "1/h", "match": ["192.0.2.0/24"]},
            {"by": "sender", "messages": "1/h", "match": ["<>"]},
        )
        for address, sender, action in (
            ("192.0.2.1", "a@b.test", "pass"),
            ("192.0.2.1", "a@b.test", "defer"),
            ("198.51.100.1", "a@b.test", "pass"),
            ("198.51.100.1", "a@b.test", "pass"),
            ("198.51.100.1", "", "pass"),
            ("198.51.100.1", "", "defer"),
        ):
            self.assertEqual(action, self.ask(judge, "mail", address=address, sender=sender).action)

    def test_actions(self) -> None:
        for action, said in (("close", "defer"), ("hold", "hold")):
            judge = self.judge({"by": "client", "messages": "1/h", "action": action, "name": action})
            self.ask(judge, "mail")
            found = self.ask(judge, "mail")
            self.assertEqual(said, found.action)
            self.assertEqual(421 if action == "close" else None, found.reply and found.reply.code)

    def test_no_question_without_a_limit(self) -> None:
        judge = self.judge({"by": "account", "messages": "1/h"})
        self.assertEqual(frozenset({"mail"}), judge.stages)
        self.ask(judge, "mail")
        self.ask(judge, "mail", role="local")
        self.ask(judge, "mail", results={"access": "friends"})
        self.assertEqual(0, self.ledger.asked)

    def test_ledger_is_down(self) -> None:
        judge = self.judge({"by": "client", "messages": "1/h"})
        self.ledger.down = True
        for _ in range(3):
            said = self.ask(judge, "mail")
            self.assertEqual(("pass", {"not asked": "the disk is gone"}), (said.action, said.evidence))

    def test_mistakes(self) -> None:
        for limit in (
            {"by": "client"},
            {"by": [], "messages": "1/h"},
            {"by": "client", "messages": "1/h", "recipients": "1/h"},
            {"by": "account", "connections": "1/h"},
            {"by": "moon", "messages": "1/h"},
        ):
            self.assertRaises(ValidationError, Limit.model_validate, limit)
        wrong = self.assertRaises(
            WrongPattern, self.judge, {"by": "client", "messages": "1/h", "match": ["nonsense"]}
        )
        self.assertEqual(0, wrong.args[1])
