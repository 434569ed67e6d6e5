"""Files of contacts: imported, with each line that cannot be used; exported."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, BinaryIO, Literal, Protocol

from pydantic import Field

from mta.audience.audience import Audience
from mta.audience.imports import COUNTS, Import, NoImport
from mta.dashboard.filled import Upload
from mta.dashboard.page import (
    Answered,
    Confirmation,
    Form,
    Html,
    Invalid,
    Live,
    Page,
    Query,
    Redirect,
    missing,
)
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit

PLACE = "/dashboard/contacts/imports"
_ON_PAGE = 50
#: Octets of a file that a browser sends; larger ones go through the API, piece by piece.
_MOST_OCTETS = 64 << 20


class Find(Query):
    """Which imports."""

    before: float = 0.0
    before_id: str = Field("", max_length=40)


class Lines(Query):
    """Which lines that cannot be used."""

    after: int = Field(0, ge=0)


class ExportQuery(Query):
    """Which contacts, and how."""

    format: Literal["csv", "ndjson"] = "csv"
    list: str = Field("", max_length=63)
    segment: str = Field("", max_length=63)


class For(Query):
    """For which list."""

    list: str = Field("", max_length=63)


class New(Form):
    """A file, and what is done with it."""

    file: Upload
    mailing: str = Field("", max_length=63)
    update: Literal["merge", "replace", "skip"] = "merge"
    confirm: Literal["send", "done", "none"] = "send"


class One(Form):
    """An import that something is done to."""

    id: str


class Files(Protocol):
    """Takes files, and writes them: what the API does."""

    async def take(self, visit: Visit, file: BinaryIO, how: Mapping[str, Any]) -> str:
        """Keep a file, and begin to read it; the id of the import.

        :raise ValueError: if it is none that can be read.
        """

    async def export(self, visit: Visit, how: Mapping[str, Any]) -> Live:
        """Contacts as a file.

        :raise ValueError: if there is no such list or segment.
        """

    def stopped(self, visit: Visit, identifier: str) -> None:
        """Tell the journal that somebody has stopped one."""


class ImportPages:
    """See the module.

    :param audience: keeps contacts and imports.
    :param files: takes and writes files.
    """

    def __init__(self, audience: Audience, files: Files) -> None:
        self._audience = audience
        self._files = files

    def pages(self) -> list[Page]:
        """What there is."""
        look, act, one = Right.LOOK_OWN, Right.ACT_OWN, PLACE + "/at/{id}"
        new = f"{PLACE}/new"
        return [
            Page("GET", PLACE, self.show_all, look, "Imports", query=Find),
            Page("GET", new, self.form, act, "Import contacts", query=For),
            Page("POST", new, self.take, act, "Import contacts", For, New, self.form, upload=_MOST_OCTETS),
            Page("GET", one, self.one, look, "Import", query=Lines),
            Page("POST", f"{PLACE}/stop", self.stop, act, "Stop", None, One, None, self.ask_stop),
            Page("GET", "/dashboard/contacts/export", self.export, look, "Export", query=ExportQuery),
        ]

    async def show_all(self, visit: Visit) -> Answered:
        """The last ones."""
        query: Find = visit.query
        before = (query.before, query.before_id) if query.before else ()
        found = await self._audience.imports.page(visit.tenant, before, _ON_PAGE + 1)
        return Html("imports.html", {"found": found[:_ON_PAGE], "more": len(found) > _ON_PAGE})

    async def form(self, visit: Visit) -> Answered:
        """The form for a file."""
        return Html("import_new.html", {"lists": await self._audience.lists.all_of(visit.tenant)})

    async def take(self, visit: Visit) -> Answered:
        """Keep it, and begin to read it."""
        form: New = visit.form.value
        how = {
            "list": [form.mailing] if form.mailing else [],
            "update": form.update,
            "confirm": form.confirm,
        }
        try:
            identifier = await self._files.take(visit, BytesIO(form.file.content), how)
        except ValueError as error:
            raise Invalid({"file": str(error)}) from None
        return Redirect(f"{PLACE}/at/{identifier}", "The file is taken, and is being read.", "note")

    async def one(self, visit: Visit) -> Answered:
        """How far one is, and each line that cannot be used."""
        own = await self._own(visit, visit.path["id"])
        after = visit.query.after
        found = await self._audience.imports.problems(visit.tenant, own.id, after, _ON_PAGE + 1)
        values = {
            "one": own,
            "counts": {name: own.counts.get(name, 0) for name in COUNTS},
            "problems": found[:_ON_PAGE],
            "more": len(found) > _ON_PAGE,
        }
        return Html("import.html", values)

    async def ask_stop(self, visit: Visit) -> Confirmation:
        """What stays then."""
        own = await self._own(visit, visit.form.value.id)
        return Confirmation(
            "Stop this import?",
            "What was read stays; the rest of the file is not read.",
            "Stop",
            f"{PLACE}/at/{own.id}",
        )

    async def stop(self, visit: Visit) -> Answered:
        """Stop one."""
        own = await self._own(visit, visit.form.value.id)
        if not await self._audience.imports.end(visit.tenant, own.id, "stopped", visit.now):
            return Redirect(f"{PLACE}/at/{own.id}", "It was at its end already.", "note")
        self._files.stopped(visit, own.id)
        return Redirect(f"{PLACE}/at/{own.id}", "It is stopped.")

    async def export(self, visit: Visit) -> Answered:
        """Contacts as a file."""
        query: ExportQuery = visit.query
        how = {"format": query.format, "list": query.list, "segment": query.segment}
        try:
            return await self._files.export(visit, how)
        except ValueError as error:
            raise missing(str(error)) from None

    async def _own(self, visit: Visit, identifier: str) -> Import:
        try:
            return await self._audience.imports.get(visit.tenant, identifier)
        except NoImport:
            raise missing("There is no such import") from None
