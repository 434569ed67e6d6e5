"""django-anymail reads what is posted in Postmark's and SendGrid's formats.

``tools/set-up.sh clients`` fetches it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest
from twisted.web.resource import Resource
from twisted.web.server import Site

from mta.model.message_uuid import message_of, uuid_of
from mta.webhook.formats import posted
from tests.e2e.test_compatible import POSTMARK, SENDGRID, CompatibleCase
from tests.webhook.events import ANN, EVENTS, ID, RECEIVED

PYTHON = Path(sys.prefix) / "clients" / "bin" / "python"
PROGRAM = Path(__file__).with_name("vendor_webhooks.py")


class Receiver(Resource):
    """Takes everything."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.posts: list[dict[str, Any]] = []

    def render_POST(self, request: Any) -> bytes:
        headers = {
            name.decode(): values[0].decode() for name, values in request.requestHeaders.getAllRawHeaders()
        }
        self.posts.append({"body": request.content.read().decode(), "headers": headers, "key": ""})
        return b""


def understood(which: str, posts: list[dict[str, Any]]) -> list[Any]:
    """What anymail makes of posts."""
    if not PYTHON.exists():
        raise SkipTest("the clients are not there; `tools/set-up.sh clients` fetches them")
    done = subprocess.run(
        [str(PYTHON), str(PROGRAM), which], input=json.dumps(posts), capture_output=True, text=True
    )
    if done.returncode:
        raise AssertionError(done.stderr)
    found: list[Any] = json.loads(done.stdout)
    return found


class AnymailWebhookTests(CompatibleCase):
    async def table(self, which: str, expected: dict[str, Any]) -> None:
        names, posts = [], []
        for name, event in EVENTS.items():
            body = posted(which, "evt_0_1_1", event, RECEIVED)
            if body is not None:
                names.append(name)
                posts.append({"body": body.decode(), "headers": {}, "key": ""})
        found = dict(zip(names, await deferToThread(understood, which, posts), strict=True))
        self.assertEqual(
            expected, {name: (events[0]["type"], events[0]["reject"]) for name, events in found.items()}
        )
        self.assertEqual({ANN, "list@example.net"}, {events[0]["recipient"] for events in found.values()})
        delivered = found["delivered"][0]
        self.assertEqual(
            (2.0, "17", "250 2.0.0 ok"), (delivered["at"], delivered["metadata"]["order"], delivered["reply"])
        )
        self.assertEqual("https://example.org/", found["clicked"][0]["url"])
        self.assertEqual("Mail/1", found["opened"][0]["agent"])
        tags, known = (
            (["order"], uuid_of(ID)) if which == "postmark" else (["order", "spring"], RECEIVED.message_id)
        )
        self.assertEqual((tags, known), (delivered["tags"], delivered["message_id"]))

    async def test_postmark(self) -> None:
        await self.table(
            "postmark",
            {
                "delivered": ("delivered", None),
                "delivered to an alias": ("delivered", None),
                "deferred": ("deferred", None),
                "failed": ("bounced", "bounced"),
                "failed as spam": ("rejected", "blocked"),
                "failed of time": ("bounced", "bounced"),
                "bounced": ("bounced", "bounced"),
                "delayed": ("deferred", None),
                "complained": ("complained", "spam"),
                "opened": ("opened", None),
                "opened by a proxy": ("opened", None),
                "clicked": ("clicked", None),
                "unsubscribed": ("unsubscribed", "unsubscribed"),
                "subscribed again": ("subscribed", None),
                "suppression": ("bounced", "bounced"),
            },
        )

    async def test_sendgrid(self) -> None:
        await self.table(
            "sendgrid",
            {
                "received": ("queued", None),
                "delivered": ("delivered", None),
                "delivered to an alias": ("delivered", None),
                "deferred": ("deferred", None),
                "failed": ("bounced", None),
                "failed as spam": ("bounced", None),
                "failed of time": ("bounced", None),
                "bounced": ("bounced", None),
                "delayed": ("deferred", None),
                "complained": ("complained", None),
                "opened": ("opened", None),
                "opened by a proxy": ("opened", None),
                "clicked": ("clicked", None),
                "unsubscribed": ("unsubscribed", None),
                "subscribed again": ("subscribed", None),
                "suppressed": ("rejected", "bounced"),
            },
        )

    async def receiver(self, format: str) -> tuple[Receiver, Any]:
        """A server, and somebody who gets its events in a format."""
        await self.begun(webhook={"allow": ["127.0.0.1/32"]})
        receiver = Receiver()
        site = Site(receiver)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        admin = await self.api.key("default")
        body = {"url": f"http://127.0.0.1:{port.getHost().port}/", "format": format}
        made = await self.api.ask("POST", "/v1/webhooks", body, key=admin)
        self.assertEqual(201, made.status, made)
        return receiver, made.json

    async def posts(self, receiver: Receiver, count: int) -> list[dict[str, Any]]:
        for _ in range(6000):
            if len(receiver.posts) >= count:
                break
            await deferLater(reactor, 0.01)
        self.assertEqual(count, len(receiver.posts), receiver.posts)
        return receiver.posts

    async def test_served_postmark(self) -> None:
        receiver, _ = await self.receiver("postmark")
        sent = await self.postmark({**POSTMARK, "To": "ann@example.org", "Tag": "t", "Metadata": {"a": "1"}})
        posts = await self.posts(receiver, 1)
        ((event,),) = await deferToThread(understood, "postmark", posts)
        self.assertEqual(
            ("delivered", "ann@example.org", sent.json["MessageID"], ["t"], {"a": "1"}),
            tuple(event[name] for name in ("type", "recipient", "message_id", "tags", "metadata")),
        )
        self.assertTrue(message_of(event["message_id"]))

    async def test_served_sendgrid(self) -> None:
        """Signed, so that anymail with the endpoint's key takes it, and nothing else."""
        receiver, made = await self.receiver("sendgrid")
        body = {**SENDGRID, "custom_args": {"anymail_id": "its-own"}, "categories": ["t"]}
        self.assertEqual(202, (await self.sendgrid(body)).status)
        posts = [{**post, "key": made["verification_key"]} for post in await self.posts(receiver, 2)]
        forged = {**posts[0], "body": posts[0]["body"].replace("ann@", "bob@")}
        found = await deferToThread(understood, "sendgrid", [*posts, forged])
        self.assertEqual(400, found[2])
        self.assertEqual(
            [("queued", "ann@example.org", "its-own"), ("delivered", "ann@example.org", "its-own")],
            [(event["type"], event["recipient"], event["message_id"]) for (event,) in found[:2]],
        )
