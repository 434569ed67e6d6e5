"""A tenant's keys over HTTP."""

from __future__ import annotations

from twisted.internet.task import Clock

from mta.api.v1.application import Application
from mta.api.v1.keys import KeyRoutes
from mta.api.v1.site import ApiSite
from mta.model.event import Event
from tests.api.v1.test_application import NOW, ApplicationCase


class KeyRouteTests(ApplicationCase):
    def setUp(self) -> None:
        super().setUp()
        self.noted: list[Event] = []
        routes = KeyRoutes(self.registry.keys, self.noted.append).routes()
        self.site = ApiSite(Application(self.registry, routes, reactor=self.clock).app.resource(), 2000, 30)
        self.site.reactor = Clock()
        self.key = self.make_key("default", "keys", "messages:send")

    def test_life_of_a_key(self) -> None:
        made = self.ask("POST", "/v1/keys", {"name": "shop", "scopes": ["messages:send"], "expires_in": 60})
        self.assertEqual(201, made.status)
        identifier, text = made.json["id"], made.json["key"]
        self.assertEqual("2027-01-15T08:01:00.000Z", made.json["expires"])
        shown = self.ask("GET", f"/v1/keys/{identifier}")
        self.assertEqual({**made.json, "key": None}, {**shown.json, "key": None})
        self.assertNotIn(text.split("_")[2].encode(), shown.content)
        self.assertIn(identifier, [one["id"] for one in self.ask("GET", "/v1/keys").json["keys"]])
        turned = self.ask("POST", f"/v1/keys/{identifier}/rotate", {"overlap": 5})
        self.assertEqual((201, identifier), (turned.status, turned.json["replaces"]))
        self.assertEqual(204, self.ask("DELETE", f"/v1/keys/{turned.json['id']}").status)
        self.refused("wrong-key", self.ask("GET", "/v1/keys", key=turned.json["key"]))
        self.clock.advance(5)
        self.refused("wrong-key", self.ask("GET", "/v1/keys", key=text))
        self.assertEqual(["key create", "key rotate", "key revoke"], [one.action for one in self.noted])
        self.assertNotIn(text.split("_")[2], repr(self.noted))

    def test_no_key_gives_more_than_it_has(self) -> None:
        for scope in ("domains", "admin"):
            document = self.refused("scope", self.ask("POST", "/v1/keys", {"name": "x", "scopes": [scope]}))
            self.assertEqual("#/scopes", document["errors"][0]["pointer"])
        admin = self.make_key("default", "admin").split("_")[1]
        self.refused("scope", self.ask("POST", f"/v1/keys/{admin}/rotate", {}))
        wrong = self.ask("POST", "/v1/keys", {"name": "x", "scopes": ["mail"]})
        self.assertIn("there is no scope 'mail'", self.refused("invalid", wrong)["detail"])

    def test_whose_key(self) -> None:
        key = self.make_key("shop", "messages:read", expires=NOW + 1)
        answer = self.ask("GET", "/v1/tenant", key=key).json
        self.assertEqual(
            ("shop", key.split("_")[1], ["messages:read"]),
            (answer["tenant"], answer["key"], answer["scopes"]),
        )
