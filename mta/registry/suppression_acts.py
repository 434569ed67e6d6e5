"""What ``mta suppression`` does with the lists: through a server, or without one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mta.model.event import Event
from mta.model.event_suppression import SuppressionChanged
from mta.registry.suppression_file import FORMATS, heading, read, written
from mta.registry.suppressions import (
    EVERYBODY,
    REASONS,
    NoSuppression,
    Suppression,
    Suppressions,
    checked_address,
)
from mta.registry.tenants import DEFAULT, NoTenant, Tenants

#: What stands for the server's own list.
ALL = "*"


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    by: str = Field("", max_length=200)
    tenant: str = Field(DEFAULT, max_length=63)


class _Add(_Asked):
    addresses: tuple[str, ...] = Field(min_length=1, max_length=1000)
    reason: str = "manual"
    list: str = Field("", max_length=200)
    note: str = Field("", max_length=1000)


class _Remove(_Asked):
    address: str = Field(max_length=400)
    reason: str = ""
    list: str | None = None


class _Page(_Asked):
    after: tuple[str, str, str] | None = None
    limit: int = Field(1000, ge=1, le=1000)
    reason: str = ""
    part: str = ""
    format: str = "csv"


class _Import(_Asked):
    text: str
    reason: str = "manual"


class SuppressionActs:
    """See the module.

    :param suppressions: the lists.
    :param tenants: who there is.
    :param seconds: the time, in seconds since 1970.
    :param note: puts an event into the journal.
    """

    def __init__(
        self,
        suppressions: Suppressions,
        tenants: Tenants,
        seconds: Callable[[], float],
        note: Callable[[Event], None],
    ) -> None:
        self._suppressions = suppressions
        self._tenants = tenants
        self._seconds = seconds
        self._note = note

    def acts(self) -> dict[str, tuple[type[BaseModel], Callable[[Any], Any]]]:
        """What it does, by name."""
        return {
            "suppression-list": (_Page, self._list),
            "suppression-add": (_Add, self._add),
            "suppression-remove": (_Remove, self._remove),
            "suppression-import": (_Import, self._import),
            "suppression-export": (_Page, self._export),
        }

    async def _whose(self, asked: _Asked) -> str:
        if asked.tenant == ALL:
            return EVERYBODY
        known = self._tenants.all()
        if asked.tenant not in (await known if isinstance(known, Awaitable) else known):
            raise NoTenant(asked.tenant)
        return asked.tenant

    async def _list(self, asked: _Page) -> dict[str, Any]:
        found = await self._page(asked)
        return {"suppressions": [shown(one) for one in found], "next": _next(found, asked.limit)}

    async def _page(self, asked: _Page) -> list[Suppression]:
        _known(asked.reason)
        tenant = await self._whose(asked)
        return await self._suppressions.page(tenant, asked.after or (), asked.limit, asked.reason, asked.part)

    async def _add(self, asked: _Add) -> dict[str, Any]:
        _known(asked.reason)
        now = self._seconds()
        evidence = {"by": asked.by, "note": asked.note}
        entries = [
            Suppression(checked_address(address), asked.reason, asked.list, now, evidence)
            for address in asked.addresses
        ]
        tenant = await self._whose(asked)
        new = await self._suppressions.add(tenant, entries)
        for one in new:
            self._changed("added", tenant, one, asked.by)
        return {"added": len(new), "known": len(entries) - len(new)}

    async def _remove(self, asked: _Remove) -> dict[str, Any]:
        _known(asked.reason)
        tenant = await self._whose(asked)
        try:
            gone = await self._suppressions.remove(tenant, asked.address, asked.reason, asked.list)
        except NoSuppression as error:
            raise ValueError(
                f"{error} is not suppressed; `mta suppression list --tenant {asked.tenant}` shows who is"
            ) from None
        for one in gone:
            self._changed("removed", tenant, one, asked.by)
        return {"removed": [shown(one) for one in gone]}

    async def _import(self, asked: _Import) -> dict[str, Any]:
        _known(asked.reason)
        tenant = await self._whose(asked)
        now = self._seconds()
        entries, problems, wrong = read(asked.text, now, asked.reason)
        new = await self._suppressions.add(tenant, entries)
        if new:
            self._note(
                SuppressionChanged(at=now, action="imported", tenant=tenant, count=len(new), by=asked.by)
            )
        return {
            "added": len(new),
            "known": len(entries) - len(new),
            "wrong": wrong,
            "problems": [{"line": line, "detail": detail} for line, detail in problems],
        }

    async def _export(self, asked: _Page) -> dict[str, Any]:
        if asked.format not in FORMATS:
            raise ValueError(f"format: it is one of {', '.join(FORMATS)}")
        found = await self._page(asked)
        head = "" if asked.after else heading(asked.format)
        return {"text": head + written(found, asked.format), "next": _next(found, asked.limit)}

    def _changed(self, action: str, tenant: str, one: Suppression, by: str) -> None:
        self._note(changed(action, tenant, one, by, self._seconds()))


def changed(action: str, tenant: str, entry: Suppression, by: str, at: float) -> SuppressionChanged:
    """The event of a change."""
    return SuppressionChanged(
        at=at,
        message=str(entry.evidence.get("message", "")),
        action=action,
        tenant=tenant,
        recipient=entry.address,
        reason=entry.reason,
        list=entry.list,
        by=by,
        evidence={name: value for name, value in entry.evidence.items() if value and name != "message"},
    )


def shown(one: Suppression) -> dict[str, Any]:
    """One entry as JSON values."""
    return {
        "address": one.address,
        "reason": one.reason,
        "list": one.list,
        "created": one.created,
        "evidence": dict(one.evidence),
    }


def _next(found: list[Suppression], limit: int) -> list[str] | None:
    return [found[-1].address, found[-1].reason, found[-1].list] if len(found) == limit else None


def _known(reason: str) -> None:
    if reason and reason not in REASONS:
        raise ValueError(f"reason: it is one of {', '.join(REASONS)}")
