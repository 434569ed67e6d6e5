"""``/v1/suppressions``: a tenant looks at its suppression list, changes, imports and exports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from twisted.internet.defer import Deferred

from mta.api.v1.cursor import Page, cursor
from mta.api.v1.keys import moment
from mta.api.v1.messages import Sending
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown, Stream
from mta.interfaces import settle
from mta.model.event import Event
from mta.model.event_suppression import SuppressedTo, SuppressionChanged
from mta.paced import Paced
from mta.registry.suppression_acts import changed
from mta.registry.suppression_file import FORMATS, heading, read, written
from mta.registry.suppressions import NoSuppression, Suppression, Suppressions, checked_address

Reason = Literal["complaint", "bounce", "unsubscribe", "manual"]
#: Entries that are written or added at once.
_AT_ONCE = 1000


class Listed(Page):
    """Which entries to show."""

    reason: Reason | None = Field(None, description="only of this reason")
    address: str = Field("", max_length=320, description='part of the address, such as "@example.org"')


class NewSuppressions(Model):
    """Addresses to be put on the list."""

    addresses: tuple[Annotated[str, AfterValidator(checked_address)], ...] = Field(
        min_length=1, max_length=1000
    )
    reason: Reason = Field("manual", description="why")
    list: str = Field("", max_length=200, description="only for this list of mail; empty: for all")
    note: str = Field("", max_length=1000, description="for people")


class Which(Model):
    """Which reasons of an address."""

    reason: Reason | None = Field(None, description="only this reason; without it: all")
    list: str | None = Field(None, max_length=200, description="only of this list of mail")


class Format(Model):
    """How a file is written, or for what it is read."""

    format: Literal["csv", "ndjson"] = Field("csv", description="of the file")
    reason: Reason | None = Field(None, description="only of this reason")


class Taken(Model):
    """How a file is read."""

    reason: Reason = Field("manual", description="of the lines that name none")


class SuppressionShown(Shown):
    """One reason to send nothing to an address."""

    address: str
    reason: str
    list: str = Field(description="the list of mail that it is about; empty: all mail")
    created: str | None
    evidence: dict[str, Any] = Field(description="message, event, class, reply, note and so on")


class SuppressionsShown(Shown):
    """Part of the list."""

    suppressions: list[SuppressionShown]
    next: str | None = None


class AddressShown(Shown):
    """Why nothing is sent to an address; the operator's reasons are not told."""

    address: str
    suppressions: list[SuppressionShown]


class Added(Shown):
    """What became of those that were to be added."""

    added: int
    known: int = Field(description="that were there before; they keep their date and evidence")


class Line(Shown):
    """A line that cannot be used."""

    line: int
    detail: str


class Imported(Added):
    """What became of a file."""

    wrong: int = Field(description="lines that cannot be used; the others were taken")
    problems: list[Line] = Field(description="the first of them")


class SuppressionCheck:
    """Takes out of a message who is on the list, before it is written.

    :param suppressions: keeps them.
    :param note: puts an event into the journal.
    :param seconds: the time, in seconds since 1970.
    """

    def __init__(
        self, suppressions: Suppressions, note: Callable[[Event], None], seconds: Callable[[], float]
    ) -> None:
        self._suppressions = suppressions
        self._note = note
        self._seconds = seconds

    async def __call__(self, sending: Sending) -> None:
        """Mark who gets nothing, and tell the journal."""
        tenant = sending.tenant.name
        mailing = getattr(sending.body, "unsubscribe", None) or ""
        found = await settle(self._suppressions.find(tenant, list(sending.recipients), mailing))
        for address, one in found.items():
            sending.suppressed[address] = one.words
            if not sending.dry:
                self._note(
                    SuppressedTo(
                        at=self._seconds(),
                        message=sending.identifier,
                        recipient=address,
                        tenant=tenant,
                        reason=one.reason,
                        list=one.list,
                        since=one.created,
                        everybody=not one.tenant,
                        sender=sending.sender,
                        evidence=dict(one.evidence),
                    )
                )


class SuppressionRoutes:
    """Answers for suppressions.

    :param suppressions: keeps them.
    :param note: puts an event into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``: where files are read.
    """

    def __init__(
        self, suppressions: Suppressions, note: Callable[[Event], None], run_in_thread: Callable[..., Any]
    ) -> None:
        self._suppressions = suppressions
        self._note = note
        self._run = run_in_thread

    def routes(self) -> list[Route]:
        """What it answers."""
        scope, place = "suppressions", "/v1/suppressions"
        named = {"address": "as it was sent to"}
        return [
            Route("GET", place, self.list, scope, "The list", query=Listed, answer=SuppressionsShown),
            Route(
                "POST",
                place,
                self.add,
                scope,
                "Put addresses on the list",
                body=NewSuppressions,
                answer=Added,
                examples={"by hand": {"addresses": ["ann@example.org"], "note": "asked by telephone"}},
            ),
            Route(
                "POST",
                f"{place}/import",
                self.take,
                scope,
                "Add what a file lists",
                "CSV with a heading (`address`, `reason`, `list`, `created`, `evidence`; the exports of "
                "others are read, too), NDJSON, or an address in a line. Lines that cannot be used are told, "
                "and the others taken.",
                query=Taken,
                octets=("text/csv", "application/x-ndjson", "text/plain"),
                answer=Imported,
            ),
            Route(
                "GET",
                f"{place}/export",
                self.export,
                scope,
                "The whole list as a file",
                query=Format,
                media="text/csv, application/x-ndjson",
            ),
            Route(
                "GET",
                place + "/{address}",
                self.get,
                scope,
                "Why nothing is sent to an address",
                answer=AddressShown,
                path_help=named,
            ),
            Route(
                "DELETE",
                place + "/{address}",
                self.remove,
                scope,
                "Take an address off the list",
                query=Which,
                status=204,
                path_help=named,
            ),
        ]

    async def list(self, call: Call) -> SuppressionsShown:
        """A page of it."""
        query: Listed = call.query
        after = query.after(str, str, str)
        found = await self._suppressions.page(
            call.tenant.name, after or (), query.limit, query.reason or "", query.address
        )
        more = len(found) == query.limit
        last = found[-1] if found else Suppression("")
        return SuppressionsShown(
            suppressions=[_shown(one) for one in found],
            next=cursor(last.address, last.reason, last.list) if more else None,
        )

    async def add(self, call: Call) -> Added:
        """Add some."""
        body: NewSuppressions = call.body
        evidence = {"by": call.who, "note": body.note}
        entries = [
            Suppression(address, body.reason, body.list, call.now, evidence) for address in body.addresses
        ]
        new = await self._suppressions.add(call.tenant.name, entries)
        for one in new:
            self._note(changed("added", call.tenant.name, one, call.who, call.now))
        return Added(added=len(new), known=len(entries) - len(new))

    async def take(self, call: Call) -> Imported:
        """Add what a file lists."""
        try:
            text = call.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Refusal("malformed", f"octet {error.start} is not UTF-8") from None
        entries, problems, wrong = await settle(self._run(read, text, call.now, call.query.reason))
        tenant, count = call.tenant.name, 0
        for start in range(0, len(entries), _AT_ONCE):
            count += len(await self._suppressions.add(tenant, entries[start : start + _AT_ONCE]))
        if count:
            self._note(
                SuppressionChanged(at=call.now, action="imported", tenant=tenant, count=count, by=call.who)
            )
        return Imported(
            added=count,
            known=len(entries) - count,
            wrong=wrong,
            problems=[Line(line=line, detail=detail) for line, detail in problems],
        )

    async def export(self, call: Call) -> Stream:
        """All of it."""
        form, reason = call.query.format, call.query.reason or ""
        headers = {"content-disposition": f'attachment; filename="suppressions.{form}"'}

        def run(request: Any) -> Deferred[None]:
            return Deferred.fromCoroutine(self._write(Paced(request), call.tenant.name, form, reason))

        return Stream(run, FORMATS[form], headers)

    async def _write(self, out: Paced, tenant: str, form: str, reason: str) -> None:
        with out:
            await out.write(heading(form).encode())
            after: tuple[str, ...] = ()
            while True:
                found = await self._suppressions.page(tenant, after, _AT_ONCE, reason)
                await out.write(written(found, form).encode())
                if len(found) < _AT_ONCE:
                    return
                after = (found[-1].address, found[-1].reason, found[-1].list)

    async def get(self, call: Call) -> AddressShown:
        """One address."""
        address = _address(call)
        found = await self._suppressions.of(call.tenant.name, address)
        if not found:
            raise Refusal("not-found", "this address is not suppressed")
        return AddressShown(address=address, suppressions=[_shown(one) for one in found])

    async def remove(self, call: Call) -> Response:
        """Take one off."""
        query: Which = call.query
        address = _address(call)
        try:
            gone = await self._suppressions.remove(call.tenant.name, address, query.reason or "", query.list)
        except NoSuppression:
            raise Refusal("not-found", "this address is not suppressed, or not for that reason") from None
        for one in gone:
            self._note(changed("removed", call.tenant.name, one, call.who, call.now))
        return Response()


def _address(call: Call) -> str:
    try:
        return checked_address(call.path["address"])
    except ValueError as error:
        told = {"parameter": "address", "in": "path", "detail": str(error)}
        raise Refusal("invalid", f"address: {error}", [told]) from None


def _shown(one: Suppression) -> SuppressionShown:
    return SuppressionShown(
        address=one.address,
        reason=one.reason,
        list=one.list,
        created=moment(one.created),
        evidence=dict(one.evidence),
    )
