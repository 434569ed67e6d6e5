"""A copy of a batch, as others read it."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, ClassVar, cast

from twisted.trial.unittest import SynchronousTestCase

from mta.batch.plan import Person, Plan, Trouble
from mta.batch.process import finished
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


class PlanTests(SynchronousTestCase):
    """What a worker that starts again is told."""

    def test_comes_back_as_it_was(self) -> None:
        person = Person(ID, "ann@example.net", 3, "Ann", "de", {"n": [1, {"x": None}]}, {"order": "1"})
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
        )
        again = Plan.decode(plan.encode())
        self.assertEqual(plan, again)
        self.assertEqual(Parts("s", "t"), again.template().parts)

    def test_trouble(self) -> None:
        self.assertEqual(
            {"place": 0, "email": "x", "kind": "address", "detail": "no"},
            Trouble(0, "x", "address", "no").told(),
        )
