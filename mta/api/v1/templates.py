"""``/v1/templates``, ``/v1/layouts``, ``/v1/partials`` and ``/v1/preview``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, Field, model_validator

from mta.api.v1.cursor import MOST_NUMBER, Page, cursor
from mta.api.v1.keys import moment
from mta.api.v1.message_models import MessageTaken, SendMessage
from mta.api.v1.person import OnePerson, People
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
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
from mta.template.locale import tag
from mta.template.problem import TemplateError, TemplateProblem

#: Characters of one part of a source.
_MOST = 512 * 1024
_SCOPE = "templates"
#: Problems of a template that are told.
_TOLD = 50

Source = Annotated[str, Field(max_length=_MOST)]


def _locale(value: str) -> str:
    return tag(value) if value else ""


Locale = Annotated[str, Field(max_length=35), AfterValidator(_locale)]
Name = Annotated[str, Field(pattern=f"^(?:{NAME.pattern})$")]
Phrase = Annotated[str, Field(min_length=1, max_length=5000)]
Plural = dict[Annotated[str, Field(pattern="^(?:zero|one|two|few|many|other)$")], Phrase]
Messages = dict[Phrase, Phrase | Plural]
Data = dict[str, Any]


class Parts(Model):
    """Sources in Jinja2."""

    subject: Source = ""
    text: Source = Field("", description="plain text; without it, it is made of the HTML")
    html: Source = Field("", description="what is put in is escaped")


class TranslationBody(Parts):
    """What is different in another language."""

    messages: Messages = Field(
        {},
        max_length=5000,
        description="translations by what stands in `{% trans %}` or `_()`; of a plural by CLDR category",
    )


class TemplateBody(Parts):
    """A version of a template."""

    locale: Locale = Field("en", description="the language of its own parts")
    translations: dict[str, TranslationBody] = Field({}, max_length=100, description="by locale")
    strict: bool = Field(True, description="whether a variable that is missing refuses the message")
    inline_css: bool = Field(True, description="whether rules of `<style>` are written into the elements")

    @model_validator(mode="after")
    def _locales(self) -> TemplateBody:
        seen = {self.locale}
        for name in self.translations:
            if tag(name) != name:
                raise ValueError(f'the locale {name!r} is written "{tag(name)}"')
            if name in seen:
                raise ValueError(f"the locale {name} is the template's own")
        return self

    def source(self) -> dict[str, Any]:
        """As the registry keeps it: what is not as it is by default."""
        return self.model_dump(
            include=set(TemplateBody.model_fields), exclude_defaults=True, exclude_unset=False
        )


class NewVersion(TemplateBody):
    """A version to be kept."""

    note: str = Field("", max_length=500, description="for people")
    activate: bool = Field(True, description="whether it is live from now on")


class Activation(Model):
    """Which version is to be live."""

    version: int = Field(ge=1, le=MOST_NUMBER)


class Preview(Model):
    """With what a template is to be looked at."""

    data: Data | None = Field(None, description="without it, sample data are made of what it asks for")
    locale: Locale = ""
    version: int = Field(0, ge=0, le=MOST_NUMBER, description="0: the live one, or the last if none is live")


class TestSending(Model):
    """To whom a template is to be sent, to be looked at."""

    sender: OnePerson = Field(alias="from", description="of a domain of the tenant")
    to: People = Field(min_length=1, max_length=10)
    data: Data | None = Field(None, description="without it, sample data are made of what it asks for")
    locale: Locale = ""
    version: int = Field(0, ge=0, description="0: the live one, or the last if none is live")


class InlinePreview(TemplateBody):
    """A template that is not kept, with what it is to be looked at."""

    data: Data | None = None
    for_locale: Locale = Field("", description="the recipient's")


class TemplateShown(Shown):
    """A template, layout or partial."""

    name: str
    live: int | None = Field(description="the version that is used")
    latest: int
    created: str


class TemplatesShown(Shown):
    """A page of them."""

    templates: list[TemplateShown]
    next: str | None = None


class VersionShown(Shown):
    """A version."""

    name: str
    version: int
    created: str
    note: str
    source: dict[str, Any]


class VersionsShown(Shown):
    """A page of them, the last first."""

    versions: list[VersionShown]
    next: str | None = None


class VersionMade(VersionShown):
    """A version that was kept, with what it asks for."""

    live: bool
    variables: list[str] = Field(description="such as `user.name`, `items[].price`")
    sample: dict[str, Any] = Field(description="data with which it can be looked at")
    messages: list[str] = Field(description="what it marks for translation")


class PreviewShown(Shown):
    """What becomes of a template."""

    subject: str
    text: str
    html: str
    locale: str
    missing: list[str] = Field(description="variables that were not there, where that is no mistake")
    data: dict[str, Any] = Field(description="with which it was rendered")


class Renderers(Protocol):
    """What renders: :class:`mta.template.pool.Pool`."""

    async def about(self, bundle: Bundle) -> dict[str, Any]:
        """What a template asks for."""

    async def render(self, bundle: Bundle, items: Any) -> list[Any]:
        """What becomes of each recipient's data."""


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


def template_refusal(problems: tuple[TemplateProblem, ...], place: str = "") -> Refusal:
    """Problems of a template, each with its field, line and column.

    :param place: JSON pointer to the template.
    """
    errors: list[Mapping[str, Any]] = [
        {
            "pointer": f"#{place}/{_pointer(problem.part)}",
            "detail": problem.what,
            **{
                name: value
                for name, value in problem.told().items()
                if name in ("kind", "part", "line", "column", "variable", "remedy")
            },
        }
        for problem in problems[:_TOLD]
    ]
    return Refusal("template", "; ".join(map(str, problems[:5])), errors)


def _pointer(part: str) -> str:
    """Where a part stands in a body."""
    kind, _, locale = part.partition(".")
    if kind in ("subject", "text", "html"):
        return f"translations/{locale}/{kind}" if locale else kind
    return f"translations/{locale}/messages" if kind == "messages" else ""


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
