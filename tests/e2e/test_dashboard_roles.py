"""Every page of the dashboard, walked by every role, a stranger, and a tenant who owns nothing of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from mta.audience.contact import Contact
from mta.audience.imports import Import
from mta.audience.lists import MailingList
from mta.audience.segments import Segment
from mta.dashboard.page import Page
from mta.dashboard.role import Person, Right, Role
from mta.model.event_report import DmarcReportReceived
from mta.model.ids import IdSource
from mta.sequence.definition import Definition
from mta.webhook.trial import trial
from tests.api.v1.channel import Answer, Channel
from tests.e2e.api import ServedApi
from tests.e2e.dashboard import PEOPLE, ROLES, SETTINGS

#: Who is who: of each role, and a tenant other than the one whose things are looked at.
PERSONS = {
    "administrator": Person("", Role.ADMINISTRATOR),
    "operator": Person("", Role.OPERATOR),
    "viewer": Person("", Role.VIEWER),
    "tenant": Person("", Role.TENANT, "acme"),
    "foreign": Person("", Role.TENANT, "other"),
}
#: Pages that show nothing of a tenant's, though they have braces.
OF_NOBODY = frozenset({"/dashboard/held/{id}"})
#: They end the session, or do not end at all.
LEFT_OUT = {"/dashboard/sign-out", "/dashboard/live"}


class Walk(TestCase):
    """A server with somebody of each role, and something of each kind that the tenant ``acme`` owns."""

    timeout = 300

    async def _begin(self) -> None:
        self.served = ServedApi(
            self, dashboard=SETTINGS, identity=[{"kind": "file", "path": "users"}], users=PEOPLE
        )
        await self.served.started()
        for name in ("acme", "other"):
            await self.served.tenant(name, f"{name}.example")
        self.examples = await self.made()
        application = self.served.server.doorway.presenting.application
        self.pages = [page for page in application.pages if page.path not in LEFT_OUT]
        self.cookies: dict[str, dict[str, str]] = {"stranger": {}}
        self.proofs: dict[str, str] = {"stranger": ""}
        for role, account in ROLES.items():
            # What staff look at is of this tenant.
            self.cookies[role] = {"mta-tenant": "acme"}
            page = (await self.ask(role, "GET", "/dashboard/sign-in")).content.decode()
            done = await self.ask(
                role,
                "POST",
                "/dashboard/sign-in",
                {"csrf": proof(page), "account": account, "password": PEOPLE[account]},
            )
            self.assertEqual(303, done.status, done)
            self.proofs[role] = proof((await self.ask(role, "GET", "/dashboard/sessions")).content.decode())

    async def made(self) -> Mapping[str, Mapping[str, str]]:
        """What stands in the braces of a path, by the path: something of the tenant ``acme``, made here.

        A page with braces that is not here fails the test.
        """
        registry = self.served.server.api.registry
        key, _ = await registry.keys.create("acme", "shop", ["admin"], 1.0)
        endpoint = await registry.endpoints.create("acme", "https://app.example.org/", 1.0)
        await registry.templates.add("acme", "template", "hello", {"subject": "Hi", "text": "Hi"}, 1.0)
        delivery = trial(endpoint, 0, 1.0, "a test")
        self.served.server.api.archive.put(0, delivery, 1.0)
        hook = {"id": endpoint.id, "delivery": delivery.id}
        template = {"kind": "template", "name": "hello"}
        audience = self.served.server.api.automating.audience
        await audience.contacts.put("acme", Contact("ann@example.net"), 1.0)
        await audience.lists.put("acme", MailingList("news"), 1.0)
        await audience.segments.put("acme", Segment("all", condition={"field": "name", "exists": True}), 1.0)
        await audience.imports.begin(Import("im_1", "acme", 0, "done", 1.0, 1.0, "a test"))
        sequences = self.served.server.api.sequencing.sequences
        definition = Definition.model_validate(
            {"from": "a@acme.example", "steps": [{"id": "pause", "do": "wait", "for": "1d"}]}
        )
        await sequences.put("acme", "welcome", definition, 1.0, who="a test")
        ((_, run, _),) = await sequences.enrol("acme", "welcome", ["ann@example.net"], {}, 1.0, "a test")
        assert run is not None
        campaign = {
            "name": "spring",
            "audience": {"lists": ["news"]},
            "from": "a@acme.example",
            "variants": [{"name": "A", "template": "hello"}],
        }
        now = reactor.seconds()  # type: ignore[attr-defined]
        report = DmarcReportReceived(
            at=now, message=IdSource(0).next(now), organization="far", report="1", domain="acme.example"
        )
        self.served.server.spool.note((report,))
        own = {
            "/dashboard/reports/at/": {"id": str(report.message)},
            "/dashboard/campaigns/at/": {"name": "spring"},
            "/dashboard/sequences/at/": {"name": "welcome", "enrolment": str(run.id)},
            "/dashboard/contacts/at/": {"address": "ann%40example.net"},
            "/dashboard/contacts/lists/": {"name": "news"},
            "/dashboard/contacts/segments/": {"name": "all"},
            "/dashboard/contacts/imports/": {"id": "im_1"},
            "/dashboard/domains/at/": {"name": "acme.example"},
            "/dashboard/keys/": {"id": key.id},
            "/dashboard/webhooks/": hook,
            "/dashboard/templates/": template,
        }
        text = await self.served.key("acme")
        drafted = await self.served.ask("POST", "/v1/campaigns", campaign, key=text)
        self.assertEqual(201, drafted.status, drafted)
        body = {"from": "a@acme.example", "to": ["x@remote.example"], "subject": "Hello", "text": "."}
        sent = await self.served.ask("POST", "/v1/messages", body, key=text)
        self.assertEqual(202, sent.status, sent)
        pages = self.served.server.doorway.presenting.application.pages
        return {
            "/dashboard/messages/{id}": {"id": sent.json["id"]},
            "/dashboard/messages/{id}/again": {"id": sent.json["id"]},
            "/dashboard/held/{id}": {"id": sent.json["id"]},
            **{
                page.path: given
                for page in pages
                for begin, given in own.items()
                if page.path.startswith(begin)
            },
        }

    async def ask(self, role: str, method: str, path: str, fields: Mapping[str, str] | None = None) -> Answer:
        """Send a request in somebody's name, and wait for the answer."""
        headers = {"origin": "http://mta", "accept": "text/html"}
        if self.cookies[role]:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies[role].items())
        channel = Channel(self.served.server.doorway.site)
        body = None if fields is None else urlencode(fields).encode()
        channel.send(method, path, body, media="application/x-www-form-urlencoded", headers=headers)
        for _ in range(12_000):
            octets = channel.transport.value()
            head, blank, rest = octets.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            whole = len(rest) >= int(length[1]) if length else octets.endswith(b"0\r\n\r\n")
            if blank and whole:
                channel.protocol.connectionLost(Failure(ConnectionDone()))
                for name, value in re.findall(rb"(?im)^set-cookie: ([^=]+)=([^;\r]*)", head):
                    self.cookies[role][name.decode()] = value.decode()
                return Answer(octets)
            await deferLater(reactor, 0.005)
        raise AssertionError(f"no answer to {method} {path}")

    def path(self, page: Page) -> str:
        """Where it is, with what stands in the braces."""
        path = page.path
        if page.parameters:
            given = self.examples.get(path)
            self.assertIsNotNone(given, f"made() has nothing for {path}")
            assert given is not None
            for name, value in given.items():
                path = path.replace("{" + name + "}", value)
        return path


class RoleTests(Walk):
    """See the module."""

    def test_look(self) -> Deferred[None]:
        """Each page opens for those who may, and for nobody else; nobody finds a page that fails."""

        async def walk() -> None:
            await self._begin()
            wrong = []
            for page in self.pages:
                if page.method != "GET":
                    continue
                path = self.path(page)
                owned = bool(page.parameters) and page.path not in OF_NOBODY
                for role in self.cookies:
                    answer = await self.ask(role, "GET", path)
                    wanted = self.wanted(page, role, owned)
                    if answer.status not in wanted:
                        wrong.append(f"{role}: GET {path}: {answer.status}, not {wanted}")
            self.assertEqual([], wrong)

        return Deferred.fromCoroutine(walk())

    def wanted(self, page: Page, role: str, owned: bool) -> tuple[int, ...]:
        """Which status an answer may have."""
        if page.right is Right.ANYBODY:
            # Who is signed in has no need of the door.
            return (200, 303)
        if role == "stranger":
            return (303,)
        if not PERSONS[role].may(page.right):
            return (403,)
        if role == "foreign" and owned:
            return (404,)
        # Nothing is held.
        return (404,) if page.path == "/dashboard/held/{id}" else (200, 303)

    def test_do(self) -> Deferred[None]:
        """Nothing is done without the proof, nor for those who may not; an empty form breaks nothing."""

        async def walk() -> None:
            await self._begin()
            wrong = []
            for page in self.pages:
                if page.method != "POST":
                    continue
                path = self.path(page)
                for role in self.cookies:
                    answer = await self.ask(role, "POST", path, {})
                    if answer.status not in (401, 403):
                        wrong.append(f"{role}: POST {path} without a proof: {answer.status}")
                    if role == "stranger" or page.right is Right.ANYBODY:
                        continue
                    answer = await self.ask(role, "POST", path, {"csrf": self.proofs[role]})
                    allowed = PERSONS[role].may(page.right)
                    if (answer.status == 403) == allowed or answer.status >= 500:
                        wrong.append(f"{role}: POST {path}: {answer.status}")
            self.assertEqual([], wrong)

        return Deferred.fromCoroutine(walk())


def proof(page: str) -> str:
    """What a form of a page brings."""
    found: Any = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    return str(found[1]) if found else ""
