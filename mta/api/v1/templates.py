"""``/v1/templates``, ``/v1/layouts``, ``/v1/partials`` and ``/v1/preview``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mta.api.v1.cursor import Page, cursor
from mta.api.v1.keys import moment
from mta.api.v1.message_models import MessageTaken, SendMessage
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Response, Route
from mta.api.v1.template_models import (
    Activation,
    Data,
    InlinePreview,
    NewVersion,
    Preview,
    PreviewShown,
    TemplateShown,
    TemplatesShown,
    TestSending,
    VersionMade,
    VersionShown,
    VersionsShown,
)
from mta.api.v1.template_rendering import Renderers, template_refusal
from mta.model.event import Administered, Event
from mta.registry.templates import (
    FOLDERS,
    KINDS,
    NAME,
    InUse,
    Kind,
    NoTemplate,
    Template,
    Templates,
    TooMany,
    Version,
)
from mta.template.bundle import Bundle, Rendered
from mta.template.problem import TemplateError

_SCOPE = "templates"


class TemplateRoutes:
    """Answers for templates, layouts and partials.

    :param templates: keeps them.
    :param pool: renders them.
    :param note: puts an event into the journal.
    :param send: sends a message (``POST /v1/messages``).
    """

    def __init__(
        self,
        templates: Templates,
        pool: Renderers,
        note: Callable[[Event], None],
        send: Callable[[Call], Awaitable[Response]],
    ) -> None:
        self._send = send
        self._templates = templates
        self._pool = pool
        self._note = note

    def routes(self) -> list[Route]:
        """What it answers."""
        found = [route for kind in KINDS for route in self._of(kind)]
        found.append(
            Route(
                "POST",
                "/v1/templates/{name}/preview",
                self.preview,
                _SCOPE,
                "Render a template with data, and send nothing",
                body=Preview,
                answer=PreviewShown,
                refusals=("template",),
                path_help=_NAMED,
                examples={"with sample data": {}, "with data": {"data": {"name": "Ann"}, "locale": "de"}},
            )
        )
        found.append(
            Route(
                "POST",
                "/v1/templates/{name}/test",
                self.test,
                "messages:send",
                "Send a template with test data",
                "As a message with the tag `template-test`; what is refused of a message is refused of this.",
                body=TestSending,
                answer=MessageTaken,
                status=202,
                refusals=("template", "sender", "suspended", "refused", "quota"),
                path_help=_NAMED,
                examples={"to oneself": {"from": "shop@example.org", "to": ["ann@example.org"]}},
            )
        )
        found.append(
            Route(
                "POST",
                "/v1/preview",
                self.inline_preview,
                _SCOPE,
                "Render a template that is not kept",
                group="templates",
                body=InlinePreview,
                answer=PreviewShown,
                refusals=("template",),
                examples={"a line": {"subject": "Hello {{ name }}", "text": "Hi {{ name }}"}},
            )
        )
        return found

    def _of(self, kind: Kind) -> Iterator[Route]:
        """The routes of one kind."""
        path = f"/v1/{_folder(kind)}"
        one = f"{path}/{{name}}"
        told: dict[str, Any] = {"group": "templates", "path_help": _NAMED}

        def handler(method: Callable[[Call, Kind], Any]) -> Callable[[Call], Any]:
            return lambda call: method(call, kind)

        yield Route(
            "GET",
            path,
            handler(self.list),
            _SCOPE,
            f"All {kind}s",
            query=Page,
            answer=TemplatesShown,
            group="templates",
        )
        yield Route(
            "PUT",
            one,
            handler(self.put),
            _SCOPE,
            f"Keep a version of a {kind}",
            "It is compiled first; what is wrong is told with line and column. A version never changes; "
            "one that is the same as the last is not kept twice.",
            body=NewVersion,
            answer=VersionMade,
            status=201,
            refusals=("template", "conflict"),
            examples={"a version": _EXAMPLES[kind]},
            **told,
        )
        yield Route(
            "GET",
            one,
            handler(self.get),
            _SCOPE,
            f"The live version of a {kind}",
            answer=VersionShown,
            **told,
        )
        yield Route(
            "GET",
            f"{one}/versions",
            handler(self.versions),
            _SCOPE,
            f"The versions of a {kind}",
            query=Page,
            answer=VersionsShown,
            **told,
        )
        yield Route(
            "POST",
            f"{one}/activate",
            handler(self.activate),
            _SCOPE,
            f"Use a version of a {kind} from now on",
            body=Activation,
            answer=TemplateShown,
            examples={"an earlier one": {"version": 1}},
            **told,
        )
        yield Route(
            "DELETE",
            one,
            handler(self.remove),
            _SCOPE,
            f"Forget a {kind} with all its versions",
            status=204,
            refusals=("conflict",),
            **told,
        )

    # --- handlers ----------------------------------------------------------------

    async def list(self, call: Call, kind: Kind) -> TemplatesShown:
        """A page of them."""
        page: Page = call.query
        after = page.after(str)
        found = await self._templates.page(call.tenant.name, kind, after[0] if after else "", page.limit + 1)
        more = cursor(found[page.limit - 1].name) if len(found) > page.limit else None
        return TemplatesShown(templates=[_shown(one) for one in found[: page.limit]], next=more)

    async def put(self, call: Call, kind: Kind) -> VersionMade:
        """Keep a version."""
        body: NewVersion = call.body
        name, tenant = call.path["name"], call.tenant.name
        if not NAME.fullmatch(name):
            raise Refusal("invalid", f"{name!r:.80} is no name: 1 to 64 of a-z, 0-9, '.', '_' and '-'")
        if kind == "template" and not body.subject:
            raise _field("/subject", "a template has a subject")
        if not (body.text or body.html):
            raise _field("/html", f"a {kind} has html, text, or both")
        source = body.source()
        about = await self._about(await self._templates.with_included(tenant, kind, name, source))
        try:
            version = await self._templates.add(
                tenant, kind, name, source, call.now, note=body.note, activate=body.activate
            )
        except TooMany as error:
            raise Refusal("conflict", str(error)) from None
        self._record(call, f"{kind} put", f"{name} version {version.number}")
        return VersionMade(**_version(version), live=body.activate, **about)

    async def get(self, call: Call, kind: Kind) -> VersionShown:
        """The live version."""
        with _known():
            found = await self._templates.version(call.tenant.name, kind, call.path["name"])
        return VersionShown(**_version(found))

    async def versions(self, call: Call, kind: Kind) -> VersionsShown:
        """A page of them."""
        page: Page = call.query
        before = page.after(int)
        with _known():
            found = await self._templates.versions(
                call.tenant.name, kind, call.path["name"], before[0] if before else 0, page.limit + 1
            )
        more = cursor(found[page.limit - 1].number) if len(found) > page.limit else None
        return VersionsShown(
            versions=[VersionShown(**_version(one)) for one in found[: page.limit]], next=more
        )

    async def activate(self, call: Call, kind: Kind) -> TemplateShown:
        """Another version is live."""
        body: Activation = call.body
        name = call.path["name"]
        with _known():
            found = await self._templates.activate(call.tenant.name, kind, name, body.version)
        self._record(call, f"{kind} activate", f"{name} version {body.version}")
        return _shown(found)

    async def remove(self, call: Call, kind: Kind) -> Response:
        """Forget one."""
        try:
            with _known():
                await self._templates.remove(call.tenant.name, kind, call.path["name"])
        except InUse as error:
            raise Refusal("conflict", str(error)) from None
        self._record(call, f"{kind} remove", call.path["name"])
        return Response()

    async def preview(self, call: Call) -> PreviewShown:
        """What becomes of one that is kept."""
        body: Preview = call.body
        tenant, name = call.tenant.name, call.path["name"]
        with _known():
            version = await self._templates.version(tenant, "template", name, body.version)
        bundle = await self._templates.with_included(tenant, "template", name, version.source)
        return await self._preview(bundle, body.data, body.locale)

    async def test(self, call: Call) -> Response:
        """Send it to somebody who looks at it."""
        body: TestSending = call.body
        tenant, name = call.tenant.name, call.path["name"]
        with _known():
            version = await self._templates.version(tenant, "template", name, body.version)
        data = body.data
        if data is None:
            bundle = await self._templates.with_included(tenant, "template", name, version.source)
            data = (await self._about(bundle))["sample"]
        call.body = SendMessage.model_validate(
            {
                "from": body.sender,
                "to": body.to,
                "template": name,
                "version": version.number,
                "data": data,
                "locale": body.locale,
                "tags": ["template-test"],
            }
        )
        return await self._send(call)

    async def inline_preview(self, call: Call) -> PreviewShown:
        """What becomes of one that is not kept."""
        body: InlinePreview = call.body
        bundle = await self._templates.with_included(call.tenant.name, "template", "", body.source())
        return await self._preview(bundle, body.data, body.for_locale)

    async def _preview(self, bundle: Bundle, data: Data | None, locale: str) -> PreviewShown:
        if data is None:
            data = (await self._about(bundle))["sample"]
        try:
            (found,) = await self._pool.render(bundle, [(data, locale)])
        except TemplateError as error:
            raise template_refusal(error.problems) from None
        if not isinstance(found, Rendered):
            raise template_refusal(found)
        return PreviewShown(
            subject=found.subject,
            text=found.text,
            html=found.html,
            locale=found.locale,
            missing=list(found.missing),
            data=data,
        )

    async def _about(self, bundle: Bundle) -> dict[str, Any]:
        try:
            return _about(await self._pool.about(bundle))
        except TemplateError as error:
            raise template_refusal(error.problems) from None

    def _record(self, call: Call, action: str, target: str) -> None:
        self._note(
            Administered(at=call.now, action=action, tenant=call.tenant.name, target=target, by=call.who)
        )


@contextmanager
def _known() -> Iterator[None]:
    """What is not there is answered with 404."""
    try:
        yield
    except NoTemplate as error:
        raise Refusal("not-found", str(error)) from None


def _about(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in ("variables", "sample", "messages")}


def _field(pointer: str, detail: str) -> Refusal:
    return Refusal("invalid", f"{pointer}: {detail}", [{"pointer": f"#{pointer}", "detail": detail}])


def _folder(kind: Kind) -> str:
    return FOLDERS.get(kind, "templates")


def _shown(found: Template) -> TemplateShown:
    return TemplateShown(
        name=found.name, live=found.live or None, latest=found.latest, created=moment(found.created) or ""
    )


def _version(found: Version) -> dict[str, Any]:
    return {
        "name": found.name,
        "version": found.number,
        "created": moment(found.created) or "",
        "note": found.note,
        "source": dict(found.source),
    }


_NAMED = {"name": "of the template, layout or partial"}
_EXAMPLES: dict[Kind, dict[str, Any]] = {
    "template": {
        "subject": "Welcome, {{ name }}",
        "html": '{% extends "layouts/base" %}{% block body %}<p>Hello {{ name }}</p>{% endblock %}',
    },
    "layout": {"html": "<html><body>{% block body %}{% endblock %}</body></html>"},
    "partial": {"html": "<p>The Shop, Vienna</p>", "text": "The Shop, Vienna"},
}
