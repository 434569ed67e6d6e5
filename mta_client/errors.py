"""What may go wrong: one class for each way in which a program goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


class MtaError(Exception):
    """Anything that went wrong."""


class NoAnswer(MtaError):
    """The server could not be reached, or its answer did not come; nobody knows what was done.

    Send it again with the same ``idempotency_key``: it is carried out once.
    """


class ApiError(MtaError):
    """The server refused (RFC 9457).

    :ivar status: of HTTP.
    :ivar kind: which problem, such as ``sender``; ``/docs`` on the server explains each.
    :ivar title: the same for each problem of the kind.
    :ivar detail: what is wrong this time.
    :ivar remedy: what to do.
    :ivar errors: what is wrong with which field: ``pointer``, ``detail`` and so on.
    :ivar retry_after: seconds to wait; ``None``: the server does not say.
    :ivar request_id: by which the server's log knows the request.
    """

    def __init__(self, status: int, document: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.status = status
        self.kind = str(document.get("type", "")).rpartition("#problem-")[2]
        self.title = str(document.get("title", "")) or f"status {status}"
        self.detail = str(document.get("detail", ""))
        self.remedy = str(document.get("remedy", ""))
        self.errors: Sequence[Mapping[str, Any]] = document.get("errors") or []
        wait = headers.get("retry-after", "")
        self.retry_after = float(wait) if wait.isascii() and wait.isdigit() else None
        self.request_id = headers.get("request-id", "")
        super().__init__(": ".join(filter(None, (self.title, self.detail))))


class Unauthorized(ApiError):
    """There is no key, or it is not valid (401)."""


class Forbidden(ApiError):
    """The key is not for this, the sender is not the tenant's, or the tenant may not send (403)."""


class NotFound(ApiError):
    """There is no such thing (404)."""


class Conflict(ApiError):
    """It cannot be done now (409)."""


class Invalid(ApiError):
    """The request is wrong: ``errors`` says where (400, 413, 415, 422)."""


class Refused(Invalid):
    """A rule of the server refuses the message or a recipient for good."""


class TooMany(ApiError):
    """More than the tenant may in this time (429): wait for ``retry_after``."""


class Unavailable(ApiError):
    """Trouble of the server (5xx): send it again later with the same ``idempotency_key``."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: TooMany,
}


def error_of(status: int, content: bytes, headers: Mapping[str, str]) -> ApiError:
    """The error of an answer.

    :param headers: names in lower case.
    """
    try:
        document = json.loads(content)
    except ValueError:
        # A proxy in between has answered.
        document = {}
    if not isinstance(document, dict):
        document = {}
    kind = str(document.get("type", ""))
    if status >= 500:
        return Unavailable(status, document, headers)
    if kind.endswith("#problem-refused"):
        return Refused(status, document, headers)
    return _BY_STATUS.get(status, Invalid)(status, document, headers)
