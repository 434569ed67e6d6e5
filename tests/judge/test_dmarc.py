"""What becomes of mail by what DMARC finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import PluginTable
from mta.dkim.arc import RESULT, ArcFinding, ArcJudged, Believed
from mta.interfaces import Facts, IJudge, IKind, NoSuchDomain, TemporarilyUnavailable
from mta.judge.dmarc import DMARC, DmarcJudge, DmarcSettings
from mta.model.authentication import AuthenticationResult
from mta.model.envelope import Client, Envelope
from mta.model.junk import JUNK_FIELD
from mta.model.message import InlineContent
from mta.model.verdict import PASS, Verdict

RECORDS = {
    "bank.test": b"v=DMARC1; p=reject; np=reject; rua=mailto:d@bank.test; pct=x; what",
    "shop.test": b"v=DMARC1; p=quarantine",
    "trial.test": b"v=DMARC1; p=reject; t=y",
    "idle.test": b"v=DMARC1; p=none",
    "odd.test": b"v=DMARC1; p=refuse",
}
SPF = AuthenticationResult("spf", "pass", (("smtp.mailfrom", "x@mail.bank.test"),))
DKIM = AuthenticationResult("dkim", "pass", (("header.d", "Bank.test"), ("header.s", "k1")))
OTHER = AuthenticationResult("dkim", "pass", (("header.d", "list.example"),))
BROKEN = AuthenticationResult("dkim", "fail", (("header.d", "bank.test"),))


class Names:
    """Answers from a table."""

    async def text(self, name: str) -> Sequence[bytes]:
        domain = name.removeprefix("_dmarc.")
        if domain.endswith("down.test"):
            raise TemporarilyUnavailable("SERVFAIL")
        if domain not in RECORDS:
            raise NoSuchDomain(name)
        return [RECORDS[domain]]

    async def addresses(self, host: str) -> Sequence[str]:
        raise NoSuchDomain(host)


class Silent:
    """Never answers."""

    def text(self, name: str) -> Deferred[Any]:
        return Deferred()


class DmarcJudgeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def judge(self, **settings: Any) -> DmarcJudge:
        table = PluginTable(kind="dmarc", **settings)
        names: Any = Names()
        return DmarcJudge(DmarcSettings(**table.own()), self.clock, names)

    def facts(self, author: str, *results: AuthenticationResult, more: str = "", **facts: Any) -> Facts:
        header = f"From: {author}\r\n{more}Subject: x\r\n".encode()
        client = Client("s1", facts.pop("role", "mx"), "192.0.2.1")
        return Facts(
            client,
            Envelope("x@y.test"),
            header=header,
            content=InlineContent(header + b"\r\nx"),
            authentication=list(results),
            **facts,
        )

    def verdict(self, author: str, *results: AuthenticationResult, **facts: Any) -> Verdict:
        settings = facts.pop("settings", {})
        answer = self.judge(**settings).judge("message", self.facts(author, *results, **facts))
        if isinstance(answer, Verdict):
            return answer
        verdict: Verdict = self.successResultOf(ensureDeferred(answer))  # type: ignore[arg-type]
        return verdict

    def result(self, verdict: Verdict) -> tuple[str, dict[str, str]]:
        (found,) = verdict.authentication
        return found.result, dict(found.properties)

    def test_pass(self) -> None:
        for results in ([SPF], [DKIM], [BROKEN, OTHER, SPF]):
            verdict = self.verdict("Ann <ann@bank.test>", *results)
            self.assertEqual("pass", verdict.action)
            self.assertEqual(
                ("pass", {"header.from": "bank.test", "policy.dmarc": "none"}), self.result(verdict)
            )
            self.assertEqual("none", verdict.evidence["disposition"])
        self.assertTrue(verdict.evidence["spf_aligned"])
        self.assertFalse(verdict.evidence["dkim_aligned"])

    def test_reject(self) -> None:
        verdict = self.verdict("ann@bank.test", BROKEN, OTHER)
        self.assertEqual(("reject", "dmarc.reject"), (verdict.action, verdict.rule))
        assert verdict.reply is not None
        self.assertEqual((550, "5.7.26"), (verdict.reply.code, verdict.reply.enhanced))
        self.assertIn("from bank.test, which asks to reject such mail", str(verdict.reply))
        self.assertEqual(
            ("fail", {"header.from": "bank.test", "policy.dmarc": "reject"}), self.result(verdict)
        )
        self.assertTrue(verdict.evidence["record"].startswith("bank.test: v=DMARC1; p=reject"))
        self.assertEqual(1, len(verdict.evidence["faults"]))

    def test_settings(self) -> None:
        for author, settings, action, fields in (
            ("a@bank.test", {"reject": "hold"}, "hold", ()),
            ("a@bank.test", {"reject": "junk"}, "tag", (JUNK_FIELD,)),
            ("a@bank.test", {"reject": "mark"}, "pass", ()),
            ("a@shop.test", {}, "tag", (JUNK_FIELD,)),
            ("a@shop.test", {"quarantine": "reject"}, "reject", ()),
            ("a@trial.test", {}, "tag", (JUNK_FIELD,)),
            ("a@idle.test", {"quarantine": "reject"}, "pass", ()),
            ("a@odd.test", {}, "pass", ()),
            ("a@nothing.test", {}, "pass", ()),
        ):
            verdict = self.verdict(author, settings=settings)
            self.assertEqual((action, fields), (verdict.action, verdict.fields), author)

    def test_lists(self) -> None:
        """What came through a mailing list is not rejected only because its author's domain asks for that."""
        more = "List-Id: <friends.list.example>\r\n"
        verdict = self.verdict("ann@bank.test", BROKEN, OTHER, more=more)
        self.assertEqual(("tag", "dmarc.lists"), (verdict.action, verdict.rule))
        self.assertIn("junk (dmarc.lists)", verdict.evidence["handling"])
        verdict = self.verdict("ann@bank.test", more=more, settings={"lists": "reject"})
        self.assertEqual("reject", verdict.action)

    def test_not_there(self) -> None:
        verdict = self.verdict("ann@no.bank.test")
        self.assertEqual("reject", verdict.action)

    def test_told_to_the_domain(self) -> None:
        """What was done, and why it is not what the domain asks for (RFC 9990, 2.1.1.7)."""
        more = "List-Id: <friends.list.example>\r\n"
        for author, results, facts, disposition, reasons in (
            ("a@bank.test", (SPF,), {}, "pass", []),
            ("a@bank.test", (), {}, "reject", []),
            ("a@bank.test", (), {"more": more}, "quarantine", [["mailing_list", ""]]),
            ("a@bank.test", (), {"settings": {"reject": "mark"}}, "none", [["local_policy", "dmarc.reject"]]),
            (
                "a@bank.test",
                (),
                {"settings": {"reject": "hold"}},
                "quarantine",
                [["local_policy", "dmarc.reject"]],
            ),
            ("a@trial.test", (), {}, "quarantine", [["policy_test_mode", ""]]),
            ("a@idle.test", (), {}, "none", []),
            (
                "a@idle.test",
                (AuthenticationResult("dkim", "pass", (("header.d", "idle.test"),)),),
                {},
                "none",
                [],
            ),
        ):
            (found,) = self.verdict(author, *results, **facts).authentication
            detail = found.told()["detail"]
            self.assertEqual(
                (disposition, reasons), (detail["disposition"], detail["reasons"]), (author, facts)
            )
        (found,) = self.verdict("a@bank.test", SPF).authentication
        self.assertEqual(
            ("bank.test", False, True), tuple(found.detail[name] for name in ("domain", "dkim", "spf"))
        )
        self.assertEqual(RECORDS["bank.test"].decode(), found.detail["record"])
        for author in ("a@nothing.test", "a@odd.test", "a@down.test"):
            (found,) = self.verdict(author).authentication
            self.assertEqual({}, found.detail)

    def arc(self, *results: AuthenticationResult, sealers: tuple[str, ...] = ("list.example",)) -> Any:
        believed = Believed(sealers, results) if sealers else None
        return {RESULT: ArcJudged(ArcFinding("pass"), believed)}

    def test_forwarded(self) -> None:
        """What a trusted sealer had found good is not refused because it was changed since."""
        good = AuthenticationResult("dmarc", "pass", (("header.from", "Bank.test"),))
        for results in ((good,), (SPF,), (DKIM,)):
            verdict = self.verdict("ann@bank.test", BROKEN, results=self.arc(*results))
            self.assertEqual(("pass", ()), (verdict.action, verdict.fields))
            self.assertEqual("mark (dmarc.arc)", verdict.evidence["handling"])
            (found,) = verdict.authentication
            self.assertEqual("fail", found.result)
            self.assertIn("list.example", found.reason)
            reason = ["trusted_forwarder", "arc=pass, sealed by list.example"]
            self.assertEqual(("none", [reason]), (found.detail["disposition"], found.detail["reasons"]))

    def test_not_forwarded(self) -> None:
        """Neither by somebody who is not trusted, nor of another author, nor what was bad before."""
        good = AuthenticationResult("dmarc", "pass", (("header.from", "bank.test"),))
        other = AuthenticationResult("dmarc", "pass", (("header.from", "shop.test"),))
        bad = AuthenticationResult("dmarc", "fail", (("header.from", "bank.test"),))
        for results in (
            self.arc(good, sealers=()),
            self.arc(other),
            self.arc(bad, OTHER, BROKEN),
            self.arc(),
            {},
        ):
            self.assertEqual("reject", self.verdict("ann@bank.test", results=results).action)

    def test_no_author(self) -> None:
        for author in ("undisclosed:;", "Ann", "ann@[192.0.2.1]"):
            verdict = self.verdict(author)
            self.assertEqual(("pass", "permerror"), (verdict.action, self.result(verdict)[0]), author)

    def test_several_fields(self) -> None:
        """Programs show one or the other, so none is believed."""
        verdict = self.verdict("ann@idle.test", more="From: ceo@bank.test\r\n")
        self.assertEqual(("reject", "dmarc.several"), (verdict.action, verdict.rule))
        assert verdict.reply is not None
        self.assertIn("2 From fields", str(verdict.reply))
        settings = {"several": "mark", "reject": "mark"}
        verdict = self.verdict("ann@idle.test", more="From: ceo@bank.test\r\n", settings=settings)
        self.assertEqual(("fail", "bank.test"), (self.result(verdict)[0], verdict.evidence["author"]))

    def test_several_authors(self) -> None:
        """The strictest policy counts, and nobody rides on another's signature."""
        verdict = self.verdict(
            "ann@idle.test, ceo@bank.test", AuthenticationResult("dkim", "pass", (("header.d", "idle.test"),))
        )
        self.assertEqual(("reject", "dmarc.reject"), (verdict.action, verdict.rule))
        verdict = self.verdict("ann@idle.test, ceo@bank.test", DKIM)
        self.assertEqual(("reject", "dmarc.several"), (verdict.action, verdict.rule))
        both = AuthenticationResult("dkim", "pass", (("header.d", "idle.test"),)), DKIM
        self.assertEqual("pass", self.verdict("ann@idle.test, ceo@bank.test", *both).action)

    def test_trouble(self) -> None:
        verdict = self.verdict("ann@down.test")
        self.assertEqual(("pass", "temperror"), (verdict.action, self.result(verdict)[0]))
        verdict = self.verdict("ann@down.test", settings={"temperror": "defer"})
        assert verdict.reply is not None
        self.assertEqual(("defer", 451), (verdict.action, verdict.reply.code))

    def test_silence(self) -> None:
        """The DNS has so much time and no more."""
        silent: Any = Silent()
        judge = DmarcJudge(DmarcSettings(), self.clock, silent)
        answer: Any = judge.judge("message", self.facts("ann@bank.test"))
        asked = ensureDeferred(answer)
        self.assertNoResult(asked)
        self.clock.advance(20.0)
        self.assertEqual("temperror", self.result(self.successResultOf(asked))[0])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_not_judged(self) -> None:
        """Who has logged in, and who forwards to us."""
        self.assertIs(PASS, self.verdict("ann@bank.test", trusted=True))
        self.assertIs(PASS, self.verdict("ann@bank.test", role="submission"))
        settings = {"forwarders": ["192.0.2.0/24"]}
        self.assertIs(PASS, self.verdict("ann@bank.test", settings=settings))
        self.assertIs(PASS, self.judge().judge("mail", self.facts("ann@bank.test")))

    def test_kind(self) -> None:
        self.assertTrue(IKind.providedBy(DMARC))
        self.assertTrue(IJudge.implementedBy(DmarcJudge))
