"""The routes of sequences: what they answer to what is right, and to what is wrong."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from tests.e2e.api import ServedApi

WAIT = {"id": "a", "do": "wait", "for": "9d"}
DEFINITION = {
    "triggers": [{"event": "signed_up"}],
    "reentry": "always",
    "steps": [WAIT, {"id": "b", "do": "exit"}],
}
ANN = "ann@example.net"


class SequenceRoutesTests(TestCase):
    async def served(self) -> None:
        self.api = await ServedApi(self).started()
        self.key = await self.api.key("default")

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = await self.api.ask(method, path, body, key=self.key)
        self.assertEqual(status, answer.status, f"{method} {path}: {answer}")
        return answer.json if status != 204 else None

    async def put(self, status: int = 200, **more: Any) -> Any:
        return await self.ask("PUT", "/v1/sequences/s", {"definition": {**DEFINITION, **more}}, status)

    async def test_versions(self) -> None:
        await self.served()
        self.assertEqual({"name": "s", "version": 1, "new": True, "live": True}, await self.put())
        self.assertFalse((await self.put())["new"])
        body = {"definition": {**DEFINITION, "title": "Second"}, "activate": False, "note": "later"}
        self.assertFalse((await self.ask("PUT", "/v1/sequences/s", body))["live"])
        page = await self.ask("GET", "/v1/sequences/s/versions?limit=1")
        self.assertEqual([2], [one["version"] for one in page["versions"]])
        page = await self.ask("GET", f"/v1/sequences/s/versions?limit=1&cursor={page['next']}")
        self.assertEqual(([1], None), ([one["version"] for one in page["versions"]], page["next"]))
        await self.ask("POST", "/v1/sequences/s/activate", {"version": 3}, 404)
        self.assertEqual(2, (await self.ask("POST", "/v1/sequences/s/activate", {"version": 2}))["live"])
        self.assertEqual("later", (await self.ask("GET", "/v1/sequences/s/versions/2"))["note"])
        for wrong in ("0", "3", "x", "9" * 30):
            await self.ask("GET", f"/v1/sequences/s/versions/{wrong}", status=404)
        detail = await self.ask("GET", "/v1/sequences/s")
        self.assertEqual(("runs", "● a: wait 9 days"), (detail["state"], detail["drawing"][3]))
        await self.ask("DELETE", "/v1/sequences/s", status=204)
        await self.ask("GET", "/v1/sequences/s", status=404)
        self.assertEqual([], (await self.ask("GET", "/v1/sequences"))["sequences"])

    async def test_what_is_wrong(self) -> None:
        """Each mistake with its place, and what to do; nothing is kept."""
        await self.served()
        answer = await self.put(422, steps=[{"id": "a", "do": "wiat"}])
        (error,) = answer["errors"]
        self.assertEqual("steps[1].do (a)", error["place"])
        self.assertIn("did you mean 'wait'?", error["detail"])
        await self.ask("GET", "/v1/sequences/s", status=404)
        checked = await self.ask(
            "POST", "/v1/sequences/check", {"definition": {"steps": [{**WAIT, "fro": 1}]}}
        )
        self.assertEqual((False, []), (checked["valid"], checked["drawing"]))
        self.assertEqual("unknown key", checked["problems"][0]["detail"])
        await self.ask("PUT", "/v1/sequences/No!", {"definition": DEFINITION}, 422)
        for method, path in (
            ("POST", "activate"),
            ("POST", "pause"),
            ("POST", "resume"),
            ("POST", "rehearse"),
            ("POST", "enrolments"),
            ("GET", "enrolments"),
            ("GET", "versions"),
            ("POST", "move"),
        ):
            bodies = {
                "activate": {"version": 1},
                "enrolments": {"addresses": [ANN]},
                "move": {"from": 1, "to": 2},
            }
            body = bodies.get(path, {}) if method == "POST" else None
            await self.ask(method, f"/v1/sequences/none/{path}", body, 404)

    async def test_enrolments(self) -> None:
        await self.served()
        await self.put()
        await self.ask("POST", "/v1/contacts", {"address": ANN}, 201)
        body = {"addresses": [ANN, ANN, "nobody@example.net"], "properties": {"order": 7}}
        taken = await self.ask("POST", "/v1/sequences/s/enrolments", body)
        first, second = (one["enrolment"] for one in taken["contacts"][:2])
        self.assertEqual((2, "there is no such contact"), (taken["enrolled"], taken["contacts"][2]["detail"]))
        page = await self.ask("GET", "/v1/sequences/s/enrolments?limit=1&state=active")
        self.assertEqual([first], [one["id"] for one in page["enrolments"]])
        page = await self.ask("GET", f"/v1/sequences/s/enrolments?limit=1&cursor={page['next']}")
        self.assertEqual([second], [one["id"] for one in page["enrolments"]])
        one = f"/v1/sequences/s/enrolments/{first}"
        self.assertEqual({"order": 7}, (await self.ask("GET", one))["properties"])
        await self.ask("POST", f"{one}/move", {"step": "zz"}, 422)
        await self.ask("POST", f"{one}/move", {"version": 9}, 422)
        await self.ask("DELETE", f"{one}?reason=asked", status=204)
        await self.ask("DELETE", one, status=409)
        await self.ask("POST", f"{one}/move", {"step": "b"}, 409)
        await self.ask("GET", "/v1/sequences/s/enrolments/999", status=404)
        await self.ask("GET", f"/v1/sequences/other/enrolments/{second}", status=404)
        runs = (await self.ask("GET", f"/v1/contacts/{ANN}/enrolments"))["enrolments"]
        self.assertEqual({first: "removed", second: "active"}, {run["id"]: run["state"] for run in runs})
        await self.ask("GET", "/v1/contacts/nobody@example.net/enrolments", status=404)
        await self.put(steps=[WAIT])
        self.assertEqual(
            {"moved": 1, "stay": 0}, await self.ask("POST", "/v1/sequences/s/move", {"from": 1, "to": 2})
        )
        await self.ask("POST", "/v1/sequences/s/pause", {"reason": "holidays"})
        self.assertEqual("paused", (await self.ask("GET", "/v1/sequences/s"))["state"])
        self.assertEqual("runs", (await self.ask("POST", "/v1/sequences/s/resume"))["state"])

    async def test_events(self) -> None:
        """Those that are wrong are told; the others are taken."""
        await self.served()
        events = [
            {"id": "1", "name": "x", "address": ANN, "attributes": {"plan": "pro"}},
            {"id": "2", "name": "x", "address": "no address"},
            {"id": "3", "name": "x", "address": ANN, "at": "2099-01-01T00:00:00Z"},
            {"id": "4", "name": "x", "address": ANN, "properties": {"much": "y" * 9000}},
            {"id": "1", "name": "x", "address": ANN, "attributes": {"plan": "free"}},
        ]
        answer = await self.ask("POST", "/v1/events", {"events": events}, 202)
        self.assertEqual(
            (1, 1, [1, 2, 3]),
            (answer["taken"], answer["known"], [one["place"] for one in answer["problems"]]),
        )
        contact = await self.ask("GET", f"/v1/contacts/{ANN}")
        self.assertEqual({"plan": "pro"}, contact["attributes"])
        body = {"events": [{"id": "5", "name": "x", "address": "bob@example.net"}], "create": False}
        self.assertIn(
            "there is no contact", (await self.ask("POST", "/v1/events", body, 202))["problems"][0]["detail"]
        )
        await self.ask("POST", "/v1/events", {"events": [{"id": "6", "name": "\n", "address": ANN}]}, 422)

    async def test_scopes(self) -> None:
        await self.served()
        await self.put()
        self.key = await self.api.key("default", ["sequences:read"])
        await self.ask("GET", "/v1/sequences/s")
        await self.put(403)
        await self.ask("POST", "/v1/events", {"events": [{"id": "1", "name": "x", "address": ANN}]}, 403)
        self.key = await self.api.key("default", ["events"])
        await self.ask("POST", "/v1/events", {"events": [{"id": "1", "name": "x", "address": ANN}]}, 202)
        await self.ask("GET", "/v1/sequences/s", status=403)
