"""Why a request is refused: problem documents (RFC 9457), each of a kind that the reference explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from mta.api.problem import ApiProblem
from mta.api.v1.unknown import unknown


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem.

    :ivar status: of HTTP.
    :ivar title: the same each time.
    :ivar cause: what usually leads to it.
    :ivar remedy: what to do.
    """

    status: int
    title: str
    cause: str
    remedy: str


KINDS: dict[str, Kind] = {
    "malformed": Kind(
        400,
        "The body cannot be read",
        "it is no JSON, or not of the media type that its Content-Type names",
        "send one JSON value in UTF-8, with Content-Type: application/json",
    ),
    "no-key": Kind(
        401,
        "A key is needed",
        "the request has no Authorization header, or not of the form 'Bearer mk_...'",
        "send Authorization: Bearer with the key; `mta key create` makes one",
    ),
    "wrong-key": Kind(
        401,
        "This key is not valid",
        "it was mistyped, has expired, or was revoked or rotated",
        "`mta key list` shows the keys that there are; make another with `mta key create`",
    ),
    "scope": Kind(
        403,
        "This key is not for that",
        "the key lacks the scope that the request needs",
        "use a key with that scope; `mta key create --scope` makes one",
    ),
    "suspended": Kind(
        403,
        "The tenant may not send",
        "the operator has suspended the tenant",
        "ask the operator of the server",
    ),
    "sender": Kind(
        403,
        "This sender is not the tenant's",
        "the domain of the sender is not among the domains of the tenant",
        "send from one of them, or add the domain",
    ),
    "not-found": Kind(
        404,
        "There is nothing here",
        "the path is wrong, or what it names is gone or never was the tenant's",
        "check the id; /openapi.json has all paths",
    ),
    "method": Kind(
        405,
        "Not with this method",
        "the path exists, but not for this method",
        "use one that the Allow header names",
    ),
    "conflict": Kind(
        409,
        "This cannot be done now",
        "what the request is about is in a state that does not allow it",
        "look at it again, then decide",
    ),
    "idempotency-busy": Kind(
        409,
        "A request with this Idempotency-Key is under way",
        "the same request was sent again before the first was answered",
        "wait a moment and send it again, with the same key",
    ),
    "too-large": Kind(
        413,
        "The request is too large",
        "the body has more octets than the server takes",
        "send less: fewer recipients or smaller attachments at once",
    ),
    "uri-too-long": Kind(
        414,
        "The path and query are too long",
        "the first line of the request is longer than the server takes",
        "put less into the query",
    ),
    "media-type": Kind(
        415,
        "This media type is not understood here",
        "the Content-Type of the body is not one that the path takes",
        "use one that the reference names for it",
    ),
    "invalid": Kind(
        422,
        "The request is not valid",
        "a field is missing, unknown, or has a value that it cannot have",
        "each of the errors names its field and what is wrong with it",
    ),
    "idempotency-mismatch": Kind(
        422,
        "This Idempotency-Key was used for another request",
        "two different requests have the same Idempotency-Key",
        "give every request a key of its own, and the same only when it is sent again unchanged",
    ),
    "header-too-large": Kind(
        431,
        "A header field is too large",
        "a field of the request's header is longer than the server takes",
        "send shorter header fields",
    ),
    "refused": Kind(
        422,
        "The message is refused",
        "a rule of the server refuses this message or this recipient for good",
        "the reply tells why; `mta explain` tells more about it",
    ),
    "template": Kind(
        422,
        "The template is wrong, or the data are not what it asks for",
        "a mistake in the template, or a variable that the data have not",
        "each of the errors names part, line and column, and what to do; /v1/preview shows what comes out",
    ),
    "too-many": Kind(
        429,
        "Too many requests",
        "more requests or messages than the tenant may have in this time",
        "wait as long as Retry-After says",
    ),
    "quota": Kind(
        429,
        "The tenant has sent all that it may send",
        "more recipients than the tenant may send to in a second, or in a day of UTC",
        "wait as long as Retry-After says, or have the operator raise the limit: `mta tenant set`",
    ),
    "internal": Kind(
        500,
        "Trouble on our side",
        "a mistake in the server",
        "send the request again later, with the same Idempotency-Key; the server's log tells what failed",
    ),
    "unavailable": Kind(
        503,
        "Not available now",
        "a disk, a directory or a filter of the server is down, or full",
        "send the request again later, with the same Idempotency-Key",
    ),
}


class Refusal(ApiProblem):
    """A request is refused.

    :param kind: of :data:`KINDS`.
    :param detail: what is wrong this time.
    :param errors: what is wrong with which field: ``pointer`` or ``parameter`` or ``header``, and ``detail``.
    :param headers: of the answer.
    :param more: further members of the document, JSON values.
    """

    def __init__(
        self,
        kind: str,
        detail: str = "",
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        known = KINDS[kind]
        if errors:
            more["errors"] = [dict(error) for error in errors]
        super().__init__(known.status, known.title, detail, cause=known.cause, remedy=known.remedy, **more)
        self.kind = kind
        self.headers = dict(headers or {})
        self.type = f"/docs#problem-{kind}"


def field_refusal(pointer: str, detail: str, kind: str = "invalid", **more: Any) -> Refusal:
    """One field is wrong.

    :param pointer: JSON pointer to it (RFC 6901), such as ``/to/0``.
    """
    return Refusal(kind, f"{pointer}: {detail}", [{"pointer": f"#{pointer}", "detail": detail}], **more)


def invalid(error: ValidationError, place: str = "", model: type[BaseModel] | None = None) -> Refusal:
    """What pydantic says, with where it is.

    :param place: ``query`` or ``path`` for parameters; ``""`` for a body.
    :param model: what it should have been, by which names that are mistyped are known.
    """
    errors = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        what = item["msg"].removeprefix("Value error, ")
        where = [str(part) for part in item["loc"]]
        if item["type"] == "extra_forbidden":
            what = unknown(model, item["loc"])
        if item["type"] == "json_invalid":
            return Refusal("malformed", what)
        if place:
            errors.append({"parameter": where[0] if where else "", "in": place, "detail": what})
        else:
            pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in where)
            errors.append({"pointer": f"#{pointer}", "detail": what})
    told = "; ".join(f"{one.get('pointer') or one.get('parameter')}: {one['detail']}" for one in errors[:5])
    return Refusal("invalid", told, errors[:100])
