"""What strangers write, shown on every page: none of it runs, none of it breaks a page."""

from __future__ import annotations

import smtplib
import socket
from typing import Any, ClassVar
from urllib.parse import quote

from tests.e2e.dashboard import PEOPLE, DashboardScenario
from tests.e2e.journal import events
from tests.e2e.remote import Remote
from tests.e2e.scenario import wait_for

#: Each sets a mark if it runs.
PAYLOADS = (
    "<script>window.hacked=1</script>",
    '"><img src=x onerror="window.hacked=1">',
    "'><svg onload=window.hacked=1>",
    "</textarea><script>window.hacked=1</script>",
    "</title></style><script>window.hacked=1</script>",
    '" autofocus onfocus="window.hacked=1',
    "javascript:window.hacked=1",
    "{{ 7*7 }}{% for x in visit %}{{ x }}{% endfor %}${7*7}",
    "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "\u202egnp.exe\u2066<b>\u0000\x1b[31mred\x07",
    "]]><!--<a href=//evil.example>click</a>",
    "&lt;script&gt;window.hacked=1&lt;/script&gt;",
)
_CLEAN = str.maketrans({"\0": " ", "\x1b": " ", "\x07": " ", "\r": " ", "\n": " "})


class HostileScenario(DashboardScenario):
    """A server that has heard nothing but this."""

    settings: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.remote = Remote()
        type(self).settings = {
            "access": {"relay_from": ["127.0.0.0/8"]},
            "authentication": {"free": 1000},
            "relay": {"smarthost": f"127.0.0.1:{self.remote.port}", "tls": "never"},
            "queue": {"retry": ["1h"], "jitter": 0.0, "minimum_free": "1M"},
        }
        super().setUp()
        self.part(self.remote)

    def prepare(self) -> None:
        """Say it all, in every field that a stranger can write."""
        codes = (b"451 4.7.1 ", b"550 5.1.1 ")
        self.remote.at["RCPT"] = [
            codes[number % 2] + payload.translate(_CLEAN).encode("ascii", "replace")
            for number, payload in enumerate(PAYLOADS)
        ]
        for payload in PAYLOADS:
            text = payload.translate(_CLEAN)
            with smtplib.SMTP(
                "127.0.0.1", self.server.ports["mx"], local_hostname="client.example"
            ) as session:
                session.docmd("HELO", text.encode("ascii", "replace").decode().replace(" ", ""))
                session.docmd("HELO", "client.example")
                local = "".join(c for c in text if c.isascii() and c not in '"\\ \t')[:40]
                session.mail("ben@example.org")
                session.rcpt(f'"{local}"@remote.example')
                session.data(f'Subject: {text}\r\nFrom: "{local}" <x@y.example>\r\n\r\n{text}\r\n'.encode())
                session.mail(f'"{local}"@evil.example')
                session.rcpt(f'"{local}"@example.org')
        expected = len(PAYLOADS) // 2
        wait_for(lambda: len(events(self.server, "deferred")) >= expected, "not all of it waits")

    def test_every_page(self) -> None:
        """All pages of the menu, and those behind, as the one who sees most."""
        door = self.tab(script=False)
        for payload in PAYLOADS[:4]:
            door.open("/dashboard/sign-in").fill(account=payload, password="x").press("Sign in").see(
                "is wrong"
            )
        tab = self.signed_in("anna@example.org")
        self.server.mta("queue", "hold", "--all", "--yes", "--reason", PAYLOADS[0])
        paths = tab.page.locator(".side nav a").evaluate_all("all => all.map(one => one.pathname)")
        self.assertIn("/dashboard/queue", paths)
        paths += ["/dashboard/queue/messages", "/dashboard/accounts?view=failed"]
        paths += ["/dashboard/reports/tls", "/dashboard/reports/records"]
        paths += ["/dashboard/messages?view=trouble", "/dashboard/messages?view=refused"]
        for payload in PAYLOADS:
            tab.page.goto(
                "/dashboard/messages?" + "&".join(f"{name}={quote(payload)}" for name in ("q", "view"))
            )
            tab.page.goto(f"/dashboard/accounts/one?account={quote(payload)}")
            tab.page.goto(f"/dashboard/reports?domain={quote(payload)}")
            self.assertIsNone(tab.page.evaluate("window.hacked ?? null"), payload)
        tab.open("/dashboard/held")
        found = tab.page.locator("main a").evaluate_all("all => all.map(one => one.pathname)")
        paths += sorted(
            {path for path in found if path.startswith(("/dashboard/messages/", "/dashboard/held/"))}
        )
        self.assertGreater(len(paths), len(PAYLOADS))
        for path in paths:
            tab.open(path)
            tab.page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
            self.assertIsNone(tab.page.evaluate("window.hacked ?? null"), path)
            self.assertNotIn("49$49", tab.page.content(), path)
        self.assertEqual([], tab.problems)

    def test_live(self) -> None:
        """What is shown live is as harmless."""
        tab = self.signed_in("vera@example.org").open("/dashboard/log")
        tab.page.locator("[data-state].on").wait_for()
        for payload in PAYLOADS:
            with socket.create_connection(("127.0.0.1", self.server.ports["mx"]), 60) as connection:
                connection.recv(512)
                said = payload.translate(_CLEAN).replace(" ", "")
                connection.sendall(f"HELO {said}\r\nMAIL FROM:<a@b.example>\r\n".encode())
                connection.recv(4096)
                connection.sendall(b"RCPT TO:<nobody@example.org>\r\nQUIT\r\n")
                # To the end: who hangs up before may not have been heard.
                while connection.recv(4096):
                    pass
        tab.page.locator(".log .badge", has_text="rejected").nth(3).wait_for()
        self.assertIsNone(tab.page.evaluate("window.hacked ?? null"))
        self.assertEqual([], tab.problems)
        self.assertNotIn(PEOPLE["vera@example.org"], tab.page.content())
