"""What a session is answered, and what the spool then holds."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mta.config.settings import Junk, Submission
from mta.intake.reception import MOST_ADDRESSEES, Reception
from mta.interfaces import (
    Facts,
    ISessionJudge,
    Route,
    RouteError,
    SpoolFull,
    TemporarilyUnavailable,
    Undecided,
)
from mta.judge.pipeline import Pipeline
from mta.model.authentication import AuthenticationResult
from mta.model.catalogue import REPLIES
from mta.model.change import (
    AddField,
    AddRecipient,
    ChangeField,
    ChangeSender,
    InsertField,
    RemoveRecipient,
    ReplaceBody,
)
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Completed, Discarded, Event, Received
from mta.model.ids import IdSource
from mta.model.message import FileContent, InlineContent, Message
from mta.model.reply import Reply
from mta.model.verdict import PASS, Verdict


class MemoryFile:
    """A spool file that keeps its octets in memory."""

    def __init__(self) -> None:
        self.data = b""
        self.aborted = False
        self.producer: Any = None
        self.see: Any = None

    def watch(self, see: Any) -> None:
        self.see = see

    def register(self, producer: Any) -> None:
        self.producer = producer

    def write(self, block: bytes) -> None:
        self.data += block
        if self.see is not None:
            self.see(block)

    def finish(self) -> Any:
        return succeed(InlineContent(self.data))

    def abort(self) -> None:
        self.aborted = True


class MemorySpool:
    """Keeps what it is given; fails when told to."""

    def __init__(self) -> None:
        self.admitted: list[tuple[Message, list[Event]]] = []
        self.noted: list[Event] = []
        self.files: list[MemoryFile] = []
        self.trouble: Exception | None = None
        self._ids = IdSource()

    def new_id(self) -> str:
        return self._ids.next(1.8e9)

    def create_file(self, name: str) -> MemoryFile:
        self.files.append(MemoryFile())
        return self.files[-1]

    def admit(self, message: Message, events: Iterable[Event]) -> Deferred[None]:
        if self.trouble is not None:
            return fail(self.trouble)
        self.admitted.append((message, list(events)))
        return succeed(None)

    def note(self, events: Iterable[Event]) -> None:
        self.noted.extend(events)


class TableRouter:
    """Routes by a table; ``local.test`` is ours."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table

    def is_local(self, domain: str) -> bool:
        return domain == "local.test"

    def route(self, address: str) -> Any:
        found = self.table.get(address)
        if isinstance(found, Exception):
            raise found
        return found


class Owner:
    """An account with one address."""

    name = "ann@local.test"

    def may_send_as(self, address: str) -> bool:
        if address == "down@local.test":
            raise TemporarilyUnavailable("the directory is down")
        return address == self.name


class SaysOf:
    """A judge with one verdict at one stage."""

    def __init__(self, stage: str, verdict: Verdict | Exception) -> None:
        self.stage = stage
        self.verdict = verdict

    def judge(self, stage: str, facts: Facts) -> Verdict:
        if stage != self.stage:
            return PASS
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


MAIL = b"From: a@b.test\r\nSubject: x\r\nMessage-ID: <m1@b.test>\r\n\r\nhello\r\n"


class ReceptionCase(SynchronousTestCase):
    """One reception with its neighbours in memory."""

    sender = "a@b.test"

    def setUp(self) -> None:
        self.spool = MemorySpool()
        self.clock = Clock()
        self.clock.advance(1.8e9)
        self.router = TableRouter(
            {
                "ann@local.test": [Route("ann@local.test", "maildir", "/m/ann")],
                "all@local.test": [
                    Route("ann@local.test", "maildir", "/m/ann"),
                    Route("x@far.test", "relay", "far.test", sender="owner@local.test"),
                ],
                "x@far.test": [Route("x@far.test", "relay", "far.test")],
                "gone@local.test": RouteError(REPLIES.reply("mailbox-unknown", address="?", ref="")),
                "dark@local.test": TemporarilyUnavailable("ldap://a does not answer"),
            }
        )
        self.seen: list[Message] = []

    def reception(self, *judges: Any, **options: Any) -> Reception:
        pipeline = Pipeline([(f"judge{number}", judge) for number, judge in enumerate(judges)])
        return Reception(
            reactor=self.clock,
            hostname="mx.local.test",
            spool=self.spool,  # type: ignore[arg-type]
            router=self.router,  # type: ignore[arg-type]
            pipeline=pipeline,  # type: ignore[arg-type]
            admitted=self.seen.append,
            **options,
        )

    def result(self, answer: Any) -> Any:
        if hasattr(answer, "__await__"):
            return self.successResultOf(ensureDeferred(answer))
        return answer

    def send(
        self, reception: Reception, *recipients: str, role: str = "mx", data: bytes = MAIL, **terms: Any
    ) -> list[Reply]:
        account = terms.pop("account", "")
        client = Client("s1", role, "192.0.2.1", helo="client.test", protocol="ESMTP", account=account)
        envelope = Envelope(self.sender, **terms)
        replies = []
        for address in recipients:
            recipient = Recipient(address)
            reply = self.result(reception.recipient(client, envelope, recipient))
            if reply.is_positive:
                envelope.recipients.append(recipient)
            else:
                replies.append(reply)
        if not envelope.recipients:
            return replies
        incoming = reception.data(client, envelope)
        for start in range(0, len(data), 50):
            incoming.write(data[start : start + 50])
        return replies + self.result(incoming.finish())


class ReceptionTests(ReceptionCase):
    """What it answers, and keeps."""

    def test_return_paths(self) -> None:
        """Each copy may get one of its own, but not one to a list that has an owner."""

        async def return_path(identifier: str, sender: str, original: str, address: str) -> str | None:
            return None if address == "ann@local.test" else f"{identifier}.{original}.{sender}"

        reception = self.reception(return_path=return_path)
        self.send(reception, "x@far.test", "ann@local.test", role="local")
        self.send(reception, "all@local.test")
        first, second = self.seen
        self.assertEqual(
            [f"{first.id}.x@far.test.a@b.test", None],
            [addressee.options.get("return_path") for addressee in first.addressees],
        )
        self.assertEqual(
            [None, None], [addressee.options.get("return_path") for addressee in second.addressees]
        )

    def test_return_path_unknown(self) -> None:
        """Where nobody can tell, the client is put off, and nothing is kept."""

        def return_path(*question: str) -> str | None:
            raise TemporarilyUnavailable("ldap://a does not answer")

        reply = self.send(self.reception(return_path=return_path), "x@far.test", role="local")[-1]
        self.assertEqual((451, "return-path"), (reply.code, reply.rule))
        self.assertEqual([], self.seen)

    def test_authentication(self) -> None:
        """What was found out stands in the journal as data, whoever takes or refuses the message."""
        found = AuthenticationResult(
            "dkim", "pass", (("header.d", "b.test"), ("header.s", "k")), detail={"bits": 2048}
        )
        spf = AuthenticationResult("spf", "fail", (("smtp.mailfrom", "a@b.test"),), "not listed")
        told = [
            {
                "method": "dkim",
                "result": "pass",
                "properties": {"header.d": "b.test", "header.s": "k"},
                "detail": {"bits": 2048},
            },
            {
                "method": "spf",
                "result": "fail",
                "properties": {"smtp.mailfrom": "a@b.test"},
                "reason": "not listed",
            },
        ]
        both = [
            SaysOf("message", Verdict(authentication=(found,))),
            SaysOf("message", Verdict(authentication=(spf,))),
        ]
        self.send(self.reception(*both), "ann@local.test")
        ((_, (event,)),) = self.spool.admitted
        assert isinstance(event, Received)
        self.assertEqual(told, event.authentication)
        third = SaysOf("message", Verdict("reject", "content", "no such files"))
        (reply,) = self.send(self.reception(*both, third), "ann@local.test")
        self.assertEqual(550, reply.code)
        self.assertEqual(told, [one.told() for one in reply.authentication])

    def test_local_mail_is_kept_before_its_250(self) -> None:
        (reply,) = self.send(self.reception(), "ann@local.test")
        self.assertEqual(reply.code, 250)
        ((message, (event,)),) = self.spool.admitted
        self.assertIn(message.id, str(reply))
        self.assertEqual(message.content.read(), MAIL)
        self.assertTrue(
            message.trace.startswith(b"Received: from client.test ([192.0.2.1])\r\n\tby mx.local.test")
        )
        self.assertIn(b"for <ann@local.test>", message.trace)
        self.assertIsInstance(event, Received)
        assert isinstance(event, Received)
        self.assertEqual(event.message_id, "<m1@b.test>")
        self.assertEqual(self.seen, [message])

    def test_scheduled(self) -> None:
        """Due and expiry count from the time for which it is scheduled."""
        now = self.clock.seconds()
        self.send(self.reception(expire=100.0), "ann@local.test", release=now + 864000)
        self.send(self.reception(expire=100.0), "ann@local.test", release=now - 5)
        (later, (told,)), (soon, _) = self.spool.admitted
        self.assertEqual((now, now + 864100), (later.created, later.expires))
        self.assertEqual([now + 864000], [one.due for one in later.addressees])
        self.assertEqual({"release": now + 864000}, later.attributes)
        self.assertEqual(now + 864000, told.scheduled)
        self.assertEqual(({}, now + 100), (soon.attributes, soon.expires))

    def test_hold(self) -> None:
        """What was asked for is kept with the message, for a notification (RFC 4865, 5.1.2)."""
        now = self.clock.seconds()
        self.send(self.reception(), "ann@local.test", release=now + 60, hold="for;60")
        ((message, _),) = self.spool.admitted
        self.assertEqual({"release": now + 60, "hold": "for;60"}, message.attributes)

    def test_labels(self) -> None:
        """An account says whose message it is; nobody else is told."""
        fields = b"X-Mta-Tenant: shop\r\nx-mta-campaign:\r\n spring\r\n sale\r\nX-MTA-TENANT: other\r\n"
        data = MAIL.replace(b"Message-ID", fields + b"Message-ID")
        labels = Submission(tenant_field_from=["ann"], priority_ceilings={"ann": 5})
        reception = self.reception(labels=labels)
        self.send(reception, "ann@local.test", role="submission", data=data, account="ann", asked=5)
        ((message, (told,)),) = self.spool.admitted
        self.assertEqual({"tenant": "shop", "campaign": "spring sale", "priority": 5}, message.attributes)
        self.assertEqual(MAIL, message.content.read())
        self.assertEqual(("shop", "spring sale", 5), (told.tenant, told.campaign, told.priority))
        self.assertEqual(("", ""), (told.asked, told.claimed))

    def test_tenant_is_not_claimed(self) -> None:
        """Whose it is follows from the account; what its header says is taken out, and told."""
        data = b"X-Mta-Tenant: bank\r\n" + MAIL
        reception = self.reception(labels=Submission(tenants={"@shop.test": "shop"}))
        for account, tenant in (("ann@shop.test", "shop"), ("bob@other.test", "")):
            self.send(reception, "ann@local.test", role="submission", data=data, account=account)
            message, (told,) = self.spool.admitted[-1]
            self.assertEqual({"tenant": tenant} if tenant else {}, message.attributes)
            self.assertEqual((tenant, "bank"), (told.tenant, told.claimed))
            self.assertEqual(MAIL, message.content.read())

    def test_priority_of_the_header(self) -> None:
        """It counts like that of MAIL, which comes first, and is as bounded."""
        labels = Submission(priority_ceilings={"ann": 3, "bulk": -4})
        for account, asked, field, priority, told_asked, reply in (
            ("ann", None, b"2", 2, "", "2.0.0"),
            ("ann", None, b"9", 3, "9", "2.3.6"),
            ("ann", 1, b"3", 1, "", "2.0.0"),
            ("ann", 9, b"", 3, "9", "2.0.0"),
            ("ann", None, b"urgent", 0, "", "2.0.0"),
            ("bob", None, b"1", 0, "1", "2.3.6"),
            ("bob", None, b"-9", -9, "", "2.0.0"),
            ("bulk", None, b"", -4, "0", "2.3.6"),
        ):
            data = (b"X-Mta-Priority: " + field + b"\r\n" if field else b"") + MAIL
            said = self.send(
                self.reception(labels=labels),
                "ann@local.test",
                role="submission",
                data=data,
                account=account,
                asked=asked,
            )
            message, (told,) = self.spool.admitted[-1]
            where = f"{account} {asked} {field!r}"
            self.assertEqual((priority, told_asked), (told.priority, told.asked), where)
            self.assertEqual(priority, message.attributes.get("priority", 0), where)
            self.assertEqual(MAIL, message.content.read(), where)
            self.assertEqual(reply, said[-1].enhanced, where)
            if reply == "2.3.6":
                # RFC 6710, 4.1: the new priority, a space, and words.
                self.assertTrue(said[-1].text.startswith(f"{priority} "), where)
                self.assertIn(f"Queued as {message.id}", said[-1].text)

    def test_priority_in_the_trace(self) -> None:
        """RFC 6710, 4.1: what MAIL asked for stands in the Received field."""
        for asked, words in (
            (5, b"for <ann@local.test> PRIORITY 5;"),
            (0, b" PRIORITY 0;"),
            (None, b"test>;"),
        ):
            self.send(self.reception(), "ann@local.test", role="submission", account="ann", asked=asked)
            self.assertIn(words, self.spool.admitted[-1][0].trace)

    def test_priority_of_mail(self) -> None:
        """RFC 6710, 4.1: an account that may not have it is told at MAIL what it gets."""
        labels = Submission(priority_ceilings={"*": 2, "ann": 9})
        for role, account, asked, said in (
            ("submission", "ann", 9, "250 2.1.0"),
            ("submission", "bob", 2, "250 2.1.0"),
            ("submission", "bob", 3, "250 2.3.6 2 "),
            ("submission", "", 1, "250 2.3.6 0 "),
            ("submission", "", None, "250 2.1.0"),
        ):
            client = Client("s1", role, "192.0.2.1", account=account)
            envelope = Envelope("", asked=asked, priority=asked or 0)
            reply = self.reception(labels=labels).sender(client, None, envelope)
            self.assertTrue(str(reply).startswith(said), f"{account} {asked}: {reply}")
            self.assertLessEqual(envelope.priority, asked or 0)

    def test_labels_of_others(self) -> None:
        """Without an account, or where it is not wanted, they are fields as any other."""
        data = b"X-Mta-Tenant: shop\r\n" + MAIL
        for role, account, labels in (
            ("mx", "", Submission()),
            ("submission", "ann", Submission(tenant_field="", campaign_field="")),
            ("submission", "ann", None),
        ):
            reception = self.reception(labels=labels)
            self.send(reception, "ann@local.test", role=role, data=data, account=account)
            message, _ = self.spool.admitted[-1]
            self.assertEqual(({}, data), (message.attributes, message.content.read()))

    def test_labels_before_a_file(self) -> None:
        """The header is waited for before the content goes to a file."""
        padding = b"X-Padding: " + b"y" * 400 + b"\r\n"
        data = padding + b"X-Mta-Tenant: shop\r\n" + MAIL + b"X-Mta-Tenant: no field\r\n"
        written: list[bytes] = []

        class File:
            def write(self, block: bytes) -> None:
                written.append(block)

            async def finish(self) -> InlineContent:
                return InlineContent(b"".join(written))

        self.patch(MemorySpool, "create_file", lambda spool, name: File())
        reception = self.reception(labels=Submission(tenant_field_from=["*"]), inline=100)
        self.send(reception, "ann@local.test", role="submission", data=data, account="ann")
        message, _ = self.spool.admitted[-1]
        self.assertEqual({"tenant": "shop"}, message.attributes)
        self.assertEqual(data.replace(b"X-Mta-Tenant: shop\r\n", b""), message.content.read())

    def test_alias_becomes_several_addressees_without_naming_anyone(self) -> None:
        self.send(self.reception(), "all@local.test", "ann@local.test")
        ((message, _),) = self.spool.admitted
        self.assertEqual(
            [(a.address, a.original, a.transport) for a in message.addressees],
            [("ann@local.test", "all@local.test", "maildir"), ("x@far.test", "all@local.test", "relay")],
        )
        self.assertEqual(message.addressees[1].options["sender"], "owner@local.test")
        self.assertNotIn(b"for <", message.trace)

    def test_refusals_have_a_cause(self) -> None:
        for address, code, name, rule in [
            ("gone@local.test", 550, "mailbox-unknown", "route"),
            ("dark@local.test", 451, "directory-unavailable", "route"),
            ("x@far.test", 550, "relay-denied", "relay"),
        ]:
            (reply,) = self.send(self.reception(), address)
            self.assertEqual((reply.code, reply.name, reply.rule), (code, name, rule))
            self.assertIn(address, reply.text)
            self.assertIn("[s1]", reply.text)
        self.assertEqual(self.spool.admitted, [])

    def test_routes_that_are_none(self) -> None:
        """What a router makes of its answer may be any iterable, but of routes."""
        route = Route("ann@local.test", "maildir", "/m/ann")
        self.router.table["ann@local.test"] = iter([route])
        (reply,) = self.send(self.reception(), "ann@local.test")
        self.assertEqual(250, reply.code)
        self.router.table["ann@local.test"] = iter([])
        (reply,) = self.send(self.reception(), "ann@local.test")
        self.assertEqual(550, reply.code)
        recipient = Recipient("ann@local.test")
        for wrong in (["/m/ann"], "maildir", [None]):
            self.router.table["ann@local.test"] = wrong
            reception = self.reception()
            with self.assertRaises(TypeError):
                reception.recipient(Client("s1", "mx", "192.0.2.1"), Envelope("a@b.test"), recipient)
        self.assertEqual(1, len(self.spool.admitted))

    def test_the_same_list_again_and_again(self) -> None:
        """A large list is not gone through for each name that a client finds for it."""
        members = [Route(f"u{n}@far.test", "relay", "far.test") for n in range(MOST_ADDRESSEES // 2)]
        asked = []

        def route(address: str) -> list[Route]:
            asked.append(address)
            return members

        self.router.route = route  # type: ignore[method-assign]
        replies = self.send(self.reception(), *(f"all+{number}@local.test" for number in range(5)))
        self.assertEqual([452, 452, 452, 250], [reply.code for reply in replies])
        self.assertEqual(2, len(asked))

    def test_named_networks_may_relay_and_nobody_else(self) -> None:
        networks = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]
        reception = self.reception(relay_from=networks)
        envelope = Envelope("a@b.test")
        for address, code in [
            ("192.0.2.9", 250),
            ("::ffff:192.0.2.9", 250),
            ("2001:db8::1", 250),
            ("198.51.100.1", 550),
            ("not an address", 550),
        ]:
            client = Client("s", "mx", address)
            reply = self.result(reception.recipient(client, envelope, Recipient("x@far.test")))
            self.assertEqual(reply.code, code, address)
        lmtp = Client("s", "lmtp", "192.0.2.9")
        self.assertEqual(self.result(reception.recipient(lmtp, envelope, Recipient("x@far.test"))).code, 550)
        known = Client("s", "submission", "198.51.100.1", account="ann@local.test")
        self.assertEqual(self.result(reception.recipient(known, envelope, Recipient("x@far.test"))).code, 250)

    def test_submission_sender_must_be_the_accounts(self) -> None:
        reception = self.reception()
        client = Client("s1", "submission", "192.0.2.1", account="ann@local.test")
        for sender, code in [
            ("ann@local.test", 250),
            ("", 250),
            ("bob@local.test", 550),
        ]:
            reply = self.result(reception.sender(client, Owner(), Envelope(sender)))
            self.assertEqual(reply.code, code, sender)

    def test_submission_is_completed(self) -> None:
        self.send(self.reception(), "ann@local.test", role="submission", data=b"Subject: x\r\n\r\nhello\r\n")
        ((message, (event,)),) = self.spool.admitted
        for field in (b"\r\nDate: ", b"\r\nMessage-ID: <", b"\r\nFrom: <a@b.test>\r\n"):
            self.assertIn(field, message.trace)
        assert isinstance(event, Received)
        self.assertEqual(event.message_id, f"<{message.id}@mx.local.test>")

    def test_large_content_goes_to_a_file(self) -> None:
        data = b"Subject: big\r\n\r\n" + b"x" * 1000
        (reply,) = self.send(self.reception(inline=300), "ann@local.test", data=data)
        self.assertEqual(reply.code, 250)
        self.assertEqual(self.spool.files[0].data, data)

    def test_a_file_may_pause_the_network(self) -> None:
        """The producer is given before there is a file."""
        incoming = self.reception(inline=3).data(Client("s1"), Envelope("a@b.test"))
        producer = object()
        incoming.register(producer)
        incoming.write(b"A: b\r\n\r\nmore than that")
        self.assertIs(self.spool.files[0].producer, producer)

    def test_lmtp_gets_a_reply_for_each_recipient(self) -> None:
        replies = self.send(self.reception(), "ann@local.test", "all@local.test", role="lmtp")
        self.assertEqual([reply.code for reply in replies], [250, 250])

    def test_our_trouble_is_never_permanent(self) -> None:
        for trouble, code in [(SpoolFull("full"), 452), (TemporarilyUnavailable("EIO"), 451)]:
            self.spool.trouble = trouble
            (reply,) = self.send(self.reception(), "ann@local.test")
            self.assertEqual(reply.code, code)
            self.assertEqual(reply.evidence["why"], str(trouble))
        reception = self.reception(has_room=lambda octets: False)
        self.assertEqual(self.result(reception.sender(Client("s"), None, Envelope("a@b.test"))).code, 452)
        self.assertEqual(self.seen, [])

    def test_judges(self) -> None:
        reject = Verdict("reject", "no-x", "no x here", {"x": 1})
        tag = Verdict("tag", fields=(("X-Score", "5\r\nBcc: evil@x.test"),))
        hold = Verdict("hold", "look", "a person must look")
        (reply,) = self.send(self.reception(SaysOf("message", reject)), "ann@local.test")
        self.assertEqual((reply.code, reply.rule, dict(reply.evidence)), (550, "no-x", {"x": 1}))
        (reply,) = self.send(self.reception(SaysOf("message", ValueError("bug"))), "ann@local.test")
        self.assertEqual(reply.code, 450)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        (reply,) = self.send(
            self.reception(SaysOf("message", hold), SaysOf("message", tag)), "ann@local.test"
        )
        self.assertEqual(reply.code, 250)
        ((message, _),) = self.spool.admitted
        self.assertEqual([a.state for a in message.addressees], ["held"])
        self.assertTrue(message.trace.startswith(b"X-Score: 5  Bcc: evil@x.test\r\nReceived:"))

    def test_judges_before_the_route(self) -> None:
        """Whoever judges refuse does not learn who is here, nor that a directory is down."""
        reject = SaysOf("recipient", Verdict("reject", "no-x", "no x here"))
        for address, code in {
            "ann@local.test": 250,
            "no@local.test": 550,
            "gone@local.test": 550,
            "dark@local.test": 451,
        }.items():
            found = self.router.table.get(address)
            for later in (False, True):

                def route(address: str, found: Any = found, later: bool = later) -> Any:
                    if not isinstance(found, Exception):
                        return succeed(found) if later else found
                    if later:
                        return fail(found)
                    raise found

                self.patch(self.router, "route", route)
                for judges, expected in (((reject,), (550, "no-x")), ((), (code, None))):
                    client, recipient = Client("s1", "mx", "192.0.2.1"), Recipient(address)
                    reply = self.result(
                        self.reception(*judges).recipient(client, Envelope("a@b.test"), recipient)
                    )
                    self.assertEqual(expected[0], reply.code, address)
                    if judges:
                        self.assertEqual(expected[1], reply.rule, address)

    def test_judged_at_every_stage(self) -> None:
        """What is said before the content comes counts for the message, too."""
        spf = AuthenticationResult("spf", "pass", (("smtp.mailfrom", "a@b.test"),))
        dkim = AuthenticationResult("dkim", "none")
        seen: list[Any] = []

        class Asks:
            def judge(self, stage: str, facts: Facts) -> Verdict:
                seen.append((stage, list(facts.authentication)))
                return PASS

        judges = [
            SaysOf("connect", Verdict(evidence={"reverse": "client.test"})),
            SaysOf("hello", Verdict("tag", fields=(("X-Hello", "1"),))),
            SaysOf("mail", Verdict(authentication=(spf,), evidence={"record": "v=spf1 +all"})),
            SaysOf("recipient", Verdict("hold", "look", "a person must look")),
            SaysOf("message", Verdict(authentication=(dkim,))),
            Asks(),
        ]
        reception = self.reception(*judges)
        client = Client("s1", "mx", "192.0.2.1", helo="client.test", protocol="ESMTP")
        self.assertIsNone(self.result(reception.connect(client)))
        for _ in range(2):  # Whoever says EHLO twice is judged once.
            self.assertIsNone(self.result(reception.hello(client)))
        envelope = Envelope("a@b.test")
        self.assertEqual(250, self.result(reception.sender(client, None, envelope)).code)
        recipient = Recipient("ann@local.test")
        self.assertEqual(250, self.result(reception.recipient(client, envelope, recipient)).code)
        envelope.recipients.append(recipient)
        incoming = reception.data(client, envelope)
        incoming.write(MAIL)
        self.assertEqual([250], [reply.code for reply in self.result(incoming.finish())])
        ((message, (event,)),) = self.spool.admitted
        assert isinstance(event, Received)
        self.assertEqual(
            {"judge0": {"reverse": "client.test"}, "judge2": {"record": "v=spf1 +all"}}, event.tags
        )
        self.assertEqual(1, message.trace.count(b"X-Hello: 1\r\n"))
        self.assertEqual("look: a person must look", event.held)
        self.assertEqual(("recipient", [spf]), seen[-2])
        self.assertEqual(("message", [spf, dkim]), seen[-1])

    def test_authentication_results(self) -> None:
        """What was found out stands on top, under our name, which nobody else's field bears."""
        spf = AuthenticationResult("spf", "pass", (("smtp.mailfrom", "a@b.test"),))
        dkim = AuthenticationResult("dkim", "none")
        judges = [
            SaysOf("message", Verdict(authentication=(spf, dkim))),
            SaysOf("message", Verdict("tag", fields=(("X-Score", "5"),))),
        ]
        forged = b"Authentication-Results:\r\n (x) MX.local.test; spf=pass\r\n"
        ours = (
            b"Authentication-Results: mx.local.test;\r\n\tspf=pass smtp.mailfrom=a@b.test;\r\n\tdkim=none\r\n"
        )
        data = MAIL.replace(b"Subject", forged + b"Subject")
        for inline in (64 * 1024, 100):
            self.send(self.reception(*judges, inline=inline), "ann@local.test", data=data)
            message, _ = self.spool.admitted[-1]
            self.assertTrue(message.trace.startswith(ours + b"X-Score: 5\r\nReceived: "), message.trace)
            self.assertEqual(MAIL, message.content.read())
        self.assertEqual(1, len(self.spool.files))
        # Without judges nothing is said, and a forged field goes all the same; the name is a setting.
        self.send(self.reception(), "ann@local.test", data=data)
        self.send(self.reception(authserv_id="local.test"), "ann@local.test", data=data)
        (plain, _), (other, _) = self.spool.admitted[-2:]
        self.assertTrue(plain.trace.startswith(b"Received: "))
        self.assertEqual([MAIL, data], [plain.content.read(), other.content.read()])

    def test_changes(self) -> None:
        """Judges see what those before them changed, and so it is kept; what is on top costs nothing."""
        seen: list[Facts] = []

        class Asks:
            def judge(self, stage: str, facts: Facts) -> Verdict:
                if stage == "message":
                    seen.append(facts)
                return PASS

        first = Verdict(changes=(InsertField("X-Seen", "by us"), AddRecipient("x@far.test")))
        second = Verdict("tag", fields=(("X-Tag", "1"),), changes=(ChangeField("Subject", "y"),))
        third = Verdict("hold", "spam", "it is", changes=(ReplaceBody(b"gone\n.\n"), ChangeSender("")))
        top = self.reception(SaysOf("message", first))
        self.send(top, "ann@local.test")
        self.assertEqual(MAIL, self.seen[0].content.read())
        self.assertTrue(self.seen[0].trace.startswith(b"X-Seen: by us\r\nReceived: "))
        self.assertEqual(["ann@local.test", "x@far.test"], [a.address for a in self.seen[0].addressees])
        judges = [SaysOf("message", verdict) for verdict in (first, second, third)]
        for inline in (10, 64 * 1024):
            self.spool.admitted.clear()
            reception = self.reception(*judges, Asks(), inline=inline, run_in_thread=maybeDeferred)
            self.assertEqual([250], [reply.code for reply in self.send(reception, "ann@local.test")])
            ((message, (event,)),) = self.spool.admitted
            assert isinstance(event, Received)
            expected = b"From: a@b.test\r\nSubject: y\r\nMessage-ID: <m1@b.test>\r\n\r\ngone\r\n.\r\n"
            self.assertEqual(expected, message.content.read())
            self.assertTrue(message.trace.startswith(b"X-Tag: 1\r\nX-Seen: by us\r\nReceived: "))
            self.assertEqual(("", "held"), (message.envelope.reverse_path, message.addressees[1].state))
            self.assertEqual(["ann@local.test", "x@far.test"], event.recipients)
            self.assertEqual("added X-Seen", event.tags["judge0"]["changes"][0])
            assert seen[-1].content is not None
            self.assertEqual(b"X-Seen: by us\r\n" + expected, seen[-1].content.read())
            self.assertEqual(message.id, seen[-1].id)
        self.assertEqual([True, False], [file.aborted for file in self.spool.files])

    def test_junk(self) -> None:
        """What a filter of ours calls spam goes to its folder; what a stranger says counts for nothing."""
        rules = Junk(fields=["X-Spam: yes*", "X-Verdict: *spam"])
        tagged = MAIL.replace(b"Subject", b"X-Spam: Yes\r\nSubject")
        for verdict, data, junk in (
            (Verdict("tag", fields=(("x-spam", "YES, very"),)), MAIL, "x-spam: YES, very"),
            (Verdict(changes=(InsertField("X-Spam", "Yes"),)), MAIL, "X-Spam: Yes"),
            (Verdict(changes=(AddField("X-Spam", "Yes"),)), tagged, "X-Spam: Yes"),
            (
                Verdict(changes=(ChangeField("Subject", "x"), AddField("X-Verdict", "no\n spam"))),
                MAIL,
                "X-Verdict: no spam",
            ),
            (Verdict(changes=(AddField("X-Spam", "No"),)), tagged, ""),
            (Verdict("tag", fields=(("X-Spam-Level", "yes"),)), MAIL, ""),
            (PASS, tagged, ""),
        ):
            self.spool.admitted.clear()
            self.send(self.reception(SaysOf("message", verdict), junk=rules), "ann@local.test", data=data)
            ((message, (event,)),) = self.spool.admitted
            assert isinstance(event, Received)
            self.assertEqual(junk, event.junk, verdict)
            self.assertEqual("Junk" if junk else None, message.attributes.get("folder"))
        self.spool.admitted.clear()
        spam = SaysOf("message", Verdict("tag", fields=(("X-Spam", "yes"),)))
        self.send(self.reception(spam, junk=Junk(folder="")), "ann@local.test")
        self.assertEqual({}, self.spool.admitted[0][0].attributes)

    def test_completed_before_it_is_judged(self) -> None:
        """Who signs a submission must see the fields that it lacked."""
        seen: list[bytes] = []

        class Signs:
            def judge(self, stage: str, facts: Facts) -> Verdict:
                if stage != "message":
                    return PASS
                seen.append(facts.header)
                return Verdict(changes=(AddField("X-Last", "1"),))

        self.send(
            self.reception(Signs()), "x@far.test", role="local", data=b"From: a@b.test\r\n\r\nhello\r\n"
        )
        (message,) = self.seen
        self.assertRegex(seen[0], rb"\ADate: .*\r\nMessage-ID: .*\r\nFrom: a@b.test\r\n\Z")
        self.assertEqual(seen[0] + b"X-Last: 1\r\n\r\nhello\r\n", message.content.read())
        self.assertNotIn(b"Date:", message.trace)

    def test_discarded(self) -> None:
        """It is answered as ever and not kept; the journal has it."""
        for verdict in (
            Verdict("discard", "blackhole", "nobody wants it"),
            Verdict(changes=(RemoveRecipient("Ann@local.test"),)),
        ):
            self.spool.noted.clear()
            (reply,) = self.send(self.reception(SaysOf("message", verdict)), "ann@local.test")
            self.assertEqual(250, reply.code)
            received, discarded, completed = self.spool.noted
            self.assertIsInstance(completed, Completed)
            assert isinstance(received, Received) and isinstance(discarded, Discarded)
            self.assertIn(received.message, str(reply))
            self.assertIn(verdict.rule or "no recipient", discarded.reason)
        held = SaysOf("message", Verdict("hold", "look", "a person must look"))
        discards = SaysOf("message", Verdict("discard", "blackhole"))
        self.send(self.reception(held, discards), "ann@local.test")
        self.assertEqual([["held"]], [[a.state for a in message.addressees] for message in self.seen])
        # LMTP clients count: a reply for each recipient that they gave.
        removes = SaysOf("message", Verdict(changes=(RemoveRecipient("all@local.test"),)))
        replies = self.send(self.reception(removes), "ann@local.test", "all@local.test", role="lmtp")
        self.assertEqual([250, 250], [reply.code for reply in replies])
        self.assertEqual(["ann@local.test"], [a.address for a in self.seen[-1].addressees])

    def test_changes_that_cannot_be_made(self) -> None:
        """They are our trouble: the client is put off, and nothing is kept."""
        for change in (
            AddField("X Y", "1"),
            AddRecipient("nonsense"),
            AddRecipient("gone@local.test"),
            AddRecipient("dark@local.test"),
            "no change",
        ):
            verdict = Verdict(changes=(change,))  # type: ignore[arg-type]
            (reply,) = self.send(self.reception(SaysOf("message", verdict)), "ann@local.test")
            self.assertEqual(4, reply.code // 100, change)
        self.assertEqual([], self.seen)
        self.flushLoggedErrors(ValueError)

    def test_end_of_a_session(self) -> None:
        """Judges that keep something are told, and one that fails does not matter."""
        told: list[str] = []

        @implementer(ISessionJudge)
        class Keeps:
            def judge(self, stage: str, facts: Facts) -> Verdict:
                return PASS

            def closed(self, client: Client) -> None:
                told.append(client.session)
                if len(told) == 1:
                    raise RuntimeError("no")

        self.reception(Keeps(), SaysOf("mail", PASS), Keeps()).closed(Client("s7"))
        self.assertEqual(["s7", "s7"], told)
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))

    def test_judges_that_are_wrong(self) -> None:
        """A verdict that nobody can act on puts the client off: it never lets in, nor lies."""
        positive = Reply(250, ("fine",))
        for verdict in (
            None,
            "reject",
            Verdict("REJECT"),  # type: ignore[arg-type]
            Verdict("reject", reply=positive),
            Verdict("defer", reply=positive),
            Verdict("defer", reply=Reply(550, ("never",))),
        ):
            for stage in ("recipient", "message"):
                judge: Any = SaysOf(stage, verdict)  # type: ignore[arg-type]
                (reply,) = self.send(self.reception(judge), "ann@local.test")
                self.assertEqual(450, reply.code, (stage, verdict))
                self.assertEqual(1, len(self.flushLoggedErrors(TypeError, ValueError)))
        self.assertEqual([], self.spool.admitted)

    def test_a_file_goes_when_finishing_breaks(self) -> None:
        """Whatever breaks, the file of a message that was not taken does not stay."""
        tag: Any = Verdict("tag", fields=((b"X-Score", 5),))  # type: ignore[arg-type]
        reception = self.reception(SaysOf("message", tag), inline=10)
        self.assertRaises(self.failureException, self.send, reception, "ann@local.test")
        self.assertTrue(self.spool.files[0].aborted)

    def test_a_file_stays_while_its_message_may_be_in_the_queue(self) -> None:
        for trouble, aborted in [(TemporarilyUnavailable("EIO"), True), (Undecided("EIO"), False)]:
            self.spool.trouble = trouble
            (reply,) = self.send(self.reception(inline=10), "ann@local.test")
            self.assertEqual((451, aborted), (reply.code, self.spool.files[-1].aborted))

    def test_connect_and_hello(self) -> None:
        defer = Verdict("defer", reason="later")
        reception = self.reception(SaysOf("connect", defer), SaysOf("hello", PASS))
        self.assertEqual(self.result(reception.connect(Client("s"))).code, 450)
        self.assertIsNone(self.result(reception.hello(Client("s"))))
        self.assertIsNone(self.reception().connect(Client("s")))


class FileContentTests(SynchronousTestCase):
    """Content that is in a file."""

    def test_blocks(self) -> None:
        from pathlib import Path

        path = Path(self.mktemp())
        path.write_bytes(b"x" * 600_000)
        content = FileContent(path, 600_000)
        self.assertEqual(b"".join(content.blocks()), content.read())
        self.assertLessEqual(max(map(len, content.blocks())), 256 * 1024)
