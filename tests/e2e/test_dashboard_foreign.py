"""The dashboard's edge: other tenants' names, tricks with paths, other sites, bombs, smuggled requests."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from mta.dashboard.role import Right
from tests.api.v1.channel import Channel
from tests.e2e.dashboard import PEOPLE, ROLES
from tests.e2e.test_dashboard_roles import PERSONS, Walk, proof

#: What fields of forms that name a thing are called, and what ``acme`` has by that name.
_NAMED = {"address": "ann@example.net", "addresses": "ann@example.net", "list": "news", "segment": "all"}


class ForeignTests(Walk):
    """See the module."""

    async def things(self) -> dict[str, Any]:
        """All that ``acme`` has."""
        registry, audience = self.served.server.api.registry, self.served.server.api.automating.audience
        contacts = await audience.contacts.page("acme")
        return {
            "keys": await registry.keys.of("acme"),
            "endpoints": await registry.endpoints.of("acme"),
            "templates": await registry.templates.version("acme", "template", "hello", 0),
            "contacts": contacts,
            "lists": await audience.lists.page("acme"),
            "segments": await audience.segments.page("acme"),
        }

    def test_other_tenants_names(self) -> Deferred[None]:
        """A form of one tenant with all that another has changes nothing of it, nor says that it is there."""

        async def walk() -> None:
            await self._begin()
            names = {name: value for given in self.examples.values() for name, value in given.items()}
            before = await self.things()
            wrong = []
            for page in self.pages:
                if (
                    page.method != "POST"
                    or page.right is Right.ANYBODY
                    or not PERSONS["foreign"].may(page.right)
                ):
                    continue
                own = self.examples.get(page.path, {})
                for more in ({}, {"tenant": "acme"}):
                    fields = {
                        name: own.get(name) or _NAMED.get(name) or names.get(name, "acme")
                        for name in (page.form.model_fields if page.form else ())
                    }
                    fields |= {"csrf": self.proofs["foreign"], "confirmed": "yes", **more}
                    self.cookies["foreign"]["mta-tenant"] = "acme"
                    answer = await self.ask("foreign", "POST", self.path(page), fields)
                    if answer.status >= 500:
                        wrong.append(f"POST {page.path}: {answer.status}")
                    if page.parameters and answer.status not in (400, 404, 415, 422):
                        wrong.append(f"POST {page.path}: {answer.status}, {answer.headers.get('location')}")
            self.assertEqual([], wrong)
            self.assertEqual(repr(before), repr(await self.things()))

        return Deferred.fromCoroutine(walk())

    def test_paths(self) -> Deferred[None]:
        """However a path is written, it opens nothing to who may not open it."""

        async def walk() -> None:
            await self._begin()
            wrong = []
            for page in self.pages:
                if page.method != "GET" or page.right is Right.ANYBODY:
                    continue
                path = self.path(page)
                rest = path.removeprefix("/dashboard/")
                for written in (
                    f"//dashboard/{rest}",
                    f"/dashboard//{rest}",
                    f"/dashboard/./{rest}",
                    f"/dashboard/sign-in/../{rest}",
                    f"/dashboard/sign-in/%2e%2e/{rest}",
                    f"/dashboard/assets/..%2f{rest}",
                    f"/dashboard%2f{rest}",
                    f"/%64ashboard/{rest}",
                    f"/DASHBOARD/{rest}",
                    f"{path}/",
                    f"{path};x=1",
                    f"{path}%00",
                    f"{path}%2f",
                    f"http://mta{path}",
                ):
                    roles = [
                        role
                        for role in self.cookies
                        if role == "stranger" or not PERSONS[role].may(page.right)
                    ]
                    for role in roles[:2]:
                        answer = await self.ask(role, "GET", written)
                        if answer.status < 300 or answer.status >= 500:
                            wrong.append(f"{role}: GET {written}: {answer.status}")
                        if answer.headers.get("location", "/dashboard/").startswith("//"):
                            wrong.append(f"{role}: GET {written} leads to {answer.headers['location']}")
            self.assertEqual([], wrong)

        return Deferred.fromCoroutine(walk())

    def test_methods(self) -> Deferred[None]:
        """No other method, and no field that names another one, gets around a check."""

        async def walk() -> None:
            await self._begin()
            for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD"):
                for path in ("/dashboard/accounts", "/dashboard/keys/new", "/dashboard/sign-out"):
                    channel = Channel(self.served.server.doorway.site)
                    channel.send(
                        method, path, headers={"x-http-method-override": "GET", "connection": "close"}
                    )
                    for _ in range(6000):
                        if channel.transport.value():
                            break
                        await self.pause()
                    status = int(channel.transport.value().split()[1])
                    channel.protocol.connectionLost(Failure(ConnectionDone()))
                    self.assertIn(status, (303, 400, 401, 404, 405), (method, path))

        return Deferred.fromCoroutine(walk())

    async def pause(self) -> None:
        """Let the server go on."""
        await deferLater(reactor, 0.01)  # type: ignore[arg-type]

    def test_other_sites(self) -> Deferred[None]:
        """A form that another site sends is refused, whatever it brings; a session is nobody's to choose."""

        async def walk() -> None:
            await self._begin()
            body = f"theme=dark&csrf={self.proofs['tenant']}".encode()
            cookie = "; ".join(f"{name}={value}" for name, value in self.cookies["tenant"].items())
            form = "application/x-www-form-urlencoded"
            for headers in (
                {},
                {"origin": "null"},
                {"origin": "http://evil.example"},
                {"origin": "http://mta.evil.example"},
                {"origin": "http://mta@evil.example"},
                {"origin": "http://mta", "sec-fetch-site": "cross-site"},
                {"origin": "http://mta", "sec-fetch-site": "same-site"},
                {"referer": "http://evil.example/?http://mta/"},
                {"origin": "http://evil.example", "x-forwarded-host": "evil.example"},
            ):
                answer = await self.raw("/dashboard/preferences", body, form, {"cookie": cookie, **headers})
                self.assertEqual(403, answer[0], headers)
            good = {"cookie": cookie, "origin": "http://mta"}
            for media in ("text/plain", "application/json", "multipart/form-data; boundary=x", ""):
                answer = await self.raw("/dashboard/preferences", body, media or "x", good)
                self.assertEqual(415, answer[0], media)
            self.assertEqual(303, (await self.raw("/dashboard/preferences", body, form, good))[0])
            # A session that somebody else has put into the browser is none, and is not taken over.
            self.cookies["stranger"] = {"mta-session": "chosen"}
            page = (await self.ask("stranger", "GET", "/dashboard/sign-in")).content.decode()
            account = ROLES["viewer"]
            fields = {"csrf": proof(page), "account": account, "password": PEOPLE[account]}
            fields["next"] = "//evil.example/dashboard/"
            done = await self.ask("stranger", "POST", "/dashboard/sign-in", fields)
            self.assertEqual((303, "/dashboard/"), (done.status, done.headers["location"]))
            self.assertNotEqual("chosen", self.cookies["stranger"]["mta-session"])
            self.assertIn(b"HttpOnly; SameSite=Lax", done.octets)
            self.assertEqual("no-store", done.headers["cache-control"])

        return Deferred.fromCoroutine(walk())

    async def raw(self, path: str, body: bytes, media: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Send something that is no form of ours; status and all that came back."""
        channel = Channel(self.served.server.doorway.site)
        channel.send("POST", path, body, media=media, headers=headers)
        for _ in range(6000):
            if channel.transport.value():
                break
            await self.pause()
        octets = channel.transport.value()
        channel.protocol.connectionLost(Failure(ConnectionDone()))
        return int(octets.split()[1]), octets

    def test_bombs(self) -> Deferred[None]:
        """What is large, deep or in many parts is refused in a moment."""

        async def walk() -> None:
            await self._begin()
            cookie = "; ".join(f"{name}={value}" for name, value in self.cookies["tenant"].items())
            headers = {"cookie": cookie, "origin": "http://mta"}
            part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
            place = "/dashboard/contacts/imports/new"
            multipart = "multipart/form-data; boundary=x"
            for path, media, body in (
                ("/dashboard/preferences", "application/x-www-form-urlencoded", b"a=1&" * 100_000),
                ("/dashboard/preferences", "application/x-www-form-urlencoded", b"a=" + b"%41" * 500_000),
                ("/dashboard/preferences", "application/x-www-form-urlencoded", b"a=%ff"),
                (place, multipart, part * 20_000 + b"--x--\r\n"),
                (place, multipart, b"--x\r\n" + b"A: b\r\n" * 50_000 + b"\r\n--x--\r\n"),
                (place, multipart, b"--x\r\n" * 100_000),
                (place, "multipart/form-data", part),
                (place, "multipart/form-data; boundary=" + "y" * 5000, part),
            ):
                # Of this processor: whatever else the machine does takes its time, too.
                begun = time.process_time()
                status, _ = await self.raw(path, body, media, headers)
                self.assertIn(status, (400, 403, 413, 415), (path, media, body[:40]))
                self.assertLess(time.process_time() - begun, 10, (path, media, body[:40]))

        return Deferred.fromCoroutine(walk())

    def test_smuggled(self) -> Deferred[None]:
        """What two servers might read as one request or as two is refused, and the connection ended."""

        async def walk() -> None:
            await self._begin()
            inner = b"GET /healthz HTTP/1.1\r\nHost: mta\r\n\r\n"
            for field in (
                b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
                b"Content-Length: 3\r\nContent-Length: 0\r\n",
                b"Content-Length: +3\r\n",
                b"Content-Length: 0x3\r\n",
                b"Content-Length: 3, 3\r\n",
                b"Transfer-Encoding: xchunked\r\n",
                b"Transfer-Encoding: chunked, identity\r\n",
                b"Transfer-Encoding : chunked\r\n",
                b"Content-Length : 3\r\n",
            ):
                channel = Channel(self.served.server.doorway.site)
                head = b"POST /dashboard/sign-in HTTP/1.1\r\nHost: mta\r\n" + field + b"\r\n"
                channel.protocol.dataReceived(head + b"0\r\n\r\n" + inner)
                for _ in range(20):
                    await self.pause()
                said = channel.transport.value()
                channel.protocol.connectionLost(Failure(ConnectionDone()))
                self.assertNotIn(b"200 OK", said, field)
                self.assertTrue(said.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")) or not said, (field, said))

        return Deferred.fromCoroutine(walk())
