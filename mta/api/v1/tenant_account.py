"""A tenant as whoever sends: under which name its messages come in, and in whose name it may write."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from mta.interfaces import Answer
from mta.model.address import domain_of
from mta.registry.registry import Registry


class TenantAccount:
    """A tenant as whoever sends (:class:`~mta.interfaces.IAccount`).

    :param registry: knows whose domains are whose.
    """

    def __init__(self, registry: Registry, tenant: str) -> None:
        self.name = account_name(tenant)
        self._registry = registry
        self._tenant = tenant

    def may_send_as(self, address: str) -> Answer[bool]:
        """Whether the domain is the tenant's."""
        domains = self._registry.domains
        known = domains.known()
        name = domain_of(address)
        if isinstance(known, Mapping):
            return domains.belongs(known, self._tenant, name)
        return self._may_send_as(known, name)

    async def _may_send_as(self, known: Awaitable[Mapping[str, Any]], name: str) -> bool:
        return self._registry.domains.belongs(await known, self._tenant, name)


def account_name(tenant: str) -> str:
    """Under which name a tenant's messages come in: ``api:shop``."""
    return f"api:{tenant}"


def tenant_of(account: str) -> str | None:
    """Whose account it is; ``None``: none of a tenant, but somebody's who has an address."""
    kind, colon, tenant = account.partition(":")
    return tenant if kind == "api" and colon and "@" not in account else None
