"""Which events put an address on a list."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.config.suppression_settings import SUPPRESSING
from mta.model.event import Bounced, Complained, Event, FailedTo, Received
from mta.model.event_engagement import Unsubscribed
from mta.suppression.reading import suppression

ID = "t000000000001"


def failed(**facts: Any) -> FailedTo:
    given = {
        "recipient": "Ann@b.example",
        "bounce_class": "bad-mailbox",
        "code": 550,
        "reply": "no such user",
    }
    return FailedTo(at=5.0, message=ID, **{**given, **facts})


def bounced(**facts: Any) -> Bounced:
    given = {"recipient": "ann@b.example", "bounce_class": "bad-mailbox", "matched": "token"}
    return Bounced(at=5.0, message=ID, notification="n", **{**given, **facts})


def complained(**facts: Any) -> Complained:
    given = {"recipient": "ann@b.example", "matched": "token"}
    return Complained(at=5.0, message=ID, notification="n", **{**given, **facts})


class ReadingTests(SynchronousTestCase):
    def received(self, tenant: str = "shop") -> Received:
        return Received(at=1.0, message=ID, tenant=tenant, recipients=["Ann@b.example"])

    def read(self, event: Event, received: Received | None = None, complaints: bool = True) -> str:
        entry, adds = suppression(event, received, SUPPRESSING, complaints)
        if entry is None:
            return ""
        return f"{'+' if adds else '-'} {entry.tenant} {entry.address} {entry.reason} {entry.list}".strip()

    def test_table(self) -> None:
        ours = self.received()
        bounce, complaint = "+ shop ann@b.example bounce", "+ shop ann@b.example complaint"
        table: tuple[tuple[Event, str], ...] = (
            (failed(), bounce),
            (failed(bounce_class="full"), ""),
            (failed(bounce_class=""), ""),
            (failed(expired=True), ""),
            (failed(recipient="postmaster"), ""),
            (bounced(), bounce),
            (bounced(action="delayed"), ""),
            (bounced(bounce_class="spam-content"), ""),
            (bounced(matched="message-id"), bounce),
            # Whoever has the message could send a report about somebody else.
            (bounced(matched="message-id", recipient="victim@b.example"), ""),
            (complained(), complaint),
            (complained(type="not-spam"), ""),
            (complained(type="opt-out"), complaint),
            (complained(matched="queue-id", recipient="victim@b.example"), ""),
        )
        for event, expected in table:
            with self.subTest(repr(event)):
                self.assertEqual(expected, self.read(event, ours))

    def test_what_belongs_to_no_tenant_has_no_list(self) -> None:
        self.assertEqual("", self.read(failed(), self.received("")))
        self.assertEqual("", self.read(failed(), None))

    def test_complaints_may_not_count(self) -> None:
        self.assertEqual("", self.read(complained(), self.received(), complaints=False))

    def test_unsubscribed_and_back(self) -> None:
        event = Unsubscribed(at=5.0, recipient="ann@b.example", tenant="shop", list="news")
        self.assertEqual("+ shop ann@b.example unsubscribe news", self.read(event))
        again = Unsubscribed(
            at=6.0, recipient="ann@b.example", tenant="shop", list="news", action="resubscribe"
        )
        self.assertEqual("- shop ann@b.example unsubscribe news", self.read(again))

    def test_evidence(self) -> None:
        entry, _ = suppression(failed(host="mx.b.example"), self.received(), SUPPRESSING, True)
        assert entry is not None
        self.assertEqual(
            {
                "message": ID,
                "event": "failed",
                "class": "bad-mailbox",
                "reply": "550 no such user",
                "host": "mx.b.example",
            },
            entry.evidence,
        )
