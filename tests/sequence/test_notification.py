"""Notifications by request: promised, sent once, and not to who has left meanwhile."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from mta.sequence import notification
from mta.sequence.notification import PREFIX, REMEMBERED, NoNotification, Notified
from tests.sequence.base import DAY, SequenceCase, Server

ANN, BOB = "ann@example.net", "bob@example.net"


class NotificationTests(SequenceCase):
    def setUp(self) -> None:
        super().setUp()
        self.contact(ANN)
        self.contact(BOB, channel="webhook", webhook="https://chat.example/bob")

    def ask(self, *addresses: str, name: str = "n1", **more: Any) -> dict[str, str]:
        """Ask for one; the ids by address."""
        values = {
            "sender": "shop@example.org",
            "reply_to": "",
            "mailing": "",
            "subject": "",
            "data": {"a": 1},
        }
        definition = notification.definition_of("t", **{**values, **more})
        people = [
            (contact, self.server.new_id())
            for one in addresses
            if (contact := self.done(self.audience.contacts.find("shop", one))) is not None
        ]

        def work(base: sqlite3.Connection) -> None:
            notification.ask(base, "shop", name, definition, people, self.server.now, "key k1")

        self.done(self.audience.database.change("enrolments", work))
        return {contact.address: message for contact, message in people}

    def of(self, name: str = "n1", tenant: str = "shop") -> list[Notified]:
        return self.done(self.audience.database.read(lambda base: notification.of(base, tenant, name)))

    def test_by_channel(self) -> None:
        ids = self.ask(ANN, BOB)
        self.assertEqual(
            [Notified(ANN, "mail", ids[ANN], True), Notified(BOB, "webhook", ids[BOB], True)], self.of()
        )
        self.turn()
        self.assertEqual([(ids[ANN], ANN, "notify")], self.server.mail)
        ((endpoint, url, identifier, body),) = self.server.posts
        self.assertEqual(("", "https://chat.example/bob", ids[BOB]), (endpoint, url, identifier))
        told = json.loads(body)
        self.assertEqual(("notification", "n1"), (told["type"], told["data"]["notification"]))
        self.assertEqual([False, False], [one.waits for one in self.of()])
        sent = self.said("send")
        self.assertEqual([(ANN, "mail"), (BOB, "webhook")], [(one.recipient, one.way) for one in sent])
        self.assertEqual({("key k1", PREFIX + "n1")}, {(one.by, one.sequence) for one in sent})

    def test_once_across_a_crash(self) -> None:
        """What the journal has is not sent again; what it has not is."""
        ids = self.ask(ANN)
        self.server.journal.add(ids[ANN])
        self.turn()
        self.assertEqual([], self.server.mail)
        ids = self.ask(ANN, name="n2")
        other = Server(0)
        other.now = self.server.now
        self.runner = self.started(other)
        self.turn()
        self.assertEqual([(ids[ANN], ANN, "notify")], other.mail)
        self.turn(DAY)
        self.assertEqual(1, len(other.mail))

    def test_another_worker(self) -> None:
        """Which sends it under an id of its own; that is told."""
        ids = self.ask(ANN)
        other = Server(1)
        self.runner = self.started(other, 1)
        self.turn()
        ((sent, _, _),) = other.mail
        self.assertNotEqual(ids[ANN], sent)
        self.assertEqual([Notified(ANN, "mail", sent, False)], self.of())

    def test_suppressed_meanwhile(self) -> None:
        self.ask(ANN, BOB)
        self.server.suppressed = {ANN: "it complained", BOB: "it complained"}
        self.turn()
        self.assertEqual(([], []), (self.server.mail, self.server.posts))
        self.assertEqual(["it complained"], [one.reason for one in self.said("skip")])
        self.assertEqual(["it complained"], [one.reason for one in self.said("post")])

    def test_list(self) -> None:
        """Mail can be left where a list is named."""
        self.server.term = self.server.term.__class__(base="https://mail.example.org")
        self.ask(ANN, mailing="orders")
        self.ask(ANN, name="n2")
        self.turn()
        self.assertEqual({"orders", None}, {plan.unsubscribe for plan in self.server.plans})

    def test_tenants_apart(self) -> None:
        self.ask(ANN)
        self.assertRaises(NoNotification, self.of, "n1", "other")

    def test_erased(self) -> None:
        self.ask(ANN, BOB)
        self.done(self.audience.contacts.erase("shop", ANN, self.server.now))
        self.turn()
        self.assertEqual([], self.server.mail)
        self.assertEqual([BOB], [one.address for one in self.of()])

    def test_forgotten(self) -> None:
        self.ask(ANN)
        self.turn()
        self.turn(REMEMBERED + 1)
        self.ask(ANN, name="n2")
        self.assertRaises(NoNotification, self.of)
        self.assertEqual([ANN], [one.address for one in self.of("n2")])

    def test_not_among_sequences(self) -> None:
        self.ask(ANN)
        self.assertEqual([], self.done(self.sequences.page("shop", "", 10)))
