"""Events as Postmark and SendGrid tell them: tables."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from mta.model.message_uuid import uuid_of
from mta.webhook.formats import posted, signed, tried, verification_key
from tests.webhook.events import ANN, EVENTS, ID, RECEIVED


def told(format: str, name: str) -> Any:
    body = posted(format, "evt_0_1_1", EVENTS[name], RECEIVED)
    return None if body is None else json.loads(body)


class PostmarkTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """What is told as what."""
        table: dict[str, tuple[str, Any] | None] = {
            "received": None,
            "delivered": ("Delivery", None),
            "delivered to an alias": ("Delivery", None),
            "deferred": ("Bounce", "Transient"),
            "failed": ("Bounce", "HardBounce"),
            "failed as spam": ("Bounce", "Blocked"),
            "failed of time": ("Bounce", "SoftBounce"),
            "bounced": ("Bounce", "HardBounce"),
            "delayed": ("Bounce", "Transient"),
            "confirmed": None,
            "complained": ("SpamComplaint", "SpamComplaint"),
            "opened": ("Open", None),
            "opened by a proxy": ("Open", None),
            "opened by a scanner": None,
            "clicked": ("Click", None),
            "clicked by a scanner": None,
            "unsubscribed": ("SubscriptionChange", None),
            "subscribed again": ("SubscriptionChange", None),
            "suppressed": None,
            "suppression": ("SubscriptionChange", None),
            "imported": None,
            "contact": None,
        }
        self.assertEqual(set(EVENTS), set(table))
        for name, expected in table.items():
            found = told("postmark", name)
            self.assertEqual(expected, found and (found["RecordType"], found.get("Type")), name)

    def test_message(self) -> None:
        found = told("postmark", "delivered")
        self.assertEqual(
            (uuid_of(ID), "news", "order", RECEIVED.metadata, ANN, "250 2.0.0 ok", "1970-01-01T00:00:02Z"),
            tuple(
                found[name]
                for name in (
                    "MessageID",
                    "MessageStream",
                    "Tag",
                    "Metadata",
                    "Recipient",
                    "Details",
                    "DeliveredAt",
                )
            ),
        )
        self.assertEqual("list@example.net", told("postmark", "delivered to an alias")["Recipient"])

    def test_bounce(self) -> None:
        found = told("postmark", "failed")
        self.assertEqual(
            (1, True, "550 5.1.1 no such user", "Hi"),
            (found["TypeCode"], found["Inactive"], found["Details"], found["Subject"]),
        )
        self.assertEqual(found["ID"], told("postmark", "bounced")["ID"], "it is made of the webhook-id")
        self.assertLess(found["ID"], 1 << 53)

    def test_subscriptions(self) -> None:
        table = [
            ("unsubscribed", True, "ManualSuppression"),
            ("subscribed again", False, None),
            ("suppression", True, "HardBounce"),
        ]
        for name, stops, reason in table:
            found = told("postmark", name)
            self.assertEqual((stops, reason), (found["SuppressSending"], found["SuppressionReason"]), name)


class SendGridTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        table: dict[str, dict[str, Any] | None] = {
            "received": {"event": "processed"},
            "delivered": {"event": "delivered", "response": "250 2.0.0 ok"},
            "delivered to an alias": {"event": "delivered", "email": "list@example.net"},
            "deferred": {"event": "deferred", "attempt": "2", "response": "451 4.7.1 later"},
            "failed": {"event": "bounce", "type": "bounce", "status": "5.1.1"},
            "failed as spam": {"event": "bounce", "type": "blocked"},
            "failed of time": {"event": "bounce", "type": "expired"},
            "bounced": {"event": "bounce", "type": "bounce", "reason": "gone"},
            "delayed": {"event": "deferred"},
            "confirmed": None,
            "complained": {"event": "spamreport"},
            "opened": {"event": "open", "sg_machine_open": False, "ip": "192.0.2.1", "useragent": "Mail/1"},
            "opened by a proxy": {"event": "open", "sg_machine_open": True},
            "opened by a scanner": None,
            "clicked": {"event": "click", "url": "https://example.org/"},
            "clicked by a scanner": None,
            "unsubscribed": {"event": "unsubscribe"},
            "subscribed again": {"event": "group_resubscribe"},
            "suppressed": {"event": "dropped", "reason": "Bounced Address"},
            "suppression": None,
            "imported": None,
            "contact": None,
        }
        self.assertEqual(set(EVENTS), set(table))
        for name, expected in table.items():
            found = told("sendgrid", name)
            if expected is None or found is None:
                self.assertIs(expected, found, name)
                continue
            self.assertEqual(expected, {key: found[0][key] for key in expected}, name)

    def test_message(self) -> None:
        """Metadata stand beside the rest, and hide nothing of it."""
        first, second = told("sendgrid", "received")
        self.assertEqual((ANN, "ben@example.net"), (first["email"], second["email"]))
        self.assertNotEqual(first["sg_event_id"], second["sg_event_id"])
        self.assertEqual(("17", "processed", 1), (first["order"], first["event"], first["timestamp"]))
        self.assertEqual((f"{ID}.{ID}", ["order", "spring"]), (first["sg_message_id"], first["category"]))

    def test_signature(self) -> None:
        """It is that of the key which the endpoint shows, over time and body."""
        fields = signed("sendgrid", [b"new", b"old"], 17, b"[]")
        octets = base64.b64decode(fields["X-Twilio-Email-Event-Webhook-Signature"])
        for secret, good in ((b"new", True), (b"old", False)):
            key = serialization.load_der_public_key(base64.b64decode(verification_key("sendgrid", secret)))
            assert isinstance(key, ec.EllipticCurvePublicKey)
            if good:
                key.verify(octets, b"17[]", ec.ECDSA(hashes.SHA256()))
            else:
                with self.assertRaises(InvalidSignature):
                    key.verify(octets, b"17[]", ec.ECDSA(hashes.SHA256()))
        self.assertEqual(({}, ""), (signed("postmark", [b"x"], 1, b""), verification_key("standard", b"x")))


class TrialTests(SynchronousTestCase):
    def test_formats(self) -> None:
        for format, expected in (("standard", "type"), ("postmark", "RecordType"), ("sendgrid", "event")):
            found = json.loads(tried(format, "evt", 1.0, {}))
            self.assertIn(expected, found[0] if format == "sendgrid" else found)
