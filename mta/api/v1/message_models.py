"""What a request to send carries, and what its answer."""

from __future__ import annotations

import binascii
import mimetypes
import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from mta.api.v1.moment import Moment
from mta.api.v1.person import OnePerson, People, canonical
from mta.api.v1.route import Model, Shown
from mta.compose.fields import checked_field
from mta.compose.message import File
from mta.model.options import MOST_METADATA, MOST_TAGS, Options, checked_metadata, checked_tags
from mta.registry.templates import NAME
from mta.template.locale import tag

#: Recipients of one message.
MOST_RECIPIENTS = 1000
_MEDIA = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\Z")
_CID = re.compile(r"[!-;=?-~]{1,200}\Z")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("it is a text in base64")
    try:
        return binascii.a2b_base64("".join(value.split()).encode(), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"it is no base64: {error}") from None


Base64 = Annotated[
    bytes,
    BeforeValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "title": "base64"}),
]


def _line(value: str) -> str:
    if _UNSEEN.search(value):
        raise ValueError("it has no line breaks and no controls in it")
    return value


Line = Annotated[str, AfterValidator(_line)]


def _text(value: str) -> str:
    # One half of a surrogate pair is no text, though JSON can write it.
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError("it has half of a surrogate pair in it")
    return value


Text = Annotated[str, AfterValidator(_text)]


class Attachment(Model):
    """A file that goes with the message."""

    name: Line = Field(min_length=1, max_length=255)
    content: Base64 = Field(description="the octets, in base64")
    type: str = Field("", max_length=255, description="media type; without it, by the name")
    cid: str = Field("", max_length=200, description='shown where the HTML has "cid:..."')

    @field_validator("type")
    @classmethod
    def _is_media_type(cls, value: str) -> str:
        low = value.strip().lower()
        if low and (not _MEDIA.match(low) or low.startswith("multipart/")):
            raise ValueError(f"{value!r} is no media type of a file, such as image/png")
        return low

    @field_validator("cid")
    @classmethod
    def _is_content_id(cls, value: str) -> str:
        bare = value.removeprefix("<").removesuffix(">")
        if bare and not _CID.match(bare):
            raise ValueError(f"{value!r} is no content id: printable ASCII without spaces and angles")
        return bare

    def file(self) -> File:
        """As it is composed."""
        media = self.type or mimetypes.guess_type(self.name)[0] or "application/octet-stream"
        return File(self.name, media, self.content, self.cid)


class Track(Model):
    """What of recipients' acts is counted, in place of what is set for the tenant."""

    opens: bool | None = None
    clicks: bool | None = None


Tags = Annotated[list[Text], AfterValidator(checked_tags)]
Metadata = Annotated[dict[Text, Text], AfterValidator(checked_metadata)]
Notify = Literal["failure", "delay", "success"]


class Terms(Model):
    """What may be said of a message whatever it is made of."""

    tags: Tags = Field([], max_length=MOST_TAGS, description="what it is about, for statistics")
    metadata: Metadata = Field(
        {}, max_length=MOST_METADATA, description="what the application finds again in events"
    )
    campaign: Line = Field("", max_length=100, description="what it belongs to: campaigns take turns")
    track: Track = Track()
    send_at: Moment | None = Field(None, description="not before; a time that has passed: at once")
    priority: int | None = Field(None, ge=-9, le=9, description="the higher, the sooner (RFC 6710)")
    notify: list[Notify] = Field(
        ["failure", "delay"],
        max_length=3,
        description="of what a mail tells the sender; events tell it anyway",
    )
    return_path: str = Field("", max_length=320, description="where bounces go; without it, to the sender")
    dry_run: bool = Field(False, description="check everything, send nothing")

    @field_validator("return_path")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return canonical(value) if value else ""

    def options(self, tenant: str, key: str, batch: str = "") -> Options:
        """What the intake is told."""
        track = {name: value for name, value in self.track.model_dump().items() if value is not None}
        named = getattr(self, "template", None) or ""
        return Options(
            tenant, key, self.campaign, tuple(self.tags), self.metadata, batch, track, template=named
        )


class SendMessage(Terms):
    """A message to be sent."""

    sender: OnePerson = Field(alias="from", description="of a domain of the tenant")
    to: People = Field([], max_length=MOST_RECIPIENTS)
    cc: People = Field([], max_length=MOST_RECIPIENTS)
    bcc: People = Field([], max_length=MOST_RECIPIENTS)
    reply_to: People = Field([], max_length=20)
    subject: Line = Field("", max_length=2000)
    text: Text | None = Field(None, description="made of the HTML, if there is only that")
    html: Text | None = None
    template: str | None = Field(
        None, pattern=f"^(?:{NAME.pattern})$", description="its name, in place of subject, text and html"
    )
    version: int = Field(0, ge=0, le=1 << 31, description="of the template; 0: the live one")
    data: dict[str, Any] = Field({}, description="for the template")
    locale: str = Field("", max_length=35, description="the recipient's, for the template")
    unsubscribe: Line | None = Field(
        None,
        max_length=100,
        description="the list that may be left with one click (RFC 8058); empty: all the tenant's mail",
    )
    attachments: list[Attachment] = Field([], max_length=100)
    headers: dict[str, str] = Field({}, max_length=100, description="further header fields")

    @field_validator("locale")
    @classmethod
    def _is_locale(cls, value: str) -> str:
        return tag(value) if value else ""

    @field_validator("headers")
    @classmethod
    def _may_be_set(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            checked_field(name, _text(text))
        if len({name.lower() for name in value}) < len(value):
            raise ValueError("a field stands there twice")
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> SendMessage:
        count = len(self.to) + len(self.cc) + len(self.bcc)
        if not count:
            raise ValueError("there is no recipient: give to, cc or bcc")
        if count > MOST_RECIPIENTS:
            raise ValueError(
                f"there are {count} recipients, and there may be {MOST_RECIPIENTS}; send a batch"
            )
        own = self.text is not None or self.html is not None
        if self.template is not None and (own or self.subject):
            raise ValueError("a template has subject, text and html: give them, or a template")
        if self.template is None and not own:
            raise ValueError("there is nothing in it: give text or html, or a template")
        return self


class Written(Terms):
    """What may be said of a message that is written already."""

    unsubscribe: Line | None = Field(
        None,
        max_length=100,
        description="the list that may be left with one click (RFC 8058); empty: all the tenant's mail",
    )

    def options(self, tenant: str, key: str, batch: str = "") -> Options:
        """What the intake is told."""
        found = super().options(tenant, key, batch)
        return replace(found, raw=True, unsubscribe=self.unsubscribe)


class RawMessage(Written):
    """A message that is written already (RFC 5322)."""

    mime: Base64 = Field(description="the message in base64; bare line feeds become CRLF")
    sender: str = Field("", alias="from", max_length=320, description="without it, as its From says")
    to: list[str] = Field(
        [], max_length=MOST_RECIPIENTS, description="who gets it; without it, whom its To, Cc and Bcc name"
    )

    @field_validator("sender")
    @classmethod
    def _is_sender(cls, value: str) -> str:
        return canonical(value) if value else ""

    @field_validator("to")
    @classmethod
    def _are_addresses(cls, value: list[str]) -> list[str]:
        return [canonical(one) for one in value]


class RawQuery(Model):
    """Who sends a raw message, and to whom."""

    sender: str = Field("", alias="from", max_length=320, description="without it, as its From says")
    # A request's header has room for 64 KiB (mta.api.v1.site).
    to: list[Annotated[str, Field(max_length=320)]] = Field(
        [], max_length=10, description="who gets it; may be repeated; as JSON there may be more"
    )
    unsubscribe: Line | None = Field(
        None, max_length=100, description="the list that may be left with one click; empty: all mail"
    )
    dry_run: bool = Field(False, description="check everything, send nothing")


class RecipientTaken(Shown):
    """One who is to get it."""

    id: str = Field(description="for looking at what becomes of it")
    email: str
    state: str = Field(description="queued, scheduled, held, suppressed or, in a dry run, accepted")


class MessageTaken(Shown):
    """A message that is on disk now, and will be sent or returned."""

    id: str
    message_id: str
    state: str = Field(description="queued, scheduled, held, discarded or, in a dry run, accepted")
    recipients: list[RecipientTaken]
    send_at: str | None = None
    priority: int = 0
    size: int = Field(0, description="octets of the message")
    links: str = Field(
        "", description="of a message that was written already: which links were put in, or why not"
    )
    dry_run: bool = False
