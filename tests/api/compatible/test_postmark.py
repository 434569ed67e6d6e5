"""Postmark's requests and errors, translated: tables."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.api.compatible.postmark import (
    PostmarkError,
    PostmarkMessage,
    PostmarkTemplated,
    answer_of,
    error_of,
    told,
    translated,
)
from mta.api.v1.message_models import MessageTaken, RecipientTaken
from mta.api.v1.refusal import KINDS, Refusal, field_refusal
from mta.template.bundle import Rendered

LEAST = {"From": "a@example.org", "To": "b@example.net", "TextBody": "x"}


def message(**more: Any) -> PostmarkMessage:
    return PostmarkMessage.model_validate({**LEAST, **more})


class TranslationTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """What is said, and where it stands with us."""
        table: list[tuple[dict[str, Any], str, Any]] = [
            ({"To": "Ann <a@x.example>, b@x.example,"}, "to", [("a@x.example", "Ann"), ("b@x.example", "")]),
            ({"To": '"Doe, J" <j@x.example>'}, "to", [("j@x.example", "Doe, J")]),
            ({"To": "=?utf-8?q?J=C3=B6rg?= <j@x.example>"}, "to", [("j@x.example", "Jörg")]),
            ({"To": "j@bücher.example"}, "to", [("j@xn--bcher-kva.example", "")]),
            ({"Bcc": "b@x.example"}, "bcc", [("b@x.example", "")]),
            ({"ReplyTo": "r@x.example"}, "reply_to", [("r@x.example", "")]),
            (
                {"Headers": [{"Name": "Reply-To", "Value": "r@x.example"}]},
                "reply_to",
                [("r@x.example", "")],
            ),
            (
                {"Headers": [{"Name": "X-A", "Value": "1"}, {"Name": "X-PM-KeepID", "Value": "true"}]},
                "headers",
                {"X-A": "1"},
            ),
            ({"Tag": "t"}, "tags", ["t"]),
            ({"Tag": ""}, "tags", []),
            (
                {"Metadata": {"a": 1, "b": True, "c": None, "d": "x"}},
                "metadata",
                {"a": "1", "b": "true", "c": "", "d": "x"},
            ),
            ({"MessageStream": "outbound"}, "campaign", ""),
            ({"MessageStream": "news"}, "campaign", "news"),
            ({"TrackOpens": True, "TrackLinks": "None"}, "track", {"opens": True, "clicks": False}),
            ({"TrackLinks": "HtmlOnly"}, "track", {"opens": None, "clicks": True}),
            ({"TextBody": None, "HtmlBody": "<p>"}, "text", None),
            ({"Subject": None}, "subject", ""),
            ({}, "notify", []),
        ]
        for said, name, expected in table:
            found = getattr(translated(message(**said)), name)
            if name in ("to", "bcc", "reply_to"):
                found = [(one.email, one.name) for one in found]
            elif name == "track":
                found = found.model_dump()
            self.assertEqual(expected, found, said)

    def test_unsubscribe(self) -> None:
        """A placeholder asks for the link; without an address, or for several, it stays as it is."""
        body = '<p>{{{ pm:unsubscribe }}} <a href="{{{ pm:unsubscribe_url }}}">x</a></p>'
        asked = message(
            HtmlBody=body,
            MessageStream="news",
            Headers=[{"Name": "List-Unsubscribe", "Value": "<x:y>"}, {"Name": "X-A", "Value": "1"}],
        )
        found = translated(asked, linked=True)
        self.assertEqual(("news", {"X-A": "1"}), (found.unsubscribe, found.headers))
        self.assertEqual(
            '<p><a href="%unsubscribe_url%">Unsubscribe</a> <a href="%unsubscribe_url%">x</a></p>', found.html
        )
        self.assertEqual("", translated(message(TextBody="%unsubscribe_url%"), linked=True).unsubscribe)
        self.assertIsNone(translated(message(), linked=True).unsubscribe)
        for other in (translated(asked), translated(message(HtmlBody=body, Cc="c@x.example"), linked=True)):
            self.assertEqual((None, body), (other.unsubscribe, other.html))

    def test_first_author(self) -> None:
        sent = translated(message(From="a@example.org, b@example.org"))
        self.assertEqual("a@example.org", sent.sender.email)

    def test_inline_image(self) -> None:
        file = {"Name": "a.png", "Content": "UE5H", "ContentType": "image/png; name=a", "ContentID": "CID:a"}
        (one,) = translated(message(Attachments=[file])).attachments
        self.assertEqual(("a.png", "image/png", "a", b"PNG"), (one.name, one.type, one.cid, one.content))

    def test_template(self) -> None:
        sent = translated(message(Subject="own"), Rendered("S", "T", "", "en"))
        self.assertEqual(("S", "T", None), (sent.subject, sent.text, sent.html))
        names = [({"TemplateAlias": "Hi"}, "hi"), ({"TemplateId": 17}, "17"), ({}, "")]
        for said, name in names:
            self.assertEqual(name, PostmarkTemplated.model_validate({**LEAST, **said}).template)

    def test_wrong(self) -> None:
        """Code and beginning of what is told."""
        table: list[tuple[dict[str, Any], int, str]] = [
            ({"From": ""}, 300, "Invalid 'From' address: ''"),
            ({"From": "x"}, 300, "Invalid 'From' address: 'x'"),
            ({"To": "a@b@c"}, 300, "Invalid 'To' address: 'a@b@c'"),
            ({"Cc": "<>"}, 300, "Invalid 'Cc' address: '<>'"),
            ({"To": None}, 300, "Zero recipients"),
            ({"TextBody": None}, 300, "Provide either"),
            ({"Subject": "a\nb"}, 300, "Invalid 'Subject'"),
            ({"Tag": "x" * 101}, 300, "Invalid 'Tag'"),
            ({"Headers": [{"Name": "DKIM-Signature", "Value": "x"}]}, 300, "Invalid 'Headers'"),
            ({"Metadata": {"a": "x" * 2000}}, 300, "Invalid 'Metadata'"),
        ]
        for said, code, text in table:
            with self.assertRaises(PostmarkError) as caught:
                translated(message(**said))
            self.assertEqual(
                (code, True), (caught.exception.code, caught.exception.text.startswith(text)), said
            )


class AnswerTests(SynchronousTestCase):
    def taken(self, *states: str) -> MessageTaken:
        people = [
            RecipientTaken(id=str(n), email=f"R{n}@x.example", state=one) for n, one in enumerate(states)
        ]
        return MessageTaken(id="01a2b3c4d5e6f", message_id="", state="queued", recipients=people)

    def test_answers(self) -> None:
        good = answer_of(message(), self.taken("queued"), 0.0)
        self.assertEqual(
            ("b@example.net", 0, "OK", "1970-01-01T00:00:00+00:00"),
            (good.To, good.ErrorCode, good.Message, good.SubmittedAt),
        )
        some = answer_of(message(), self.taken("queued", "suppressed"), 0.0)
        self.assertTrue(
            some.Message.startswith(
                "Message OK, but will not deliver to these inactive addresses: r1@x.example."
            )
        )
        with self.assertRaises(PostmarkError) as caught:
            answer_of(message(), self.taken("suppressed"), 0.0)
        self.assertEqual((406, 422), (caught.exception.code, caught.exception.status))


class ErrorTests(SynchronousTestCase):
    def test_every_kind(self) -> None:
        """There is an answer for each, in JSON, and what is 4xx or 5xx stays that."""
        for kind, known in KINDS.items():
            status, media, octets = told(Refusal(kind, "why"))
            self.assertEqual(known.status // 100, status // 100, kind)
            self.assertEqual(("application/json", {"ErrorCode", "Message"}), (media, set(json.loads(octets))))

    def test_codes(self) -> None:
        table = [("wrong-key", 401, 10), ("sender", 422, 400), ("unavailable", 503, 100), ("quota", 429, 429)]
        for kind, status, code in table:
            error = error_of(Refusal(kind, "why"))
            self.assertEqual((status, code), (error.status, error.code))

    def test_address(self) -> None:
        """django-anymail reads the address out of this text."""
        error = error_of(field_refusal("/to/0", "550 no 'such' user", "refused"), translated(message()))
        self.assertEqual("Invalid 'To' address: 'b@example.net'.\n550 no 'such' user", error.text)
