"""What the ``mta`` command does with tenants, domains and keys: through a server, or without one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mta.interfaces import settle
from mta.model.a_labels import a_labels
from mta.model.event import Administered, Event
from mta.registry.keys import Key, NoKey
from mta.registry.registry import Registry
from mta.registry.suppression_acts import SuppressionActs
from mta.registry.tenants import DEFAULT, NoTenant, Tenant


class Refused(ValueError):
    """It cannot be done; the text tells why and what to do."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    by: str = Field("", max_length=200)


class _OfTenant(_Request):
    tenant: str = Field(DEFAULT, max_length=63)


class _Tenant(_Request):
    tenant: str = Field(max_length=63)
    per_second: float | None = Field(None, ge=0)
    per_day: int | None = Field(None, ge=0)
    domains: list[str] = Field([], max_length=1000)
    suspended: str | None = Field(None, max_length=1000)


class _Domain(_OfTenant):
    domain: str = Field(min_length=1, max_length=255)


class _NewKey(_OfTenant):
    name: str = Field("", max_length=100)
    scopes: list[str] = []
    expires_in: float = Field(0.0, ge=0)


class _Key(_OfTenant):
    id: str = Field(max_length=200)
    overlap: float = Field(86400.0, ge=0)
    expires_in: float = Field(0.0, ge=0)


class Administration:
    """See the module.

    :param registry: what is changed.
    :param seconds: the time, in seconds since 1970.
    :param note: puts an event into the journal.
    :param forget: forgets what is kept elsewhere of a tenant that is gone.
    """

    def __init__(
        self,
        registry: Registry,
        seconds: Callable[[], float],
        note: Callable[[Event], None],
        forget: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._forget = forget
        self._registry = registry
        self._seconds = seconds
        self._note = note
        more = SuppressionActs(registry.suppressions, registry.tenants, seconds, note)
        self._acts: dict[str, tuple[type[BaseModel], Callable[[Any], Any]]] = {
            **more.acts(),
            "tenant-list": (_Request, self._tenants),
            "tenant-add": (_Tenant, self._add_tenant),
            "tenant-set": (_Tenant, self._set_tenant),
            "tenant-remove": (_OfTenant, self._remove_tenant),
            "domain-add": (_Domain, self._add_domain),
            "domain-remove": (_Domain, self._remove_domain),
            "key-list": (_OfTenant, self._keys),
            "key-create": (_NewKey, self._create_key),
            "key-rotate": (_Key, self._rotate_key),
            "key-revoke": (_Key, self._revoke_key),
        }

    async def act(self, action: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do something.

        :param action: such as ``key-create``.
        :param request: JSON values.
        :return: JSON values.
        :raise Refused: if it cannot be done.
        :raise LookupError: if there is no such action.
        """
        model, act = self._acts[action]
        try:
            asked = model.model_validate(request)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Refused(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
        try:
            answer: dict[str, Any] = await act(asked)
            return answer
        except NoTenant as error:
            raise Refused(f"there is no tenant {error}; `mta tenant list` shows them") from None
        except NoKey as error:
            raise Refused(f"there is no key {error} of this tenant; `mta key list` shows them") from None
        except Refused:
            raise
        except ValueError as error:
            raise Refused(str(error)) from None

    # --- tenants ---------------------------------------------------------------

    async def _tenants(self, asked: _Request) -> dict[str, Any]:
        keys = await settle(self._registry.keys.known())
        found = []
        for tenant in sorted((await settle(self._registry.tenants.all())).values(), key=lambda one: one.name):
            domains = [domain.name for domain in await self._registry.domains.of(tenant.name)]
            count = sum(key.tenant == tenant.name for key in keys.values())
            found.append({**_tenant_json(tenant), "domains": domains, "keys": count})
        return {"tenants": found}

    async def _add_tenant(self, asked: _Tenant) -> dict[str, Any]:
        names = [_domain(name) for name in asked.domains]
        tenant = Tenant(
            asked.tenant, self._seconds(), asked.per_second or 0.0, asked.per_day or 0, asked.suspended or ""
        )
        await self._registry.tenants.add(tenant)
        self._record("tenant add", asked, tenant.name)
        for name in names:
            await self._registry.domains.add(tenant.name, name, self._seconds())
            self._record("domain add", asked, tenant.name, name)
        return _tenant_json(tenant)

    async def _set_tenant(self, asked: _Tenant) -> dict[str, Any]:
        names = ("per_second", "per_day", "suspended")
        changes = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
        if asked.tenant == DEFAULT:
            await self._made(DEFAULT)
        tenant = await self._registry.tenants.change(asked.tenant, **changes)
        self._record("tenant set", asked, tenant.name)
        return _tenant_json(tenant)

    async def _made(self, name: str) -> None:
        """The tenant ``default`` gets a row when it gets settings."""
        try:
            await self._registry.tenants.change(name)
        except NoTenant:
            await self._registry.tenants.add(Tenant(name, self._seconds()))

    async def _remove_tenant(self, asked: _OfTenant) -> dict[str, Any]:
        await self._known(asked.tenant)
        keys = await self._registry.keys.of(asked.tenant)
        domains = await self._registry.domains.of(asked.tenant)
        if (keys or domains) and asked.tenant != DEFAULT:
            raise Refused(
                f"{asked.tenant} has {len(keys)} keys and {len(domains)} domains still: "
                "revoke and remove them before"
            )
        await self._registry.tenants.remove(asked.tenant)
        await self._registry.templates.forget(asked.tenant)
        await self._registry.batches.forget(asked.tenant)
        if self._forget is not None:
            await self._forget(asked.tenant)
        # Who gets the name later gets no events from before, and no claims; whom it suppresses stays.
        for endpoint in await self._registry.endpoints.of(asked.tenant):
            await self._registry.endpoints.remove(asked.tenant, endpoint.id)
        for claim in await self._registry.verifications.of(asked.tenant):
            await self._registry.verifications.remove(asked.tenant, claim.domain)
        self._record("tenant remove", asked, asked.tenant)
        return {"removed": asked.tenant}

    async def _known(self, name: str) -> Tenant:
        found = (await settle(self._registry.tenants.all())).get(name)
        if found is None:
            raise NoTenant(name)
        return found

    # --- domains ---------------------------------------------------------------

    async def _add_domain(self, asked: _Domain) -> dict[str, Any]:
        await self._known(asked.tenant)
        name = _domain(asked.domain)
        await self._registry.domains.add(asked.tenant, name, self._seconds())
        self._record("domain add", asked, asked.tenant, name)
        return {"tenant": asked.tenant, "domain": name}

    async def _remove_domain(self, asked: _Domain) -> dict[str, Any]:
        name = _domain(asked.domain)
        try:
            await self._registry.domains.remove(asked.tenant, name)
        except LookupError:
            raise Refused(f"{asked.tenant} was not given the domain {name} here") from None
        self._record("domain remove", asked, asked.tenant, name)
        return {"tenant": asked.tenant, "domain": name}

    # --- keys ------------------------------------------------------------------

    async def _keys(self, asked: _OfTenant) -> dict[str, Any]:
        await self._known(asked.tenant)
        return {"keys": [_key_json(key) for key in await self._registry.keys.of(asked.tenant)]}

    async def _create_key(self, asked: _NewKey) -> dict[str, Any]:
        await self._known(asked.tenant)
        now = self._seconds()
        expires = now + asked.expires_in if asked.expires_in else 0.0
        key, text = await self._registry.keys.create(asked.tenant, asked.name, asked.scopes, now, expires)
        self._record("key create", asked, asked.tenant, key.id)
        return {**_key_json(key), "key": text}

    async def _rotate_key(self, asked: _Key) -> dict[str, Any]:
        now = self._seconds()
        expires = now + asked.expires_in if asked.expires_in else 0.0
        key, text = await self._registry.keys.rotate(asked.tenant, _id(asked.id), now, asked.overlap, expires)
        self._record("key rotate", asked, asked.tenant, key.id)
        return {**_key_json(key), "key": text}

    async def _revoke_key(self, asked: _Key) -> dict[str, Any]:
        name = _id(asked.id)
        await self._registry.keys.revoke(asked.tenant, name)
        self._record("key revoke", asked, asked.tenant, name)
        return {"revoked": name}

    def _record(self, action: str, asked: _Request, tenant: str, target: str = "") -> None:
        event = Administered(at=self._seconds(), action=action, tenant=tenant, target=target, by=asked.by)
        self._note(event)


def _id(text: str) -> str:
    """The id of a key; of a whole key that was pasted, too."""
    parts = text.split("_")
    return parts[1] if len(parts) >= 2 and parts[0] == "mk" else text


def _domain(name: str) -> str:
    try:
        return a_labels(name.strip().rstrip("."))
    except UnicodeError as error:
        raise Refused(f"{name!r} is no domain: {error}") from None


def _tenant_json(tenant: Tenant) -> dict[str, Any]:
    return {
        "tenant": tenant.name,
        "created": tenant.created,
        "per_second": tenant.per_second,
        "per_day": tenant.per_day,
        "suspended": tenant.suspended,
    }


def _key_json(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created": key.created,
        "expires": key.expires,
        "replaces": key.replaces,
    }
