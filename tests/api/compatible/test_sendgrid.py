"""SendGrid's requests and errors, translated: tables."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.api.compatible.sendgrid import SendGridMail, asked, pointed, told, translated
from mta.api.v1.refusal import KINDS, Refusal, field_refusal
from mta.template.bundle import Rendered

PERSON = {"email": "b@example.net"}
LEAST: dict[str, Any] = {
    "personalizations": [{"to": [PERSON]}],
    "from": {"email": "a@example.org"},
    "subject": "S",
    "content": [{"type": "text/plain", "value": "x"}],
}


def mail(own: dict[str, Any] | None = None, **more: Any) -> SendGridMail:
    people = [{"to": [PERSON], **(own or {})}]
    return SendGridMail.model_validate({**LEAST, "personalizations": people, **more})


class TranslationTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """What the request says, what the personalization says, and what is sent."""
        table: list[tuple[dict[str, Any], dict[str, Any], str, Any]] = [
            ({}, {}, "subject", "S"),
            ({}, {"subject": "Own"}, "subject", "Own"),
            (
                {"subject": "A -n- -nn-"},
                {"substitutions": {"-n-": "-nn-", "-nn-": "2"}},
                "subject",
                "A -nn- 2",
            ),
            (
                {"sections": {":s": "part"}},
                {"subject": "-n-", "substitutions": {"-n-": ":s"}},
                "subject",
                "part",
            ),
            ({}, {"subject": "a-n-", "substitutions": {"-n-": None}}, "subject", "a"),
            ({"categories": ["a", "b"]}, {}, "tags", ["a", "b"]),
            (
                {"custom_args": {"a": "1", "b": "1"}},
                {"custom_args": {"b": 2}},
                "metadata",
                {"a": "1", "b": "2"},
            ),
            ({"headers": {"X-A": "1"}}, {"headers": {"x-a": "2"}}, "headers", {"x-a": "2"}),
            ({"mail_settings": {"sandbox_mode": {"enable": True}}}, {}, "dry_run", True),
            ({"mail_settings": {"sandbox_mode": {"enable": False}}}, {}, "dry_run", False),
            (
                {"tracking_settings": {"click_tracking": {"enable": False}}},
                {},
                "track",
                {"opens": None, "clicks": False},
            ),
            (
                {"tracking_settings": {"open_tracking": {"enable": True}}},
                {},
                "track",
                {"opens": True, "clicks": None},
            ),
            ({"reply_to": PERSON}, {}, "reply_to", ["b@example.net"]),
            ({"reply_to_list": [PERSON, PERSON]}, {}, "reply_to", ["b@example.net", "b@example.net"]),
            ({}, {"from": {"email": "own@example.org"}}, "sender", "own@example.org"),
            ({"send_at": 1}, {"send_at": 2}, "send_at", 2.0),
            ({}, {}, "notify", []),
        ]
        for said, own, name, expected in table:
            found = getattr(translated(mail(own, **said), 0), name)
            if name == "track":
                found = found.model_dump()
            elif name == "reply_to":
                found = [one.email for one in found]
            elif name == "sender":
                found = found.email
            elif name == "send_at":
                found = found.timestamp()
            self.assertEqual(expected, found, (said, own))

    def test_batch(self) -> None:
        self.assertEqual("b1", translated(mail(), 0, batch="b1").options("t", "k").batch)

    def test_attachments(self) -> None:
        files = [
            {
                "content": "UE5H",
                "type": "image/png",
                "filename": "a.png",
                "disposition": "inline",
                "content_id": "c",
            },
            {"content": "UE5H", "filename": "", "disposition": "attachment", "content_id": "c"},
        ]
        shown, below = translated(mail(attachments=files), 0).attachments
        self.assertEqual(("c", "image/png"), (shown.cid, shown.type))
        self.assertEqual(("", "c"), (below.cid, below.name))

    def test_template(self) -> None:
        sent = translated(mail(subject=None), 0, Rendered("S", "T", "<p>", "en"))
        self.assertEqual(("S", "T", "<p>"), (sent.subject, sent.text, sent.html))
        self.assertEqual("d-ab", asked(mail(template_id="d-AB", content=[])).template)

    def test_ignored(self) -> None:
        found = asked(
            mail(
                asm={"group_id": 1},
                batch_id="b",
                mail_settings={"footer": {"enable": True}, "bypass_list_management": {"enable": False}},
                tracking_settings={"ganalytics": {"enable": True}, "a\r\nb": {"enable": True}},
            )
        ).ignored
        self.assertEqual(
            ["asm", "batch_id", "mail_settings.footer", "tracking_settings", "tracking_settings.ganalytics"],
            sorted(one.partition(" (")[0] for one in found),
        )

    def test_unsubscribe(self) -> None:
        """Which list may be left, where links can lead here; else nothing is changed, and that is told."""
        enabled = {"subscription_tracking": {"enable": True, "substitution_tag": "-x-"}}
        table: list[tuple[dict[str, Any], str | None]] = [
            ({"asm": {"group_id": 17}}, "group-17"),
            ({"asm": {"group_id": "17"}}, "group-17"),
            ({"asm": {"group_id": {"x": 1}}}, ""),
            ({"asm": {"group_id": 17}, "tracking_settings": enabled}, "group-17"),
            ({"tracking_settings": enabled}, ""),
            ({"tracking_settings": {"subscription_tracking": {"enable": False}}}, None),
            ({}, None),
        ]
        for more, expected in table:
            one = mail(**more)
            self.assertEqual(expected, translated(one, 0, linked=True).unsubscribe)
            self.assertIsNone(translated(one, 0).unsubscribe)
            self.assertEqual([], list(asked(one, True).ignored))
            self.assertEqual(expected is not None, bool(asked(one).ignored), more)
        both = mail({"cc": [{"email": "c@example.net"}]}, asm={"group_id": 17})
        self.assertIsNone(translated(both, 0, linked=True).unsubscribe)
        self.assertIn("one recipient", asked(both, True).ignored[0])

    def test_unsubscribe_in_bodies(self) -> None:
        content = [
            {"type": "text/plain", "value": "-x-"},
            {"type": "text/html", "value": '<a href="<%asm_group_unsubscribe_raw_url%>">-x-</a>'},
        ]
        found = translated(
            mail(content=content, asm={"group_id": 1}, headers={"List-Unsubscribe": "<x:y>", "X-A": "1"}),
            0,
            linked=True,
        )
        self.assertEqual(("-x-", '<a href="%unsubscribe_url%">-x-</a>'), (found.text, found.html))
        self.assertEqual({"X-A": "1"}, dict(found.headers))
        tag = {"subscription_tracking": {"enable": True, "substitution_tag": "-x-"}}
        self.assertEqual(
            "%unsubscribe_url%",
            translated(mail(content=content[:1], tracking_settings=tag), 0, linked=True).text,
        )
        own = mail(asm={"group_id": 1}, headers={"List-Unsubscribe": "<x:y>"})
        self.assertIn("headers.List-Unsubscribe", asked(own, True).ignored[0])

    def test_wrong(self) -> None:
        """Where it is wrong, as SendGrid's client is told."""
        table: list[tuple[dict[str, Any], dict[str, Any], str]] = [
            ({}, {"to": [{"email": "x"}]}, "personalizations.0.to.0.email"),
            ({"from": {"email": "x"}}, {}, "from.email"),
            ({}, {"from": {"email": "x"}}, "personalizations.0.from.email"),
            ({"subject": None}, {}, "subject"),
            ({"headers": {"To": "x"}}, {}, "headers"),
            ({}, {"headers": {"To": "x"}}, "personalizations.0.headers"),
            ({"categories": [""]}, {}, "categories"),
            ({"custom_args": {"": "x"}}, {}, "custom_args"),
            ({"send_at": 10**18}, {}, "send_at"),
            ({"reply_to": {"email": "x"}}, {}, "reply_to_list"),
            ({"attachments": [{"content": "UE5H", "filename": "a", "type": "x"}]}, {}, "attachments.0.type"),
            ({"attachments": [{"content": "UE5H", "filename": "a\n"}]}, {}, "attachments.0.filename"),
        ]
        for said, own, field in table:
            with self.assertRaises(Refusal) as caught:
                translated(mail(own, **said), 0)
            status, _, octets = told(caught.exception)
            self.assertEqual((400, field), (status, json.loads(octets)["errors"][0]["field"]), (said, own))


class ErrorTests(SynchronousTestCase):
    def test_every_kind(self) -> None:
        for kind, known in KINDS.items():
            status, media, octets = told(Refusal(kind, "why"))
            self.assertEqual(known.status // 100, status // 100, kind)
            (error,) = json.loads(octets)["errors"]
            self.assertEqual(({"message", "field", "help"}, "application/json"), (set(error), media))

    def test_pointed(self) -> None:
        """What stays: kind, header fields, and which personalization it was."""
        problem = field_refusal("/to/1", "no", "unavailable", headers={"retry-after": "60"})
        found = pointed(problem, mail(), 0)
        self.assertEqual(("unavailable", "60"), (found.kind, found.headers["retry-after"]))
        self.assertEqual("#/personalizations/0/to/1", found.more["errors"][0]["pointer"])
