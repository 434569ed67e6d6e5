"""What is told of a chain, what is left for others, and the seal of what goes on."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred, succeed
from twisted.internet.task import Clock

from mta.config.settings import Dkim, PluginTable
from mta.dkim.arc import RESULT, ArcJudged
from mta.dkim.key_store import SigningKeys
from mta.dkim.sealer import Sealer
from mta.dkim.signer import Signer, manner_of
from mta.dkim.signing import SigningKey
from mta.interfaces import Facts, IJudge, IKind, Route
from mta.judge.arc import ARC, ArcJudge, ArcSettings
from mta.judge.dkim import DkimJudge, DkimSettings
from mta.model.authentication import AuthenticationResult
from mta.model.authentication_results import AuthenticationResults
from mta.model.change import AddField
from mta.model.envelope import Client, Envelope
from mta.model.event import Received
from mta.model.header import field_value, header_section
from mta.model.message import InlineContent
from mta.model.verdict import PASS, Verdict
from tests.dkim.test_arc import BODY, HEADER, HOPS, RECORDS, dkimpy_says, finding_of, ours
from tests.dkim.test_signer import Stored
from tests.dkim.test_verification import ED25519, NOW, RSA
from tests.intake.test_reception import ReceptionCase, SaysOf
from tests.judge.test_dkim import Names as Table

WHOLE = HEADER + b"\r\n" + BODY


class Names(Table):
    async def text(self, name: str) -> Any:
        self.asked.append(name)
        if self.trouble:
            return await super().text(name)
        return [RECORDS[name]] if name in RECORDS else []


def thread(function: Any, *arguments: Any) -> Deferred[Any]:
    return succeed(function(*arguments))


def chain(*hops: str) -> bytes:
    message = WHOLE
    for name in hops:
        message = ours(message, name)
    return message


class ArcCase(ReceptionCase):
    sender = "ann@example.org"

    def setUp(self) -> None:
        super().setUp()
        self.names = Names()
        self.clock = Clock()
        self.clock.advance(NOW - 2e8)  # dkimpy takes no signature of the future.
        self.router.table["old@local.test"] = [Route("new@far.test", "relay", "far.test")]

    def judge(self, **settings: Any) -> ArcJudge:
        names: Any = self.names
        return ArcJudge(ArcSettings(**PluginTable(kind="arc", **settings).own()), self.clock, names, thread)


class ArcJudgeTests(ArcCase):
    def facts(self, message: bytes, content: Any = None, **more: Any) -> Facts:
        client = Client("s1", more.pop("role", "mx"), "192.0.2.1")
        header = header_section(message)
        return Facts(client, Envelope("x@y.test"), None, header, content or InlineContent(message), **more)

    def verdict(self, facts: Facts, **settings: Any) -> Verdict:
        answer = self.judge(**settings).judge("message", facts)
        return answer if isinstance(answer, Verdict) else self.successResultOf(ensureDeferred(answer))  # type: ignore[arg-type]

    def test_kind(self) -> None:
        self.assertTrue(IKind.providedBy(ARC))
        self.assertTrue(IJudge.providedBy(self.judge()))

    def test_none(self) -> None:
        facts = self.facts(WHOLE)
        verdict = self.verdict(facts)
        self.assertEqual((AuthenticationResult("arc", "none"),), verdict.authentication)
        self.assertEqual("none", facts.results[RESULT].finding.status)
        self.assertEqual([], self.names.asked)

    def test_three_hops(self) -> None:
        facts = self.facts(chain(*HOPS[:3]))
        verdict = self.verdict(facts, trusted=["*.test"])
        (result,) = verdict.authentication
        self.assertEqual(
            ("arc", "pass", "0"), (result.method, result.result, result.get("header.oldest-pass"))
        )
        self.assertEqual("192.0.2.1", result.get("smtp.remote-ip"))
        self.assertEqual(["1: one.test", "2: two.test", "3: three.test"], verdict.evidence["sealers"])
        self.assertEqual("three.test, two.test, one.test", verdict.evidence["trusted"])
        self.assertEqual(["spf=pass"], verdict.evidence["believed"])
        judged = facts.results[RESULT]
        assert isinstance(judged, ArcJudged) and judged.believed is not None
        self.assertEqual("ann@example.org", judged.believed.results[0].get("smtp.mailfrom"))

    def test_not_trusted(self) -> None:
        """A good chain of somebody says nothing."""
        for trusted in ([], ["one.test"], ["three.test.evil"]):
            facts = self.facts(chain(*HOPS[:3]))
            verdict = self.verdict(facts, trusted=trusted)
            self.assertNotIn("trusted", verdict.evidence)
            self.assertIsNone(facts.results[RESULT].believed)

    def test_broken(self) -> None:
        facts = self.facts(chain("one.test").replace(b"world", b"World"))
        verdict = self.verdict(facts, trusted=["*"])
        self.assertEqual(("pass", "fail"), (verdict.action, verdict.authentication[0].result))
        self.assertIn("the body was changed", verdict.authentication[0].reason)
        self.assertIsNone(facts.results[RESULT].believed)

    def test_not_judged(self) -> None:
        judge, message = self.judge(), chain("one.test")
        self.assertIs(PASS, judge.judge("mail", self.facts(message)))
        for role, trusted in (("submission", True), ("lmtp", False), ("mx", True)):
            self.assertIs(PASS, judge.judge("message", self.facts(message, role=role, trusted=trusted)))

    def test_body_once(self) -> None:
        """The judge before has hashed it already."""
        names: Any = self.names
        message = chain("one.test")
        content = Stored(
            b"DKIM-Signature: v=1; a=rsa-sha256; d=one.test; s=s; h=from; bh=AAAA; b=AAAA\r\n" + message
        )
        facts = self.facts(content.data, content)
        judge = DkimJudge(DkimSettings(), self.clock, names, thread)
        self.successResultOf(ensureDeferred(judge.judge("message", facts)))  # type: ignore[arg-type]
        self.assertEqual("pass", self.verdict(facts).authentication[0].result)
        self.assertEqual(1, content.reads)

    def test_too_many(self) -> None:
        verdict = self.verdict(self.facts(chain(*HOPS[:3])), sets=2)
        self.assertEqual("fail", verdict.authentication[0].result)
        self.assertEqual([], self.names.asked)


class SealTests(ArcCase):
    """Through the reception, as mail comes and goes."""

    def reception(self, *judges: Any, key: Any = RSA, keys: bool = True, **options: Any) -> Any:
        manner = manner_of(Dkim())
        sealer = Sealer(
            SigningKey("four.test", "s", key),
            manner,
            authserv_id="mx.four.test",
            relays=frozenset({"relay"}),
            calculate=lambda job: maybeDeferred(job),
            run_in_thread=thread,
        )
        signer = Signer(
            SigningKeys(),
            manner,
            may_send_as=lambda account, address: True,
            calculate=lambda job: maybeDeferred(job),
            run_in_thread=thread,
            sealer=sealer,
        )
        return super().reception(
            *judges, signer=signer, run_in_thread=thread, authserv_id="mx.four.test", **options
        )

    def kept(self) -> tuple[bytes, Received]:
        ((message, (event,)),) = self.spool.admitted
        self.spool.admitted.clear()
        assert isinstance(event, Received)
        return message.trace + message.content.read(), event

    def test_forwarded(self) -> None:
        """One set more, three deep; small and large; with what was found out."""
        spf = SaysOf("message", Verdict(authentication=(AuthenticationResult("spf", "pass"),)))
        for count in range(4):
            for inline in (100, 100_000):
                reception = self.reception(spf, self.judge(), inline=inline)
                self.send(reception, "old@local.test", data=chain(*HOPS[:count]))
                whole, event = self.kept()
                finding = finding_of(whole)
                self.assertEqual(("pass", count + 1), (finding.status, finding.highest), finding)
                self.assertEqual("pass", dkimpy_says(whole))
                results = finding.sets[-1].results()
                assert results is not None
                self.assertEqual("mx.four.test", results.authserv_id)
                self.assertEqual(["spf", "arc"], [one.method for one in results.results])
                seal = {
                    "instance": count + 1,
                    "cv": "pass" if count else "none",
                    "domain": "four.test",
                    "key": "s",
                }
                self.assertEqual(seal, event.tags["signature"]["seal"])

    def test_changed_by_judges(self) -> None:
        """The chain is that of what came; the signature that of what goes."""
        changing = SaysOf("message", Verdict(changes=(AddField("Subject", "[more]"),)))
        self.send(
            self.reception(self.judge(), changing), "old@local.test", data=chain("one.test", "two.test")
        )
        whole, _ = self.kept()
        self.assertIn(b"Subject: [more]", whole)
        finding = finding_of(whole)
        self.assertEqual(("pass", 3), (finding.status, finding.highest), finding)

    def test_stays_here(self) -> None:
        self.send(self.reception(self.judge()), "ann@local.test", data=chain("one.test"))
        whole, event = self.kept()
        self.assertEqual(1, finding_of(whole).highest)
        self.assertNotIn("signature", event.tags)

    def test_without_judge(self) -> None:
        """Nobody seals what nobody has looked at."""
        self.send(self.reception(), "old@local.test", data=chain("one.test"))
        self.assertEqual(1, finding_of(self.kept()[0]).highest)

    def test_broken(self) -> None:
        """Sealed as broken, once."""
        data = chain("one.test").replace(b"world", b"World")
        self.send(self.reception(self.judge()), "old@local.test", data=data)
        whole, event = self.kept()
        self.assertEqual("fail", event.tags["signature"]["seal"]["cv"])
        finding = finding_of(whole)
        self.assertEqual((2, True), (finding.highest, finding.is_ended))
        self.send(self.reception(self.judge()), "old@local.test", data=whole)
        again, event = self.kept()
        self.assertEqual(2, finding_of(again).highest)
        self.assertIn("has ended", event.tags["signature"]["none"])

    def test_dns_away(self) -> None:
        """Left alone: the next server may find that it is good."""
        self.names.trouble = "SERVFAIL"
        self.send(self.reception(self.judge()), "old@local.test", data=chain("one.test"))
        whole, event = self.kept()
        self.assertEqual(1, finding_of(whole).highest)
        self.assertIn("SERVFAIL", event.tags["signature"]["none"])

    def test_results_are_told(self) -> None:
        self.send(self.reception(self.judge()), "old@local.test", data=chain("one.test"))
        value = field_value(header_section(self.kept()[0]), b"authentication-results") or b""
        found = AuthenticationResults.parse(value)
        self.assertEqual(["pass"], [one.result for one in found.results if one.method == "arc"])

    def test_key(self) -> None:
        """The RSA key of the nearest domain; another one is none."""
        keys = SigningKeys(
            [("", SigningKey("four.test", "e", ED25519)), ("", SigningKey("four.test", "r", RSA))]
        )
        found = keys.sealing("mx.four.test")
        self.assertEqual("r", found and found.selector)
        self.assertIsNone(SigningKeys([("", SigningKey("four.test", "e", ED25519))]).sealing("four.test"))
