from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import PluginTable
from mta.interfaces import Facts, IJudge, IKind, NoSuchDomain, TemporarilyUnavailable
from mta.judge.spf.evaluation import Finding, Identity, Question
from mta.judge.spf.judge import SPF, SpfJudge, SpfSettings
from mta.judge.spf.received_spf import received_spf
from mta.model.envelope import Client, Envelope
from mta.model.verdict import PASS, Verdict
from tests.judge.spf.zone import Zone

ZONE = {
    "a.test": [{"TXT": "v=spf1 ip4:192.0.2.0/28 include:x.test -all exp=why.a.test"}],
    "x.test": [{"TXT": "v=spf1 ip4:198.51.100.1 -all"}],
    "why.a.test": [{"TXT": "%{i} is none of ours"}],
    "soft.test": [{"TXT": "v=spf1 ~all"}],
    "broken.test": [{"TXT": "v=spf1 ipv4:192.0.2.1"}],
    "down.test": ["TIMEOUT"],
    "mx.a.test": [{"TXT": "v=spf1 a -all"}, {"A": "192.0.2.1"}],
    "reverse.test": [{"TXT": "v=spf1 ptr -all"}],
    "1.2.0.192.in-addr.arpa": [{"PTR": "mx.reverse.test"}],
    "mx.reverse.test": [{"A": "192.0.2.1"}],
    "xn--bcher-kva.test": [{"TXT": "v=spf1 exists:%{o}.%{l}.list.test -all"}],
    "xn--bcher-kva.test.a+b.list.test": [{"A": "127.0.0.2"}],
}


class ZoneResolver:
    """Answers from a zone."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone

    async def validated(self, name: str, kind: Any) -> tuple[Sequence[Any], bool]:
        answer = self.zone.answer(Question(name, kind))
        if answer.trouble:
            raise TemporarilyUnavailable(answer.trouble)
        return answer.values, False

    async def reverse(self, address: str) -> Sequence[str]:
        answer = self.zone.answer(Question(address, "PTR"))
        if not answer.values:
            raise NoSuchDomain(address)
        return answer.values


class Silent:
    """Never answers."""

    def validated(self, name: str, kind: str) -> Deferred[Any]:
        return Deferred()


class SpfJudgeTests(SynchronousTestCase):
    """What becomes of whom."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1.8e9)
        self.zone = Zone(ZONE)

    def judge(self, **settings: Any) -> SpfJudge:
        table = PluginTable(kind="spf", **settings)
        resolver: Any = ZoneResolver(self.zone)
        return SpfJudge(SpfSettings(**table.own()), self.clock, resolver, "mx.us.test")

    def verdict(
        self,
        sender: str,
        client: str = "192.0.2.1",
        helo: str = "mx.a.test",
        role: str = "mx",
        trusted: bool = False,
        **settings: Any,
    ) -> Verdict:
        facts = Facts(Client("s1", role, client, helo=helo), Envelope(sender), trusted=trusted)
        answer: Any = self.judge(**settings).judge("mail", facts)
        found: Verdict = (
            self.successResultOf(ensureDeferred(answer)) if hasattr(answer, "__await__") else answer
        )
        return found

    def told(self, verdict: Verdict) -> list[tuple[str, str, str]]:
        return [
            (one.result, one.get("smtp.helo"), one.get("smtp.mailfrom")) for one in verdict.authentication
        ]

    def test_pass(self) -> None:
        verdict = self.verdict("ann@a.test")
        self.assertEqual("pass", verdict.action)
        self.assertEqual([("pass", "mx.a.test", ""), ("pass", "", "ann@a.test")], self.told(verdict))
        self.assertEqual(["", ""], [one.reason for one in verdict.authentication])
        self.assertEqual(
            {
                "helo": "pass: 192.0.2.1 may send: a in the record of mx.a.test",
                "mailfrom": "pass: 192.0.2.1 may send: ip4:192.0.2.0/28 in the record of a.test",
                "records": [
                    "mx.a.test: v=spf1 a -all",
                    "a.test: v=spf1 ip4:192.0.2.0/28 include:x.test -all exp=why.a.test",
                ],
                "lookups": 1,
            },
            verdict.evidence,
        )

    def test_fail(self) -> None:
        """Refused with what the domain says, the rule, and the records."""
        verdict = self.verdict("ann@a.test", "203.0.113.9", "mx.b.test")
        assert verdict.reply is not None
        self.assertEqual(("reject", "spf.fail"), (verdict.action, verdict.rule))
        self.assertEqual(
            (550, "5.7.23", "spf-fail"), (verdict.reply.code, verdict.reply.enhanced, verdict.reply.name)
        )
        self.assertIn("203.0.113.9 may not send for a.test", verdict.reply.lines[0])
        self.assertEqual("a.test explains: 203.0.113.9 is none of ours", verdict.reply.lines[1])
        self.assertIn("x.test: v=spf1 ip4:198.51.100.1 -all", verdict.evidence["records"])
        self.assertEqual([("fail", "", "ann@a.test")], self.told(verdict))
        self.assertIn("-all in the record of a.test", verdict.authentication[0].reason)

    def test_marked(self) -> None:
        verdict = self.verdict("ann@a.test", "203.0.113.9", "mx.b.test", fail="mark")
        self.assertEqual(("pass", None), (verdict.action, verdict.reply))
        self.assertEqual([("fail", "", "ann@a.test")], self.told(verdict))

    def test_helo(self) -> None:
        """Who says a name that it must not say is refused, before MAIL is looked at."""
        verdict = self.verdict("ann@soft.test", "192.0.2.2")
        assert verdict.reply is not None
        self.assertEqual(
            ("reject", "spf.helo_fail", "spf-helo-fail"), (verdict.action, verdict.rule, verdict.reply.name)
        )
        self.assertEqual([("fail", "mx.a.test", "")], self.told(verdict))
        verdict = self.verdict("ann@soft.test", "192.0.2.2", helo_fail="mark")
        self.assertEqual([("fail", "mx.a.test", ""), ("softfail", "", "ann@soft.test")], self.told(verdict))

    def test_helo_that_is_no_domain(self) -> None:
        for helo in ("localhost", "[192.0.2.1]", "192.0.2.1", "", "a..test"):
            self.assertEqual(
                [("pass", "", "ann@a.test")], self.told(self.verdict("ann@a.test", helo=helo)), helo
            )

    def test_null_reverse_path(self) -> None:
        """It is about postmaster at the name of HELO."""
        verdict = self.verdict("")
        self.assertEqual([("pass", "mx.a.test", "postmaster@mx.a.test")], self.told(verdict))
        verdict = self.verdict("", "192.0.2.2")
        self.assertEqual(("reject", "spf.fail"), (verdict.action, verdict.rule))
        self.assertEqual(
            [("none", "localhost", "postmaster@localhost")], self.told(self.verdict("", helo="localhost"))
        )

    def test_other_results(self) -> None:
        """Each with its setting."""
        for sender, setting, value, result, code, enhanced in (
            ("ann@soft.test", "softfail", "reject", "softfail", 550, "5.7.23"),
            ("ann@broken.test", "permerror", "reject", "permerror", 550, "5.7.24"),
            ("ann@down.test", "temperror", "defer", "temperror", 451, "4.7.24"),
        ):
            self.assertEqual(result, self.verdict(sender).authentication[-1].result)
            self.assertEqual("pass", self.verdict(sender).action)
            verdict = self.verdict(sender, **{setting: value})
            assert verdict.reply is not None
            self.assertEqual("defer" if code < 500 else "reject", verdict.action)
            self.assertEqual((code, enhanced), (verdict.reply.code, verdict.reply.enhanced))
            self.assertEqual(f"spf.{setting}", verdict.rule)

    def test_who_is_not_judged(self) -> None:
        bad: dict[str, Any] = {"client": "203.0.113.9", "helo": "mx.b.test"}
        for role, trusted in (("submission", False), ("lmtp", False), ("local", False), ("mx", True)):
            self.assertIs(PASS, self.verdict("ann@a.test", role=role, trusted=trusted, **bad))
        self.assertIs(PASS, self.verdict("ann@a.test", forwarders=["203.0.113.0/24"], **bad))
        bad["client"] = "::ffff:203.0.113.9"
        self.assertIs(PASS, self.verdict("ann@a.test", forwarders=["203.0.113.0/24"], **bad))
        self.assertIs(PASS, self.verdict("ann@a.test", client=""))
        facts = Facts(Client("s1", "mx", "203.0.113.9"), Envelope("ann@a.test"))
        for stage in ("connect", "hello", "recipient", "message"):
            self.assertIs(PASS, self.judge().judge(stage, facts))  # type: ignore[arg-type]

    def test_reverse_name(self) -> None:
        self.assertEqual("pass", self.verdict("a@reverse.test").authentication[-1].result)
        self.assertEqual("fail", self.verdict("a@reverse.test", "192.0.2.3", "x").authentication[-1].result)

    def test_names_of_any_characters(self) -> None:
        """A domain in Unicode is asked for as the DNS spells it; a local part is kept."""
        verdict = self.verdict("a+b@bücher.test")
        self.assertEqual("pass", verdict.authentication[-1].result, verdict.evidence)
        self.assertEqual("a+b@xn--bcher-kva.test", verdict.authentication[-1].get("smtp.mailfrom"))

    def test_received_spf(self) -> None:
        verdict = self.verdict("ann@a.test", received_spf=True)
        self.assertEqual("tag", verdict.action)
        self.assertEqual(["Received-SPF", "Received-SPF"], [name for name, _ in verdict.fields])
        self.assertEqual(
            "pass (mx.us.test: 192.0.2.1 may send: ip4:192.0.2.0/28 in the record of a.test) "
            "receiver=mx.us.test; identity=mailfrom; client-ip=192.0.2.1; helo=mx.a.test; "
            'envelope-from="ann@a.test"; mechanism="ip4:192.0.2.0/28"',
            verdict.fields[1][1],
        )

    def test_received_spf_of_hostile_words(self) -> None:
        """Nothing that a client says ends a comment, a quote or a line."""
        identity = Identity("192.0.2.1", "a.test", 'a"b\r\nc\\@a.test', "h)(\\", "mx.us.test")
        value = received_spf("mailfrom", identity, Finding("permerror", "no (one) knows\r\n"))
        self.assertEqual(
            "permerror (mx.us.test: no \\(one\\) knows??) receiver=mx.us.test; identity=mailfrom; "
            'client-ip=192.0.2.1; helo="h)(\\\\"; envelope-from="a\\"b??c\\\\@a.test"; '
            'problem="no (one) knows??"',
            value,
        )

    def test_silence(self) -> None:
        """After so many seconds nobody knows."""
        resolver: Any = Silent()
        judge = SpfJudge(SpfSettings(temperror="defer", timeout=20.0), self.clock, resolver, "mx.us.test")
        facts = Facts(Client("s1", "mx", "192.0.2.1", helo="localhost"), Envelope("ann@a.test"))
        answer: Any = judge.judge("mail", facts)
        waiting = ensureDeferred(answer)
        self.clock.advance(19)
        self.assertNoResult(waiting)
        self.clock.advance(1)
        verdict: Verdict = self.successResultOf(waiting)
        self.assertEqual(("defer", "spf.temperror"), (verdict.action, verdict.rule))
        self.assertIn("in 20 seconds", verdict.reason)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_cancelled(self) -> None:
        """Whoever does not want to know any more is not told that the DNS is silent."""
        resolver: Any = Silent()
        judge = SpfJudge(SpfSettings(), self.clock, resolver, "mx.us.test")
        facts = Facts(Client("s1", "mx", "192.0.2.1", helo="localhost"), Envelope("ann@a.test"))
        answer: Any = judge.judge("mail", facts)
        waiting = ensureDeferred(answer)
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_kind(self) -> None:
        self.assertTrue(IKind.providedBy(SPF))
        self.assertEqual((IJudge, "spf", SpfSettings), (SPF.seam, SPF.kind, SPF.settings))
