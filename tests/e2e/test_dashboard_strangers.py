"""Every page that can be reached, with hostile texts in all that anybody can write: nothing runs or breaks.

The journal holds an event of each kind with a stranger's text in each field (what remote servers, reports,
directories, filters, browsers said); tenants wrote the rest by the API, and mail came by SMTP.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import httpx

from mta.dashboard.live import LivePages  # noqa: F401  (all kinds of events)
from mta.model.event import Received, event_kinds
from tests import hostile
from tests.e2e.browser import Tab
from tests.e2e.dashboard import DashboardScenario
from tests.e2e.remote import Remote
from tests.journal.shard import Shard, ids, queued

#: One of each sort that a field of one line takes.
TEXTS = (hostile.ONE_LINE, hostile.HTML[3], hostile.HTML[7], hostile.TERMINAL[0] + hostile.TERMINAL[6])
#: What the page is asked for in the browser.
_FOUND = """() => [
    ...document.querySelectorAll('canary, #canary, base, object, embed, math, [srcdoc], meta[http-equiv]'),
    ...[...document.querySelectorAll('*')].filter(one =>
        one.getAttributeNames().some(name => name.startsWith('on') || name === 'style')
        || (one.tagName === 'SCRIPT' && !one.src.startsWith(location.origin + '/dashboard/assets/'))
        || ['href', 'src', 'action', 'formaction'].some(name => {
            const value = one.getAttribute(name);
            return value && !new URL(value, location.href).href.startsWith(location.origin + '/');
        })),
].map(one => one.outerHTML.slice(0, 200))"""
#: Of pages with the same shape so many are opened.
_ALIKE = 2


class StrangersScenario(DashboardScenario):
    """See the module."""

    settings: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.remote = Remote()
        self.remote.at["RCPT"] = [b"550 5.1.1 " + hostile.HTML[0].encode()]
        type(self).settings = {
            "authentication": {"free": 1000},
            "relay": {"smarthost": f"127.0.0.1:{self.remote.port}", "tls": "never"},
            "queue": {"retry": ["1h"], "jitter": 0.0, "minimum_free": "1M"},
        }
        super().setUp()
        self.part(self.remote)

    def prepare(self) -> None:
        """Write it all."""
        self.server.mta("tenant", "add", "acme")
        key = self.server.mta("key", "create", "--scope", "admin", "--tenant", "acme").split()[0]
        self.server.stop()
        with closing(sqlite3.connect(self.server.state / "registry.db")) as registry, registry:
            # There is no DNS that would say so.
            registry.execute("INSERT INTO domains VALUES ('acme.example', 'acme', 0)")
        self.stuff()
        self.server.change(api={"url": self.base})
        self.server.write()
        self.server.start()
        self.api = httpx.Client(base_url=self.base, headers={"authorization": f"Bearer {key}"}, timeout=60)
        self.addCleanup(self.api.close)
        self.write(self.api)

    def stuff(self) -> None:
        """What others said, as the journal and the queue keep it."""
        now = time.time()
        shard = Shard(self.server.state / "spool" / "0")
        for text, name in zip(TEXTS, ids(len(TEXTS), now - 60), strict=True):
            begun = Received(at=now - 60, message=name, sender=text, subject=text, tenant="acme")
            later = [
                hostile.event(kind, text, now - 50, message=name)
                for kind in sorted(event_kinds() - {"received", "dashboard-session"})
            ]
            alone = [
                hostile.event(kind, text, now - 40)
                for kind in sorted(event_kinds() - {"received", "started"})
            ]
            shard.write([begun, *later, *alone])
        for state, text, name in zip(("queued", "held") * 2, TEXTS, ids(4, now - 30), strict=True):
            local = re.sub(r'["\\\s\x00-\x1f\u0080-\uffff]', "", text)[:60]
            shard.admit(
                queued(name, f'"{local}"@y.example', f'"{local}"@z.example', state, 1, text, now - 30)
            )
        shard.close()

    def write(self, api: httpx.Client) -> None:
        """What a tenant may write."""
        self.refused: list[str] = []

        def put(method: str, path: str, body: Any) -> None:
            answer = api.request(method, path, json=body)
            if answer.status_code >= 500:
                raise AssertionError(f"{method} {path}: {answer.text}")
            if answer.status_code >= 400:
                self.refused.append(f"{method} {path}: {answer.text[:300]}")

        for number, written in enumerate(TEXTS[:3]):
            # The API takes nothing that cannot be printed.
            text = "".join(letter for letter in written if letter.isprintable())
            some, plain = text[:200], text.replace("{{", "").replace("{%", "")
            confirm = {"from": "n@acme.example"}
            given = {"title": some, "description": text, "opt_in": "double", "confirmation": confirm}
            put("PUT", f"/v1/lists/news{number}", given)
            attributes = {f"a{number}": text, "plan": some}
            contact = {"address": f"u{number}@example.net", "name": some, "attributes": attributes}
            put("POST", "/v1/contacts", {**contact, "source": text})
            member = {"address": f"j{number}@remote.example", "name": some, "source": text}
            put("POST", f"/v1/lists/news{number}/members", member)
            condition = {"attribute": "plan", "is": some}
            put("PUT", f"/v1/segments/s{number}", {"title": some, "condition": condition})
            put("POST", "/v1/suppressions", {"addresses": [f"x{number}@example.net"], "note": text})
            put("POST", "/v1/webhooks", {"url": f"https://app{number}.example/", "description": some})
            put("POST", "/v1/keys", {"name": some[:100], "scopes": ["messages:send"]})
            put("PUT", f"/v1/templates/t{number}", {"subject": "{{ x }}", "html": plain, "text": plain})
            happened = {"id": f"e{number}", "name": "x", "address": f"u{number}@example.net"}
            put("POST", "/v1/events", {"events": [{**happened, "properties": {"x": text}}]})
            definition = {
                "title": some,
                "from": "a@acme.example",
                "triggers": [{"event": "x"}],
                "steps": [{"id": "w", "do": "wait", "for": "2d"}, {"id": "b", "do": "exit"}],
            }
            put("PUT", f"/v1/sequences/q{number}", {"definition": definition, "note": some})
            campaign = {
                "name": f"c{number}",
                "title": some,
                "from": "a@acme.example",
                "audience": {"lists": [f"news{number}"]},
                "variants": [{"subject": plain[:200], "text": f"{plain} %unsubscribe_url%"}],
            }
            put("POST", "/v1/campaigns", campaign)
            message = {"from": {"email": "a@acme.example", "name": some[:100]}, "to": ["v@remote.example"]}
            more = {"tags": [some[:60]], "metadata": {"order": some[:100]}, "unsubscribe": "news0"}
            put("POST", "/v1/messages", {**message, "subject": some, "text": text, **more})

    def watched(self, tab: Tab) -> Tab:
        """Have a window tell what must not happen."""
        here = urlsplit(self.base).netloc
        tab.page.context.add_init_script(
            "window.canary = () => console.error('a canary ran');"
            "addEventListener('securitypolicyviolation', one => console.error(`refused: ${one.blockedURI}`));"
        )

        def asked(request: Any) -> None:
            where = urlsplit(request.url)
            if where.scheme not in ("data", "about", "blob") and where.netloc != here:
                tab.problems.append(f"{tab.page.url}: asked {request.url}")

        tab.page.on("request", asked)
        return tab

    def walk(self, tab: Tab, known: set[str]) -> list[str]:
        """Open all that can be reached, and a few of each shape; what is wrong."""
        wrong: list[str] = []
        shapes: dict[str, int] = {}
        self.first: set[str] = set()
        waiting = ["/dashboard/"]
        seen = set(waiting)
        while waiting:
            path = waiting.pop(0)
            answer = tab.page.goto(path, wait_until="load")
            if "attachment" in (answer.headers.get("content-disposition") or ""):
                continue
            if answer.status >= 400:
                wrong.append(f"{path}: {answer.status}")
            tab.page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
            if path in self.first:
                wrong += [f"{path}: {one}" for one in tab._axe()]
            wrong += [f"{path}: made of a text: {one}" for one in tab.page.evaluate(_FOUND)]
            if "9359028077" in tab.page.content():
                wrong.append(f"{path}: a text was taken for a template")
            links = "all => all.map(one => one.href.baseVal ?? one.href)"
            for link in tab.page.locator("a[href]").evaluate_all(links):
                where = urlsplit(link)
                place = where.path + (f"?{where.query}" if where.query else "")
                if not link.startswith(f"{self.base}/dashboard/") or "export" in place or place in seen:
                    continue
                seen.add(place)
                shape = (
                    re.sub(r"[^/]*(?:\d|%)[^/]*", "*", where.path) + "?" + re.sub(r"=[^&]*", "", where.query)
                )
                shapes[shape] = shapes.get(shape, 0) + 1
                if shapes[shape] == 1 and shape.endswith("?"):
                    self.first.add(place)
                if shapes[shape] <= _ALIKE:
                    waiting.append(place)
        known |= set(shapes)
        return wrong

    def test_all(self) -> None:
        """One server for all of it."""
        self.every_page()
        self.live()
        self.recipients()

    def every_page(self) -> None:
        """As the administrator, who sees all that is of the tenant, and what is of nobody."""
        door = self.tab(script=False)
        door.open("/dashboard/sign-in").fill(account=hostile.HTML[3], password="x").press("Sign in").see(
            "is wrong"
        )
        tab = self.watched(self.signed_in("anna@example.org"))
        with tab.page.expect_navigation():
            tab.page.locator("#tenant").select_option("acme")
        known: set[str] = set()
        wrong = self.walk(tab, known)
        self.assertEqual([], self.refused)
        wrong += self.problems(tab)
        self.assertEqual([], wrong, "\n".join(wrong))
        for path in ("messages/*", "contacts/at/*", "contacts/lists/at/*", "webhooks/at/*", "held/*"):
            self.assertTrue(any(path in one for one in known), (path, sorted(known)))
        # What stands in an address.
        for text in hostile.ALL[:24]:
            tab.page.goto(f"/dashboard/messages?q={quote(text[:300])}")
            self.assertEqual([], tab.page.evaluate(_FOUND), text)
        self.assertEqual([], self.problems(tab))

    def problems(self, tab: Tab) -> list[str]:
        """What went wrong; what a frame refuses of a tenant's template is as it should be."""
        return [one for one in tab.problems if "/frame?" not in one and '"img-src data:"' not in one]

    def live(self) -> None:
        """What comes while a page is open is put into it as text."""
        tab = self.watched(self.signed_in("anna@example.org")).open("/dashboard/log")
        tab.page.locator("[data-state].on").wait_for()
        for text in hostile.HTML[:6]:
            self.api.post("/v1/messages", json={"from": "a@acme.example", "to": [text], "subject": text})
            self.server.mta("suppression", "add", "z@example.net", "--tenant", "acme", "--note", text)
        tab.page.locator(".log li", has_text="z@example.net").first.wait_for()
        self.assertEqual([], tab.page.evaluate(_FOUND))
        self.assertEqual([], self.problems(tab))

    def recipients(self) -> None:
        """The pages that recipients see, and answers of the API that a browser is led to."""
        tab = self.watched(self.tab())
        mails = b"\n".join(mail.content for mail in self.remote.wait(4)).decode("utf-8", "replace")
        mails = mails.replace("=\r\n", "")
        paths = sorted(set(re.findall(rf"{re.escape(self.base)}(/[a-z]/[\w-]+)", mails)))
        self.assertEqual({"/d/", "/u/"}, {path[:3] for path in paths}, mails)
        paths += ["/docs", "/openapi.json", "/v1/messages", "/healthz"]
        for text in hostile.HTML[:12]:
            paths += [f"/{quote(text, safe='')}", f"/docs?x={quote(text)}", f"/u/{quote(text, safe='')}"]
        for path in paths:
            tab.page.goto(path)
            found = [one for one in tab.page.evaluate(_FOUND) if not one.startswith('<a href="https://')]
            self.assertEqual([], found, path)
            for button in tab.page.locator("form button").all()[:1]:
                with tab.page.expect_navigation():
                    button.click()
                self.assertEqual([], tab.page.evaluate(_FOUND), path)
        self.assertEqual([], tab.problems)
