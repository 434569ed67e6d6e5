"""Templates over HTTP."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from mta.api.v1.application import Application
from mta.api.v1.route import Call, Response
from mta.api.v1.site import ApiSite
from mta.api.v1.templates import TemplateRoutes
from mta.model.event import Event
from mta.template.bundle import Bundle
from mta.template.problem import TemplateError
from mta.template.rendering import Compiled
from mta.template.variables import paths, sample, variables
from tests.api.v1.test_application import ApplicationCase


class HereRenderers:
    """Renders in this process, at once."""

    async def about(self, bundle: Bundle) -> dict[str, Any]:
        compiled = Compiled(bundle)
        shape = variables(compiled)
        return {"variables": paths(shape), "sample": sample(shape), "messages": sorted(compiled.messages())}

    async def render(self, bundle: Bundle, items: Any) -> list[Any]:
        compiled = Compiled(bundle)
        found: list[Any] = []
        for data, locale in items:
            try:
                found.append(compiled.render(data, locale))
            except TemplateError as error:
                found.append(error.problems)
        return found


async def nothing(call: Call) -> Response:
    """Sends nothing."""
    return Response()


class TemplateRouteTests(ApplicationCase):
    """One tenant's, and another's."""

    def setUp(self) -> None:
        super().setUp()
        self.noted: list[Event] = []
        routes = TemplateRoutes(
            self.registry.templates, HereRenderers(), self.noted.append, self.send
        ).routes()
        self.site = ApiSite(
            Application(self.registry, routes, reactor=self.clock).app.resource(), 1 << 20, 30
        )
        self.site.reactor = Clock()
        self.key = self.make_key("default", "templates")

    async def send(self, call: Call) -> Response:
        self.sent = call.body
        return Response()

    def test_test_message(self) -> None:
        self.put()
        body = {"from": "shop@example.org", "to": ["ann@example.org"]}
        key = self.make_key("default", "messages:send")
        self.assertEqual(202, self.ask("POST", "/v1/templates/welcome/test", body, key=key).status)
        self.assertEqual(
            ("welcome", 1, {"name": "Ann Example"}, ["template-test"]),
            (self.sent.template, self.sent.version, self.sent.data, self.sent.tags),
        )
        self.refused("not-found", self.ask("POST", "/v1/templates/nothing/test", body, key=key))
        self.refused("scope", self.ask("POST", "/v1/templates/welcome/test", body))

    def put(self, path: str = "templates/welcome", status: int = 201, **body: Any) -> Any:
        answer = self.ask("PUT", f"/v1/{path}", {"subject": "Hi {{ name }}", "text": "x", **body})
        self.assertEqual(status, answer.status, answer)
        return answer.json

    def test_life_of_a_template(self) -> None:
        made = self.put(text="Hello {{ name }}, {% trans %}bye{% endtrans %}", note="first")
        self.assertEqual(
            (1, True, ["name"], {"name": "Ann Example"}, ["bye"]),
            (made["version"], made["live"], made["variables"], made["sample"], made["messages"]),
        )
        self.assertEqual(1, self.put(text="Hello {{ name }}, {% trans %}bye{% endtrans %}")["version"])
        self.assertEqual(2, self.put(text="second", activate=False)["version"])
        shown = self.ask("GET", "/v1/templates/welcome").json
        self.assertEqual((1, "first"), (shown["version"], shown["note"]))
        listed = self.ask("GET", "/v1/templates").json["templates"]
        self.assertEqual([("welcome", 1, 2)], [(one["name"], one["live"], one["latest"]) for one in listed])
        self.assertEqual(
            [2, 1],
            [one["version"] for one in self.ask("GET", "/v1/templates/welcome/versions").json["versions"]],
        )
        self.assertEqual(2, self.ask("POST", "/v1/templates/welcome/activate", {"version": 2}).json["live"])
        self.refused("not-found", self.ask("POST", "/v1/templates/welcome/activate", {"version": 3}))
        self.assertEqual(204, self.ask("DELETE", "/v1/templates/welcome").status)
        self.refused("not-found", self.ask("GET", "/v1/templates/welcome"))
        self.assertEqual(
            ["template put"] * 3 + ["template activate", "template remove"],
            [one.action for one in self.noted],  # type: ignore[attr-defined]
        )

    def test_mistakes_have_line_and_column(self) -> None:
        answer = self.ask("PUT", "/v1/templates/x", {"subject": "s", "html": "<p>\n{{ x|nosuch }}"})
        (error,) = self.refused("template", answer)["errors"]
        self.assertEqual(("#/html", 2, 6), (error["pointer"], error["line"], error["column"]))
        translations = {"de": {"text": "{% for %}"}}
        answer = self.ask(
            "PUT", "/v1/templates/x", {"subject": "s", "text": "t", "translations": translations}
        )
        self.assertEqual("#/translations/de/text", self.refused("template", answer)["errors"][0]["pointer"])
        self.refused("not-found", self.ask("GET", "/v1/templates/x"))

    def test_what_a_body_must_have(self) -> None:
        for pointer, body in (
            ("#/subject", {"text": "x"}),
            ("#/html", {"subject": "x"}),
            ("#/locale", {"subject": "x", "text": "x", "locale": "../x"}),
            ("#", {"subject": "x", "text": "x", "translations": {"de_at": {}}}),
            ("#", {"subject": "x", "text": "x", "translations": {"en": {}}}),
            ("#/txt", {"subject": "x", "txt": "x"}),
        ):
            document = self.refused("invalid", self.ask("PUT", "/v1/templates/x", body))
            self.assertEqual(pointer, document["errors"][0]["pointer"])
        self.refused("invalid", self.ask("PUT", "/v1/templates/A", {"subject": "x", "text": "x"}))

    def test_layouts_and_partials(self) -> None:
        answer = self.ask("PUT", "/v1/templates/w", {"subject": "s", "html": '{% extends "layouts/base" %}'})
        self.assertEqual("reference", self.refused("template", answer)["errors"][0]["kind"])
        self.put("partials/foot", html="<i>{{ firm }}</i>")
        self.put("layouts/base", html='<b>{% block body %}{% endblock %}</b>{% include "partials/foot" %}')
        html = '{% extends "layouts/base" %}{% block body %}{{ name }}{% endblock %}'
        self.assertEqual(["name", "firm"], self.put("templates/w", html=html, text="")["variables"])
        data = {"name": "<A>", "firm": "F"}
        shown = self.ask("POST", "/v1/templates/w/preview", {"data": data}).json
        self.assertEqual(("Hi <A>", "<b>&lt;A&gt;</b><i>F</i>"), (shown["subject"], shown["html"]))
        for path in ("layouts/base", "partials/foot"):
            self.refused("conflict", self.ask("DELETE", f"/v1/{path}"))
        self.put("layouts/base", html="<u>{% block body %}{% endblock %}</u>")
        shown = self.ask("POST", "/v1/templates/w/preview", {"data": data}).json
        self.assertEqual("<u>&lt;A&gt;</u>", shown["html"])
        self.assertEqual(204, self.ask("DELETE", "/v1/partials/foot").status)

    def test_preview(self) -> None:
        self.put(text="{{ user.email }}")
        shown = self.ask("POST", "/v1/templates/welcome/preview", {}).json
        self.assertEqual(("Hi Ann Example", "ann@example.org"), (shown["subject"], shown["text"]))
        answer = self.ask("POST", "/v1/templates/welcome/preview", {"data": {"name": "A"}})
        (error,) = self.refused("template", answer)["errors"]
        self.assertEqual(("user.email", "missing"), (error["variable"], error["kind"]))
        self.refused("not-found", self.ask("POST", "/v1/templates/nothing/preview", {}))
        inline = {"subject": "{{ x }}", "text": "{{ y }}", "strict": False, "data": {"x": 1}}
        shown = self.ask("POST", "/v1/preview", inline).json
        self.assertEqual(("1", ["y"]), (shown["subject"], shown["missing"]))

    def test_pages(self) -> None:
        for number in range(5):
            self.put(f"templates/t{number}")
        first = self.ask("GET", "/v1/templates?limit=2").json
        second = self.ask("GET", f"/v1/templates?limit=3&cursor={first['next']}").json
        names = [one["name"] for one in first["templates"] + second["templates"]]
        self.assertEqual((["t0", "t1", "t2", "t3", "t4"], None), (names, second["next"]))

    def test_another_tenants(self) -> None:
        """Neither templates nor what they include are another tenant's."""
        self.put()
        self.put("layouts/base", html="secret")
        stranger = self.make_key("shop", "templates")
        for method, path, body in (
            ("GET", "/v1/templates/welcome", None),
            ("GET", "/v1/templates/welcome/versions", None),
            ("POST", "/v1/templates/welcome/activate", {"version": 1}),
            ("POST", "/v1/templates/welcome/preview", {}),
            ("DELETE", "/v1/templates/welcome", None),
        ):
            self.refused("not-found", self.ask(method, path, body, key=stranger))
        self.assertEqual([], self.ask("GET", "/v1/templates", key=stranger).json["templates"])
        inline = {"subject": "s", "html": '{% extends "layouts/base" %}'}
        self.refused("template", self.ask("POST", "/v1/preview", inline, key=stranger))

    def test_scope(self) -> None:
        self.refused("scope", self.ask("GET", "/v1/templates", key=self.make_key("default", "messages:send")))


class OperatorTests(ApplicationCase):
    """The same as the operator, over a socket that is guarded."""

    def test_who_and_for_whom(self) -> None:
        noted: list[Event] = []
        routes = TemplateRoutes(self.registry.templates, HereRenderers(), noted.append, nothing).routes()
        application = Application(self.registry, routes, reactor=self.clock, operator=True)
        self.site = ApiSite(application.app.resource(), 1 << 20, 30)
        self.site.reactor = Clock()
        self.make_key("shop", "templates")
        headers = {"mta-tenant": "shop", "mta-operator": "ann"}
        body = {"subject": "s", "text": "t"}
        self.assertEqual(201, self.ask("PUT", "/v1/templates/x", body, key="", headers=headers).status)
        (event,) = noted
        self.assertEqual(("shop", "ann"), (event.tenant, event.by))  # type: ignore[attr-defined]
        self.refused("not-found", self.ask("GET", "/v1/templates/x", key=""))
        self.refused("not-found", self.ask("GET", "/v1/templates", key="", headers={"mta-tenant": "no"}))
