"""What applications are told of events."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.model.event import DeliveredTo, Received
from mta.model.event_engagement import Opened
from mta.model.event_suppression import SuppressionChanged
from mta.webhook.content import body_of, data_of, identity_of, shard_of, tenant_of
from mta.webhook.posting import wished

ID = "t000000000001"


def received(**more: Any) -> Received:
    facts: dict[str, Any] = {
        "tenant": "shop",
        "tagged": ["news"],
        "metadata": {"order": "1"},
        "subject": "Hi",
        "client": "192.0.2.1",
        "account": "api:shop",
        "tags": {"spf": "pass"},
        "recipients": ["a@b.example"],
    }
    return Received(at=1.0, message=ID, session="s1", **{**facts, **more})


class ContentTests(SynchronousTestCase):
    def test_what_the_application_gave_it(self) -> None:
        event = DeliveredTo(
            at=2.0,
            message=ID,
            recipient="a@b.example",
            transport="relay",
            next_hop="b.example",
            code=250,
            enhanced="2.0.0",
            reply="ok",
            host="mx.b.example",
            attempt=1,
            source="198.51.100.1",
        )
        data = data_of(event, received())
        self.assertEqual(
            (ID, ["news"], {"order": "1"}, "Hi", "a@b.example", "ok"),
            tuple(data[name] for name in ("message", "tags", "metadata", "subject", "recipient", "reply")),
        )
        self.assertNotIn("source", data)

    def test_nothing_of_ours(self) -> None:
        data = data_of(received(), received())
        self.assertEqual(["news"], data["tags"])
        self.assertFalse({"client", "account", "tagged", "key"} & set(data))
        opened = Opened(at=1.0, message=ID, recipient="a@b.example", tenant="shop", client="203.0.113.9")
        self.assertEqual("203.0.113.9", data_of(opened, None)["client"])

    def test_whose(self) -> None:
        self.assertEqual("shop", tenant_of(received(), received()))
        self.assertEqual("", tenant_of(DeliveredTo(at=1.0, message=ID, **_attempt()), None))
        change = SuppressionChanged(at=1.0, action="added", tenant="shop")
        self.assertEqual("shop", tenant_of(change, None))

    def test_body(self) -> None:
        found = json.loads(body_of("message.delivered", 1_800_000_000.5, {"a": 1}))
        self.assertEqual(
            {"type": "message.delivered", "timestamp": "2027-01-15T08:00:00.500Z", "data": {"a": 1}}, found
        )

    def test_ids(self) -> None:
        identity = identity_of(3, 17, 1.5)
        self.assertEqual(identity, identity_of(3, 17, 1.5))
        self.assertEqual(3, shard_of(identity))
        for text in ("", "evt_1_2", "evt_../x_2_3", "evt_999999_1_1", "msg_1_2_3", "evt_²_1_1"):
            self.assertIsNone(shard_of(text), text)

    def test_retry_after(self) -> None:
        for text, seconds in (
            ("120", 120.0),
            ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
            ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
            ("soon", 0.0),
            ("", 0.0),
            ("-5", 0.0),
        ):
            self.assertEqual(seconds, wished(text, 1_800_000_000.0), text)


def _attempt() -> dict[str, Any]:
    return {"recipient": "a@b.example", "transport": "relay", "next_hop": "", "code": 250, "reply": "ok"}
