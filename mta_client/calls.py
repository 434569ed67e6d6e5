"""Requests, and how their answers are read; no network here."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from mta_client.batches import Batch, BatchResult, batch_of
from mta_client.errors import TooMany, Unavailable, error_of
from mta_client.messages import Message, Sent, sent_of, without_empty
from mta_client.suppressions import Suppression, suppression_of
from mta_client.templates import Preview, Template, TemplateVersion, preview_of, template_of

T = TypeVar("T")
#: Seconds between two tries, if the server does not say, and at the most.
_PAUSE, _LONGEST = 0.5, 60.0


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    :ivar read: from the answer's JSON to what is given back.
    :ivar body: JSON values; ``None``: there is none.
    :ivar content: a file in place of ``body``, of the type ``media``.
    :ivar raw: whether the answer is a file, and ``read`` gets its octets.
    :ivar safe: whether it may be sent again when nobody knows what was done.
    """

    method: str
    path: str
    read: Callable[[Any], T]
    body: Any = None
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    safe: bool = True
    content: bytes | None = None
    media: str = ""
    raw: bool = False

    def request(self) -> dict[str, Any]:
        """What httpx is asked with, besides method and path."""
        if self.content is None:
            return {"json": self.body, "params": self.query, "headers": self.headers}
        headers = {**self.headers, "Content-Type": self.media}
        return {"content": self.content, "params": self.query, "headers": headers}

    def answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> T:
        """What is given back.

        :raise ApiError: if it was refused.
        """
        if not 200 <= status < 300:
            raise error_of(status, content, headers)
        if self.raw:
            return self.read(content)
        return self.read(json.loads(content) if content else None)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of a list.

    :ivar next: where the next part begins; ``None``: there is none.
    """

    items: Sequence[T]
    next: str | None


def pause(error: Exception, tried: int) -> float | None:
    """Seconds after which a request is to be sent again; ``None``: it is not.

    :param tried: how often it was sent.
    """
    if isinstance(error, (TooMany, Unavailable)) and error.retry_after is not None:
        return error.retry_after if error.retry_after <= _LONGEST else None
    # Many clients must not come again at the same time.
    return float(min(_LONGEST, _PAUSE * 2.0**tried) * random.uniform(0.5, 1.0))  # noqa: S311


def _once(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or str(uuid.uuid4())}


def send(message: Message, key: str | None = None) -> Call[Sent]:
    """Send a message."""
    return Call("POST", "/v1/messages", sent_of, message.encode(), headers=_once(key))


def send_batch(batch: Batch, key: str | None = None) -> Call[BatchResult]:
    """Send a batch."""
    return Call("POST", "/v1/batches", batch_of, batch.encode(), headers=_once(key))


def batch(identifier: str) -> Call[BatchResult]:
    """How a batch is."""
    return Call("GET", f"/v1/batches/{part(identifier)}", batch_of)


def message(identifier: str) -> Call[Mapping[str, Any]]:
    """How a message and its recipients stand."""
    return Call("GET", f"/v1/messages/{part(identifier)}", dict)


def cancel(identifier: str, reason: str = "") -> Call[None]:
    """Take a message back."""
    path = f"/v1/messages/{part(identifier)}/cancel"
    return Call("POST", path, nothing, without_empty({"reason": reason}), safe=False)


def suppressions(reason: str, address: str, cursor: str | None) -> Call[Page[Suppression]]:
    """A part of the suppression list."""
    query = without_empty({"reason": reason, "address": address, "cursor": cursor})
    return Call("GET", "/v1/suppressions", page_of("suppressions", suppression_of), query=query)


def suppression(address: str) -> Call[Sequence[Suppression]]:
    """Why an address gets nothing."""

    def read(value: Any) -> Sequence[Suppression]:
        return [suppression_of(one) for one in value["suppressions"]]

    return Call("GET", f"/v1/suppressions/{part(address)}", read)


def suppress(addresses: Sequence[str], reason: str, list: str, note: str) -> Call[int]:
    """Put addresses on the list."""
    body = without_empty({"addresses": [*addresses], "reason": reason, "list": list, "note": note})
    return Call("POST", "/v1/suppressions", lambda value: int(value["added"]), body)


def unsuppress(address: str, reason: str) -> Call[None]:
    """Take an address off the list."""
    query = without_empty({"reason": reason})
    return Call("DELETE", f"/v1/suppressions/{part(address)}", nothing, query=query)


def templates(cursor: str | None) -> Call[Page[Template]]:
    """A part of the list of templates."""
    query = without_empty({"cursor": cursor})
    return Call("GET", "/v1/templates", page_of("templates", template_of), query=query)


def put_template(name: str, version: TemplateVersion) -> Call[int]:
    """Keep a version; its number."""
    path = f"/v1/templates/{part(name)}"
    return Call("PUT", path, lambda value: int(value["version"]), version.encode(), safe=False)


def delete_template(name: str) -> Call[None]:
    """Forget a template."""
    return Call("DELETE", f"/v1/templates/{part(name)}", nothing)


def preview(name: str, data: Mapping[str, Any] | None, locale: str) -> Call[Preview]:
    """What a template becomes."""
    body = {**without_empty({"locale": locale}), **({} if data is None else {"data": dict(data)})}
    return Call("POST", f"/v1/templates/{part(name)}/preview", preview_of, body)


def follow(
    messages: Sequence[str],
    batches: Sequence[str],
    tags: Sequence[str],
    types: Sequence[str],
) -> dict[str, Any]:
    """The query of ``/v1/events/stream``."""
    found = {"message": [*messages], "batch": [*batches], "tag": [*tags], "type": [*types]}
    return without_empty(found)


def read_as(kind: type[T]) -> Callable[[Any], T]:
    """Reads a dataclass; members of the answer that it does not have are passed over."""
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    return lambda value: kind(**{name: value[name] for name in names if name in value})


def page_of(name: str, read: Callable[[Any], T]) -> Callable[[Any], Page[T]]:
    """Reads a part of a list."""
    return lambda value: Page([read(one) for one in value[name]], value.get("next"))


def part(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


def nothing(value: Any) -> None:
    """Reads an answer that has nothing in it."""
