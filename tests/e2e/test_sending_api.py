"""Messages sent over HTTP, through a whole server: what arrives, what is refused, what is kept."""

from __future__ import annotations

import base64
import math
import re
from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from mta.registry.idempotency import Idempotency
from tests.api.v1.channel import Answer
from tests.e2e.api import ServedApi
from tests.e2e.clock import stay_within_a_day

LEAST = {"from": "shop@example.org", "to": ["ann@example.org"], "subject": "Hi", "text": "It works."}


class SendingCase(TestCase):
    #: Others' programs take their time to start.
    timeout = 300

    def setUp(self) -> None:
        self.users = Path(self.mktemp()).absolute()
        self.users.write_text("ann@example.org:{PLAIN}x\nben@example.org:{PLAIN}x\n")

    async def served(self, **settings: Any) -> ServedApi:
        identity = [{"kind": "file", "path": str(self.users)}]
        self.api = api = await ServedApi(self, identity=identity, **settings).started()
        self.key = await api.key("default", ["messages:send"])
        return api

    async def send(self, body: Any, path: str = "/v1/messages", **how: Any) -> Answer:
        return await self.api.ask("POST", path, body, **{"key": self.key, **how})

    async def arrived(self, address: str, count: int = 1) -> list[Any]:
        local, _, domain = address.partition("@")
        new = self.api.state / "mail" / domain / local / "new"
        for _ in range(6000):
            if new.is_dir() and len(list(new.iterdir())) >= count:
                break
            await deferLater(reactor, 0.01)
        files = sorted(new.iterdir())
        self.assertEqual(count, len(files))
        return [BytesParser(policy=policy.default).parsebytes(file.read_bytes()) for file in files]

    async def events(self, identifier: str) -> list[Any]:
        await self.api.journaled()
        return list(await self.api.server._environment.journal.message(identifier))


class SendingTests(SendingCase):
    async def test_arrives(self) -> None:
        await self.served()
        answer = await self.send(
            {
                **LEAST,
                "from": "Shöp <shop@example.org>",
                "cc": [{"email": "ben@example.org", "name": "Ben"}],
                "bcc": ["ann@example.org"],
                "html": '<p>It <img src="cid:logo"></p>',
                "attachments": [
                    {"name": "logo.png", "content": base64.b64encode(b"PNG").decode(), "cid": "logo"},
                    {"name": "a.txt", "content": base64.b64encode(b"text").decode()},
                ],
                "headers": {"X-Order": "17"},
                "tags": ["order"],
                "metadata": {"order": "17"},
                "campaign": "orders",
            }
        )
        self.assertEqual(202, answer.status, answer)
        taken = answer.json
        self.assertEqual(
            [(f"{taken['id']}.0", "ann@example.org"), (f"{taken['id']}.1", "ben@example.org")],
            [(one["id"], one["email"]) for one in taken["recipients"]],
        )
        (message,) = await self.arrived("ann@example.org")
        await self.arrived("ben@example.org")
        self.assertEqual(taken["message_id"], message["Message-ID"])
        self.assertEqual(("17", "Ben <ben@example.org>"), (message["X-Order"], message["Cc"]))
        self.assertIsNone(message["Bcc"])
        self.assertIn("with HTTP id", message["Received"])
        self.assertEqual(
            ["multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html"],
            [part.get_content_type() for part in message.walk()][:5],
        )
        received = (await self.events(taken["id"]))[0]
        self.assertEqual(
            ("Hi", ["order"], {"order": "17"}, "orders", "default", self.key.split("_")[1], "api:default"),
            (
                received.subject,
                received.tagged,
                received.metadata,
                received.campaign,
                received.tenant,
                received.key,
                received.account,
            ),
        )

    async def test_text_is_made_of_html(self) -> None:
        await self.served()
        await self.send({**LEAST, "text": None, "html": "<h1>Hello</h1><p>It works.</p>"})
        (message,) = await self.arrived("ann@example.org")
        self.assertIn("It works.", message.get_body(("plain",)).get_content())

    async def test_raw(self) -> None:
        await self.served()
        mime = b"From: shop@example.org\nTo: ann@example.org\nBcc: ben@example.org\nX-MTA-Tags: a\n\nHi\n"
        answer = await self.send(mime, "/v1/messages/raw", media="message/rfc822")
        self.assertEqual(202, answer.status, answer)
        (message,) = await self.arrived("ann@example.org")
        await self.arrived("ben@example.org")
        self.assertIsNone(message["Bcc"])
        self.assertIsNone(message["X-MTA-Tags"])
        self.assertEqual(answer.json["message_id"], message["Message-ID"])
        self.assertEqual(["a"], (await self.events(answer.json["id"]))[0].tagged)
        body = {"mime": base64.b64encode(mime).decode(), "to": ["ben@example.org"], "tags": ["b"]}
        again = await self.send(body, "/v1/messages/raw")
        self.assertEqual(["ben@example.org"], [one["email"] for one in again.json["recipients"]])
        self.assertEqual(["b"], (await self.events(again.json["id"]))[0].tagged)
        foreign = mime.replace(b"shop@example.org", b"shop@example.net")
        self.assertEqual(403, (await self.send(foreign, "/v1/messages/raw", media="message/rfc822")).status)
        nobody = await self.send(b"Subject: x\n\n", "/v1/messages/raw", media="message/rfc822")
        self.assertIn("no From", nobody.json["detail"])

    async def test_refused(self) -> None:
        api = await self.served()
        await api.tenant("shop", "shop.example")
        shop = await api.key("shop", ["messages:send"])
        for changes, status, pointer, how in (
            ({"from": "x@example.net"}, 403, "#/from", {}),
            # A domain of another tenant, in both directions.
            ({}, 403, "#/from", {"key": shop}),
            ({"from": "x@shop.example"}, 403, "#/from", {}),
            ({"return_path": "x@shop.example"}, 403, "#/return_path", {}),
            ({"to": ["ann@example.org", "nobody@example.org"]}, 422, "#/to/1", {}),
            ({"cc": ["no address"]}, 422, "#/cc/0/email", {}),
            ({"send_at": "2099-01-01T00:00:00Z"}, 422, "#/send_at", {}),
            ({"send_at": "2027-01-01T00:00:00"}, 422, "#/send_at", {}),
            ({"headers": {"Bcc": "x@y"}}, 422, "#/headers", {}),
            ({"subject": "a\r\nBcc: x@y"}, 422, "#/subject", {}),
            ({"attachments": [{"name": "a", "content": "?"}]}, 422, "#/attachments/0/content", {}),
            ({"to": []}, 422, "#", {}),
            ({"colour": "red"}, 422, "#/colour", {}),
        ):
            answer = await self.send({**LEAST, **changes}, **how)
            self.assertEqual(status, answer.status, f"{changes}: {answer}")
            self.assertIn(pointer, [one["pointer"] for one in answer.json["errors"]], changes)
            self.assertTrue(answer.json["cause"] and answer.json["remedy"])
        found: list[Any] = []
        while not found:
            # It is noted with the next commit; who was refused does not wait for that.
            found = list(await api.server._environment.journal.find("nobody@example.org"))
        self.assertEqual(["rejected"], [event.kind for event in found])
        self.assertFalse((api.state / "mail").exists())
        await api.server.api.administration.act("tenant-set", {"tenant": "default", "suspended": "unpaid"})
        answer = await self.send(LEAST)
        self.assertEqual((403, "unpaid"), (answer.status, answer.json["detail"]))

    async def test_dry_run(self) -> None:
        api = await self.served()
        answer = await self.send({**LEAST, "dry_run": True})
        self.assertEqual((200, "accepted"), (answer.status, answer.json["state"]))
        refused = await self.send({**LEAST, "to": ["nobody@example.org"], "dry_run": True})
        self.assertEqual(422, refused.status)
        self.assertEqual([], await self.events(answer.json["id"]))
        self.assertEqual([], list(await api.server._environment.journal.find("nobody@example.org")))

    async def test_scheduled(self) -> None:
        await self.served()
        at = reactor.seconds() + 3600  # type: ignore[attr-defined]
        text = datetime.fromtimestamp(int(at), UTC).isoformat()
        answer = await self.send({**LEAST, "send_at": text})
        self.assertEqual("scheduled", answer.json["state"])
        self.assertEqual(int(at), (await self.events(answer.json["id"]))[0].scheduled)


class OnceTests(SendingCase):
    """Idempotency-Key."""

    async def test_the_same_again(self) -> None:
        await self.served()
        headers = {"Idempotency-Key": "order-17"}
        first = await self.send(LEAST, headers=headers)
        second = await self.send(LEAST, headers=headers)
        self.assertEqual((202, first.json), (second.status, second.json))
        self.assertEqual("true", second.headers["idempotent-replayed"])
        other = await self.send({**LEAST, "text": "other"}, headers=headers)
        self.assertEqual((422, "/docs#problem-idempotency-mismatch"), (other.status, other.json["type"]))
        await self.arrived("ann@example.org", 1)
        # The structured form of the draft is the same key.
        quoted = await self.send(LEAST, headers={"Idempotency-Key": '"order-17"'})
        self.assertEqual(first.json, quoted.json)

    async def test_a_refusal_is_not_kept(self) -> None:
        await self.served()
        headers = {"Idempotency-Key": "k"}
        self.assertEqual(
            422, (await self.send({**LEAST, "to": ["nobody@example.org"]}, headers=headers)).status
        )
        self.assertEqual(202, (await self.send(LEAST, headers=headers)).status)
        long = await self.send(LEAST, headers={"Idempotency-Key": "x" * 300})
        self.assertEqual((422, "Idempotency-Key"), (long.status, long.json["errors"][0]["header"]))

    async def test_a_worker_that_died(self) -> None:
        """What was committed before it could be answered is not sent again; what was not, is."""
        api = await self.served()
        headers = {"Idempotency-Key": "k"}

        def lost(self: Idempotency, *answer: Any) -> None:
            """The answer is never kept."""

        self.patch(Idempotency, "keep_soon", lost)
        first = await self.send(LEAST, headers=headers)
        self.assertEqual(409, (await self.send(LEAST, headers=headers)).status)
        await Idempotency(api.server.api._database, "0:next", 1000.0).adopt()
        second = await self.send(LEAST, headers=headers)
        self.assertEqual(first.json["id"], second.json["id"])
        self.assertEqual(first.json["recipients"], second.json["recipients"])
        await self.arrived("ann@example.org", 1)

    async def test_a_request_that_failed_in_the_middle(self) -> None:
        """It was reserved, and nothing was done: the same request again is carried out."""
        api = await self.served()
        headers = {"Idempotency-Key": "k"}
        messages = api.server.api.messages
        hand_over = messages._hand_over

        async def fails(*what: Any) -> None:
            raise ZeroDivisionError

        messages._hand_over = fails  # type: ignore[assignment]
        failed = await self.send(LEAST, headers=headers)
        self.assertEqual(500, failed.status)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        messages._hand_over = hand_over
        self.assertEqual(202, (await self.send(LEAST, headers=headers)).status)
        await self.arrived("ann@example.org", 1)


class ActTests(SendingCase):
    """What waits is held, released, tried, given another time, and taken back."""

    async def act(self, identifier: str, action: str, body: Any = None, **how: Any) -> Answer:
        return await self.send(body or {}, f"/v1/messages/{identifier}/{action}", **how)

    async def scheduled(self) -> str:
        at = datetime.fromtimestamp(int(reactor.seconds()) + 3600, UTC).isoformat()  # type: ignore[attr-defined]
        identifier: str = (await self.send({**LEAST, "send_at": at})).json["id"]
        return identifier

    async def test_acts(self) -> None:
        api = await self.served()
        one = await self.scheduled()
        held = await self.act(one, "hold", {"reason": "look at it"})
        self.assertEqual(
            (200, "hold", ["ann@example.org"]), (held.status, held.json["action"], held.json["recipients"])
        )
        again = await self.act(one, "hold")
        self.assertEqual(
            (409, "there is nothing to hold: the message is held"), (again.status, again.json["detail"])
        )
        self.assertEqual(200, (await self.act(one, "release")).status)
        at = datetime.fromtimestamp(int(reactor.seconds()) + 7200, UTC)  # type: ignore[attr-defined]
        later = await self.act(one, "reschedule", {"send_at": at.isoformat()})
        self.assertEqual((200, f"{at:%Y-%m-%dT%H:%M:%S.000Z}"), (later.status, later.json["send_at"]))
        past = await self.act(one, "reschedule", {"send_at": "2020-01-01T00:00:00Z"})
        self.assertEqual((422, "#/send_at"), (past.status, past.json["errors"][0]["pointer"]))
        self.assertEqual(200, (await self.act(one, "retry")).status)
        await self.arrived("ann@example.org")
        gone = await self.act(one, "cancel")
        while gone.status == 200:
            # Its last attempt has ended, and its row goes with the next commit.
            gone = await self.act(one, "cancel")
        self.assertEqual((409, "/docs#problem-conflict"), (gone.status, gone.json["type"]))
        acts = [(event.action, event.by) for event in await self.events(one) if event.kind == "operated"]
        who = f"key {self.key.split('_')[1]} of default"
        self.assertEqual([(name, who) for name in ("hold", "release", "reschedule", "retry")], acts[:4])
        two = await self.scheduled()
        self.assertEqual(200, (await self.act(two, "cancel")).status)
        self.assertIn("completed", [event.kind for event in await self.events(two)])
        self.assertEqual(0, (await api.server.spool.count())["messages"])
        for wrong in ("nothing", "0an3k8ft00000", "zzzzzzzzzzzzz", two[:-2] + "zz"):
            self.assertEqual(404, (await self.act(wrong, "cancel")).status, wrong)


class AllowanceTests(SendingCase):
    async def test_a_day(self) -> None:
        """Of two tenants each has its own; what was refused does not count; a restart forgets nothing."""
        stay_within_a_day()
        api = await self.served()
        act = api.server.api.administration.act
        await act("tenant-set", {"tenant": "default", "per_day": 3})
        first = await self.send({**LEAST, "cc": ["ben@example.org"]})
        self.assertIn('"day";r=1;t=', first.headers["ratelimit"])
        self.assertIn('"day";q=3;w=86400', first.headers["ratelimit-policy"])
        await self.send({**LEAST, "to": ["nobody@example.org"]})
        await self.send({**LEAST, "dry_run": True})
        refused = await self.send({**LEAST, "cc": ["ben@example.org"]})
        self.assertEqual((429, "/docs#problem-quota"), (refused.status, refused.json["type"]))
        self.assertIn("has sent to 2; this is for 2 more", refused.json["detail"])
        self.assertLessEqual(int(refused.headers["retry-after"]), 86400)
        self.assertEqual(202, (await self.send(LEAST)).status)
        self.assertEqual(429, (await self.send(LEAST)).status)
        usage = api.server.api._usage
        await usage.write()
        other = type(usage)(api.server.api._database, reactor)
        self.assertEqual(3, await other.today("default"))

    async def test_a_second(self) -> None:
        api = await self.served()
        await api.server.api.administration.act("tenant-set", {"tenant": "default", "per_second": 0.01})
        begun = reactor.seconds()  # type: ignore[attr-defined]
        self.assertEqual(202, (await self.send(LEAST)).status)
        refused = await self.send(LEAST)
        self.assertEqual(429, refused.status)
        told = re.search(r'"recipients";r=0;t=(\d+)', refused.headers["ratelimit"])
        assert told is not None, refused.headers
        # What has passed since then is not waited for again.
        passed = math.ceil(reactor.seconds() - begun)  # type: ignore[attr-defined]
        for seconds in (told[1], refused.headers["retry-after"]):
            self.assertIn(int(seconds), range(100 - passed, 101))
