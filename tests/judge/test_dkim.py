"""What is told of the signatures of a message, and what is asked of the DNS for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import PluginTable
from mta.dkim.message_body import RESULT, body_digests
from mta.interfaces import Facts, IJudge, IKind, NoSuchDomain, TemporarilyUnavailable
from mta.judge.dkim import DKIM, DkimJudge, DkimSettings
from mta.model.change import ReplaceBody
from mta.model.envelope import Client, Envelope
from mta.model.message import InlineContent
from mta.model.verdict import PASS, Verdict
from tests.dkim.test_signer import Stored
from tests.dkim.test_verification import BODY, HEADER, KEYS, NOW, RECORDS, manner, signed


class Names:
    """Answers from a table; later, if told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble = ""
        self.waiting: list[Deferred[None]] | None = None

    async def text(self, name: str) -> Sequence[bytes]:
        self.asked.append(name)
        if self.waiting is not None:
            self.waiting.append(Deferred())
            await self.waiting[-1]
        if self.trouble:
            raise TemporarilyUnavailable(self.trouble)
        if name not in RECORDS:
            raise NoSuchDomain(name)
        return [RECORDS[name]]


class DkimJudgeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.names = Names()
        self.threads = 0

    def thread(self, function: Any, *arguments: Any) -> Deferred[Any]:
        self.threads += 1
        return succeed(function(*arguments))

    def judge(self, **settings: Any) -> DkimJudge:
        table = PluginTable(kind="dkim", **settings)
        names: Any = self.names
        return DkimJudge(DkimSettings(**table.own()), self.clock, names, self.thread)

    def facts(
        self, header: bytes, body: bytes = BODY, role: str = "mx", content: Any = None, **more: Any
    ) -> Facts:
        whole = header + b"\r\n" + body
        return Facts(
            Client("s1", role, "192.0.2.1"),
            Envelope("x@y.test"),
            header=header,
            content=content or InlineContent(whole),
            **more,
        )

    def verdict(self, header: bytes, *, settings: Any = None, **facts: Any) -> Verdict:
        answer = self.judge(**(settings or {})).judge("message", self.facts(header, **facts))
        return answer if isinstance(answer, Verdict) else self.successResultOf(ensureDeferred(answer))  # type: ignore[arg-type]

    def test_kind(self) -> None:
        self.assertTrue(IKind.providedBy(DKIM))
        self.assertTrue(IJudge.providedBy(self.judge()))

    def test_good(self) -> None:
        verdict = self.verdict(signed())
        self.assertEqual("pass", verdict.action)
        first, second = verdict.authentication
        self.assertEqual(("dkim", "pass", ""), (first.method, first.result, first.reason))
        self.assertEqual(
            ("example.org", "@example.org", "r", "rsa-sha256"),
            tuple(first.get(f"header.{name}") for name in "disa"),
        )
        self.assertEqual(8, len(first.get("header.b")))
        self.assertEqual("e", second.get("header.s"))
        self.assertEqual(
            ["pass: example.org, r, rsa-sha256, 2048 bits", "pass: example.org, e, ed25519-sha256, 256 bits"],
            verdict.evidence["signatures"],
        )
        self.assertEqual(["r._domainkey.example.org", "e._domainkey.example.org"], self.names.asked)
        self.assertEqual(0, self.threads)

    def test_bad(self) -> None:
        verdict = self.verdict(signed(), body=b"other\r\n")
        self.assertEqual("pass", verdict.action)
        self.assertEqual(["fail", "fail"], [one.result for one in verdict.authentication])
        self.assertIn("the body was changed", verdict.authentication[0].reason)
        self.assertIn("the body was changed", verdict.evidence["signatures"][0])

    def test_unsigned(self) -> None:
        verdict = self.verdict(HEADER)
        self.assertEqual([("dkim", "none")], [(one.method, one.result) for one in verdict.authentication])
        self.assertEqual([], self.names.asked)

    def test_not_judged(self) -> None:
        """Our own people, other stages, and LMTP."""
        judge = self.judge()
        self.assertIs(PASS, judge.judge("mail", self.facts(signed())))
        for role, trusted in (("submission", True), ("local", True), ("lmtp", False), ("mx", True)):
            self.assertIs(PASS, judge.judge("message", self.facts(signed(), role=role, trusted=trusted)))
        self.assertEqual([], self.names.asked)

    def test_too_many(self) -> None:
        """Those beyond the limit cost nothing."""
        header = signed()[: -len(HEADER)] * 4 + HEADER
        verdict = self.verdict(header, settings={"signatures": 2})
        self.assertEqual(2, len(set(self.names.asked)))
        self.assertEqual(["pass", "pass", "policy"], [one.result for one in verdict.authentication])
        self.assertEqual(3, len(verdict.evidence["signatures"]))

    def test_large(self) -> None:
        """A body on disk is hashed in a thread, once, whoever wants it and however it is canonicalized."""
        header = signed(manner("relaxed"), KEYS[:1])[: -len(HEADER)] + signed(manner("simple"), KEYS[1:])
        content = Stored(header + b"\r\n" + BODY)
        facts = self.facts(header, content=content)
        judge = self.judge()
        verdict = self.successResultOf(ensureDeferred(judge.judge("message", facts)))  # type: ignore[arg-type]
        self.assertEqual(["pass", "pass"], [one.result for one in verdict.authentication])
        self.assertEqual((1, 1), (content.reads, self.threads))
        self.assertEqual({"relaxed", "simple"}, set(body_digests(facts, ("simple",), self.thread)))
        self.assertEqual(1, content.reads)

    def test_changed_since(self) -> None:
        """The hash of what was there before is nobody's."""
        facts = self.facts(HEADER)
        before: Any = body_digests(facts, ("relaxed",), self.thread)
        facts.revise((ReplaceBody(b"other\r\n"),))
        after: Any = self.successResultOf(ensureDeferred(body_digests(facts, ("relaxed",), self.thread)))  # type: ignore[arg-type]
        self.assertNotEqual(before["relaxed"], after["relaxed"])
        self.assertIn(RESULT, facts.results)

    def test_no_answer(self) -> None:
        self.names.trouble = "SERVFAIL"
        verdict = self.verdict(signed())
        self.assertEqual(("pass", "temperror"), (verdict.action, verdict.authentication[0].result))
        verdict = self.verdict(signed(), settings={"temperror": "defer"})
        assert verdict.reply is not None
        self.assertEqual(("defer", "dkim.temperror", 451), (verdict.action, verdict.rule, verdict.reply.code))
        self.assertEqual("dkim-temporary", verdict.reply.name)

    def test_one_good_is_enough(self) -> None:
        """Nobody is put off for a key that is not needed."""
        other = signed(keys=KEYS[:1])[: -len(HEADER)].replace(b"d=example.org", b"d=down.test")
        self.patch(self.names, "text", self.down)
        verdict = self.verdict(other + signed(), settings={"temperror": "defer"})
        self.assertEqual("pass", verdict.action)
        self.assertEqual(["temperror", "pass", "pass"], [one.result for one in verdict.authentication])

    async def down(self, name: str) -> Sequence[bytes]:
        if name.endswith("down.test"):
            raise TemporarilyUnavailable("SERVFAIL")
        return [RECORDS[name]]

    def test_late(self) -> None:
        """All keys are asked for at once, and waited for so long."""
        self.names.waiting = []
        answer: Any = self.judge(timeout="5s").judge("message", self.facts(signed()))
        done = ensureDeferred(answer)
        self.assertEqual(2, len(self.names.waiting))
        self.names.waiting[0].callback(None)
        self.assertNoResult(done)
        self.clock.advance(5)
        verdict: Any = self.successResultOf(done)
        self.assertEqual(["pass", "temperror"], [one.result for one in verdict.authentication])
        self.assertIn("5 seconds", verdict.authentication[1].reason)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_given_up(self) -> None:
        """Whoever hangs up leaves nothing behind."""
        self.names.waiting = []
        answer: Any = self.judge().judge("message", self.facts(signed()))
        done = ensureDeferred(answer)
        done.addErrback(lambda failure: None)
        done.cancel()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_hostile(self) -> None:
        """What a stranger writes makes no line of its own anywhere."""
        header = b'DKIM-Signature: v=1; d=a\r\n\tb\xc2\x85; s=\xe2\x80\xa8; i="\x01; b=;;\r\n' + HEADER
        verdict = self.verdict(header)
        for one in verdict.authentication:
            for _, value in one.properties:
                self.assertTrue(value.isprintable(), value)
        self.assertTrue(all(words.isprintable() for words in verdict.evidence["signatures"]))
