"""SendGrid's v3 call for sending, translated; pure.

Each personalization becomes a message.  What has no counterpart here is passed over, and named in the
answer's ``Mta-Ignored``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mta.api.compatible import leaving
from mta.api.problem import ApiProblem
from mta.api.v1.message_models import SendMessage
from mta.api.v1.refusal import Refusal, field_refusal, invalid
from mta.model.options import Options
from mta.template.bundle import Rendered

_SUBSCRIPTION = "subscription_tracking"
#: Personalizations of one request, as at SendGrid.
MOST = 1000


class _Asked(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class SendGridPerson(_Asked):
    """An address, and who has it."""

    email: str
    name: str | None = None


class SendGridContent(_Asked):
    """A body."""

    type: str = Field(description="text/plain or text/html")
    value: str


class SendGridAttachment(_Asked):
    """A file."""

    content: str = Field(description="in base64")
    type: str | None = None
    filename: str = ""
    disposition: str | None = Field(None, description="attachment or inline")
    content_id: str | None = None


class SendGridSwitch(_Asked):
    """On or off."""

    enable: bool | None = None


class Personalization(_Asked):
    """Who gets a message, and what is different in it."""

    to: list[SendGridPerson] = Field(min_length=1)
    cc: list[SendGridPerson] = []
    bcc: list[SendGridPerson] = []
    sender: SendGridPerson | None = Field(None, alias="from")
    subject: str | None = None
    headers: dict[str, str] = {}
    substitutions: dict[str, str | None] = {}
    dynamic_template_data: dict[str, Any] = {}
    custom_args: dict[str, str | int | float | bool | None] = {}
    send_at: int | None = None


class SendGridMail(_Asked):
    """What ``POST /v3/mail/send`` takes."""

    personalizations: list[Personalization] = Field(min_length=1, max_length=MOST)
    sender: SendGridPerson = Field(alias="from")
    reply_to: SendGridPerson | None = None
    reply_to_list: list[SendGridPerson] = []
    subject: str | None = None
    content: list[SendGridContent] = []
    attachments: list[SendGridAttachment] = []
    template_id: str | None = Field(None, description="name of a template here")
    sections: dict[str, str] = {}
    headers: dict[str, str] = {}
    categories: list[str] = Field([], description="become tags")
    custom_args: dict[str, str | int | float | bool | None] = Field({}, description="become metadata")
    send_at: int | None = Field(None, description="in seconds since 1970")
    batch_id: str | None = None
    asm: dict[str, Any] | None = Field(None, description="the group becomes the list that may be left")
    ip_pool_name: str | None = None
    mail_settings: dict[str, Any] | None = Field(None, description="sandbox_mode: a dry run")
    tracking_settings: dict[str, Any] | None = None


class Piece(SendMessage):
    """A message of several that came in together."""

    batch: str = ""

    def options(self, tenant: str, key: str, batch: str = "") -> Options:
        """What the intake is told."""
        return super().options(tenant, key, batch or self.batch)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is the same for all messages of a request.

    :ivar template: its name; ``""``: there is none.
    :ivar ignored: what is passed over, in words.
    """

    template: str
    ignored: Sequence[str]


def asked(mail: SendGridMail, linked: bool = False) -> Asked:
    """What a request asks for.

    :param linked: whether links can lead recipients here.
    :raise Refusal: if it contradicts itself.
    """
    template = (mail.template_id or "").strip().lower()
    if not template and not mail.content:
        raise field_refusal("/content", "give content, or a template_id")
    return Asked(template, list(_ignored(mail, linked)))


def translated(
    mail: SendGridMail, place: int, content: Rendered | None = None, batch: str = "", linked: bool = False
) -> SendMessage:
    """The message of one personalization.

    :param place: which one.
    :param content: what the template has become for it.
    :param batch: by which its messages are found together.
    :param linked: whether links can lead recipients here.
    :raise Refusal: if it cannot be sent; pointers are into SendGrid's request.
    """
    one = mail.personalizations[place]
    fill = _filler(one.substitutions, mail.sections)
    text, html = _bodies(mail, fill) if content is None else (content.text or None, content.html or None)
    subject = fill(one.subject if one.subject is not None else mail.subject or "")
    replies = mail.reply_to_list or ([mail.reply_to] if mail.reply_to is not None else [])
    headers = {name.lower(): (name, value) for name, value in [*mail.headers.items(), *one.headers.items()]}
    args = {**mail.custom_args, **one.custom_args}
    unsubscribe = _left(mail) if linked and _is_alone(one) else None
    if unsubscribe is not None:
        text, html = _linked(mail, text, html=False), _linked(mail, html, html=True)
        headers = {name: field for name, field in headers.items() if name not in leaving.FIELDS}
    values: dict[str, Any] = {
        "from": _person(one.sender or mail.sender),
        "to": [_person(person) for person in one.to],
        "cc": [_person(person) for person in one.cc],
        "bcc": [_person(person) for person in one.bcc],
        "reply_to": [_person(person) for person in replies],
        "subject": subject if content is None or subject else content.subject,
        "text": text,
        "html": html,
        "attachments": [_attachment(file) for file in mail.attachments],
        "headers": dict(headers.values()),
        "tags": mail.categories,
        "metadata": {name: _text(value) for name, value in args.items()},
        "track": _track(mail.tracking_settings or {}),
        "unsubscribe": unsubscribe,
        "dry_run": _enabled(mail.mail_settings, "sandbox_mode"),
        # SendGrid tells of bounces by webhooks, and not by mail.
        "notify": [],
        "batch": batch,
    }
    at = one.send_at if one.send_at is not None else mail.send_at
    if at:
        try:
            values["send_at"] = datetime.fromtimestamp(at, UTC)
        except (OverflowError, OSError, ValueError):
            raise field_refusal(_own("send_at", place, one), "it is no time in seconds since 1970") from None
    if not values["subject"]:
        raise field_refusal("/subject", "the subject is required")
    try:
        return Piece.model_validate(values)
    except ValidationError as error:
        raise pointed(invalid(error), mail, place) from None


def pointed(problem: ApiProblem, mail: SendGridMail, place: int) -> Refusal:
    """A problem whose pointers lead into SendGrid's request.

    :param problem: with pointers into the message of a personalization.
    :param place: which one.
    """
    one = mail.personalizations[place]
    errors = []
    for error in problem.more.get("errors", ()):
        pointer = str(error.get("pointer", "")).removeprefix("#").strip("/")
        errors.append({**error, "pointer": _theirs(pointer, place, one)} if pointer else error)
    more = {name: value for name, value in problem.more.items() if name not in ("errors", "cause", "remedy")}
    kind = getattr(problem, "kind", "internal")
    return Refusal(kind, problem.detail, errors, getattr(problem, "headers", None), **more)


#: Statuses that SendGrid would answer, by kind, where ours is another.
_STATUS = {
    "invalid": 400,
    "malformed": 400,
    "refused": 400,
    "template": 400,
    "idempotency-mismatch": 400,
}
_TEXTS = {
    "no-key": "Permission denied, wrong credentials",
    "wrong-key": "The provided authorization grant is invalid, expired, or revoked",
    "scope": "access forbidden",
    "sender": "The from address does not match a verified Sender Identity. "
    "Mail cannot be sent until this error is resolved.",
    "too-many": "too many requests",
    "quota": "Maximum credits exceeded",
}


def told(problem: ApiProblem) -> tuple[int, str, bytes]:
    """Status, media type and octets of a problem, as SendGrid tells it."""
    kind = getattr(problem, "kind", "")
    help_ = str(problem.more.get("remedy") or "") or None
    text = _TEXTS.get(kind, "")
    errors = []
    for error in problem.more.get("errors", ()):
        place = str(error.get("pointer") or error.get("parameter") or "").removeprefix("#").strip("/")
        detail = str(error.get("detail", ""))
        message = ". ".join(filter(None, (text.rstrip("."), detail)))
        errors.append({"message": message, "field": place.replace("/", ".") or None, "help": help_})
    if not errors:
        detail = problem.detail if problem.detail != problem.title else ""
        message = ": ".join(filter(None, (text or problem.title, detail)))
        errors = [{"message": message, "field": None, "help": help_}]
    status = _STATUS.get(kind, problem.status)
    return status, "application/json", json.dumps({"errors": errors}).encode() + b"\n"


# --- parts of it -------------------------------------------------------------------

#: Where in SendGrid's request a field of ours comes from.
_EVERYWHERE = {
    "reply_to": "reply_to_list",
    "text": "content",
    "html": "content",
    "tags": "categories",
    "attachments": "attachments",
}
_FILE = {"name": "filename", "cid": "content_id"}


def _theirs(pointer: str, place: int, one: Personalization) -> str:
    first, _, rest = pointer.partition("/")
    if first in ("to", "cc", "bcc"):
        return f"#/personalizations/{place}/{pointer}"
    if first == "attachments":
        number, _, name = rest.partition("/")
        return "#/" + "/".join(filter(None, (first, number, _FILE.get(name, name))))
    if first in _EVERYWHERE:
        return f"#/{_EVERYWHERE[first]}"
    name = {"metadata": "custom_args", "sender": "from"}.get(first, first)
    return "#" + "/".join(filter(None, (_own(name, place, one), rest)))


def _own(name: str, place: int, one: Personalization) -> str:
    """Where a field stands that a personalization may have in place of the request's."""
    own: dict[str, Any] = {
        "from": one.sender,
        "subject": one.subject,
        "headers": one.headers,
        "custom_args": one.custom_args,
        "send_at": one.send_at,
    }
    return f"/personalizations/{place}/{name}" if own.get(name) else f"/{name}"


def _person(person: SendGridPerson) -> dict[str, str]:
    return {"email": person.email, "name": person.name or ""}


def _filler(substitutions: Mapping[str, str | None], sections: Mapping[str, str]) -> Any:
    """Puts in substitutions, and sections that those name."""

    def put(text: str, values: Mapping[str, str | None]) -> str:
        if not values or not text:
            return text
        # All at once, the longest first, so that what is put in is not replaced again.
        names = sorted((name for name in values if name), key=len, reverse=True)
        if not names:
            return text
        return re.sub("|".join(map(re.escape, names)), lambda match: values[match[0]] or "", text)

    return lambda text: put(put(text, substitutions), sections)


def _bodies(mail: SendGridMail, fill: Any) -> tuple[str | None, str | None]:
    text = html = None
    for number, body in enumerate(mail.content):
        media = body.type.partition(";")[0].strip().lower()
        if media == "text/plain" and text is None:
            text = fill(body.value)
        elif media == "text/html" and html is None:
            html = fill(body.value)
        else:
            raise field_refusal(
                f"/content/{number}/type",
                f"{body.type[:100]!r}: one text/plain and one text/html may be there; attach others",
            )
    return text, html


def _attachment(file: SendGridAttachment) -> dict[str, str]:
    inline = (file.disposition or "").lower() == "inline"
    return {
        "name": file.filename or file.content_id or "attachment",
        "content": file.content,
        "type": (file.type or "").partition(";")[0].strip(),
        "cid": (file.content_id or "") if inline else "",
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _enabled(settings: Mapping[str, Any] | None, name: str) -> bool:
    one = (settings or {}).get(name)
    return isinstance(one, Mapping) and one.get("enable") is True


def _track(settings: Mapping[str, Any]) -> dict[str, bool]:
    found = {}
    for theirs, ours in (("open_tracking", "opens"), ("click_tracking", "clicks")):
        one = settings.get(theirs)
        if isinstance(one, Mapping) and isinstance(one.get("enable"), bool):
            found[ours] = one["enable"]
    return found


def _subscription(mail: SendGridMail) -> Mapping[str, Any] | None:
    """The settings by which each message gets a link, if they are enabled."""
    found = (mail.tracking_settings or {}).get(_SUBSCRIPTION)
    return found if isinstance(found, Mapping) and found.get("enable") is True else None


def _left(mail: SendGridMail) -> str | None:
    """The list that may be left; ``None``: the request asks for no link."""
    if mail.asm:
        group = mail.asm.get("group_id")
        # A number, which a client may have written as a text; anything else names no group.
        return f"group-{group}" if re.fullmatch(r"[0-9]{1,20}", str(group)) else ""
    return "" if _subscription(mail) is not None else None


def _is_alone(one: Personalization) -> bool:
    """Whether a message has one recipient: others would leave in their place."""
    return len(one.to) + len(one.cc) + len(one.bcc) == 1


def _linked(mail: SendGridMail, text: str | None, *, html: bool) -> str | None:
    text = leaving.placed(leaving.SENDGRID, text, html=html)
    settings = _subscription(mail)
    # As at SendGrid, a group takes the place of what is added to every message.
    return text if mail.asm or settings is None else leaving.tracked(settings, text, html=html)


def _ignored(mail: SendGridMail, linked: bool) -> Any:
    alone = all(map(_is_alone, mail.personalizations))
    why = (
        "only a message to one recipient has a link" if linked else "links need api.url; set List-Unsubscribe"
    )
    if mail.asm and not (linked and alone):
        yield f"asm ({why})"
    if _subscription(mail) is not None and not mail.asm and not (linked and alone):
        yield f"tracking_settings.{_SUBSCRIPTION} ({why})"
    if _left(mail) is not None and linked:
        all_headers = [mail.headers, *(one.headers for one in mail.personalizations)]
        named = {name.lower() for headers in all_headers for name in headers}
        if named & leaving.FIELDS:
            yield "headers.List-Unsubscribe (that of the link stands there, where there is one)"
    if mail.batch_id:
        yield "batch_id (cancel a message by its id)"
    if mail.ip_pool_name:
        yield "ip_pool_name (the operator decides where mail leaves from)"
    for group, known in (
        ("mail_settings", ("sandbox_mode",)),
        ("tracking_settings", ("open_tracking", "click_tracking", _SUBSCRIPTION)),
    ):
        settings = getattr(mail, group)
        for name in sorted(settings or {}):
            if name not in known and _enabled(settings, name):
                # It goes into a header field.
                yield f"{group}.{name[:60]}" if name.isascii() and name.isprintable() else group
