"""Postmark's calls for sending, translated; pure.

``From``, ``To`` and so on are Postmark's names, and so are the numbers of errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from mta.api.compatible import leaving
from mta.api.compatible.people import WrongAddress, people
from mta.api.problem import ApiProblem
from mta.api.v1.message_models import MessageTaken, SendMessage
from mta.api.v1.refusal import invalid
from mta.model.message_uuid import uuid_of
from mta.template.bundle import Rendered

#: Messages of one request, as at Postmark.
MOST_MESSAGES = 500
#: The stream that messages are of when they name none.
STREAM = "outbound"
INACTIVE = (
    "Inactive recipients are ones that have generated a hard bounce, a spam complaint, "
    "or a manual suppression."
)


class _Asked(BaseModel):
    """Members that are not known here are passed over, as Postmark does."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class PostmarkHeader(_Asked):
    """A header field."""

    Name: str
    Value: str


class PostmarkAttachment(_Asked):
    """A file."""

    Name: str
    Content: str = Field(description="in base64")
    ContentType: str = ""
    ContentID: str | None = Field(None, description="as the HTML refers to it: cid:logo.png")


class PostmarkMessage(_Asked):
    """A message, as Postmark's applications write it."""

    From: str = ""
    To: str | None = None
    Cc: str | None = None
    Bcc: str | None = None
    Subject: str | None = None
    Tag: str | None = None
    HtmlBody: str | None = None
    TextBody: str | None = None
    ReplyTo: str | None = None
    Metadata: dict[str, str | int | float | bool | None] | None = None
    Headers: list[PostmarkHeader] | None = None
    TrackOpens: bool | None = None
    TrackLinks: str | None = Field(None, description="None, HtmlAndText, HtmlOnly or TextOnly")
    Attachments: list[PostmarkAttachment] | None = None
    MessageStream: str | None = Field(None, description="becomes the campaign; outbound: none")


class PostmarkBatch(RootModel[list[PostmarkMessage]]):
    """Several messages."""


class PostmarkTemplated(PostmarkMessage):
    """A message that a template is filled for."""

    TemplateId: int | str | None = Field(None, description="name of a template")
    TemplateAlias: str | None = Field(None, description="name of a template")
    TemplateModel: dict[str, Any] | None = Field(None, description="what is put into it")

    @property
    def template(self) -> str:
        """The template's name here; ``""``: it names none."""
        named = self.TemplateAlias if self.TemplateAlias is not None else self.TemplateId
        return "" if named is None else str(named).lower()


class PostmarkTemplatedBatch(_Asked):
    """Several such messages."""

    Messages: list[PostmarkTemplated]


class PostmarkRefusal(BaseModel):
    """Why a message is not sent."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    ErrorCode: int
    Message: str


class PostmarkAnswer(BaseModel):
    """A message that is on disk."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    To: str
    SubmittedAt: str
    MessageID: str
    ErrorCode: int
    Message: str


class PostmarkAnswers(RootModel[list[PostmarkAnswer]]):
    """What became of each message, in the order of the request."""


class PostmarkError(Exception):
    """A message is not sent.

    :param code: Postmark's ``ErrorCode``.
    :param text: what is wrong.
    :param status: of HTTP, where it is the only message of the request.
    """

    def __init__(self, code: int, text: str, status: int = 422) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status

    def answer(self) -> PostmarkRefusal:
        """What is answered to a request with one message."""
        return PostmarkRefusal(ErrorCode=self.code, Message=self.text)

    def answer_among(self, message: PostmarkMessage, now: float) -> PostmarkAnswer:
        """What stands among the answers to several; Postmark's own client wants all members there.

        :param now: in seconds since 1970.
        """
        return PostmarkAnswer(
            To=message.To or "",
            SubmittedAt=_moment(now),
            MessageID=str(UUID(int=0)),
            ErrorCode=self.code,
            Message=self.text,
        )


#: Fields of ours, by the first part of a JSON pointer, as Postmark calls them.
_FIELDS = {
    "from": "From",
    "sender": "From",
    "return_path": "From",
    "to": "To",
    "cc": "Cc",
    "bcc": "Bcc",
    "reply_to": "ReplyTo",
    "subject": "Subject",
    "text": "TextBody",
    "html": "HtmlBody",
    "tags": "Tag",
    "metadata": "Metadata",
    "campaign": "MessageStream",
    "headers": "Headers",
    "attachments": "Attachments",
}
#: Status of HTTP and ``ErrorCode`` by kind of problem (:data:`mta.api.v1.refusal.KINDS`).
_CODES = {
    "malformed": (422, 402),
    "media-type": (415, 409),
    "no-key": (401, 10),
    "wrong-key": (401, 10),
    "scope": (401, 10),
    "suspended": (422, 413),
    "sender": (422, 400),
    "too-large": (413, 300),
    "refused": (422, 300),
    "template": (422, 1122),
    "idempotency-busy": (409, 300),
    "idempotency-mismatch": (422, 300),
    "too-many": (429, 429),
    "quota": (429, 429),
    "internal": (500, 100),
    "unavailable": (503, 100),
}


def translated(
    message: PostmarkMessage, content: Rendered | None = None, linked: bool = False
) -> SendMessage:
    """The message that is sent.

    :param content: what a template has become.
    :param linked: whether links can lead recipients here.
    :raise PostmarkError: if it cannot be sent.
    """
    senders = _people(message.From, "From")
    if not senders:
        raise PostmarkError(300, "Invalid 'From' address: ''.\nGive the sender's address.")
    asked: dict[str, Any] = {
        # Of several authors Postmark takes the first.
        "from": senders[0],
        "to": _people(message.To, "To"),
        "cc": _people(message.Cc, "Cc"),
        "bcc": _people(message.Bcc, "Bcc"),
        "reply_to": _people(message.ReplyTo, "ReplyTo"),
        "subject": (message.Subject or "") if content is None else content.subject,
        "text": (message.TextBody or None) if content is None else content.text,
        "html": (message.HtmlBody or None) if content is None else content.html or None,
        "tags": [message.Tag] if message.Tag else [],
        "metadata": {name: _text(value) for name, value in (message.Metadata or {}).items()},
        "track": _track(message),
        "campaign": "" if message.MessageStream in (None, STREAM) else message.MessageStream,
        # Postmark tells of bounces by webhooks, and not by mail.
        "notify": [],
    }
    headers = {}
    for header in message.Headers or []:
        low = header.Name.lower()
        if low == "reply-to":
            asked["reply_to"] = asked["reply_to"] or _people(header.Value, "ReplyTo")
        elif low != "x-pm-keepid":
            headers[header.Name] = header.Value
    asked["headers"] = headers
    asked["attachments"] = [_attachment(one) for one in message.Attachments or []]
    count = len(asked["to"]) + len(asked["cc"]) + len(asked["bcc"])
    if linked and count == 1 and leaving.asks(leaving.POSTMARK, asked["text"], asked["html"]):
        # A stream is what Postmark's recipients leave.
        asked["unsubscribe"] = asked["campaign"]
        for name in ("text", "html"):
            asked[name] = leaving.placed(leaving.POSTMARK, asked[name], html=name == "html")
        asked["headers"] = {
            name: value for name, value in headers.items() if name.lower() not in leaving.FIELDS
        }
    if not count:
        raise PostmarkError(300, "Zero recipients specified.")
    if asked["text"] is None and asked["html"] is None:
        raise PostmarkError(300, "Provide either email TextBody or HtmlBody or both.")
    try:
        return SendMessage.model_validate(asked)
    except ValidationError as error:
        raise error_of(invalid(error)) from None


def answer_of(message: PostmarkMessage, taken: MessageTaken, now: float) -> PostmarkAnswer:
    """What is answered for a message that was taken.

    :param now: in seconds since 1970.
    :raise PostmarkError: if nobody gets it.
    """
    inactive = [one.email.lower() for one in taken.recipients if one.state == "suppressed"]
    listed = ", ".join(inactive)
    if inactive and len(inactive) == len(taken.recipients):
        raise PostmarkError(
            406,
            "You tried to send to recipient(s) that have been marked as inactive. "
            f"Found inactive addresses: {listed}. {INACTIVE}",
        )
    told = f"Message OK, but will not deliver to these inactive addresses: {listed}. {INACTIVE}"
    return PostmarkAnswer(
        To=message.To or "",
        SubmittedAt=_moment(now),
        MessageID=uuid_of(taken.id),
        ErrorCode=0,
        Message=told if inactive else "OK",
    )


def error_of(problem: ApiProblem, message: SendMessage | None = None) -> PostmarkError:
    """An error of ours as Postmark tells it.

    :param message: what was refused, for naming the address that is wrong.
    """
    kind = getattr(problem, "kind", "")
    status, code = _CODES.get(kind, (problem.status, 300))
    errors: Sequence[Mapping[str, Any]] = problem.more.get("errors", ())
    first = errors[0] if errors else {}
    pointer = str(first.get("pointer", "")).removeprefix("#").strip("/").split("/")
    detail = str(first.get("detail", "")) or problem.detail
    if kind == "no-key":
        text = "No Account or Server API tokens were supplied in the HTTP headers."
    elif kind == "wrong-key":
        text = "Request does not contain a valid Server token."
    elif kind == "sender":
        text = f"The 'From' address you supplied is not a Sender Signature on your account.\n{detail}"
    elif pointer[0] in ("to", "cc", "bcc") and pointer[-1] != pointer[0]:
        field, number = pointer[0], pointer[1]
        address = _address(message, field, number)
        text = f"Invalid '{_FIELDS[field]}' address: '{address}'.\n{detail}"
    elif pointer[0] in _FIELDS:
        place = ".".join([_FIELDS[pointer[0]], *pointer[1:]])
        text = f"Invalid '{place}': {detail}"
    else:
        text = ": ".join(filter(None, (problem.title, problem.detail)))
    return PostmarkError(code, text, status)


def told(problem: ApiProblem) -> tuple[int, str, bytes]:
    """Status, media type and octets of a problem with a whole request."""
    error = error_of(problem)
    if getattr(problem, "kind", "") == "invalid":
        error.code = 403  # "Incompatible JSON"
    return error.status, "application/json", error.answer().model_dump_json().encode() + b"\n"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _address(message: SendMessage | None, field: str, number: str) -> str:
    if message is None:
        return ""
    among = getattr(message, field)
    return str(among[int(number)].email) if number.isdigit() and int(number) < len(among) else ""


def _people(text: str | None, field: str) -> list[dict[str, str]]:
    try:
        return [{"email": one.email, "name": one.name} for one in people(text or "")]
    except WrongAddress as error:
        raise PostmarkError(300, f"Invalid '{field}' address: '{error.address}'.\n{error}") from None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _track(message: PostmarkMessage) -> dict[str, bool]:
    found = {}
    if message.TrackOpens is not None:
        found["opens"] = message.TrackOpens
    if message.TrackLinks is not None:
        found["clicks"] = message.TrackLinks.lower() != "none"
    return found


def _attachment(one: PostmarkAttachment) -> dict[str, str]:
    cid = re.sub(r"\Acid:", "", one.ContentID or "", flags=re.IGNORECASE)
    media = one.ContentType.partition(";")[0].strip()
    return {"name": one.Name, "content": one.Content, "type": media, "cid": cid}
