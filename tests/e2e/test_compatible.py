"""Messages sent as Postmark's and SendGrid's applications send them, through a whole server."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor

from mta.interfaces import TemporarilyUnavailable
from mta.model.message_uuid import message_of
from tests.api.v1.channel import Answer
from tests.e2e.test_sending_api import SendingCase

POSTMARK = {
    "From": '"Shop, the" <shop@example.org>',
    "To": "Ann <ann@example.org>, ben@example.org",
    "Subject": "Hi",
    "TextBody": "It works.",
}
SENDGRID = {
    "personalizations": [{"to": [{"email": "ann@example.org", "name": "Ann"}]}],
    "from": {"email": "shop@example.org", "name": "Shop"},
    "subject": "Hi",
    "content": [{"type": "text/plain", "value": "It works."}],
}


class CompatibleCase(SendingCase):
    async def begun(self, **settings: Any) -> None:
        await self.served(**settings)

    async def postmark(self, body: Any, path: str = "/postmark/email", token: str | None = None) -> Answer:
        headers = {"X-Postmark-Server-Token": self.key if token is None else token}
        return await self.api.ask("POST", path, body, headers=headers)

    async def sendgrid(self, body: Any, **how: Any) -> Answer:
        return await self.send(body, "/v3/mail/send", **how)

    async def received(self, identifier: str) -> Any:
        return next(event for event in await self.events(identifier) if event.kind == "received")

    async def template(self) -> None:
        key = await self.api.key("default")
        body = {"subject": "Hello {{ name }}", "text": "For {{ name }}."}
        answer = await self.api.ask("PUT", "/v1/templates/greeting", body, key=key)
        self.assertLess(answer.status, 300, answer)

    async def suppressed(self, *addresses: str) -> None:
        key = await self.api.key("default")
        answer = await self.api.ask("POST", "/v1/suppressions", {"addresses": addresses}, key=key)
        self.assertLess(answer.status, 300, answer)


class PostmarkTests(CompatibleCase):
    async def test_arrives(self) -> None:
        await self.begun()
        answer = await self.postmark(
            {
                **POSTMARK,
                "HtmlBody": '<img src="cid:logo.png">',
                "Cc": None,
                "ReplyTo": "help@example.org",
                "Tag": "order",
                "Metadata": {"order": 17},
                "MessageStream": "broadcast",
                "Headers": [{"Name": "X-Order", "Value": "17"}],
                "Attachments": [
                    {
                        "Name": "l.png",
                        "Content": "UE5H",
                        "ContentType": "image/png",
                        "ContentID": "cid:logo.png",
                    }
                ],
                "InlineCss": True,
            }
        )
        self.assertEqual((200, 0, "OK"), (answer.status, answer.json["ErrorCode"], answer.json["Message"]))
        (message,) = await self.arrived("ann@example.org")
        await self.arrived("ben@example.org")
        self.assertEqual("Shop, the", message["From"].addresses[0].display_name)
        self.assertEqual(("17", "help@example.org"), (message["X-Order"], message["Reply-To"]))
        (image,) = [part for part in message.walk() if part.get_content_type() == "image/png"]
        self.assertEqual(("<logo.png>", b"PNG"), (image["Content-ID"], image.get_content()))
        event = await self.received(message_of(answer.json["MessageID"]))
        self.assertEqual(
            (["order"], {"order": "17"}, "broadcast", "api:default"),
            (event.tagged, event.metadata, event.campaign, event.account),
        )

    async def test_below_the_root(self) -> None:
        """A client that is given a host name only."""
        await self.begun()
        self.assertEqual(200, (await self.postmark(POSTMARK, "/email")).status)

    async def test_tokens(self) -> None:
        await self.begun()
        for token in ("", "wrong", "POSTMARK_API_TEST"):
            answer = await self.postmark(POSTMARK, token=token)
            self.assertEqual((401, 10), (answer.status, answer.json["ErrorCode"]))
            self.assertEqual("application/json", answer.headers["content-type"])
        reads = await self.api.key("default", ["messages:read"])
        self.assertEqual(401, (await self.postmark(POSTMARK, token=reads)).status)

    async def test_refused(self) -> None:
        await self.begun()
        cases: list[tuple[dict[str, Any], int, str]] = [
            ({"From": "ann@elsewhere.example"}, 400, "The 'From' address you supplied is not"),
            ({"To": "Ann <ann>"}, 300, "Invalid 'To' address: 'ann'."),
            ({"To": "nobody@example.org"}, 300, "Invalid 'To' address: 'nobody@example.org'.\n"),
            ({"To": ""}, 300, "Zero recipients"),
            ({"TextBody": ""}, 300, "Provide either"),
            ({"Attachments": [{"Name": "a", "Content": "?"}]}, 300, "Invalid 'Attachments.0.content': "),
            ({"Metadata": []}, 403, ""),
        ]
        for changed, code, text in cases:
            answer = await self.postmark({**POSTMARK, **changed})
            self.assertEqual((422, code), (answer.status, answer.json["ErrorCode"]), answer)
            self.assertTrue(answer.json["Message"].startswith(text), answer)
        self.assertEqual(402, (await self.postmark(b"{")).json["ErrorCode"])

    async def test_suppressed(self) -> None:
        await self.begun()
        await self.suppressed("ben@example.org")
        answer = await self.postmark(POSTMARK)
        self.assertEqual(0, answer.json["ErrorCode"])
        self.assertIn("inactive addresses: ben@example.org. Inactive recipients", answer.json["Message"])
        answer = await self.postmark({**POSTMARK, "To": "ben@example.org"})
        self.assertEqual((422, 406), (answer.status, answer.json["ErrorCode"]))

    async def test_batch(self) -> None:
        """What is wrong with one does not stop the others; a key counts for each."""
        await self.begun()
        batch = [POSTMARK, {**POSTMARK, "To": "no"}, {**POSTMARK, "To": "ben@example.org", "Subject": "2"}]
        headers = {"X-Postmark-Server-Token": self.key, "Idempotency-Key": "k"}
        first = await self.api.ask("POST", "/email/batch", batch, headers=headers)
        self.assertEqual([0, 300, 0], [one["ErrorCode"] for one in first.json])
        self.assertNotEqual(first.json[0]["MessageID"], first.json[2]["MessageID"])
        again = await self.api.ask("POST", "/email/batch", batch, headers=headers)
        self.assertEqual(
            [one.get("MessageID") for one in first.json], [one.get("MessageID") for one in again.json]
        )
        await self.arrived("ben@example.org", 2)
        many = await self.postmark([POSTMARK] * 501, "/email/batch")
        self.assertEqual((422, 410), (many.status, many.json["ErrorCode"]))

    async def test_disk_full(self) -> None:
        """Nothing was taken: all may be sent again, and 503 says so."""
        await self.begun()

        async def full(*what: Any) -> None:
            raise TemporarilyUnavailable("the disk is full")

        self.api.server.api.messages._hand_over = full  # type: ignore[assignment]
        answer = await self.postmark([POSTMARK, POSTMARK], "/email/batch")
        self.assertEqual((503, 100), (answer.status, answer.json["ErrorCode"]))
        answer = await self.postmark(POSTMARK)
        self.assertEqual(
            (503, 100, "10"), (answer.status, answer.json["ErrorCode"], answer.headers["retry-after"])
        )

    async def test_templates(self) -> None:
        await self.begun()
        await self.template()
        asked = {"From": "shop@example.org", "To": "ann@example.org", "TemplateAlias": "Greeting"}
        sent = await self.postmark({**asked, "TemplateModel": {"name": "Ann"}}, "/email/withTemplate/")
        self.assertEqual(200, sent.status, sent)
        (message,) = await self.arrived("ann@example.org")
        self.assertEqual("Hello Ann", message["Subject"])
        missing = await self.postmark({**asked, "TemplateModel": {}}, "/postmark/email/withTemplate")
        self.assertEqual((422, 1122), (missing.status, missing.json["ErrorCode"]))
        self.assertIn("name", missing.json["Message"])
        none = await self.postmark({**asked, "TemplateAlias": "none"}, "/email/withTemplate")
        self.assertEqual(1101, none.json["ErrorCode"])
        batch = {"Messages": [{**asked, "TemplateModel": {"name": one}} for one in ("B", "C")] + [asked]}
        answers = await self.postmark(batch, "/email/batchWithTemplates")
        self.assertEqual([0, 0, 1122], [one["ErrorCode"] for one in answers.json])


class SendGridTests(CompatibleCase):
    async def test_arrives(self) -> None:
        await self.begun()
        answer = await self.sendgrid(
            {
                **SENDGRID,
                "reply_to": {"email": "help@example.org"},
                "content": [
                    {"type": "text/plain", "value": "Text"},
                    {"type": "text/html", "value": '<img src="cid:l">'},
                ],
                "attachments": [
                    {
                        "content": "UE5H",
                        "type": "image/png",
                        "filename": "l.png",
                        "disposition": "inline",
                        "content_id": "l",
                    },
                    {"content": "UE5H", "type": 'text/plain; charset="utf-8"', "filename": ""},
                ],
                "categories": ["order"],
                "custom_args": {"order": "17"},
                "headers": {"X-Order": "17"},
                "asm": {"group_id": 1},
                "mail_settings": {"footer": {"enable": True}},
            }
        )
        self.assertEqual((202, b""), (answer.status, answer.content), answer)
        self.assertIn("asm (", answer.headers["mta-ignored"])
        self.assertIn("mail_settings.footer", answer.headers["mta-ignored"])
        (message,) = await self.arrived("ann@example.org")
        self.assertEqual(("17", "help@example.org"), (message["X-Order"], message["Reply-To"]))
        event = await self.received(answer.headers["x-message-id"])
        self.assertEqual((["order"], {"order": "17"}), (event.tagged, event.metadata))

    async def test_one_click(self) -> None:
        """The group is the list that is left, where there is an address for links."""
        await self.begun(api={"url": "https://mail.example.org"})
        body = {**SENDGRID, "asm": {"group_id": 17}}
        body["content"] = [{"type": "text/plain", "value": "Leave: <%asm_group_unsubscribe_raw_url%>"}]
        answer = await self.sendgrid(body)
        self.assertEqual((202, None), (answer.status, answer.headers.get("mta-ignored")), answer)
        (message,) = await self.arrived("ann@example.org")
        link = message["List-Unsubscribe"].strip("<>")
        self.assertTrue(link.startswith("https://mail.example.org/u/"), link)
        self.assertEqual(f"Leave: {link}", message.get_content().strip())
        path = link.removeprefix("https://mail.example.org")
        done = await self.api.ask(
            "POST", path, b"List-Unsubscribe=One-Click", media="application/x-www-form-urlencoded"
        )
        self.assertEqual(200, done.status, done)
        key = await self.api.key("default")
        listed = await self.api.ask("GET", "/v1/suppressions/ann@example.org", key=key)
        self.assertEqual(["group-17"], [one["list"] for one in listed.json["suppressions"]])

    async def test_personalizations(self) -> None:
        """Each is a message; they are found by one id."""
        await self.begun()
        people = [
            {
                "to": [{"email": "ann@example.org"}],
                "substitutions": {"-name-": "Ann"},
                "custom_args": {"n": "1"},
            },
            {"to": [{"email": "ben@example.org"}], "substitutions": {"-name-": "-part-"}, "subject": "Own"},
        ]
        body = {**SENDGRID, "personalizations": people, "subject": "To -name-", "sections": {"-part-": "Ben"}}
        body["content"] = [{"type": "text/plain", "value": "Hello -name-"}]
        answer = await self.sendgrid(body)
        self.assertEqual(202, answer.status, answer)
        (first,) = await self.arrived("ann@example.org")
        (second,) = await self.arrived("ben@example.org")
        self.assertEqual(("To Ann", "Own"), (first["Subject"], second["Subject"]))
        self.assertEqual("Hello Ben", second.get_content().strip())
        event = await self.received(first["Message-ID"].strip("<>").partition("@")[0])
        self.assertEqual((answer.headers["x-message-id"], {"n": "1"}), (event.batch, event.metadata))

    async def test_one_is_refused(self) -> None:
        """Nobody gets anything, so that the whole request may be sent again."""
        await self.begun()
        people = [{"to": [{"email": f"{name}@example.org"}]} for name in ("ann", "nobody")]
        answer = await self.sendgrid({**SENDGRID, "personalizations": people})
        self.assertEqual(400, answer.status, answer)
        self.assertEqual("personalizations.1.to.0", answer.json["errors"][0]["field"])
        self.assertEqual(0, (await self.api.server.spool.count())["messages"])

    async def test_broken_off(self) -> None:
        """The disk fails after the first message: the same request goes on with the second."""
        api = self.api = await self.served()
        messages = api.server.api.messages
        hand_over = messages._hand_over
        taken = []

        async def fails(*what: Any) -> Any:
            if not what[6]:
                if taken:
                    raise TemporarilyUnavailable("the disk is full")
                taken.append(1)
            return await hand_over(*what)

        messages._hand_over = fails  # type: ignore[assignment]
        people = [{"to": [{"email": f"{name}@example.org"}]} for name in ("ann", "ben")]
        body = {**SENDGRID, "personalizations": people}
        broken = await self.sendgrid(body)
        self.assertEqual(503, broken.status, broken)
        self.assertTrue(broken.json["errors"][0]["message"])
        messages._hand_over = hand_over
        self.assertEqual(202, (await self.sendgrid(body)).status)
        await self.arrived("ann@example.org", 1)
        await self.arrived("ben@example.org", 1)
        self.assertEqual(202, (await self.sendgrid(body)).status)
        await self.arrived("ann@example.org", 2)

    async def test_sandbox(self) -> None:
        await self.begun()
        answer = await self.sendgrid({**SENDGRID, "mail_settings": {"sandbox_mode": {"enable": True}}})
        self.assertEqual(200, answer.status)
        self.assertEqual(0, (await self.api.server.spool.count())["messages"])

    async def test_scheduled(self) -> None:
        await self.begun()
        at = int(reactor.seconds()) + 3600  # type: ignore[attr-defined]
        answer = await self.sendgrid({**SENDGRID, "send_at": at})
        self.assertEqual(float(at), (await self.received(answer.headers["x-message-id"])).scheduled)

    async def test_template(self) -> None:
        await self.begun()
        await self.template()
        one = {"to": [{"email": "ann@example.org"}], "dynamic_template_data": {"name": "Ann"}}
        body = {"personalizations": [one], "from": SENDGRID["from"], "template_id": "greeting"}
        self.assertEqual(202, (await self.sendgrid(body)).status)
        (message,) = await self.arrived("ann@example.org")
        self.assertEqual("Hello Ann", message["Subject"])
        body["personalizations"] = [one, {**one, "dynamic_template_data": {}}]
        answer = await self.sendgrid(body)
        self.assertEqual(400, answer.status)
        self.assertEqual("personalizations.1.dynamic_template_data", answer.json["errors"][0]["field"])

    async def test_refused(self) -> None:
        await self.begun()
        cases: list[tuple[dict[str, Any], int, str | None]] = [
            ({"from": {"email": "a@elsewhere.example"}}, 403, "from"),
            ({"from": {"email": "a"}}, 400, "from.email"),
            ({"content": []}, 400, "content"),
            ({"subject": ""}, 400, "subject"),
            ({"personalizations": []}, 400, "personalizations"),
            ({"content": [{"type": "text/calendar", "value": "x"}]}, 400, "content.0.type"),
            ({"attachments": [{"content": "?", "filename": "a"}]}, 400, "attachments.0.content"),
            ({"headers": {"Subject": "x"}}, 400, "headers"),
        ]
        for changed, status, field in cases:
            answer = await self.sendgrid({**SENDGRID, **changed})
            self.assertEqual((status, field), (answer.status, answer.json["errors"][0]["field"]), answer)
        answer = await self.sendgrid(SENDGRID, key="wrong")
        self.assertEqual(401, answer.status)
        self.assertEqual({"errors"}, set(json.loads(answer.content)))
