"""The judge of kind ``content``."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from mta.judge.content.judge import ContentJudge, ContentSettings
from mta.judge.content.parts import MOST_PARTS
from mta.model.envelope import Client, Envelope
from mta.model.facts import Facts
from mta.model.header import header_section
from mta.model.message import InlineContent
from mta.model.verdict import PASS, Verdict
from tests.judge.content.test_parts import attached

PLAIN = b"Subject: =?utf-8?q?B=C3=BCy?= now\r\nFrom: a@b.test\r\n\r\nhello\r\n"


class ContentTests(SynchronousTestCase):
    def judge(self, octets: bytes, *rules: dict[str, Any], role: str = "mx", **settings: Any) -> Verdict:
        judge = ContentJudge(ContentSettings(rule=rules, **settings), maybeDeferred)  # type: ignore[arg-type]
        facts = Facts(
            Client("s", role), Envelope("a@b.test"), None, header_section(octets), InlineContent(octets)
        )
        self.assertIs(PASS, judge.judge("mail", facts))
        answer = judge.judge("message", facts)
        return answer if isinstance(answer, Verdict) else self.successResultOf(answer)

    def test_header(self) -> None:
        """As it stands there, unfolded and decoded, in any case."""
        for header, fits in (
            ({"Subject": "büy"}, True),
            ({"SUBJECT": "^BÜY NOW$"}, True),
            ({"Subject": "buy"}, False),
            ({"Subject": "now", "From": "@b\\.test"}, True),
            ({"Subject": "now", "To": "."}, False),
        ):
            verdict = self.judge(PLAIN, {"name": "r", "action": "reject", "header": header})
            self.assertEqual("reject" if fits else "pass", verdict.action, header)
        missing = {"name": "r", "action": "hold", "missing": ["Date"], "reason": "no date"}
        verdict = self.judge(PLAIN, missing)
        self.assertEqual(("hold", "content.r", "no date"), (verdict.action, verdict.rule, verdict.reason))
        self.assertIn("there is no date field", verdict.evidence["r"])
        self.assertIs(PASS, self.judge(b"Date: x\r\n" + PLAIN, missing))

    def test_attachments(self) -> None:
        """Name, type and size are of one and the same part."""
        octets = attached('Content-Type: application/x-foo; name="Invoice.PDF.exe"', b"x" * 5000 + b"\r\n")
        for rule, fits in (
            ({"attachment": ["*.scr", "*.exe"]}, True),
            ({"attachment": "*.pdf"}, False),
            ({"type": ["application/x-*"]}, True),
            ({"type": ["image/*"], "attachment": ["*.exe"]}, False),
            ({"attachment_larger": "4K"}, True),
            ({"attachment_larger": "5K"}, False),
            ({"attachment": ["*.exe"], "attachment_larger": 4000}, True),
            ({"message_larger": 5000}, True),
            ({"message_larger": "1M"}, False),
        ):
            verdict = self.judge(octets, {"name": "r", "action": "reject", **rule})
            self.assertEqual("reject" if fits else "pass", verdict.action, rule)
        self.assertIs(PASS, self.judge(PLAIN, {"name": "r", "action": "hold", "attachment_larger": 1}))

    def test_in_a_thread(self) -> None:
        octets = attached("Content-Type: x/y; name=a.exe", b"x" * 100_000 + b"\r\n")
        verdict = self.judge(octets, {"name": "r", "action": "hold", "attachment": ["*.exe"]})
        self.assertIn("'a.exe', x/y, 100000 octets", verdict.evidence["r"])

    def test_together(self) -> None:
        """Who refuses counts before who holds; fields of all stand on top."""
        rules = [
            {"name": "one", "action": "tag", "missing": "Date", "fields": {"X-Spam": "Yes"}},
            {"name": "two", "action": "hold", "message_larger": 1},
            {"name": "three", "action": "reject", "header": {"From": "b.test"}},
        ]
        self.assertEqual("content.three", self.judge(PLAIN, *rules).rule)
        verdict = self.judge(PLAIN, *rules[:2])
        self.assertEqual(("hold", (("X-Spam", "Yes"),)), (verdict.action, verdict.fields))
        verdict = self.judge(PLAIN, rules[0])
        self.assertEqual(("tag", (("X-Spam", "Yes"),)), (verdict.action, verdict.fields))
        self.assertIs(PASS, self.judge(PLAIN, *rules, role="submission", roles=["mx"]))

    def test_too_many_parts(self) -> None:
        octets = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * (MOST_PARTS + 2)
        verdict = self.judge(octets, {"name": "r", "action": "reject", "attachment": ["*.exe"]})
        self.assertEqual(("hold", "content.parts"), (verdict.action, verdict.rule))

    def test_mistakes(self) -> None:
        for rule in (
            {"name": "r", "action": "reject"},
            {"name": "r", "action": "tag", "missing": "Date"},
            {"name": "r", "action": "reject", "header": {"Subject": "(?=x)"}},
            {"name": "r", "action": "reject", "header": {"Sub ject": "x"}},
            {"name": "r", "action": "reject", "missing": "a b"},
            {"name": "r", "action": "tag", "missing": "Date", "fields": {"X Spam": "1"}},
            {"name": "r", "action": "delete", "missing": "Date"},
            {"name": "", "action": "reject", "missing": "Date"},
        ):
            self.assertRaises(ValidationError, ContentSettings, rule=[rule])
        self.assertRaises(ValidationError, ContentSettings, rule=[])
