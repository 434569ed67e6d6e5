"""Rules of the operator: which fits, in which order, and what is said."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import ensureDeferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import AccessRule
from mta.interfaces import Facts
from mta.judge.accepted import is_accepted
from mta.judge.access.judge import AccessJudge
from mta.judge.access.patterns import Patterns, WrongPattern
from mta.judge.access.rules import AccessProblem
from mta.judge.pipeline import Pipeline
from mta.judge.reverse_name import ReverseNames
from mta.model.verdict import PASS, Stage, Verdict
from tests.judge.facts import Names, facts, verdict


class PatternTests(SynchronousTestCase):
    """Names and addresses."""

    def test_table(self) -> None:
        for pattern, fits, fits_not in (
            (
                "ann@example.org",
                ("ann@example.org", "ANN@Example.org"),
                ("ben@example.org", "ann@a.example.org"),
            ),
            ("ann@", ("ann@a.test", "ann@b.test"), ("anna@a.test", "ann")),
            ("@example.org", ("ann@example.org", "example.org", "example.org."), ("x.example.org", "")),
            ("example.org", ("ann@example.org",), ("ann@example.org.test",)),
            (".example.org", ("ann@a.example.org", "b.a.example.org"), ("ann@example.org", "badexample.org")),
            ("*.dyn.example.net", ("1.dyn.example.net",), ("dyn.example.net", "1.dyn.example.net.x")),
            ("/^[0-9]+\\./", ("12.far.test",), ("a12.far.test",)),
            ("<>", ("",), ("ann@example.org",)),
            ("*", ("", "anything"), ()),
        ):
            patterns = Patterns([(pattern, "yes")])
            self.assertEqual(["yes"] * len(fits), [patterns.find(text) for text in fits], pattern)
            self.assertEqual([None] * len(fits_not), [patterns.find(text) for text in fits_not], pattern)

    def test_the_most_exact_counts(self) -> None:
        patterns = Patterns(
            [("*", "any"), (".org", "below"), ("@example.org", "domain"), ("a@example.org", "a")]
        )
        found = [patterns.find(text) for text in ("a@example.org", "b@example.org", "b@x.org", "b@x.net")]
        self.assertEqual(["a", "domain", "below", "any"], found)

    def test_wrong(self) -> None:
        for pattern in ("/abc", "/(/", "", "/(?=x)/"):
            self.assertRaises(WrongPattern, Patterns, [(pattern, "x")])

    def test_octets_of_strangers(self) -> None:
        self.assertIsNone(Patterns([("/x/", "x"), ("a.test", "y")]).find("\udcff@b.test"))


class RuleTests(SynchronousTestCase):
    """Order, stages, words."""

    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        self.names = Names({("192.0.2.1", "PTR"): ["mx.far.test."], ("mx.far.test", "A"): ["192.0.2.1"]})

    def judge(self, *rules: dict[str, Any]) -> AccessJudge:
        return AccessJudge(
            [AccessRule.model_validate(rule) for rule in rules],
            self.place,
            ReverseNames(self.names),  # type: ignore[arg-type]
            "postmaster@mx.example.org",
            maybeDeferred,
        )

    def play(self, judge: AccessJudge, *recipients: str, **options: Any) -> tuple[str, Verdict]:
        """One message through all stages: the stage that refused it, or ``""``; and the last verdict."""
        pipeline = Pipeline([("access", judge)])
        now = facts(recipient=None, **options)
        envelope = now.envelope
        assert envelope is not None
        said: Verdict = PASS
        stages: tuple[tuple[Stage, Facts], ...] = (
            ("connect", Facts(now.client)),
            ("hello", Facts(now.client)),
            ("mail", Facts(now.client, envelope)),
            *(
                ("recipient", Facts(now.client, envelope, facts(recipient=one).recipient))
                for one in recipients or ("ben@example.org",)
            ),
        )
        for stage, found in stages:
            said = verdict(pipeline.judge(stage, found))
            if said.action in ("defer", "reject"):
                return stage, said
            about: Any = now.client if stage in ("connect", "hello") else envelope
            if said is not PASS:
                about.judged = (*about.judged, (stage, said))
        return "", said

    def test_as_early_as_can_be(self) -> None:
        for rule, stage in (
            ({"client": ["192.0.2.0/24"]}, "connect"),
            ({"helo": ["mx.far.test"]}, "hello"),
            ({"reverse_name": [".far.test"]}, "hello"),
            ({"sender": ["@far.test"]}, "mail"),
            ({"recipient": ["ben@example.org"]}, "recipient"),
            ({"client": ["192.0.2.0/24"], "recipient": ["@example.org"]}, "recipient"),
        ):
            refused, said = self.play(self.judge({**rule, "name": "no"}))
            self.assertEqual((stage, "access.no"), (refused, said.rule), rule)
            assert said.reply is not None
            self.assertEqual(
                "550 5.7.1 You are refused (rule no); if this is wrong, write to "
                "postmaster@mx.example.org [s1]",
                str(said.reply),
            )

    def test_order(self) -> None:
        """What a rule before might still accept is not refused before it is known."""
        judge = self.judge(
            {"recipient": ["postmaster@example.org"], "action": "accept"},
            {"client": ["192.0.2.0/24"], "name": "no"},
        )
        self.assertEqual("", self.play(judge, "postmaster@example.org")[0])
        self.assertEqual("recipient", self.play(judge)[0])
        self.assertEqual("", self.play(judge, address="198.51.100.1")[0])

    def test_accepted_for_one_recipient(self) -> None:
        """Whoever may write to postmaster may not therefore write to others in the same message."""
        judge = self.judge(
            {"recipient": ["postmaster@example.org"], "action": "accept"},
            {"client": ["192.0.2.0/24"], "name": "no"},
        )
        refused, said = self.play(judge, "postmaster@example.org", "ben@example.org")
        self.assertEqual(("recipient", "access.no"), (refused, said.rule))

    def test_accepted(self) -> None:
        """Later judges see it, at this stage and after."""
        judge = self.judge({"client": ["192.0.2.0/24"], "action": "accept"}, {"sender": ["*"]})
        self.assertEqual("", self.play(judge)[0])
        found = facts(recipient=None, sender=None)
        self.assertFalse(is_accepted(found))
        said = verdict(Pipeline([("access", judge)]).judge("connect", found))
        self.assertTrue(is_accepted(found))
        later = facts()
        later.client.judged = (("connect", said),)
        self.assertTrue(is_accepted(later))

    def test_words(self) -> None:
        for reply, said in (
            ("Come when you are clean", "550 5.7.1 Come when you are clean (rule no); "),
            ("554 5.7.0 Away", "554 5.7.0 Away (rule no); "),
            ("554 Away", "554 5.7.1 Away (rule no); "),
        ):
            _, found = self.play(self.judge({"sender": ["*"], "name": "no", "reply": reply}))
            self.assertTrue(str(found.reply).startswith(said), found.reply)
        _, found = self.play(self.judge({"sender": ["*"], "name": "no", "action": "defer"}))
        self.assertTrue(str(found.reply).startswith("450 4.7.1 You are put off"), found.reply)

    def test_hold_and_tag(self) -> None:
        rules = (
            {"sender": ["*"], "action": "tag", "reply": "odd", "name": "t"},
            {"helo": ["*"], "action": "hold"},
        )
        stage, said = self.play(self.judge(*rules))
        self.assertEqual(("", "hold"), (stage, said.action))
        found = facts(recipient=None)
        assert found.envelope is not None
        pipeline = Pipeline([("access", self.judge(rules[0]))])
        said = verdict(pipeline.judge("mail", found))
        self.assertEqual((("X-Mta-Access", "odd"),), said.fields)
        self.assertEqual({"access": {"t": "tag, because of sender ann@far.test"}}, said.evidence)
        found.envelope.judged = (("mail", said),)
        again = Facts(found.client, found.envelope, facts().recipient)
        self.assertEqual((), verdict(pipeline.judge("recipient", again)).fields)

    def test_dns_that_does_not_answer(self) -> None:
        """Nobody is refused because a name is not known, nor let in."""
        self.names.down.add("192.0.2.1")
        self.assertEqual("", self.play(self.judge({"reverse_name": ["*"]}))[0])

    def test_no_name(self) -> None:
        self.names.records.clear()
        self.assertEqual("hello", self.play(self.judge({"reverse_name": ["/^$/"]}))[0])

    def test_local(self) -> None:
        """Mail of this machine meets only rules that say so."""
        rule = {"sender": ["*"]}
        self.assertEqual("", self.play(self.judge(rule), role="local")[0])
        self.assertEqual("mail", self.play(self.judge({**rule, "role": ["local"]}), role="local")[0])

    def test_file(self) -> None:
        path = self.place / "clients"
        path.write_text(
            "# who\n192.0.2.7 accept\n192.0.2.0/24 reject 554 Not you\n198.51.100.0/24\n2001:db8::/32 defer\n"
        )
        judge = self.judge({"file": "clients", "of": "client", "action": "reject"})
        self.assertEqual("", self.play(judge, address="192.0.2.7")[0])
        _, said = self.play(judge)
        self.assertEqual("access.clients:192.0.2.0/24", said.rule)
        self.assertTrue(
            str(said.reply).startswith("554 5.7.1 Not you (rule clients:192.0.2.0/24)"), said.reply
        )
        self.assertEqual("reject", self.play(judge, address="198.51.100.9")[1].action)
        self.assertEqual("defer", self.play(judge, address="2001:db8::1")[1].action)
        self.assertEqual("", self.play(judge, address="203.0.113.1")[0])
        path.write_text("203.0.113.1\n")
        self.successResultOf(ensureDeferred(judge.reload()))
        self.assertEqual("connect", self.play(judge, address="203.0.113.1")[0])
        self.assertEqual("", self.play(judge)[0])

    def test_file_of_senders(self) -> None:
        (self.place / "senders").write_text("@Far.test accept\n/^spam/ reject Go away\n<> hold\n")
        judge = self.judge({"file": "senders", "of": "sender"})
        self.assertEqual("", self.play(judge)[0])
        self.assertEqual("mail", self.play(judge, sender="spammer@x.test")[0])
        self.assertEqual("hold", self.play(judge, sender="")[1].action)

    def test_mistakes(self) -> None:
        for text, line in (("192.0.2.1\nnonsense", 2), ("192.0.2.1 fly", 1), ("192.0.2.1 reject 450 x", 1)):
            (self.place / "wrong").write_text(text)
            problem = self.assertRaises(AccessProblem, self.judge, {"file": "wrong", "of": "client"})
            self.assertEqual(line, problem.line, text)
        problem = self.assertRaises(AccessProblem, self.judge, {"sender": ["*"]}, {"sender": ["/(/"]})
        self.assertEqual(1, problem.args[-1])
        self.assertRaises(AccessProblem, self.judge, {"file": "absent", "of": "client"})
        for rule in (
            {},
            {"file": "x"},
            {"sender": ["*"], "reply": "450 x"},
            {"sender": ["*"], "reply": "250 x"},
        ):
            self.assertRaises(ValidationError, AccessRule.model_validate, rule)
