"""A tenant adds a domain, publishes its records, and sends signed mail from it."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from mta.model.event import Received
from tests.e2e.api import ServedApi
from tests.test_verifying import Zone

PLACE = "/v1/domains"


class SendingDomainTests(TestCase):
    async def ask(self, *what: Any, **how: Any) -> Any:
        return await self.api.ask(*what, key=self.key, **how)

    async def send(self) -> Any:
        body = {"from": "news@shop.example", "to": ["ann@far.example"], "subject": "Hello", "text": "Hello"}
        return await self.ask("POST", "/v1/messages", body)

    async def test_added_proved_and_signed(self) -> None:
        self.api = await ServedApi(self).started()
        await self.api.tenant("shop")
        self.key = await self.api.key("shop")
        zone = Zone()
        self.api.server.api._domains._resolver = zone  # type: ignore[assignment]
        refused = await self.send()
        self.assertEqual((403, "#/from"), (refused.status, refused.json["errors"][0]["pointer"]))
        self.assertIn("add it with POST /v1/domains", refused.json["detail"])
        added = await self.ask("POST", PLACE, {"domain": "Shop.example"})
        self.assertEqual((201, False), (added.status, added.json["sending"]), added)
        seen = (await self.ask("POST", f"{PLACE}/shop.example/verify")).json
        self.assertEqual({"missing"}, {one["state"] for one in seen["records"] if one["required"]})
        refused = await self.send()
        self.assertEqual(403, refused.status)
        self.assertIn("publish _mta.shop.example TXT mta-domain-verification=", refused.json["detail"])
        for record in added.json["records"]:
            zone.texts[record["name"]] = [record["value"]]
        store = self.api.server.api.registry.verifications
        claim = await store.get("shop", "shop.example")
        shown = await self.api.server.api._domains.check(_older(claim))
        self.assertEqual([], shown.lacking(["ownership", "dkim"]))
        self.assertTrue((await self.ask("GET", f"{PLACE}/shop.example")).json["sending"])
        for _ in range(1000):
            sent = await self.send()
            self.assertEqual(202, sent.status, sent)
            events = await self.api.server._environment.journal.message(sent.json["id"])
            (received,) = [event for event in events if isinstance(event, Received)]
            if received.tags.get("signature"):
                break
            # The keys are read with a reload, which is under way.
            await deferLater(reactor, 0.02)
        self.assertEqual("shop.example", received.tags["signature"]["domain"])
        self.assertEqual(204, (await self.ask("DELETE", f"{PLACE}/shop.example")).status)
        self.assertEqual(403, (await self.send()).status)
        self.assertEqual([], (await self.ask("GET", PLACE)).json["domains"])


def _older(claim: Any) -> Any:
    from dataclasses import replace

    return replace(claim, checked=0.0)
