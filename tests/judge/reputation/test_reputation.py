"""What lists, names and HELO say, and what becomes of mail by it."""

from __future__ import annotations

from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import Facts
from mta.judge.pipeline import Pipeline
from mta.judge.reputation.hello import faults
from mta.judge.reputation.judge import ReputationJudge, ReputationSettings
from mta.judge.reputation.lists import CodeRange, read, reversed_address
from mta.judge.reverse_name import ReverseNames
from mta.model.authentication import AuthenticationResult
from mta.model.verdict import Verdict
from tests.judge.facts import Names, facts, verdict

ZONE = "1.2.0.192.bl.test"


class ListTests(SynchronousTestCase):
    """RFC 5782."""

    def test_names(self) -> None:
        """2.1 and 2.4."""
        self.assertEqual("99.2.0.192", reversed_address(ip_address("192.0.2.99")))
        six = reversed_address(ip_address("2001:db8:1:2:3:4:567:89ab"))
        self.assertEqual("b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2", six)

    def test_codes(self) -> None:
        for text, inside, outside in (
            ("127.0.0.2", ("127.0.0.2",), ("127.0.0.3",)),
            ("127.0.0.4-7", ("127.0.0.4", "127.0.0.7"), ("127.0.0.3", "127.0.0.8")),
            ("127.0.1.*", ("127.0.1.0", "127.0.1.255"), ("127.0.0.255", "127.0.2.0")),
            ("127.0.10.0/23", ("127.0.11.9",), ("127.0.12.0",)),
        ):
            codes = CodeRange.parse(text)
            self.assertTrue(all(ip_address(one) in codes for one in inside), text)
            self.assertFalse(any(ip_address(one) in codes for one in outside), text)
        for text in ("127.0.0", "x", "127.0.0.9-x", ""):
            self.assertRaises(ValueError, CodeRange.parse, text)

    def test_reading(self) -> None:
        codes = {CodeRange.parse("127.0.0.2"): 8.0, CodeRange.parse("127.0.0.4-7"): 4.0}
        self.assertEqual(
            (8.0, ("127.0.0.4", "127.0.0.2")),
            (lambda r: (r.weight, r.codes))(read(("127.0.0.4", "127.0.0.2"), 0.0, codes)),
        )
        self.assertEqual((), read(("127.0.0.9",), 5.0, codes).codes)
        self.assertEqual(5.0, read(("127.0.0.9",), 5.0, {}).weight)
        self.assertEqual(-3.0, read(("127.0.5.1",), -3.0, {}).weight)

    def test_no_listing(self) -> None:
        """Answers that say that the list is not to be asked so, or is no list any more."""
        for answer, words in (
            ("127.255.255.254", "public resolver"),
            ("127.255.255.252", "mistyped"),
            ("127.255.255.255", "too often"),
            ("203.0.113.80", "no answer of a list"),
        ):
            reading = read((answer, "127.0.0.2"), 10.0, {})
            self.assertEqual((0.0, ()), (reading.weight, reading.codes))
            self.assertIn(words, reading.trouble)


class HelloTests(SynchronousTestCase):
    """What can be seen without asking anybody."""

    def test_table(self) -> None:
        for helo, found in (
            ("mx.far.test", []),
            ("MX_1.far.test.", []),
            ("[192.0.2.1]", ["helo_literal"]),
            ("[IPv6:2001:db8::1]", ["helo_literal", "helo_false_literal"]),
            ("[192.0.2.9]", ["helo_literal", "helo_false_literal"]),
            ("192.0.2.1", ["helo_syntax"]),
            ("friend", ["helo_syntax"]),
            ("-x.test", ["helo_syntax"]),
            ("", ["helo_syntax"]),
            ("[x]", ["helo_syntax"]),
            ("mx.example.org", ["helo_own_name"]),
            ("localhost", ["helo_own_name"]),
            ("bücher.test", []),
        ):
            self.assertEqual(found, [name for name, _ in faults(helo, "192.0.2.1", "mx.example.org")], helo)


class ReverseNameTests(SynchronousTestCase):
    """A name counts if it leads back."""

    def find(self, names: Names) -> Any:
        return self.successResultOf(ensureDeferred(ReverseNames(names).find(facts().client)))  # type: ignore[arg-type]

    def test_states(self) -> None:
        pointer = {("192.0.2.1", "PTR"): ["a.test.", "b.test."]}
        for records, state, name in (
            ({}, "none", ""),
            (pointer, "unconfirmed", ""),
            ({**pointer, ("b.test", "A"): ["192.0.2.1"]}, "confirmed", "b.test"),
            ({**pointer, ("b.test", "A"): ["192.0.2.2"]}, "unconfirmed", ""),
        ):
            found = self.find(Names(records))
            self.assertEqual((state, name), (found.state, found.name))

    def test_once_in_a_session(self) -> None:
        """A DNS that does not answer holds up the client once; names are asked for all at once."""
        names = Names({("192.0.2.1", "PTR"): ["a.test", "b.test"], ("b.test", "A"): ["192.0.2.1"]})
        names.silent = {"a.test"}
        finder = ReverseNames(names)  # type: ignore[arg-type]
        self.assertNoResult(ensureDeferred(finder.find(facts().client)))
        self.assertEqual(["192.0.2.1 PTR", "a.test A", "b.test A"], names.asked)
        names.silent, names.down = set(), {"192.0.2.1"}
        for _ in range(3):
            found = self.successResultOf(ensureDeferred(finder.find(facts().client)))
            self.assertEqual("unknown", found.state)
        self.assertEqual(4, len(names.asked))

    def test_unknown(self) -> None:
        names = Names({("192.0.2.1", "PTR"): ["a.test."]})
        names.down = {"a.test"}
        self.assertEqual(("unknown", None), (lambda f: (f.state, f.name))(self.find(names)))


class JudgeTests(SynchronousTestCase):
    """It adds up."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.names = Names(
            {
                ("192.0.2.1", "PTR"): ["mx.far.test."],
                ("mx.far.test", "A"): ["192.0.2.1"],
                (ZONE, "A"): ["127.0.0.2"],
                (ZONE, "TXT"): [b"Sent spam, see https://bl.test/192.0.2.1"],
            }
        )

    def judge(self, **settings: Any) -> ReputationJudge:
        context: Any = SimpleNamespace(reactor=self.clock, resolver=self.names, hostname="mx.example.org")
        return ReputationJudge(ReputationSettings.model_validate(settings), context)

    def play(self, judge: ReputationJudge, **options: Any) -> tuple[Verdict, Verdict]:
        """At MAIL, and at RCPT."""
        found = facts(**options)
        at_mail = verdict(judge.judge("mail", Facts(found.client, found.envelope)))
        return at_mail, verdict(judge.judge("recipient", found))

    def test_listed(self) -> None:
        judge = self.judge(lists=[{"zone": "bl.test", "codes": {"127.0.0.2": 10}}])
        at_mail, at_recipient = self.play(judge)
        self.assertEqual("tag", at_mail.action)
        self.assertEqual("reject", at_recipient.action)
        words = (
            "550 5.7.1 192.0.2.1 is refused: 192.0.2.1 is on bl.test "
            "(Sent spam, see https://bl.test/192.0.2.1); "
            "if this is wrong, write to postmaster@mx.example.org [s1]"
        )
        self.assertEqual(words, str(at_recipient.reply))
        self.assertEqual("reputation.reject", at_recipient.rule)
        self.assertIn("+10: 192.0.2.1 is on bl.test: 127.0.0.2", at_recipient.evidence["finding"][0])

    def test_sum(self) -> None:
        """Lists for and against, and names, add up."""
        self.names.records["1.2.0.192.good.test", "A"] = ["127.0.9.2"]
        lists = [{"zone": "bl.test", "weight": 8}, {"zone": "good.test", "weight": -4}]
        settings: dict[str, Any] = {"lists": lists, "helo_syntax": 3, "tag": 5, "reject": 8}
        at_mail, at_recipient = self.play(self.judge(**settings))
        self.assertEqual(("pass", "pass"), (at_mail.action, at_recipient.action))
        self.assertEqual(4, at_mail.evidence["score"])
        properties = (("dns.zone", "good.test"), ("policy.ip", "127.0.9.2"))
        self.assertEqual((AuthenticationResult("dnswl", "pass", properties),), at_mail.authentication)
        at_mail, at_recipient = self.play(self.judge(**settings), helo="friend")
        self.assertEqual(("tag", "pass"), (at_mail.action, at_recipient.action))
        self.assertTrue(at_mail.fields[0][1].startswith("7 ("), at_mail.fields)

    def test_reverse_name(self) -> None:
        settings: dict[str, Any] = {"no_reverse_name": 6, "unconfirmed_reverse_name": "defer"}
        at_mail, _ = self.play(self.judge(**settings))
        self.assertEqual("pass", at_mail.authentication[0].result)
        del self.names.records["mx.far.test", "A"]
        _, at_recipient = self.play(self.judge(**settings))
        self.assertEqual(
            ("defer", 450), (at_recipient.action, at_recipient.reply and at_recipient.reply.code)
        )
        del self.names.records["192.0.2.1", "PTR"]
        at_mail, _ = self.play(self.judge(**settings))
        self.assertEqual(["+6: its address has no name"], at_mail.evidence["finding"])

    def test_other_subjects(self) -> None:
        for of, name in (("sender", "far.test"), ("helo", "mx.far.test"), ("reverse_name", "mx.far.test")):
            self.names.records[f"{name}.dbl.test", "A"] = ["127.0.1.2"]
            judge = self.judge(lists=[{"zone": "dbl.test", "of": of, "weight": 10}])
            self.assertEqual("reject", self.play(judge)[1].action, of)

    def test_unresolved_hello(self) -> None:
        del self.names.records["mx.far.test", "A"]
        self.assertEqual("reject", self.play(self.judge(helo_unresolved="reject"))[1].action)
        self.names.records["mx.far.test", "MX"] = [(10, "x.test")]
        self.assertEqual("pass", self.play(self.judge(helo_unresolved="reject"))[1].action)
        self.names.down.add("mx.far.test")
        self.assertEqual("pass", self.play(self.judge(helo_unresolved="reject"))[1].action)

    def test_silence(self) -> None:
        """What does not answer in time counts nothing, and the journal says so."""
        self.names.silent = {ZONE}
        judge = self.judge(lists=[{"zone": "bl.test", "weight": 10}], timeout=5)
        found = facts()
        answer = ensureDeferred(judge.judge("mail", Facts(found.client, found.envelope)))  # type: ignore[arg-type]
        self.assertNoResult(answer)
        self.clock.advance(5)
        at_mail = self.successResultOf(answer)
        self.assertEqual({"score": 0, "trouble": ["bl.test: no answer in 5 s"]}, at_mail.evidence)
        self.assertEqual("pass", verdict(judge.judge("recipient", found)).action)

    def test_asked_at_once(self) -> None:
        """A list that is slow does not keep others from being asked."""
        self.names.silent = {ZONE, "192.0.2.1"}
        zones = [{"zone": zone, "weight": 1} for zone in ("bl.test", "b.test", "c.test")]
        judge = self.judge(lists=zones, no_reverse_name=1)
        found = facts()
        answer = ensureDeferred(judge.judge("mail", Facts(found.client, found.envelope)))  # type: ignore[arg-type]
        asked = {"192.0.2.1 PTR", f"{ZONE} A", "1.2.0.192.b.test A", "1.2.0.192.c.test A"}
        self.assertEqual(asked, asked & set(self.names.asked))
        self.clock.advance(10)
        self.successResultOf(answer)

    def test_lists_everything(self) -> None:
        """A list that is gone, and answers for everybody, refuses nobody (RFC 5782, 5)."""
        self.names.records["1.0.0.127.bl.test", "A"] = ["127.0.0.2"]
        judge = self.judge(lists=[{"zone": "bl.test", "weight": 10}])
        at_mail, at_recipient = self.play(judge)
        self.assertEqual("pass", at_recipient.action)
        self.assertIn("it lists everything", at_mail.evidence["trouble"][0])
        self.flushWarnings()

    def test_blocked_resolver(self) -> None:
        self.names.records[ZONE, "A"] = ["127.255.255.254"]
        at_mail, at_recipient = self.play(self.judge(lists=[{"zone": "bl.test", "weight": 10}]))
        self.assertEqual("pass", at_recipient.action)
        self.assertIn("public resolver", at_mail.evidence["trouble"][0])

    def test_who_is_not_asked_about(self) -> None:
        """Nobody asks about people who submit, about networks that may relay, and what a rule accepts."""
        judge = self.judge(lists=[{"zone": "bl.test", "weight": 10}])
        for options in (
            {"role": "submission"},
            {"role": "lmtp"},
            {"trusted": True},
            {"results": {"access": "x"}},
        ):
            found = facts(**options)
            self.assertEqual("pass", verdict(judge.judge("mail", found)).action)
        self.assertEqual([], self.names.asked)

    def test_once_for_each_sender(self) -> None:
        """A second message of the same sender asks nobody; the session's end forgets it."""
        judge = self.judge(lists=[{"zone": "bl.test", "weight": 1}])
        found = facts()
        verdict(judge.judge("mail", Facts(found.client, found.envelope)))
        before = len(self.names.asked)
        verdict(judge.judge("mail", Facts(found.client, found.envelope)))
        self.assertEqual(before, len(self.names.asked))
        Pipeline([("reputation", judge)]).closed(found.client)
        verdict(judge.judge("mail", Facts(found.client, found.envelope)))
        self.assertGreater(len(self.names.asked), before)

    def test_mistakes(self) -> None:
        for settings in (
            {"lists": [{"zone": "bl"}]},
            {"lists": [{"zone": "bl.test", "codes": {"2": 1}}]},
            {"helo_syntax": "fly"},
        ):
            self.assertRaises(ValidationError, ReputationSettings.model_validate, settings)
