"""``/v1/contacts/import``, ``/v1/imports`` and ``/v1/contacts/export``: files of contacts."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

from pydantic import Field
from twisted.internet.defer import Deferred

from mta.api.v1.contact_models import ContactShown, contact_shown
from mta.api.v1.cursor import Page, cursor
from mta.api.v1.keys import moment
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown, Stream
from mta.audience.audience import Audience
from mta.audience.condition import ConditionError, parse
from mta.audience.contact import Contact
from mta.audience.contact_file import (
    DELIMITERS,
    FORMATS,
    FileError,
    Plan,
    Reading,
    Utf8,
    checked_encoding,
    dialect_of,
    encoding_of,
    heading,
    written,
)
from mta.audience.importer import Importer
from mta.audience.imports import Import, NoImport, new_id
from mta.model.event import Event
from mta.model.event_audience import AudienceChanged
from mta.paced import Paced

#: Several in one query.
Names: TypeAlias = list[str]
#: Octets that are copied at once, that are looked at, and contacts that are written at once.
_PIECE, _HEAD, _AT_ONCE = 1024 * 1024, 64 * 1024, 1000
#: Problems that are told with an import.
_TOLD = 100

_IMPORTING = """CSV or NDJSON; the answer comes when the file is on disk, and it is read piece by piece from
then on, also by a server that was killed in between. `GET /v1/imports/{id}` tells how far it is, and each
line that cannot be used with its number and why; all others are taken.

Encoding and delimiter are found out. The heading says what columns are: `address` (`email`), `name`,
`time_zone`, `locale`, `channel`, `webhook`, `source`, `consented`, `attributes` (JSON); any other is an
attribute of its name, `age:number` one with a type (text, number, boolean, date, list, json). `columns` says
it otherwise: `{"E-Mail": "address", "Age": "attributes.age:number", "Internal": ""}`.

The same file twice changes nothing. Who has left a list, is suppressed, or was erased for good stays so."""


class Importing(Model):
    """How a file is read, and what is done with it."""

    list: Names = Field([], max_length=50, description="to put them on; may come several times")
    update: Literal["merge", "replace", "skip"] = Field(
        "merge", description="of contacts that are there: change what the file names, all, or nothing"
    )
    confirm: Literal["send", "done", "none"] = Field(
        "send",
        description="on lists with double opt-in: ask by mail, it was done elsewhere, or leave them pending",
    )
    columns: str = Field("", max_length=4000, description="a JSON object: heading to where the column goes")
    encoding: str = Field("", max_length=40, description="such as utf-8 or cp1252; empty: it is found out")
    delimiter: Literal["", ",", ";", "\t", "|"] = Field("", description="empty: it is found out")
    heading: bool = Field(True, description="false: addresses, and names perhaps, from the first line on")
    dry_run: bool = Field(False, description="keep nothing, and show how the first lines are read")


class Exporting(Model):
    """Which contacts, and how."""

    format: Literal["csv", "ndjson"] = Field("csv", description="of the file")
    list: str = Field("", max_length=63, description="only who is subscribed to this list")
    segment: str = Field("", max_length=63, description="only who is in this segment")


class Line(Shown):
    """A line that cannot be used."""

    line: int
    detail: str


class ImportShown(Shown):
    """An import."""

    id: str
    state: str = Field(description="running, done, stopped or failed; of a dry run: dry")
    created: str | None
    finished: str | None
    by: str
    line: int = Field(description="that was read last")
    counts: dict[str, int] = Field(
        description="created, changed, unchanged, wrong; joined; unsubscribed and suppressed, who stay so"
    )
    trouble: str = Field(description="why it failed")
    plan: dict[str, Any] = Field(description="how the file is read")
    problems: list[Line] = Field(description="the first lines that cannot be used")
    contacts: list[ContactShown] = Field([], description="of a dry run: how the first lines are read")


class ImportsShown(Shown):
    """Imports, the last first."""

    imports: list[ImportShown]
    next: str | None = None


class ProblemsShown(Shown):
    """Lines that cannot be used."""

    problems: list[Line]
    next: str | None = None


class ContactFileRoutes:
    """Answers for files.

    :param audience: keeps contacts.
    :param importer: reads them.
    :param note: puts an event into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        audience: Audience,
        importer: Importer,
        note: Callable[[Event], None],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._audience = audience
        self._importer = importer
        self._note = note
        self._run = run_in_thread

    def routes(self) -> list[Route]:
        """What it answers."""
        read, write, place = "contacts:read", "contacts", "/v1/imports"
        one = place + "/{id}"
        named = {"id": "of the import"}
        return [
            Route(
                "POST",
                "/v1/contacts/import",
                self.take,
                write,
                "Import contacts from a file",
                _IMPORTING,
                query=Importing,
                octets=("text/csv", "application/x-ndjson", "text/plain", "application/octet-stream"),
                streamed=True,
                answer=ImportShown,
                status=202,
                also={200: "A dry run: nothing was kept."},
            ),
            Route("GET", place, self.list, read, "Imports, the last first", query=Page, answer=ImportsShown),
            Route("GET", one, self.get, read, "How far an import is", answer=ImportShown, path_help=named),
            Route(
                "GET",
                one + "/problems",
                self.problems,
                read,
                "Each line of an import that cannot be used, and why",
                query=Page,
                answer=ProblemsShown,
                path_help=named,
            ),
            Route(
                "DELETE",
                one,
                self.stop,
                write,
                "Stop an import",
                "What was read stays.",
                status=204,
                path_help=named,
                refusals=("conflict",),
            ),
            Route(
                "GET",
                "/v1/contacts/export",
                self.export,
                read,
                "Contacts as a file",
                "What it has can be imported again. In CSV a cell that a spreadsheet would compute begins "
                "with an apostrophe.",
                query=Exporting,
                refusals=("not-found", "conflict"),
                media="text/csv, application/x-ndjson",
            ),
        ]

    # --- importing ---------------------------------------------------------------

    async def take(self, call: Call) -> Response:
        """Keep a file, and begin to read it."""
        query: Importing = call.query
        columns = _columns(query.columns)
        tenant = call.tenant.name
        for name in query.list:
            if await self._audience.lists.find(tenant, name) is None:
                raise _wrong("list", f"there is no list {name!r:.80}")
        identifier = new_id()
        path = self._importer.file(identifier)
        kept = None if query.dry_run else path
        try:
            plan, rows, columns_found = await self._run(_stored, call.body, kept, query, columns)
        except FileError as error:
            raise Refusal("invalid", f"the file: {error}") from None
        new = Import(
            identifier,
            tenant,
            self._importer.shard,
            created=call.now,
            who=call.who,
            options={
                "plan": {
                    "form": plan.form,
                    "encoding": plan.encoding,
                    "delimiter": plan.delimiter,
                    "columns": dict(plan.columns),
                    "heading": plan.heading,
                },
                "lists": list(dict.fromkeys(query.list)),
                "update": query.update,
                "confirm": query.confirm,
            },
        )
        if query.dry_run:
            return Response(_dry(new, rows, columns_found), 200)
        try:
            await self._audience.imports.begin(new)
        except BaseException:
            await self._run(path.unlink, True)
            raise
        self._tell(call, "import begun", identifier)
        self._importer.wake()
        return Response(_shown(new, []))

    async def list(self, call: Call) -> ImportsShown:
        """A page of them."""
        query: Page = call.query
        found = await self._audience.imports.page(
            call.tenant.name, query.after(float, str) or (), query.limit
        )
        return ImportsShown(
            imports=[_shown(one, []) for one in found],
            next=cursor(found[-1].created, found[-1].id) if len(found) == query.limit else None,
        )

    async def get(self, call: Call) -> ImportShown:
        """One."""
        tenant, identifier = call.tenant.name, call.path["id"]
        try:
            one = await self._audience.imports.get(tenant, identifier)
            problems = await self._audience.imports.problems(tenant, identifier, 0, _TOLD)
        except NoImport:
            raise _nothing() from None
        return _shown(one, problems)

    async def problems(self, call: Call) -> ProblemsShown:
        """A page of its problems."""
        query: Page = call.query
        (after,) = query.after(int) or (0,)
        try:
            found = await self._audience.imports.problems(
                call.tenant.name, call.path["id"], after, query.limit
            )
        except NoImport:
            raise _nothing() from None
        return ProblemsShown(
            problems=[Line(line=line, detail=detail) for line, detail in found],
            next=cursor(found[-1][0]) if len(found) == query.limit else None,
        )

    async def stop(self, call: Call) -> Response:
        """Stop one."""
        try:
            done = await self._audience.imports.end(call.tenant.name, call.path["id"], "stopped", call.now)
        except NoImport:
            raise _nothing() from None
        if not done:
            raise Refusal("conflict", "it is at its end")
        self._tell(call, "import stopped", call.path["id"])
        return Response()

    # --- exporting ---------------------------------------------------------------

    async def export(self, call: Call) -> Stream:
        """All contacts, or some."""
        query: Exporting = call.query
        tenant = call.tenant.name
        asked: list[dict[str, str]] = []
        if query.list:
            if await self._audience.lists.find(tenant, query.list) is None:
                raise Refusal("not-found", "there is no list of this name")
            asked.append({"list": query.list})
        if query.segment:
            if await self._audience.segments.find(tenant, query.segment) is None:
                raise Refusal("not-found", "there is no segment of this name")
            asked.append({"segment": query.segment})
        condition = parse({"all": asked} if asked else {"field": "address", "exists": True})
        try:
            # What is wrong with a segment is told before anything is written.
            await self._audience.segments.members(tenant, condition, 0, 1, call.now)
        except ConditionError as error:
            raise Refusal("conflict", f"the segment cannot be used: {error}") from None
        headers = {"content-disposition": f'attachment; filename="contacts.{query.format}"'}

        async def write(out: Paced) -> None:
            count, after = 0, 0
            with out:
                await out.write(heading(query.format).encode())
                place: int | None = after
                while place is not None:
                    some, place = await self._audience.segments.members(
                        tenant, condition, place, _AT_ONCE, call.now
                    )
                    count += len(some)
                    text = await self._run(written, some, query.format)
                    await out.write(text.encode())
            self._tell(call, "exported", query.list or query.segment, count)

        def run(request: Any) -> Deferred[None]:
            return Deferred.fromCoroutine(write(Paced(request)))

        return Stream(run, FORMATS[query.format], headers)

    def _tell(self, call: Call, action: str, target: str, count: int = 0) -> None:
        self._note(
            AudienceChanged(
                at=call.now, action=action, tenant=call.tenant.name, target=target, count=count, by=call.who
            )
        )


def _columns(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise _wrong("columns", 'it is a JSON object of texts, such as {"E-Mail": "address"}')
    return found


def _stored(
    source: BinaryIO, path: Path | None, query: Importing, columns: dict[str, str]
) -> tuple[Plan, list[tuple[int, str, Contact | None]], list[dict[str, str]]]:
    """Copy a file, find out what it is, and read its first lines; in a thread.

    :param path: where it is kept; ``None``: it is not.
    """
    utf8, head = Utf8(), b""
    target: BinaryIO = io.BytesIO() if path is None else _private(path)
    try:
        with target:
            while octets := source.read(_PIECE):
                head = head or octets[:_HEAD]
                utf8.feed(octets)
                if path is not None:
                    target.write(octets)
            target.flush()
            if path is not None:
                os.fsync(target.fileno())
        plan = _plan(head, utf8.feed(b"", True), query, columns)
        # A mistake in the heading is told now, and not when nobody waits for it any more.
        first = Reading(io.BytesIO(head), plan)
        rows = [(row.line, row.problem, row.contact) for row in islice(first, 10)]
        found = [{"target": one.target, "type": one.type} for one in first.columns]
        return plan, rows, found
    except (FileError, ValueError) as error:
        if path is not None:
            path.unlink(missing_ok=True)
        raise FileError(str(error)) from None
    except BaseException:
        if path is not None:
            path.unlink(missing_ok=True)
        raise


def _plan(head: bytes, is_utf8: bool, query: Importing, columns: dict[str, str]) -> Plan:
    encoding = checked_encoding(query.encoding) if query.encoding else encoding_of(head, is_utf8)
    text = head.decode(encoding, "replace")
    if "\0" in text:
        raise FileError("it is no text; save it as CSV in UTF-8")
    form, delimiter = dialect_of(text)
    if form == "csv" and query.delimiter:
        delimiter = query.delimiter
    assert not delimiter or delimiter in DELIMITERS
    return Plan(form, encoding, delimiter, columns, query.heading)


def _private(path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return open(path, "xb", opener=partial(os.open, mode=0o600))


def _dry(
    one: Import, rows: list[tuple[int, str, Contact | None]], columns: list[dict[str, str]]
) -> ImportShown:
    wrong = [(line, problem) for line, problem, contact in rows if contact is None]
    good = [contact for _, _, contact in rows if contact is not None]
    shown = _shown(one, wrong)
    plan = {**shown.plan, "found": columns}
    changes: dict[str, Any] = {"id": "", "state": "dry", "plan": plan}
    return shown.model_copy(update={**changes, "contacts": [contact_shown(contact) for contact in good]})


def _shown(one: Import, problems: list[tuple[int, str]]) -> ImportShown:
    return ImportShown(
        id=one.id,
        state=one.state,
        created=moment(one.created),
        finished=moment(one.finished),
        by=one.who,
        line=one.line,
        counts=dict(one.counts),
        trouble=one.trouble,
        plan=dict(one.options),
        problems=[Line(line=line, detail=detail) for line, detail in problems],
        contacts=[],
    )


def _wrong(name: str, detail: str) -> Refusal:
    return Refusal("invalid", f"{name}: {detail}", [{"parameter": name, "in": "query", "detail": detail}])


def _nothing() -> Refusal:
    return Refusal("not-found", "there is no import of this id")
