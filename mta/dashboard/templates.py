"""Templates, layouts and partials of a tenant: versions, a preview, a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field, field_validator

from mta.dashboard import guard
from mta.dashboard.asked import Ask, Refused
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
from mta.model.event import Administered, Event
from mta.registry.templates import KINDS, NAME, InUse, Kind, NoTemplate, Templates, TooMany, Version
from mta.template.bundle import Bundle, Rendered
from mta.template.locale import tag
from mta.template.problem import TemplateError, TemplateProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = "/dashboard/templates"
Kinds = Literal["template", "layout", "partial"]
_ON_PAGE = 50
#: Octets of a form: three parts and translations.
_MOST = 2 << 20


class Find(Query):
    """Which of them."""

    kind: Kinds = "template"
    after: str = Field("", max_length=100)


class Look(Query):
    """With what one is looked at."""

    version: int = Field(0, ge=0)
    locale: str = Field("", max_length=35)
    data: str = Field("", max_length=100_000)


class Source(Form):
    """A version as a form has it."""

    kind: Kinds = "template"
    name: str = ""
    subject: str = Field("", max_length=10_000)
    text: str = Field("", max_length=512 * 1024)
    html: str = Field("", max_length=512 * 1024)
    locale: str = "en"
    translations: str = ""
    strict: bool = False
    inline_css: bool = False
    note: str = Field("", max_length=500)
    activate: bool = False

    @field_validator("name")
    @classmethod
    def _named(cls, value: str) -> str:
        if not NAME.fullmatch(value.strip()):
            raise ValueError("1 to 64 of a-z, 0-9, '.', '_' and '-'")
        return value.strip()

    @field_validator("locale")
    @classmethod
    def _spoken(cls, value: str) -> str:
        return tag(value.strip() or "en")

    @field_validator("translations")
    @classmethod
    def _json(cls, value: str) -> str:
        _translations(value)
        return value

    def source(self) -> dict[str, Any]:
        """As the registry keeps it."""
        found: dict[str, Any] = {
            name: value for name in ("subject", "text", "html") if (value := getattr(self, name))
        }
        if self.locale != "en":
            found["locale"] = self.locale
        if made := _translations(self.translations):
            found["translations"] = made
        if not self.strict:
            found["strict"] = False
        if not self.inline_css:
            found["inline_css"] = False
        return found


class Activate(Form):
    """Which version is used from now on."""

    kind: Kinds
    name: str
    version: int = Field(ge=1)


class Remove(Form):
    """What is to be forgotten."""

    kind: Kinds
    name: str


class Test(Form):
    """To whom it is sent, to be looked at."""

    version: int = Field(0, ge=0)
    sender: str = Field(min_length=3, max_length=320)
    to: str = Field(min_length=3, max_length=320)
    data: str = ""
    locale: str = Field("", max_length=35)

    @field_validator("data")
    @classmethod
    def _json(cls, value: str) -> str:
        _object(value)
        return value


class Renderers(Protocol):
    """What renders: :class:`mta.template.pool.Pool`."""

    async def about(self, bundle: Bundle) -> dict[str, Any]:
        """What a template asks for."""

    async def render(self, bundle: Bundle, items: Any) -> list[Any]:
        """What becomes of each recipient's data."""


class TemplatePages:
    """See the module.

    :param templates: keeps them.
    :param pool: renders them.
    :param ask: asks the API, which sends one.
    :param note: puts an event into the journal.
    """

    def __init__(
        self, templates: Templates, pool: Renderers, ask: Ask, note: Callable[[Event], None]
    ) -> None:
        self._templates = templates
        self._pool = pool
        self._ask = ask
        self._note = note

    def pages(self) -> list[Page]:
        """What there is."""
        look, act, one = Right.LOOK_OWN, Right.ACT_OWN, PLACE + "/at/{kind}/{name}"
        new, test = f"{PLACE}/new", one + "/test"
        return [
            Page("GET", PLACE, self.show_all, look, "Templates", query=Find),
            Page("GET", new, self.form, act, "A new template", query=Find),
            Page("POST", new, self.keep, act, "A new template", Find, Source, self.form, upload=_MOST),
            Page("GET", one, self.one, look, "Template", query=Look),
            Page("GET", one + "/edit", self.form, act, "Change a template", query=Look),
            Page("GET", one + "/frame", self.frame, look, "Preview", query=Look),
            Page("GET", test, self.offer, act, "Send a test", query=Look),
            Page("POST", test, self.test, act, "Send a test", Look, Test, self.offer),
            Page("POST", f"{PLACE}/activate", self.activate, act, "Use a version", form=Activate),
            Page(
                "POST",
                f"{PLACE}/remove",
                self.remove,
                act,
                "Remove a template",
                form=Remove,
                confirm=self.confirm_remove,
            ),
        ]

    # --- looking -----------------------------------------------------------------------

    async def show_all(self, visit: Visit) -> Answered:
        """Those of a kind."""
        query: Find = visit.query
        found = await self._templates.page(visit.tenant, query.kind, query.after, _ON_PAGE + 1)
        return Html("templates.html", {"found": found[:_ON_PAGE], "more": len(found) > _ON_PAGE})

    async def one(self, visit: Visit) -> Answered:
        """One: what becomes of it, its sources, its versions."""
        kind, name, query = _kind(visit), visit.path["name"], visit.query
        with _known():
            template = await self._templates.get(visit.tenant, kind, name)
            version = await self._templates.version(visit.tenant, kind, name, query.version)
            versions = await self._templates.versions(visit.tenant, kind, name, 0, _ON_PAGE)
        problems: list[TemplateProblem] = []
        rendered, data = None, query.data
        about: dict[str, Any] = {}
        try:
            given = _object(query.data)
        except ValueError as error:
            given = None
            problems.append(TemplateProblem("error", str(error), "data", remedy="mend it, and look again"))
        if kind == "template" and not problems:
            rendered, problems, about = await self._rendered(visit.tenant, version, given, query.locale)
            data = json.dumps(about.get("data", given or {}), indent=2, ensure_ascii=False)
        values = {
            "template": template,
            "version": version,
            "versions": versions,
            "rendered": rendered,
            "problems": problems,
            "data": data,
            "about": about,
            "locales": [version.source.get("locale", "en"), *version.source.get("translations", {})],
        }
        return Html("template.html", values)

    async def frame(self, visit: Visit) -> Answered:
        """The HTML of one, in a frame that may do nothing."""
        query: Look = visit.query
        with _known():
            version = await self._templates.version(
                visit.tenant, "template", visit.path["name"], query.version
            )
        try:
            given = _object(query.data)
        except ValueError as error:
            raise missing(f"The data cannot be read: {error}") from None
        rendered, problems, _ = await self._rendered(visit.tenant, version, given, query.locale)
        content = rendered.html if rendered is not None else "; ".join(map(str, problems))
        headers = {"content-security-policy": guard.FRAMED, "x-frame-options": "SAMEORIGIN"}
        media = "text/html; charset=utf-8" if rendered is not None else "text/plain; charset=utf-8"
        return Download(content.encode(), media, headers=headers)

    async def _rendered(
        self, tenant: str, version: Version, data: dict[str, Any] | None, locale: str
    ) -> tuple[Rendered | None, list[TemplateProblem], dict[str, Any]]:
        bundle = await self._templates.with_included(tenant, "template", version.name, version.source)
        try:
            about = await self._pool.about(bundle)
            used = about["sample"] if data is None else data
            (found,) = await self._pool.render(bundle, [(used, locale)])
        except TemplateError as error:
            return None, list(error.problems), {}
        told = {**about, "data": used}
        if isinstance(found, Rendered):
            return found, [], told
        return None, list(found), told

    # --- changing ----------------------------------------------------------------------

    async def form(self, visit: Visit) -> Answered:
        """The form: of a new one, or of one that there is."""
        version = None
        kind: Kind = visit.query.kind if isinstance(visit.query, Find) else "template"
        if "name" in visit.path:
            kind = _kind(visit)
            with _known():
                version = await self._templates.version(
                    visit.tenant, kind, visit.path["name"], visit.query.version
                )
        source = version.source if version is not None else _FIRST[kind]
        translations = source.get("translations")
        values = {
            "kind": kind,
            "version": version,
            "source": source,
            "translations": json.dumps(translations, indent=2, ensure_ascii=False) if translations else "",
        }
        return Html("template_form.html", values)

    async def keep(self, visit: Visit) -> Answered:
        """Keep a version, if it is a template at all."""
        form: Source = visit.form.value
        kind, name, source = form.kind, form.name, form.source()
        if kind == "template" and not form.subject:
            raise Invalid({"subject": "A template has a subject."})
        if not (form.text or form.html):
            raise Invalid({"html": f"A {kind} has HTML, text, or both."})
        bundle = await self._templates.with_included(visit.tenant, kind, name, source)
        try:
            await self._pool.about(bundle)
        except TemplateError as error:
            raise Invalid(_by_field(error.problems)) from None
        try:
            version = await self._templates.add(
                visit.tenant, kind, name, source, visit.now, note=form.note, activate=form.activate
            )
        except TooMany as error:
            raise Invalid({"": str(error)}) from None
        self._record(visit, f"{kind} put", f"{name} version {version.number}")
        said = f"Version {version.number} of {name} is kept" + (", and used." if form.activate else ".")
        return Redirect(f"{_at(kind, name)}?version={version.number}", said)

    async def activate(self, visit: Visit) -> Answered:
        """Use a version."""
        form: Activate = visit.form.value
        with _known():
            await self._templates.activate(visit.tenant, form.kind, form.name, form.version)
        self._record(visit, f"{form.kind} activate", f"{form.name} version {form.version}")
        return Redirect(_at(form.kind, form.name), f"Version {form.version} is used from now on.")

    async def confirm_remove(self, visit: Visit) -> Confirmation:
        """What is lost then."""
        form: Remove = visit.form.value
        return Confirmation(
            f"Remove the {form.kind} {form.name}?",
            "All its versions are forgotten.  Messages that name it are refused from then on.",
            "Remove",
            _at(form.kind, form.name),
        )

    async def remove(self, visit: Visit) -> Answered:
        """Forget one."""
        form: Remove = visit.form.value
        try:
            with _known():
                await self._templates.remove(visit.tenant, form.kind, form.name)
        except InUse as error:
            return Redirect(_at(form.kind, form.name), f"It cannot be removed: {error}.", "bad")
        self._record(visit, f"{form.kind} remove", form.name)
        return Redirect(f"{PLACE}?kind={form.kind}", f"{form.name} is removed.")

    # --- a test ------------------------------------------------------------------------

    async def offer(self, visit: Visit) -> Answered:
        """The form for a test."""
        with _known():
            template = await self._templates.get(visit.tenant, "template", visit.path["name"])
        return Html("template_test.html", {"template": template})

    async def test(self, visit: Visit) -> Answered:
        """Send one."""
        form: Test = visit.form.value
        body = {
            "version": form.version,
            "from": form.sender,
            "to": [form.to],
            "data": _object(form.data),
            "locale": form.locale,
        }
        names = {"name": visit.path["name"]}
        try:
            taken = await self._ask(visit, "POST", "/v1/templates/{name}/test", names, body=body)
        except Refused as refused:
            raise Invalid({"": refused.detail}) from None
        # Whoever sends a test wants to see whether it arrives.
        return Redirect(f"/dashboard/messages/{taken['id']}", f"A test is on its way to {form.to}.")

    def _record(self, visit: Visit, action: str, target: str) -> None:
        self._note(Administered(at=visit.now, action=action, tenant=visit.tenant, target=target, by=visit.by))


#: With what a new one begins.
_FIRST: dict[str, dict[str, Any]] = {
    "template": {
        "subject": "Welcome, {{ name }}",
        "html": "<h1>Hello {{ name }}</h1>\n<p>Good to have you here.</p>",
    },
    "layout": {"html": "<html><body>\n{% block body %}{% endblock %}\n</body></html>"},
    "partial": {"html": "<p>The Shop, Vienna</p>"},
}


def _kind(visit: Visit) -> Kind:
    for kind in KINDS:
        if kind == visit.path["kind"]:
            return kind
    raise missing("There is no such template")


def _at(kind: str, name: str) -> str:
    return f"{PLACE}/at/{kind}/{name}"


def _object(text: str) -> dict[str, Any] | None:
    """A JSON object; of nothing ``None``."""
    if not text.strip():
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError('it is no JSON object, such as {"name": "Ann"}')
    return found


def _translations(text: str) -> dict[str, Any]:
    """Translations by locale, each an object of parts and messages."""
    found = _object(text) or {}
    for locale, one in found.items():
        if not isinstance(one, dict) or not set(one) <= {"subject", "text", "html", "messages"}:
            raise ValueError(f"{locale}: it has subject, text, html and messages, and nothing else")
        if tag(locale) != locale:
            raise ValueError(f'the locale {locale!r} is written "{tag(locale)}"')
        if not isinstance(one.get("messages", {}), dict):
            raise ValueError(f"{locale}: messages are an object: of each text its translation")
        for part in ("subject", "text", "html"):
            if not isinstance(one.get(part, ""), str):
                raise ValueError(f"{locale}: {part} is a text")
    return found


def _by_field(problems: tuple[TemplateProblem, ...]) -> dict[str, str]:
    """Mistakes beside the parts that they are in."""
    found: dict[str, list[str]] = {}
    for one in problems:
        part, _, locale = one.part.partition(".")
        name = "translations" if locale else part if part in ("subject", "text", "html") else ""
        found.setdefault(name, []).append(str(one))
    return {name: "; ".join(some) for name, some in found.items()}


@contextmanager
def _known() -> Iterator[None]:
    """What is not there is told."""
    try:
        yield
    except NoTemplate:
        raise missing("There is no such template") from None
