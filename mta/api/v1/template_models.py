"""What requests about templates, layouts and partials carry, and what is answered."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from mta.api.v1.cursor import MOST_NUMBER
from mta.api.v1.person import OnePerson, People
from mta.api.v1.route import Model, Shown
from mta.registry.templates import NAME
from mta.template.locale import tag

#: Characters of one part of a source.
_MOST = 512 * 1024

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
