"""Signing in to the dashboard by what checks accounts, and from behind a proxy, without a browser."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server
from tests.e2e.slapd import Slapd


class DoorScenario(Scenario):
    """A server, and a client that keeps cookies."""

    def serve(self, users: Any = None, **settings: Any) -> str:
        """Start it; its address."""
        server = self.server = Server(self.place / "server", users, **settings)
        port = server.add_listener("http")
        del server.ports["http"]
        server.write()
        self.part(server.start())
        return f"http://127.0.0.1:{port}"

    def sign_in(
        self, base: str, account: str, password: str, **headers: str
    ) -> tuple[httpx.Response, httpx.Client]:
        """Send the form."""
        client = httpx.Client(
            base_url=base, headers={"origin": base, "accept": "text/html", **headers}, timeout=60
        )
        self.addCleanup(client.close)
        page = client.get("/dashboard/sign-in")
        # The client keeps to the rule that what is for TLS only is not sent in clear; a proxy would.
        cookies = dict(client.cookies.items())
        if "x-forwarded-proto" in headers:
            client.headers["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        proof = re.search(r'name="csrf" value="(\w+)"', page.text)
        assert proof is not None, page.text
        fields = {"csrf": proof[1], "account": account, "password": password}
        return client.post("/dashboard/sign-in", data=fields), client

    def test_ldap(self) -> None:
        """An account of a directory, and what happens when it does not answer."""
        slapd = self.part(Slapd(self.place / "slapd"))
        (slapd.base / "service").write_text("service-secret\n")
        ldap = {
            "kind": "ldap",
            "uri": slapd.uri,
            "base": "dc=example,dc=org",
            "bind_dn": "cn=mta,dc=example,dc=org",
            "password_file": str(slapd.base / "service"),
            "start_tls": True,
            "ca_file": str(slapd.base / "ca.pem"),
        }
        base = self.serve(identity=[ldap], dashboard={"viewers": ["*@example.org"]})
        answer, _ = self.sign_in(base, "anna@example.org", "wrong")
        self.assertIn("Account or password is wrong.", answer.text)
        answer, client = self.sign_in(base, "anna@example.org", "anna-secret")
        self.assertEqual(303, answer.status_code, answer.text)
        self.assertIn("anna@example.org", client.get("/dashboard/").text)
        slapd.stop()
        answer, _ = self.sign_in(base, "ben@example.org", "ben-secret")
        self.assertIn("cannot be looked up just now", answer.text)
        # Whoever is in stays in.
        self.assertEqual(200, client.get("/dashboard/").status_code)
        wait_for(lambda: "mechanism=dashboard" in self.server.output, "the log does not tell of it")
        self.assertNotIn("anna-secret", self.server.output)

    def test_proxy(self) -> None:
        """Behind a proxy that ends TLS, cookies are for TLS only, and forms may come from its name."""
        base = self.serve(
            {"anna@example.org": "anna-secret"},
            dashboard={"administrators": ["anna@example.org"]},
            api={"proxies": ["127.0.0.1/32"], "url": "https://mail.example.org"},
        )
        told = {
            "x-forwarded-proto": "https",
            "x-forwarded-for": "192.0.2.77",
            "origin": "https://mail.example.org",
        }
        answer, _ = self.sign_in(base, "anna@example.org", "anna-secret", **told)
        self.assertEqual(303, answer.status_code, answer.text)
        cookie = answer.headers["set-cookie"]
        self.assertRegex(
            cookie, r"^__Host-mta-session=[\w-]{40,}; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age="
        )
        self.server.wait_trace("anna@example.org", "client=192.0.2.77")
        answer, _ = self.sign_in(
            base, "anna@example.org", "anna-secret", **{**told, "origin": "https://evil.example"}
        )
        self.assertEqual(403, answer.status_code)

    def test_slowly(self) -> None:
        """Wrong passwords are tried slowly, as those of SMTP are, and then not looked at."""
        base = self.serve(
            {"anna@example.org": "anna-secret"},
            dashboard={"administrators": ["anna@example.org"]},
            authentication={"free": 1, "delay": "10m", "wait": "1s"},
        )
        self.sign_in(base, "anna@example.org", "wrong")
        answer, _ = self.sign_in(base, "anna@example.org", "anna-secret")
        self.assertEqual(422, answer.status_code)
        self.assertIn("Too many wrong passwords were tried", answer.text)

    def test_front(self) -> None:
        """A browser is led to the pages, a program is told the numbers; without pages, both are."""
        base = self.serve({"anna@example.org": "anna-secret"})
        client = httpx.Client(base_url=base, timeout=60)
        self.addCleanup(client.close)
        led = client.get("/", headers={"accept": "text/html"})
        self.assertEqual((302, "/dashboard/"), (led.status_code, led.headers["location"]))
        self.assertEqual("ok", client.get("/").json()["status"])
        # Nobody has a role yet, and the page says what to write.
        self.assertIn("administrators = [", client.get("/dashboard/sign-in").text)
        self.server.change(dashboard={"enabled": False})
        self.server.write()
        self.server.reload()
        self.assertEqual(404, client.get("/dashboard/sign-in").status_code)
        self.assertEqual(200, client.get("/", headers={"accept": "text/html"}).status_code)
