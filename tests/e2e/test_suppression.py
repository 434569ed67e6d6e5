"""Suppression lists of a whole server: by the API, and by what the journal tells."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from mta.interfaces import settle
from mta.model.event import Bounced, Complained, Event, FailedTo, Received
from mta.model.event_engagement import Unsubscribed
from tests.e2e.api import ServedApi

LIST = "/v1/suppressions"


def received(message: str, tenant: str = "shop") -> Received:
    return Received(at=1.0, message=message, tenant=tenant, recipients=["ann@b.example"])


class SuppressionTests(TestCase):
    async def served(self) -> None:
        self.api = await ServedApi(self).started()
        await self.api.tenant("shop", "shop.example")
        self.key = await self.api.key("shop", ["suppressions"])

    async def ask(self, *what: Any, **how: Any) -> Any:
        return await self.api.ask(*what, key=self.key, **how)

    async def happens(self, *events: Event, expected: dict[str, str]) -> None:
        """Events are in the journal, and then the list is so."""
        self.api.server.spool.note(events)
        for _ in range(4000):
            answer = await self.ask("GET", LIST)
            found = {one["address"]: one["reason"] for one in answer.json["suppressions"]}
            if found == expected:
                return
            await deferLater(reactor, 0.01)
        self.fail(f"{found} is not {expected}")

    async def test_by_hand(self) -> None:
        await self.served()
        body = {"addresses": ["Ann@b.example", "bob@b.example"], "note": "asked"}
        self.assertEqual({"added": 2, "known": 0}, (await self.ask("POST", LIST, body)).json)
        self.assertEqual({"added": 0, "known": 2}, (await self.ask("POST", LIST, body)).json)
        page = (await self.ask("GET", f"{LIST}?limit=1")).json
        self.assertEqual(["ann@b.example"], [one["address"] for one in page["suppressions"]])
        page = (await self.ask("GET", f"{LIST}?limit=1&cursor={page['next']}")).json
        self.assertEqual(["bob@b.example"], [one["address"] for one in page["suppressions"]])
        one = (await self.ask("GET", f"{LIST}/ANN@b.example")).json
        self.assertEqual(["manual"], [entry["reason"] for entry in one["suppressions"]])
        self.assertEqual(404, (await self.ask("DELETE", f"{LIST}/ann@b.example?reason=bounce")).status)
        self.assertEqual(204, (await self.ask("DELETE", f"{LIST}/ann@b.example")).status)
        self.assertEqual(404, (await self.ask("GET", f"{LIST}/ann@b.example")).status)
        wrong = await self.ask("POST", LIST, {"addresses": ["ann@b.example", "nobody"]})
        self.assertEqual((422, "#/addresses/1"), (wrong.status, wrong.json["errors"][0]["pointer"]))
        self.assertEqual(422, (await self.ask("GET", f"{LIST}/nobody")).status)

    async def test_messages(self) -> None:
        """The others get it; who does not is told, and in the journal."""
        await self.served()
        await self.ask("POST", LIST, {"addresses": ["ann@far.example"]})
        key = await self.api.key("shop", ["messages:send"])
        body = {"from": "news@shop.example", "subject": "Hello", "text": "Hello"}
        to = ["Ann@far.example", "bob@far.example"]
        answer = await self.api.ask("POST", "/v1/messages", {**body, "to": to}, key=key)
        self.assertEqual(202, answer.status, answer)
        states = {one["email"].lower(): one["state"] for one in answer.json["recipients"]}
        self.assertEqual({"ann@far.example": "suppressed", "bob@far.example": "queued"}, states)
        journal = self.api.server._environment.journal
        events = await journal.message(answer.json["id"])
        told = {event.kind: event.payload() for event in events}
        self.assertEqual(["bob@far.example"], told["received"]["recipients"])
        self.assertEqual("manual", told["suppressed"]["reason"])
        answer = await self.api.ask("POST", "/v1/messages", {**body, "to": to[:1]}, key=key)
        self.assertEqual((202, "suppressed"), (answer.status, answer.json["state"]))

    async def test_files(self) -> None:
        await self.served()
        lines = "".join(f"u{number:04}@b.example\r\n" for number in range(2500))
        text = f"email\r\n{lines}nobody\r\n".encode()
        answer = await self.ask("POST", f"{LIST}/import?reason=bounce", text, media="text/csv")
        self.assertEqual((2500, 1), (answer.json["added"], answer.json["wrong"]))
        self.assertEqual(2502, answer.json["problems"][0]["line"])
        answer = await self.ask("GET", f"{LIST}/export?format=ndjson")
        rows = [json.loads(line) for line in answer.content.splitlines()]
        self.assertEqual(
            [f"u{number:04}@b.example" for number in range(2500)], [row["address"] for row in rows]
        )
        self.assertEqual({"bounce"}, {row["reason"] for row in rows})
        answer = await self.ask("GET", f"{LIST}/export")
        self.assertEqual(2501, len(answer.content.splitlines()))
        answer = await self.ask("POST", f"{LIST}/import", b"\xff@b.example", media="text/csv")
        self.assertEqual(400, answer.status)

    async def test_what_the_journal_tells(self) -> None:
        await self.served()
        spool = self.api.server.spool
        first, second, third = spool.new_id(), spool.new_id(), spool.new_id()
        facts = {"recipient": "ann@b.example", "bounce_class": "bad-mailbox", "code": 550}
        person = FailedTo(at=2.0, message=third, **{**facts, "recipient": "friend@b.example"})
        failed = FailedTo(at=2.0, message=first, reply="no such user", **facts)
        expected = {"ann@b.example": "bounce"}
        await self.happens(received(third, ""), person, received(first), failed, expected=expected)
        entry = (await self.ask("GET", f"{LIST}/ann@b.example")).json["suppressions"][0]
        self.assertEqual(
            (first, "550 no such user"), (entry["evidence"]["message"], entry["evidence"]["reply"])
        )
        bounce = {"matched": "token", "notification": second, "bounce_class": "inactive-mailbox"}
        bob = Bounced(at=3.0, message=first, recipient="bob@b.example", **bounce)
        cat = Complained(
            at=3.0, message=first, recipient="cat@b.example", matched="token", notification=second
        )
        dan = Unsubscribed(at=3.0, message=first, recipient="dan@b.example", tenant="shop")
        expected |= {"bob@b.example": "bounce", "cat@b.example": "complaint", "dan@b.example": "unsubscribe"}
        await self.happens(bob, cat, dan, expected=expected)
        back = Unsubscribed(at=4.0, recipient="dan@b.example", tenant="shop", action="resubscribe")
        del expected["dan@b.example"]
        await self.happens(back, expected=expected)
        kinds: list[str] = []
        while "suppression" not in kinds:
            # It is noted with a commit after that of the list.
            trace = await self.api.server._environment.journal.find("bob@b.example")
            kinds = [event.kind for event in trace]

    async def test_taken_up_after_a_stop(self) -> None:
        """The place is kept with what was made of it."""
        await self.served()
        message = self.api.server.spool.new_id()
        facts = {"recipient": "ann@b.example", "bounce_class": "bad-mailbox", "code": 550}
        failed = FailedTo(at=2.0, message=message, **facts)
        await self.happens(received(message), failed, expected={"ann@b.example": "bounce"})
        store = self.api.server.api.registry.suppressions
        place = await store.place(0)
        assert place is not None and place >= 2
        # Who reads it once more from there finds nothing new.
        again = await settle(store.find("shop", ["ann@b.example"]))
        self.assertEqual(["ann@b.example"], list(again))
