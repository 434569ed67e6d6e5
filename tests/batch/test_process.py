"""A copy of a batch, as others read it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, ClassVar, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.batch.files import Marks
from mta.batch.plan import Person, Plan, Trouble
from mta.batch.process import finished
from mta.compose.message import File
from mta.engagement.links import master_key, message_key, read_link
from mta.template.bundle import Bundle, Parts, Rendered

ID = "0hs3b2kqv8g00"


class ProcessTests(SynchronousTestCase):
    """What is made of a rendering."""

    master = master_key(b"s" * 32)
    more: ClassVar[dict[str, Any]] = {
        "id": ID,
        "name": "Änn",
        "recipient": "ann@example.net",
        "key": message_key(master, ID).hex(),
    }
    common: ClassVar[dict[str, Any]] = {
        "sender": ["shop@example.org", "The Shop"],
        "reply_to": [["help@example.org", ""]],
        "headers": {"X-Run": "7"},
        "date": "Wed, 25 Nov 2026 19:00:00 +0000",
        "base": "https://mail.example.org",
        "tenant": "shop",
        "clicks": False,
        "opens": False,
        "unsubscribe": None,
    }
    rendered = Rendered("Grüße", "text\n", "<body><a href='https://x.example/'>x</a></body>", "en")

    def copy(self, rendered: Rendered | None = None, **common: Any) -> EmailMessage:
        octets = finished(rendered or self.rendered, {**self.common, **common}, self.more)["octets"]
        message = cast(EmailMessage, message_from_bytes(octets.encode("ascii"), policy=policy.default))
        self.assertEqual([], message.defects)
        return message

    def test_nothing_is_added_unasked(self) -> None:
        message = self.copy()
        self.assertNotIn("mail.example.org", str(message))
        self.assertNotIn("List-Unsubscribe", message)
        self.assertEqual(
            ("Grüße", "Änn <ann@example.net>", "The Shop <shop@example.org>", "help@example.org", "7"),
            tuple(message[name] for name in ("subject", "to", "from", "reply-to", "x-run")),
        )

    def test_all(self) -> None:
        message = self.copy(clicks=True, opens=True, unsubscribe="news")
        _, html = message.iter_parts()
        self.assertIn("https://mail.example.org/c/", html.get_content())
        self.assertIn("https://mail.example.org/o/", html.get_content())
        link = read_link(
            self.master, "unsubscribe", message["list-unsubscribe"].strip("<>").rpartition("/")[2]
        )
        self.assertEqual(("ann@example.net", "news", "shop"), (link.recipient, link.more, link.tenant))
        self.assertEqual("List-Unsubscribe=One-Click", message["list-unsubscribe-post"])

    def test_one_part(self) -> None:
        self.assertEqual("text/plain", self.copy(Rendered("s", "x", "", "en")).get_content_type())

    def test_parts_alone(self) -> None:
        self.assertEqual("text\n", finished(self.rendered, {}, {})["text"])


class FileTests(SynchronousTestCase):
    """Files go past the process, and stand in the copy as if they had been there."""

    logo = File("logo.png", "image/png", bytes(range(256)) * 2, "logo")
    terms = File("Bedingungen ä.txt", "text/plain", b"Be kind.")
    bill = File("bill.pdf", "application/pdf", b"%PDF" + b"x" * 300)

    def copy(self, common: list[File], own: list[File], html: str = '<img src="cid:logo">') -> EmailMessage:
        marks = Marks(common, lambda work, *what: work(*what))
        self.successResultOf(Deferred.fromCoroutine(marks.prepare()))
        told = {**ProcessTests.common, "files": marks.common}
        more = {**ProcessTests.more, "files": marks.own(own)}
        octets = finished(Rendered("s", "x", html, "en"), told, more)["octets"].encode()
        self.assertNotIn(base64.b64encode(self.logo.content)[:40], octets)
        whole = self.successResultOf(Deferred.fromCoroutine(marks.put(octets, own)))
        message = cast(EmailMessage, message_from_bytes(whole, policy=policy.default))
        self.assertEqual([], message.defects)
        return message

    def test_all_there(self) -> None:
        message = self.copy([self.logo, self.terms], [self.bill])
        self.assertEqual("multipart/mixed", message.get_content_type())
        files = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
        self.assertEqual({"Bedingungen ä.txt": "Be kind.", "bill.pdf": self.bill.content}, files)
        (shown,) = [part for part in message.walk() if part["content-id"]]
        self.assertEqual(("<logo>", self.logo.content), (shown["content-id"], shown.get_content()))

    def test_only_own(self) -> None:
        (part,) = self.copy([], [self.bill], "").iter_attachments()
        self.assertEqual(self.bill.content, part.get_content())

    def test_a_mark_is_no_guess(self) -> None:
        """What looks like the mark of another batch stays what it is."""
        (mark,) = [told[3] for told in Marks([self.bill], lambda work, *what: work(*what)).common]
        marks = Marks([self.bill], lambda work, *what: work(*what))
        self.successResultOf(Deferred.fromCoroutine(marks.prepare()))
        text = f"{mark}\r\n".encode()
        self.assertEqual(text, self.successResultOf(Deferred.fromCoroutine(marks.put(text, []))))


class PlanTests(SynchronousTestCase):
    """What a worker that starts again is told."""

    def test_comes_back_as_it_was(self) -> None:
        person = Person(ID, "ann@example.net", 3, "Ann", "de", {"n": [1, {"x": None}]}, {"order": "1"})
        person = replace(person, files=(File("a", "text/plain", b"\0\xff"),))
        plan = Plan(
            batch=ID,
            tenant="shop",
            key="k",
            address="192.0.2.1",
            session="s",
            bundle=Bundle(Parts("s", "t")).encode(),
            sender=("shop@example.org", "The Shop"),
            people=(person,),
            reply_to=(("help@example.org", ""),),
            notify=("FAILURE",),
            tags=("a",),
            unsubscribe="news",
            files=(File("l.png", "image/png", b"png", "logo"),),
        )
        self.assertEqual(5, plan.largest)
        again = Plan.decode(plan.encode())
        self.assertEqual(plan, again)
        self.assertEqual(Parts("s", "t"), again.template().parts)

    def test_one_of_an_earlier_version(self) -> None:
        """It knew no files."""
        plan = Plan("b", "t", "k", "", "s", "{}", ("a@example.org", ""), (Person(ID, "b@example.net", 0),))
        facts = json.loads(plan.encode())
        del facts["files"]
        facts["people"] = [one[:7] for one in facts["people"]]
        self.assertEqual(plan, Plan.decode(json.dumps(facts).encode()))

    def test_trouble(self) -> None:
        self.assertEqual(
            {"place": 0, "email": "x", "kind": "address", "detail": "no"},
            Trouble(0, "x", "address", "no").told(),
        )
