"""``/v1/keys`` and ``/v1/tenant``: a tenant looks at its keys, makes, rotates and revokes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
from mta.model.event import Administered, Event
from mta.registry.keys import ADMIN, SCOPES, Key, Keys, NoKey, checked_scopes

_MOST_SECONDS = 10 * 366 * 86400
_WEEK = 7 * 86400


def _scopes(value: list[str]) -> list[str]:
    return sorted(checked_scopes(value))


Scope = Annotated[str, WithJsonSchema({"type": "string", "enum": list(SCOPES)})]


class NewKey(Model):
    """A key to be made."""

    name: str = Field(min_length=1, max_length=100, description="for people")
    scopes: Annotated[list[Scope], AfterValidator(_scopes)] = Field(
        min_length=1, max_length=len(SCOPES), description="what it is for: " + ", ".join(SCOPES)
    )
    expires_in: int | None = Field(None, ge=1, le=_MOST_SECONDS, description="seconds; without it: never")


class Rotation(Model):
    """How a key is to be replaced."""

    overlap: int = Field(86400, ge=0, le=_WEEK, description="seconds for which the old one is good still")
    expires_in: int | None = Field(None, ge=1, le=_MOST_SECONDS, description="of the new one")


class KeyShown(Shown):
    """A key, without its secret."""

    id: str
    name: str
    scopes: list[str]
    created: str
    expires: str | None
    replaces: str | None


class KeyMade(KeyShown):
    """A key that was made just now, with its text, which is shown only now."""

    key: str


class KeysShown(Shown):
    """The keys of the tenant."""

    keys: list[KeyShown]
    next: str | None = None


class TenantShown(Shown):
    """Who a key belongs to, and what it may do."""

    tenant: str
    key: str
    scopes: list[str]
    expires: str | None
    per_second: float = Field(description="recipients a second; 0: no limit")
    per_day: int = Field(description="recipients in a day of UTC; 0: no limit")


def moment(at: float) -> str | None:
    """A time as RFC 3339 has it; ``None`` for 0."""
    if not at:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class KeyRoutes:
    """Answers for keys.

    :param keys: keeps them.
    :param note: puts an event into the journal.
    """

    def __init__(self, keys: Keys, note: Callable[[Event], None]) -> None:
        self._keys = keys
        self._note = note

    def routes(self) -> list[Route]:
        """What it answers."""
        named = {"id": "of the key, the part between mk_ and _"}
        return [
            Route(
                "GET",
                "/v1/tenant",
                self.tenant,
                "messages:read",
                "Whose key this is, and what it may do",
                answer=TenantShown,
            ),
            Route("GET", "/v1/keys", self.list, "keys", "All keys of the tenant", answer=KeysShown),
            Route(
                "POST",
                "/v1/keys",
                self.create,
                "keys",
                "Make a key",
                "The text of the key is shown only in this answer. No key gives a scope that it has not.",
                body=NewKey,
                answer=KeyMade,
                status=201,
                examples={
                    "for an application that only sends": {"name": "shop", "scopes": ["messages:send"]}
                },
            ),
            Route("GET", "/v1/keys/{id}", self.get, "keys", "One key", answer=KeyShown, path_help=named),
            Route(
                "POST",
                "/v1/keys/{id}/rotate",
                self.rotate,
                "keys",
                "Make a key in place of another",
                "Both are good until `overlap` has passed, so that no request fails meanwhile.",
                body=Rotation,
                answer=KeyMade,
                status=201,
                path_help=named,
                examples={"an hour to change over": {"overlap": 3600}},
            ),
            Route(
                "DELETE", "/v1/keys/{id}", self.revoke, "keys", "Revoke a key", status=204, path_help=named
            ),
        ]

    async def tenant(self, call: Call) -> TenantShown:
        """Whose key it is."""
        key, tenant = _key(call), call.tenant
        return TenantShown(
            tenant=tenant.name,
            key=key.id,
            scopes=sorted(key.scopes),
            expires=moment(key.expires),
            per_second=tenant.per_second,
            per_day=tenant.per_day,
        )

    async def list(self, call: Call) -> KeysShown:
        """All of them."""
        return KeysShown(keys=[_shown(key) for key in await self._keys.of(call.tenant.name)])

    async def get(self, call: Call) -> KeyShown:
        """One."""
        return _shown(await self._own(call))

    async def create(self, call: Call) -> KeyMade:
        """Make one."""
        body: NewKey = call.body
        self._may_give(call, body.scopes)
        expires = call.now + body.expires_in if body.expires_in else 0.0
        key, text = await self._keys.create(call.tenant.name, body.name, body.scopes, call.now, expires)
        self._record(call, "key create", key.id)
        return _made(key, text)

    async def rotate(self, call: Call) -> KeyMade:
        """Make one in place of another."""
        body: Rotation = call.body
        old = await self._own(call)
        self._may_give(call, old.scopes)
        expires = call.now + body.expires_in if body.expires_in else 0.0
        try:
            key, text = await self._keys.rotate(call.tenant.name, old.id, call.now, body.overlap, expires)
        except NoKey:
            raise Refusal("not-found", f"there is no key {old.id}, or it is expired") from None
        self._record(call, "key rotate", key.id)
        return _made(key, text)

    async def revoke(self, call: Call) -> Response:
        """Forget one."""
        key = await self._own(call)
        try:
            await self._keys.revoke(call.tenant.name, key.id)
        except NoKey:
            raise Refusal("not-found", f"there is no key {key.id}") from None
        self._record(call, "key revoke", key.id)
        return Response()

    async def _own(self, call: Call) -> Key:
        try:
            return await self._keys.get(call.tenant.name, call.path["id"])
        except NoKey:
            raise Refusal("not-found", f"there is no key {call.path['id']}") from None

    @staticmethod
    def _may_give(call: Call, scopes: object) -> None:
        """Nobody gives what they have not."""
        key = _key(call)
        for scope in scopes:  # type: ignore[attr-defined]
            if (scope != ADMIN and not key.may(scope)) or (scope == ADMIN and ADMIN not in key.scopes):
                raise field_refusal(
                    "/scopes", f"this key has not the scope {scope} itself, and cannot give it", "scope"
                )

    def _record(self, call: Call, action: str, target: str) -> None:
        self._note(
            Administered(at=call.now, action=action, tenant=call.tenant.name, target=target, by=call.who)
        )


def _key(call: Call) -> Key:
    assert call.key is not None
    return call.key


def _shown(key: Key) -> KeyShown:
    return KeyShown(**_facts(key))


def _made(key: Key, text: str) -> KeyMade:
    return KeyMade(**_facts(key), key=text)


def _facts(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created": moment(key.created) or "",
        "expires": moment(key.expires),
        "replaces": key.replaces or None,
    }
