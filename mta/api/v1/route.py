"""What a module of the API declares of each of its routes, and what its handlers are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict
from twisted.internet.defer import Deferred

from mta.api.v1.rates import Standing
from mta.registry.keys import Key
from mta.registry.tenants import Tenant


class Model(BaseModel):
    """What requests carry; unknown members are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Shown(BaseModel):
    """What answers carry."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


@dataclass(slots=True)
class Call:
    """One request, checked.

    :ivar request: as Twisted has it.
    :ivar id: of the request, in the answer's ``Request-Id`` and in the log.
    :ivar now: when it was received, in seconds since 1970.
    :ivar address: of the client.
    :ivar path: what stands in the path's braces.
    :ivar query: of the route's model ``query``.
    :ivar body: of the route's model ``body``; octets where the route takes those.
    :ivar content: the body's octets.
    :ivar tenant: who asks.
    :ivar key: with which key.
    :ivar standings: what it was counted by, which the answer tells.
    :ivar once: under which key it is carried out once; ``""``: as its ``Idempotency-Key`` says.
    """

    request: Any
    id: str
    now: float
    address: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Any = None
    body: Any = None
    content: bytes = b""
    tenant: Tenant = field(default_factory=lambda: Tenant(""))
    key: Key | None = None
    standings: list[Standing] = field(default_factory=list)
    once: str = ""

    @property
    def who(self) -> str:
        """Who acts, for the journal."""
        if self.key is None:
            return "nobody"
        # The operator has no key, and a name.
        return f"key {self.key.id} of {self.tenant.name}" if self.key.id else self.key.name

    def header(self, name: str) -> str:
        """A header field of the request; ``""``: there is none."""
        found = self.request.getHeader(name)
        return found if isinstance(found, str) else ""


@dataclass(slots=True)
class Response:
    """An answer that is not only a model.

    :ivar body: a model, octets, or nothing.
    :ivar status: ``None``: that of the route.
    :ivar headers: further header fields.
    :ivar media: media type of octets.
    """

    body: BaseModel | bytes | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media: str = "application/json"


@dataclass(slots=True)
class Stream:
    """An answer that is written bit by bit.

    :ivar run: writes to the request; the answer ends when it fires.  It is cancelled when the
        client goes.
    """

    run: Callable[[Any], Deferred[Any]]
    media: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


Answered: TypeAlias = BaseModel | Response | Stream | None
Handler: TypeAlias = Callable[[Call], Awaitable[Answered]]


def bearer(request: Any) -> str:
    """The key of a request: ``Authorization: Bearer mk_...`` (RFC 6750, 2.1)."""
    scheme, _, text = (request.getHeader("authorization") or "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, slots=True)
class Route:
    """One route, declared once.

    :ivar method: such as ``POST``.
    :ivar path: such as ``/v1/messages/{id}``.
    :ivar handler: answers.
    :ivar scope: that the key must have; ``None``: no key is asked for.
    :ivar summary: one line.
    :ivar description: more, in CommonMark.
    :ivar group: the heading that it stands under; ``""``: made of the path.
    :ivar query: model of the query.
    :ivar body: model of the body in JSON.
    :ivar octets: media types that are taken as octets instead.
    :ivar streamed: octets are not read: the handler is given what they are read from.
    :ivar answer: model of the answer; ``None``: it has no body, or octets of ``media``.
    :ivar media: media type of an answer without a model, or that there is besides; several, with commas.
    :ivar status: of the answer.
    :ivar also: other statuses of good answers, with when they are given.
    :ivar refusals: kinds of problems beyond those that every route has.
    :ivar examples: bodies, by what they show.
    :ivar path_help: what stands in the path's braces.
    :ivar headers: header fields of the request that count, with what they are for.
    :ivar token: reads the key off a request.
    :ivar key_in: the header field in which it stands.
    :ivar told: makes status, media type and octets of a problem, where they are not RFC 9457.
    :ivar hidden: not described.
    """

    method: str
    path: str
    handler: Handler
    scope: str | None
    summary: str
    description: str = ""
    group: str = ""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    octets: Sequence[str] = ()
    streamed: bool = False
    answer: type[BaseModel] | None = None
    media: str = ""
    status: int = 200
    also: Mapping[int, str] = field(default_factory=dict)
    refusals: Sequence[str] = ()
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    path_help: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    token: Callable[[Any], str] = bearer
    key_in: str = "Authorization"
    told: Callable[[Any], tuple[int, str, bytes]] | None = None
    hidden: bool = False

    @property
    def parameters(self) -> list[str]:
        """The names in the path's braces."""
        return [part.partition("}")[0] for part in self.path.split("{")[1:]]
