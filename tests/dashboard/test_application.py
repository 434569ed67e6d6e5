"""Who sees which page, what a form has to bring, and what is asked before something is destroyed."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mta.dashboard.page import (
    Answered,
    Confirmation,
    Download,
    Form,
    Html,
    Invalid,
    Page,
    Query,
    Redirect,
    missing,
)
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.interfaces import Denied, TemporarilyUnavailable
from mta.model.event import Authenticated, AuthenticationFailed
from mta.model.event_dashboard import DashboardSession
from tests.api.v1.channel import Channel
from tests.dashboard.desk import PEOPLE, SETTINGS, Desk

PLACE = "/dashboard/thing"


class Thing(Form):
    """A form."""

    name: str = Field(min_length=1, max_length=5)
    tags: list[str] = Field(default_factory=list)


class Find(Query):
    """A query."""

    number: int = 0


class Things:
    """Pages of a kind."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def pages(self) -> list[Page]:
        """All of them."""
        rights = [
            Page("GET", f"{PLACE}/{right.name.lower()}", self.show, right, right.name) for right in Right
        ]
        return [
            *rights,
            Page("GET", PLACE, self.show, Right.LOOK_OWN, "Thing", query=Find),
            Page("POST", PLACE, self.do, Right.ACT_OWN, "Thing", form=Thing, again=self.show),
            Page(
                "POST", f"{PLACE}/remove", self.do, Right.ACT_OWN, "Remove", form=Thing, confirm=self.confirm
            ),
            Page("GET", f"{PLACE}/trouble/{{what}}", self.trouble, Right.LOOK, "Trouble"),
        ]

    async def show(self, visit: Visit) -> Answered:
        return Html("thing.html", {"mine": visit.tenant})

    async def do(self, visit: Visit) -> Answered:
        if visit.form.value.name == "taken":
            raise Invalid({"name": "There is one already."})
        self.done.append((visit.form.value, visit.by, visit.tenant))
        return Redirect(PLACE, "<b>Done</b>")

    async def confirm(self, visit: Visit) -> Confirmation | None:
        if visit.form.value.name == "safe":
            return None
        return Confirmation("Remove it?", "It is gone <i>then</i>.", "Remove", PLACE)

    async def trouble(self, visit: Visit) -> Answered:
        match visit.path["what"]:
            case "missing":
                raise missing("There is no such thing")
            case "unavailable":
                raise TemporarilyUnavailable("/srv/state/x is full")
            case "slow":
                await Deferred()
                raise AssertionError("it was not cancelled")
            case "download":
                return Download(b"a,b\n", "text/csv", 'ä"b\r\n.csv')
            case _:
                raise RuntimeError("secret")


class Base(SynchronousTestCase):
    """A desk with those pages."""

    def setUp(self) -> None:
        self.things = Things()
        self.desk = Desk(self.things.pages())
        environment: Any = self.desk.application._rendering._made()
        from jinja2 import ChoiceLoader, DictLoader

        text = (
            '{% extends "base.html" %}{% from "parts.html" import field, mistakes, proof with context %}'
            '{% block content %}{{ mistakes() }}<p class="mine">{{ mine }}</p>'
            '{{ field("name", "Name", hint="x") }}{% endblock %}'
        )
        environment.loader = ChoiceLoader([DictLoader({"thing.html": text}), environment.loader])
        self.desk.application._rendering._environment = environment


class RightTests(Base):
    """Roles and rights."""

    ALLOWED: ClassVar[dict[str, str]] = {
        "anybody": "stranger viewer operator tenant administrator",
        "signed_in": "viewer operator tenant administrator",
        "look": "viewer operator administrator",
        "look_own": "viewer operator tenant administrator",
        "act": "operator administrator",
        "act_own": "operator tenant administrator",
        "administer": "administrator",
    }

    def test_everybody_everywhere(self) -> None:
        for role in ("stranger", *PEOPLE):
            visitor = self.desk.visitor("" if role == "stranger" else role)
            for right, allowed in self.ALLOWED.items():
                answer = visitor.get(f"{PLACE}/{right}")
                refused = 303 if role == "stranger" else 403
                self.assertEqual(200 if role in allowed.split() else refused, answer.status, (role, right))

    def test_stranger_comes_back(self) -> None:
        """Whoever is not signed in is led to the door, and from there to where they wanted to go."""
        visitor = self.desk.visitor()
        answer = visitor.get(f"{PLACE}?number=7")
        self.assertEqual(
            "/dashboard/sign-in?next=%2Fdashboard%2Fthing%3Fnumber%3D7", answer.headers["location"]
        )
        page = visitor.follow(answer).content.decode()
        self.assertIn('name="next" value="/dashboard/thing?number=7"', page)
        done = visitor.sign_in("ben@example.org", next="/dashboard/thing?number=7")
        self.assertEqual((303, "/dashboard/thing?number=7"), (done.status, done.headers["location"]))
        self.assertEqual(
            "/dashboard/", self.desk.visitor().sign_in("ben@example.org", next="//x").headers["location"]
        )

    def test_tenant(self) -> None:
        """A tenant sees their own, whatever they have chosen; staff sees what they have chosen."""
        tina = self.desk.visitor("tenant")
        self.assertIn('class="mine">acme<', tina.get(PLACE).content.decode())
        tina.post("/dashboard/preferences", tenant="other", back=PLACE)
        tina.cookies["mta-tenant"] = "other"
        self.assertIn('class="mine">acme<', tina.get(PLACE).content.decode())
        ben = self.desk.visitor("operator")
        self.assertIn('class="mine">default<', ben.get(PLACE).content.decode())
        ben.post("/dashboard/preferences", tenant="other", back=PLACE)
        self.assertIn('class="mine">other<', ben.get(PLACE).content.decode())

    def test_headers(self) -> None:
        """Every page forbids what it does not need; nothing of it is kept by a proxy."""
        for path in ("/dashboard/sign-in", "/dashboard/nowhere", PLACE):
            headers = self.desk.visitor("viewer" if path == PLACE else "").get(path).headers
            self.assertIn(
                "default-src 'none'; script-src 'self'; style-src 'self'", headers["content-security-policy"]
            )
            self.assertEqual("no-store", headers["cache-control"])
            self.assertEqual("DENY", headers["x-frame-options"])


class FormTests(Base):
    """What is sent."""

    def test_done(self) -> None:
        ben = self.desk.visitor("operator")
        answer = ben.post(PLACE, name="x", tags=["a", "b"])
        self.assertEqual((303, PLACE), (answer.status, answer.headers["location"]))
        self.assertEqual(
            [(Thing(name="x", tags=["a", "b"]), "ben@example.org (dashboard)", "default")], self.things.done
        )
        shown = ben.follow(answer).content.decode()
        self.assertIn("&lt;b&gt;Done&lt;/b&gt;", shown)
        self.assertNotIn("Done", ben.get(PLACE).content.decode())

    def test_mistakes(self) -> None:
        """They stand beside the field, with what was filled in."""
        ben = self.desk.visitor("operator")
        for name, said in (
            ("", "Fill this in."),
            ("<long>", "At most 5"),
            ("taken", "There is one already."),
        ):
            answer = ben.post(PLACE, name=name)
            page = answer.content.decode()
            self.assertEqual(422, answer.status)
            self.assertIn(f'id="field-name-wrong">{said}', page)
            self.assertIn(f'value="{name.replace("<", "&lt;").replace(">", "&gt;")}"', page)
        self.assertEqual([], self.things.done)

    def test_unproved(self) -> None:
        """Without the proof, or with that of somebody else, nothing is done."""
        ben, vera = self.desk.visitor("operator"), self.desk.visitor("administrator")
        vera.get("/dashboard/sessions")
        assert vera.last is not None
        foreign = vera.last.content.decode().partition('name="csrf" value="')[2].partition('"')[0]
        for csrf in ("", "x", foreign):
            self.assertEqual(403, ben.post(PLACE, csrf=csrf, name="x").status)
        self.assertEqual([], self.things.done)

    def test_other_origin(self) -> None:
        ben = self.desk.visitor("operator")
        ben.get(PLACE)
        for headers in ({"origin": "http://evil.example"}, {}, {"sec_fetch_site": "cross-site"}):
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            answer = ben._ask("POST", PLACE, b"csrf=x&name=x", fields)
            self.assertEqual(403, answer.status)
            self.assertIn("did not come from here", answer.content.decode())

    def test_wrong_query(self) -> None:
        self.assertEqual(400, self.desk.visitor("viewer").get(f"{PLACE}?number=x").status)

    def test_not_for_a_viewer(self) -> None:
        self.assertEqual(403, self.desk.visitor("viewer").post(PLACE, name="x").status)

    def test_asked_before(self) -> None:
        """What destroys is asked about; the answer brings what was filled in."""
        ben = self.desk.visitor("operator")
        page = ben.post(f"{PLACE}/remove", name="a<b", tags=["1", "2"]).content.decode()
        self.assertIn("Remove it?", page)
        self.assertIn("It is gone &lt;i&gt;then&lt;/i&gt;.", page)
        for field in ('name="confirmed" value="yes"', 'name="name" value="a&lt;b"', 'name="tags" value="2"'):
            self.assertIn(field, page)
        self.assertEqual([], self.things.done)
        self.assertEqual(303, ben.post(f"{PLACE}/remove", name="a<b", confirmed="yes").status)
        self.assertEqual(303, ben.post(f"{PLACE}/remove", name="safe").status)
        self.assertEqual(2, len(self.things.done))


class TroubleTests(Base):
    """What goes wrong."""

    def test_pages(self) -> None:
        vera = self.desk.visitor("viewer")
        for what, status in (("missing", 404), ("unavailable", 503), ("broken", 500)):
            answer = vera.get(f"{PLACE}/trouble/{what}")
            self.assertEqual(status, answer.status)
            self.assertNotIn("secret", answer.content.decode())
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        self.assertEqual(404, vera.get("/dashboard/nowhere").status)

    def test_gone(self) -> None:
        """Who has left before the answer is no failure of ours."""
        vera = self.desk.visitor("viewer")
        channel = Channel(self.desk.site)
        cookie = {"cookie": f"mta-session={vera.cookies['mta-session']}"}
        channel.send("GET", f"{PLACE}/trouble/slow", headers=cookie)
        channel.protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual([], self.flushLoggedErrors())

    def test_download(self) -> None:
        """A name cannot break out of its header field."""
        answer = self.desk.visitor("viewer").get(f"{PLACE}/trouble/download")
        self.assertEqual('attachment; filename="__b__.csv"', answer.headers["content-disposition"])

    def test_assets(self) -> None:
        """They are kept for good, under a path that changes with them, and packed."""
        visitor, assets = self.desk.visitor(), self.desk.application.assets
        for name in assets.names:
            answer = visitor.get(assets.path(name), accept_encoding="gzip")
            self.assertEqual(200, answer.status)
            self.assertIn("immutable", answer.headers["cache-control"])
        packed = visitor.get(assets.path("dashboard.css"), accept_encoding="gzip")
        self.assertEqual("gzip", packed.headers["content-encoding"])
        self.assertEqual(404, visitor.get("/dashboard/assets/0/dashboard.css").status)
        self.assertEqual(404, visitor.get(f"/dashboard/assets/{assets.mark}/..%2Fpage.py").status)


class SignInTests(Base):
    """At the door."""

    def test_events(self) -> None:
        """The journal has who came, from where, and who was refused."""
        visitor = self.desk.visitor(address="192.0.2.9")
        self.assertEqual(422, visitor.sign_in("ben@example.org", "wrong").status)
        visitor.sign_in("ben@example.org")
        failed, came, begun = self.desk.events
        assert isinstance(failed, AuthenticationFailed) and isinstance(came, Authenticated)
        assert isinstance(begun, DashboardSession)
        self.assertEqual(
            ("ben@example.org", "dashboard", "192.0.2.9"), (failed.account, failed.mechanism, failed.client)
        )
        self.assertEqual(("begun", "operator", "192.0.2.9"), (begun.action, begun.role, begun.client))

    def test_words(self) -> None:
        """A stranger learns no more than that it was wrong; nothing that was typed as password is shown."""
        visitor = self.desk.visitor()
        page = visitor.sign_in('"><script>x', "hidden-word").content.decode()
        self.assertIn("Account or password is wrong.", page)
        self.assertNotIn("hidden-word", page)
        self.assertNotIn("<script>x", page)
        self.desk.doorkeeper.denied = Denied(True, "x", wait=30.0)
        self.assertIn("Try again in 30 seconds", visitor.sign_in("a@b", "x").content.decode())
        self.desk.doorkeeper.denied = Denied(True, "ldap://secret is down")
        page = visitor.sign_in("a@b", "x").content.decode()
        self.assertIn("cannot be looked up", page)
        self.assertNotIn("ldap", page)

    def test_no_role(self) -> None:
        """The right password alone opens nothing; the page says what to do."""
        visitor = self.desk.visitor()
        self.assertIn("has no role here", visitor.sign_in("nora@example.org").content.decode())
        self.assertNotIn("mta-session", visitor.cookies)
        self.assertIn("refused", [getattr(event, "action", "") for event in self.desk.events])

    def test_banned(self) -> None:
        self.desk.banned = "192.0.2.7 is banned"
        self.assertIn("is banned", self.desk.visitor().sign_in("ben@example.org").content.decode())

    def test_nobody_yet(self) -> None:
        """Where the table is empty, the page tells what to write there."""
        self.desk.settings = type(SETTINGS)()  # type: ignore[call-arg]
        self.assertIn("administrators = [", self.desk.visitor().get("/dashboard/sign-in").content.decode())

    def test_another_session(self) -> None:
        """What a visitor brought along is not what they have afterwards."""
        ben = self.desk.visitor("operator")
        before = ben.cookies["mta-session"]
        ben.post("/dashboard/sign-in", account="anna@example.org", password="secret")
        self.assertNotEqual(before, ben.cookies["mta-session"])
        ben.cookies["mta-session"] = before
        self.assertEqual(303, ben.get(PLACE).status)


class SessionTests(Base):
    """How a session ends."""

    def assert_over(self, visitor: Any) -> None:
        self.assertEqual(303, visitor.get(PLACE).status)

    def test_sign_out(self) -> None:
        ben = self.desk.visitor("operator")
        kept = dict(ben.cookies)
        ben.post("/dashboard/sign-out")
        self.assertNotIn("mta-session", ben.cookies)
        ben.cookies = kept
        self.assert_over(ben)

    def test_idle(self) -> None:
        ben = self.desk.visitor("operator")
        for _ in range(5):
            self.desk.clock.advance(1500.0)
            self.assertEqual(200, ben.get(PLACE).status)
        self.desk.clock.advance(1900.0)
        self.assert_over(ben)

    def test_longest(self) -> None:
        ben = self.desk.visitor("operator")
        for _ in range(int(12 * 3600 / 1500)):
            self.desk.clock.advance(1500.0)
            ben.get(PLACE)
        self.desk.clock.advance(1200.0)
        self.assert_over(ben)

    def test_other_role(self) -> None:
        ben = self.desk.visitor("operator")
        self.desk.settings = SETTINGS.model_copy(update={"operators": [], "viewers": ["ben@example.org"]})
        self.assert_over(ben)
        self.assertEqual("its role is another one", getattr(self.desk.events[-1], "reason", ""))

    def test_other_password(self) -> None:
        ben = self.desk.visitor("operator")
        self.desk.doorkeeper.mark = "other"
        self.assert_over(ben)

    def test_ended_by_others(self) -> None:
        """An administrator ends anybody's; others see and end their own only."""
        ben, vera, anna = (self.desk.visitor(role) for role in ("operator", "viewer", "administrator"))
        sessions = self.successResultOf(self._all())
        of = {one.account: one.id for one in sessions}
        self.assertNotIn("ben@example.org", vera.get("/dashboard/sessions").content.decode())
        self.assertEqual(
            404, vera.post("/dashboard/sessions/end", id=of["ben@example.org"], confirmed="yes").status
        )
        self.assertIn("ben@example.org", anna.get("/dashboard/sessions").content.decode())
        anna.post("/dashboard/sessions/end", id=of["ben@example.org"], confirmed="yes")
        self.assert_over(ben)
        ended = self.desk.events[-1]
        assert isinstance(ended, DashboardSession)
        self.assertEqual(("ended", "anna@example.org (dashboard)"), (ended.action, ended.by))

    def _all(self) -> Any:
        return Deferred.fromCoroutine(self.desk.sessions.all())
