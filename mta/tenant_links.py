"""What tenants have set for links in all their mail, and the links that come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mta.api.v1.engagement import engagement_of
from mta.config.settings import Settings
from mta.engagement.links import MessageLinks, master_key, message_key
from mta.intake.linking import Linking
from mta.interfaces import Answer
from mta.model.linked import Linked, Wish
from mta.registry.registry import Registry
from mta.registry.tenants import Tenant


class TenantLinks:
    """Puts links into messages that were written elsewhere.

    :param registry: knows tenants.
    :param secret: of the server; all its workers have the same.
    :param settings: gives the settings in use.
    :ivar linking: does it.
    """

    def __init__(
        self,
        registry: Registry,
        secret: bytes,
        settings: Callable[[], Settings],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._registry = registry
        self._master = master_key(secret)
        self._settings = settings
        self.linking = Linking(self._wished, self._link, run_in_thread)

    def _wished(self, tenant: str) -> Answer[Wish | None]:
        """What a tenant has set for all its mail."""
        known = self._registry.tenants.all()
        return self._wish(known, tenant) if isinstance(known, Mapping) else self._wish_later(known, tenant)

    async def _wish_later(self, known: Awaitable[Mapping[str, Tenant]], tenant: str) -> Wish | None:
        return self._wish(await known, tenant)

    def _wish(self, known: Mapping[str, Tenant], tenant: str) -> Wish | None:
        found = known.get(tenant)
        if found is None:
            return None
        of = engagement_of(found)
        return Wish(of.clicks, of.opens, base=of.url or self._settings().api.url)

    def _link(self, content: bytes, wish: Wish, message: str, tenant: str, recipient: str) -> Linked:
        # A server that puts no links into mail of others needs no parser for it.
        from mta.engagement.mime import linked

        key = message_key(self._master, message)
        return linked(content, MessageLinks(key, wish.base, message, tenant, recipient), wish)
