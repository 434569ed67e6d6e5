"""Joins the pages for whom mail is for: contacts, lists, segments, files of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from mta.api.problem import ApiProblem
from mta.api.v1.contact_files import ContactFileRoutes, Exporting, Importing, ImportShown
from mta.application import SendingApi
from mta.audience.contact_file import FORMATS
from mta.dashboard.contacts import ContactPages
from mta.dashboard.imports import ImportPages
from mta.dashboard.lists import ListPages
from mta.dashboard.page import Live, Page
from mta.dashboard.segments import SegmentPages
from mta.dashboard.visit import Visit
from mta.model.event import Event
from mta.model.event_audience import AudienceChanged
from mta.presenting_api import in_name_of
from mta.registry.registry import Registry


class ContactFiles:
    """See :class:`mta.dashboard.imports.Files`: the API's own way, in a person's name.

    :param routes: of the API.
    :param registry: has tenants.
    :param note: puts an event into the journal.
    """

    def __init__(self, routes: ContactFileRoutes, registry: Registry, note: Callable[[Event], None]) -> None:
        self._routes = routes
        self._registry = registry
        self._note = note

    async def take(self, visit: Visit, file: BinaryIO, how: Mapping[str, Any]) -> str:
        """Keep a file, and begin to read it."""
        call = await in_name_of(visit, self._registry)
        call.query, call.body = Importing.model_validate(how), file
        try:
            answer = await self._routes.take(call)
        except ApiProblem as problem:
            raise ValueError(problem.detail or problem.title) from None
        assert isinstance(answer.body, ImportShown)
        return answer.body.id

    async def export(self, visit: Visit, how: Mapping[str, Any]) -> Live:
        """Contacts as a file."""
        call = await in_name_of(visit, self._registry)
        call.query = Exporting.model_validate(how)
        try:
            stream = await self._routes.export(call)
        except ApiProblem as problem:
            raise ValueError(problem.detail or problem.title) from None
        return Live(stream.run, FORMATS[call.query.format], f"contacts.{call.query.format}")

    def stopped(self, visit: Visit, identifier: str) -> None:
        """Tell the journal."""
        self._note(
            AudienceChanged(
                at=visit.now, action="import stopped", tenant=visit.tenant, target=identifier, by=visit.by
            )
        )


def audience_pages(api: SendingApi, note: Callable[[Event], None]) -> list[Page]:
    """The pages.

    :param api: has everything that tenants have.
    :param note: puts an event into the journal.
    """
    of, suppressions = api.automating, api.registry.suppressions
    return [
        *ContactPages(of.audience, suppressions, of.joining, note).pages(),
        *ListPages(of.audience, of.joining, note).pages(),
        *SegmentPages(of.audience, note).pages(),
        *ImportPages(of.audience, ContactFiles(of.files, api.registry, note)).pages(),
    ]
