"""Pages for what applications have, by a browser without scripts: suppressions, keys, webhooks, templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from mta.api.v1.webhooks import WebhookRoutes
from mta.dashboard.asked import Refused
from mta.dashboard.keys import KeyPages
from mta.dashboard.suppressions import SuppressionPages
from mta.dashboard.templates import TemplatePages
from mta.dashboard.visit import Visit
from mta.dashboard.webhooks import WebhookPages
from mta.presenting_api import Asking
from mta.registry.database import Direct, finished
from mta.registry.endpoints import Endpoint
from mta.registry.keys import matching
from mta.registry.registry import Registry, direct
from mta.registry.suppressions import Suppression
from mta.registry.tenants import Tenant
from mta.webhook.archive import Archive
from mta.webhook.outbox import TABLES as OUTBOX
from tests.api.v1.test_templates import HereRenderers
from tests.dashboard.desk import Desk

XSS = "<script>alert(1)</script>"


class OwnCase(SynchronousTestCase):
    """A desk with these pages, and a registry in a file."""

    def setUp(self) -> None:
        state = Path(self.mktemp())
        state.mkdir()
        database = direct(state)
        self.addCleanup(database.close)
        registry = Registry(database, [])
        for name in ("acme", "other"):
            finished(registry.tenants.add(Tenant(name)))
        self.suppressions, self.keys = registry.suppressions, registry.keys
        self.endpoints, self.templates = registry.endpoints, registry.templates
        self.woken: list[str] = []
        self.sent: list[Any] = []
        self.refusal = ""
        spool = Path(self.mktemp())
        (spool / "0").mkdir(parents=True)
        outbox = Direct(spool / "0" / "webhooks.db", (OUTBOX,))
        self.addCleanup(outbox.close)
        self.archive = Archive(spool)
        events: list[Any] = []
        webhooks = WebhookRoutes(
            self.endpoints,
            self.archive,
            0,
            wake=self.wake,
            refuses=lambda url: "it leads inside" if "127.0.0.1" in url else "",
            note=events.append,
            run_in_thread=self.run_here,
        )
        ask = Asking(webhooks.routes(), registry)
        self.desk = Desk(
            [
                *SuppressionPages(self.suppressions, events.append, self.run_here).pages(),
                *KeyPages(self.keys, events.append).pages(),
                *WebhookPages(self.endpoints, ask, self.archive, self.run_here).pages(),
                *TemplatePages(self.templates, HereRenderers(), self.ask, events.append).pages(),
            ]
        )
        self.events = events
        self.tina = self.desk.visitor("tenant")

    @staticmethod
    def run_here(call: Any, *rest: Any) -> Any:
        """As a thread would."""
        return succeed(call(*rest))

    async def wake(self, endpoint: Endpoint) -> None:
        """Somebody is told."""
        self.woken.append(endpoint.id)

    async def ask(
        self, visit: Visit, method: str, path: str, names: Any, *, body: Any, query: Any = None
    ) -> Any:
        """Something is sent."""
        if self.refusal:
            raise Refused(self.refusal)
        self.sent.append((visit.tenant, names["name"], path, body))
        return {"id": "0001"}

    def page(self, path: str) -> str:
        """What stands on a page."""
        answer = self.tina.get(path)
        self.assertEqual(200, answer.status, answer.content)
        return answer.content.decode()


class SuppressionPageTests(OwnCase):
    def listed(self, tenant: str = "acme") -> list[tuple[str, str]]:
        return [(one.address, one.reason) for one in finished(self.suppressions.page(tenant))]

    def test_added_told_and_lifted(self) -> None:
        self.assertIn("Nobody is suppressed", self.page("/dashboard/suppressions"))
        answer = self.tina.post(
            "/dashboard/suppressions/add", addresses="Ann@Example.org, bob@example.org\n", note=XSS
        )
        self.assertEqual("/dashboard/suppressions", answer.headers["location"])
        self.assertEqual([("ann@example.org", "manual"), ("bob@example.org", "manual")], self.listed())
        self.assertEqual([], self.listed("other"))
        self.assertEqual({"tina@example.org (dashboard)"}, {one.by for one in self.events})
        text = self.page("/dashboard/suppressions")
        self.assertIn("2 added.", text)
        self.assertIn("&lt;script&gt;", text)
        self.assertNotIn(XSS, text)
        fields = {"address": "ann@example.org", "reason": "manual", "list": ""}
        asked = self.tina.post("/dashboard/suppressions/lift", **fields)
        self.assertIn(b"Send to ann@example.org again?", asked.content)
        self.assertEqual(2, len(self.listed()))
        self.tina.post("/dashboard/suppressions/lift", confirmed="yes", **fields)
        self.assertEqual([("bob@example.org", "manual")], self.listed())
        self.assertEqual("removed", self.events[-1].action)

    def test_what_is_no_address_is_told_beside_its_field(self) -> None:
        answer = self.tina.post("/dashboard/suppressions/add", addresses="ann@example.org nobody")
        self.assertEqual(422, answer.status)
        self.assertIn(b'aria-invalid="true"', answer.content)
        self.assertIn(b"ann@example.org nobody</textarea>", answer.content)
        self.assertEqual([], self.listed())

    def test_lines_that_cannot_be_used_are_told(self) -> None:
        content = b"address,reason\nann@example.org,bounce\nnobody,bounce\nbob@example.org,because\n"
        answer = self.tina.upload("/dashboard/suppressions/import", "file", "list.csv", content)
        text = answer.content.decode()
        self.assertEqual([("ann@example.org", "bounce")], self.listed())
        self.assertRegex(text, r'data-label="Line">3<')
        self.assertRegex(text, r'data-label="Line">4<')
        wrong = self.tina.upload("/dashboard/suppressions/import", "file", "list.csv", b"\xff\xfe")
        self.assertIn(b"Octet 0 is not UTF-8", wrong.content)

    def test_pages_and_the_file_have_all(self) -> None:
        entries = [Suppression(f"u{number:04}@example.org", "bounce") for number in range(120)]
        finished(self.suppressions.add("acme", entries))
        seen: list[str] = []
        path = "/dashboard/suppressions?reason=bounce"
        while path:
            text = self.page(path)
            seen += self.tina.texts(text, r"<th scope=\"row\" data-label=\"Address\">([^<]+)<")
            found = self.tina.texts(text, r'href="([^"]+)" rel="next"')
            path = found[0].replace("&amp;", "&") if found else ""
        self.assertEqual([one.address for one in entries], seen)
        exported = self.tina.get("/dashboard/suppressions/export")
        self.assertIn("suppressions.csv", exported.headers["content-disposition"])
        self.assertEqual(121, exported.content.count(b"\n"))

    def test_a_viewer_may_look_only(self) -> None:
        vera = self.desk.visitor("viewer")
        self.assertNotIn(b"/dashboard/suppressions/add", vera.get("/dashboard/suppressions").content)
        self.assertEqual(403, vera.post("/dashboard/suppressions/add", addresses="a@example.org").status)


class KeyPageTests(OwnCase):
    def test_made_shown_once_replaced_and_revoked(self) -> None:
        answer = self.tina.post("/dashboard/keys/new", name="shop", scopes=["messages:send"], days="30")
        (text,) = self.tina.texts(answer.content.decode(), r'<pre id="secret">(mk_\w+)</pre>')
        (key,) = finished(self.keys.of("acme"))
        now = self.desk.clock.seconds()
        self.assertEqual(30 * 86400, key.expires - now)
        known = {key.id: key}
        self.assertEqual(key, matching(known, text, now))
        self.assertNotIn(text.rpartition("_")[2], self.page("/dashboard/keys"))
        self.assertIn(f"mk_{key.id}_", self.page("/dashboard/keys"))
        self.tina.post("/dashboard/keys/rotate", id=key.id, hours="1")
        old = finished(self.keys.get("acme", key.id))
        self.assertEqual(3600, old.expires - now)
        self.assertIn(b"Revoke the key", self.tina.post("/dashboard/keys/revoke", id=key.id).content)
        self.assertEqual(2, len(finished(self.keys.of("acme"))))
        self.tina.post("/dashboard/keys/revoke", id=key.id, confirmed="yes")
        (left,) = finished(self.keys.of("acme"))
        self.assertEqual(key.id, left.replaces)
        self.assertEqual(["key create", "key rotate", "key revoke"], [one.action for one in self.events])
        self.assertNotIn(text.rpartition("_")[2], repr(self.events))

    def test_revoked_by_two_at_once(self) -> None:
        """Who comes second is told that there is none; it is no accident."""
        self.tina.post("/dashboard/keys/new", name="shop", scopes=["messages:send"])
        (key,) = finished(self.keys.of("acme"))
        self.patch(self.keys, "get", lambda tenant, identifier: succeed(key))
        finished(self.keys.revoke("acme", key.id))
        answer = self.tina.post("/dashboard/keys/revoke", id=key.id, confirmed="yes")
        self.assertEqual(404, answer.status, answer)
        self.assertIn(b"There is no such key", answer.content)
        self.assertNotIn("key revoke", [one.action for one in self.events])

    def test_wrong_forms(self) -> None:
        answer = self.tina.post("/dashboard/keys/new", name="", scopes=["messages:send"])
        self.assertEqual(422, answer.status)
        answer = self.tina.post("/dashboard/keys/new", name="x")
        self.assertIn(b"Choose one at least.", answer.content)
        answer = self.tina.post("/dashboard/keys/new", name="x", scopes=["everything"])
        self.assertIn(b"There is no scope", answer.content)
        self.assertEqual([], finished(self.keys.of("acme")))

    def test_anothers_key_is_not_there(self) -> None:
        key, _ = finished(self.keys.create("other", "theirs", ["admin"], 1.0))
        for path in ("rotate", "revoke"):
            answer = self.tina.post(f"/dashboard/keys/{path}", id=key.id, confirmed="yes")
            self.assertEqual(404, answer.status)
        self.assertEqual(404, self.tina.get(f"/dashboard/keys/{key.id}/rotate").status)
        self.assertEqual([key], finished(self.keys.of("other")))

    def test_who_acts_on_mail_makes_no_keys(self) -> None:
        self.assertEqual(403, self.desk.visitor("operator").get("/dashboard/keys/new").status)


class WebhookPageTests(OwnCase):
    def make(self, **more: Any) -> Endpoint:
        answer = self.tina.post("/dashboard/webhooks/new", url="https://app.example.org/x", **more)
        self.assertEqual(200, answer.status, answer.content)
        self.secret = self.tina.texts(answer.content.decode(), r"(whsec_[\w+/=]+)")[0]
        return finished(self.endpoints.of("acme"))[-1]

    def test_made_changed_and_removed(self) -> None:
        one = self.make(events=["message.*"], tags="a, b", description=XSS)
        self.assertEqual((("message.*",), ("a", "b")), (one.events, one.tags))
        self.assertEqual(one.secrets[0].text, self.secret)
        at = f"/dashboard/webhooks/at/{one.id}"
        for path in ("/dashboard/webhooks", at, f"{at}/edit"):
            text = self.page(path)
            self.assertNotIn(self.secret, text)
            self.assertNotIn(XSS, text)
        wrong = self.tina.post(f"{at}/edit", url="ftp://x", events=["*"])
        self.assertIn(b"https://", wrong.content)
        inside = self.tina.post(f"{at}/edit", url="https://127.0.0.1/", events=["*"])
        self.assertIn(b'id="field-url-wrong">It leads inside.', inside.content)
        self.tina.post(f"{at}/edit", url="https://b.example.org/", events=["*"], format="sendgrid")
        changed = finished(self.endpoints.get("acme", one.id))
        self.assertEqual(("https://b.example.org/", "sendgrid"), (changed.url, changed.format))
        self.tina.post("/dashboard/webhooks/rotate", id=one.id, confirmed="yes")
        self.assertEqual(2, len(finished(self.endpoints.get("acme", one.id)).secrets))
        self.assertIn(b"Remove this", self.tina.post("/dashboard/webhooks/remove", id=one.id).content)
        self.tina.post("/dashboard/webhooks/remove", id=one.id, confirmed="yes")
        self.assertEqual([], finished(self.endpoints.of("acme")))

    def test_tried_out_and_delivered_again(self) -> None:
        one = self.make()
        answer = self.tina.post("/dashboard/webhooks/test", id=one.id)
        self.assertEqual([one.id], self.woken)
        text = self.page(answer.headers["location"])
        self.assertIn("webhook.test", text)
        (delivery,) = self.archive.page(one.id, None, 10)
        self.assertIn(delivery.id, self.page(f"/dashboard/webhooks/at/{one.id}?state=waiting"))
        self.tina.post("/dashboard/webhooks/again", id=one.id, delivery=delivery.id)
        self.assertEqual(404, self.tina.post("/dashboard/webhooks/again", id=one.id, delivery="x").status)
        self.tina.post("/dashboard/webhooks/switch", id=one.id, enabled="no")
        self.assertFalse(finished(self.endpoints.get("acme", one.id)).enabled)
        self.assertIn("Switch on", self.page(f"/dashboard/webhooks/at/{one.id}"))

    def test_anothers_endpoint_is_not_there(self) -> None:
        theirs = finished(self.endpoints.create("other", "https://x.example.org/", 1.0))
        self.assertEqual(404, self.tina.get(f"/dashboard/webhooks/at/{theirs.id}").status)
        for path in ("test", "rotate", "remove", "recover"):
            answer = self.tina.post(f"/dashboard/webhooks/{path}", id=theirs.id, confirmed="yes")
            self.assertEqual(404, answer.status, path)


class TemplatePageTests(OwnCase):
    AT = "/dashboard/templates/at/template/hello"

    def keep(self, **fields: Any) -> Any:
        given = {"kind": "template", "name": "hello", "subject": "Hi {{ name }}", "html": "<p>{{ name }}</p>"}
        given = {**given, "strict": "on", "activate": "on", **fields}
        # A box that is not ticked is not sent.
        sent = {name: value for name, value in given.items() if value is not None}
        return self.tina.upload("/dashboard/templates/new", "", "", b"", **sent)

    def test_kept_looked_at_and_used(self) -> None:
        self.assertIn("No templates yet", self.page("/dashboard/templates"))
        answer = self.keep()
        self.assertEqual(f"{self.AT}?version=1", answer.headers["location"])
        self.keep(subject="Bye {{ name }}", activate=None)
        data = quote(json.dumps({"name": XSS}))
        text = self.page(f"{self.AT}?version=2&data={data}")
        self.assertIn("Bye &lt;script&gt;", text)
        self.assertNotIn(XSS, text)
        frame = self.tina.get(f"{self.AT}/frame?data={data}")
        self.assertIn("sandbox", frame.headers["content-security-policy"])
        self.assertNotIn(XSS.encode(), frame.content)
        self.tina.post("/dashboard/templates/activate", kind="template", name="hello", version="2")
        self.assertEqual(2, finished(self.templates.get("acme", "template", "hello")).live)
        self.tina.post("/dashboard/templates/remove", kind="template", name="hello", confirmed="yes")
        self.assertEqual([], finished(self.templates.page("acme", "template", "", 10)))

    def test_mistakes_stand_beside_their_fields_with_line(self) -> None:
        text = self.keep(html="<p>\n{{ name </p>").content.decode()
        self.assertRegex(text, r'id="field-html-wrong">html, line 2')
        self.assertIn("{{ name &lt;/p&gt;", text)
        self.assertIn(b"A template has a subject.", self.keep(subject="").content)
        self.assertIn(b"is no JSON", self.keep(translations="{").content)
        self.assertIn(b"1 to 64 of", self.keep(name="Hello World").content)
        self.assertEqual([], finished(self.templates.page("acme", "template", "", 10)))

    def test_what_is_missing_is_told(self) -> None:
        self.keep()
        self.assertIn("name", self.page(f"{self.AT}?data={{}}"))
        self.assertIn("It cannot be shown with these data", self.page(f"{self.AT}?data={{}}"))
        self.assertIn("is no JSON", self.page(f"{self.AT}?data=["))

    def test_a_test_is_sent_or_refused(self) -> None:
        self.keep()
        fields = {"version": "0", "sender": "a@acme.example", "to": "b@example.org", "data": "", "locale": ""}
        answer = self.tina.post(f"{self.AT}/test", **fields)
        self.assertEqual("/dashboard/messages/0001", answer.headers["location"])
        self.assertEqual([("acme", "hello")], [one[:2] for one in self.sent])
        self.refusal = "the domain is not yours"
        self.assertIn(b"the domain is not yours", self.tina.post(f"{self.AT}/test", **fields).content)
        self.assertEqual(404, self.tina.get("/dashboard/templates/at/thing/hello").status)
        self.assertEqual(404, self.tina.get("/dashboard/templates/at/template/other").status)
