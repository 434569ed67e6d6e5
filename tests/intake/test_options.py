"""Options in the header of what is submitted, and those of the API."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Submission
from mta.intake.handover import hand_over
from mta.intake.options import OptionError, options_said
from mta.interfaces import RouteError
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.options import Options
from mta.model.reply import Reply
from tests.intake.test_reception import MAIL, ReceptionCase

OPTIONS = (
    b'X-MTA-Tags: order, spring sale,order\r\nx-mta-metadata: {"order":\r\n "17"}\r\n'
    b"X-Mta-Track: opens\r\nX-MTA-Send-At: 2027-01-15T09:00:00+00:00\r\n"
)


class SaidTests(SynchronousTestCase):
    def test_understood(self) -> None:
        said = {"tags": "a, b,", "metadata": '{"x": "y"}', "track": "none", "send_at": "2027-01-31T08:00:00Z"}
        options, at = options_said(said)
        expected = Options(tags=("a", "b"), metadata={"x": "y"}, track={"opens": False, "clicks": False})
        self.assertEqual((expected, 1801382400.0), (options, at))
        self.assertEqual((Options(), 0.0), options_said({}))

    def test_misunderstood(self) -> None:
        for name, text, words in (
            ("tags", ",".join(map(str, range(30))), "there are 30 tags"),
            ("tags", "x" * 200, "is no tag"),
            ("metadata", "{", "no JSON object"),
            ("metadata", "[1]", "with strings"),
            ("metadata", '{"a": 1}', "with strings"),
            ("metadata", "[" * 60000, "no JSON object"),
            ("track", "all", "'all' is none of"),
            ("send_at", "tomorrow", "no time"),
            ("send_at", "2027-01-31T08:00:00", "no time with a zone"),
        ):
            with self.assertRaisesRegex(OptionError, words, msg=text[:20]) as caught:
                options_said({name: text})
            self.assertTrue(caught.exception.field.lower().startswith("x-mta-"))


class SubmittedTests(ReceptionCase):
    """Those who log in may use them; nobody else's are touched."""

    def submit(self, fields: bytes, role: str = "submission", **labels: Any) -> Reply:
        reception = self.reception(labels=Submission(**labels))
        account = "ann" if role == "submission" else ""
        return self.send(reception, "ann@local.test", role=role, data=fields + MAIL, account=account)[-1]

    def test_kept_and_taken_out(self) -> None:
        reply = self.submit(OPTIONS, tenants={"ann": "shop"})
        self.assertEqual(250, reply.code, reply)
        ((message, (told,)),) = self.spool.admitted
        self.assertEqual(MAIL, message.content.read())
        expected = {
            "tenant": "shop",
            "release": 1.8e9 + 3600,
            "tags": ["order", "spring sale"],
            "metadata": {"order": "17"},
            "track": {"opens": True, "clicks": False},
        }
        self.assertEqual(expected, message.attributes)
        self.assertEqual(
            (["order", "spring sale"], {"order": "17"}, "x", 1.8e9 + 3600),
            (told.tagged, told.metadata, told.subject, told.scheduled),
        )

    def test_misunderstood(self) -> None:
        """The client is told which field, and nothing is kept."""
        for fields, words in (
            (b"X-MTA-Metadata: {\r\n", "X-MTA-Metadata cannot be understood: it is no JSON object"),
            (b"X-MTA-Send-At: soon\r\n", "X-MTA-Send-At cannot be understood: it is no time"),
            (b"X-MTA-Send-At: 2028-01-31T08:00:00Z\r\n", "further ahead"),
        ):
            reply = self.submit(fields)
            self.assertEqual((554, "option-misunderstood"), (reply.code, reply.name))
            self.assertIn(words, str(reply))
        self.assertEqual([], self.spool.admitted)

    def test_of_others(self) -> None:
        self.submit(OPTIONS, role="mx")
        self.submit(OPTIONS, options=False)
        for message, _ in self.spool.admitted:
            self.assertEqual(OPTIONS + MAIL, message.content.read())
            self.assertEqual({}, message.attributes)

    def test_a_time_that_has_passed(self) -> None:
        self.assertEqual(250, self.submit(b"X-MTA-Send-At: 2026-01-01T00:00:00Z\r\n").code)
        self.assertEqual({}, self.spool.admitted[0][0].attributes)


class ApiTests(ReceptionCase):
    def take(self, options: Options, data: bytes = MAIL, asked: int | None = None, **labels: Any) -> Any:
        client = Client("s1", "api", "192.0.2.1", protocol="HTTP", account="api:shop")
        envelope = Envelope(self.sender, asked=asked)
        recipients = [Recipient("ann@local.test")]
        return self.result(
            hand_over(
                self.reception(labels=Submission(**labels)),
                client,
                Anybody(),
                envelope,
                recipients,
                lambda identifier, date: data,
                options,
                most=10_000,
            )
        )

    def test_kept(self) -> None:
        options = Options("shop", "key1", "spring", ("a",), {"b": "c"}, "batch1", {"opens": False})
        handed = self.take(options, asked=7, priority_ceilings={"api:shop": 3})
        ((message, (told,)),) = self.spool.admitted
        self.assertEqual((handed.id, handed.message), (message.id, message))
        expected = {
            "tenant": "shop",
            "campaign": "spring",
            "priority": 3,
            "tags": ["a"],
            "metadata": {"b": "c"},
            "batch": "batch1",
            "track": {"opens": False},
        }
        self.assertEqual(expected, message.attributes)
        self.assertEqual(("key1", "batch1", "7", "api"), (told.key, told.batch, told.asked, told.role))
        # Where the application runs is in the journal, and in no header.
        self.assertEqual("192.0.2.1", told.client)
        self.assertNotIn(b"192.0.2.1", message.trace)

    def test_the_request_counts_before_the_header(self) -> None:
        self.take(
            Options("shop", tags=("a",)),
            b"X-MTA-Tags: b\r\nX-MTA-Metadata: {}\r\nX-Mta-Tenant: bank\r\n" + MAIL,
        )
        ((message, _),) = self.spool.admitted
        self.assertEqual({"tenant": "shop", "tags": ["a"]}, message.attributes)
        self.assertEqual(MAIL, message.content.read())

    def test_refused(self) -> None:
        """All questions of a session are asked, and refusals are in the journal."""
        big = self.take(Options("shop"), MAIL + b"x" * 10_000)
        self.assertEqual("message-too-large", big.reply.name)
        self.router.table["ann@local.test"] = RouteError(
            REPLIES.reply("mailbox-unknown", address="?", ref="")
        )
        handed = self.take(Options("shop"))
        self.assertEqual([(0, "mailbox-unknown")], [(at, reply.name) for at, reply in handed.refused])
        self.assertEqual([], self.spool.admitted)
        stages = [(event.stage, event.name) for event in self.spool.noted]
        self.assertEqual([("message", "message-too-large"), ("recipient", "mailbox-unknown")], stages)


class Anybody:
    name = "api:shop"

    def may_send_as(self, address: str) -> bool:
        return True
