"""Suppressions of a tenant: who gets nothing more, why; added, lifted, imported and exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator
from twisted.internet.defer import Deferred

from mta.dashboard.filled import Upload
from mta.dashboard.page import Answered, Confirmation, Form, Html, Invalid, Live, Page, Query, Redirect
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.interfaces import settle
from mta.model.event import Event
from mta.model.event_suppression import SuppressionChanged
from mta.paced import Paced
from mta.registry.suppression_acts import changed
from mta.registry.suppression_file import FORMATS, heading, read, written
from mta.registry.suppressions import NoSuppression, Suppression, Suppressions, checked_address

PLACE = "/dashboard/suppressions"
Reason = Literal["complaint", "bounce", "unsubscribe", "manual"]
#: Entries on a page, in one step of an export, and in one step of an import.
_ON_PAGE, _AT_ONCE = 50, 1000
#: Octets of a file.
_MOST_OCTETS = 32 << 20


class Find(Query):
    """Which part of the list."""

    q: str = Field("", max_length=320)
    reason: Reason | Literal[""] = ""
    after: str = Field("", max_length=400)
    after_reason: str = Field("", max_length=20)
    after_list: str = Field("", max_length=200)


class ExportQuery(Query):
    """As what file."""

    format: Literal["csv", "ndjson"] = "csv"
    reason: Reason | Literal[""] = ""


class Add(Form):
    """Addresses to be put on the list."""

    addresses: tuple[str, ...] = Field(min_length=1, max_length=1000)
    reason: Reason = "manual"
    list: str = Field("", max_length=200)
    note: str = Field("", max_length=1000)

    @field_validator("addresses", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Sequence[str]:
        words = " ".join(value if isinstance(value, list) else [str(value)]).replace(",", " ").split()
        if not words:
            raise ValueError("fill this in")
        return [checked_address(word) for word in words]


class Lift(Form):
    """What is to be taken off."""

    address: str
    reason: Reason
    list: str = Field("", max_length=200)


class Import(Form):
    """A file."""

    file: Upload
    reason: Reason = "manual"


class SuppressionPages:
    """See the module.

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

    def pages(self) -> list[Page]:
        """What there is."""
        look, act = Right.LOOK_OWN, Right.ACT_OWN
        added, title = f"{PLACE}/add", "Suppress addresses"
        taken = f"{PLACE}/import"
        return [
            Page("GET", PLACE, self.list, look, "Suppressions", query=Find),
            Page("GET", f"{PLACE}/export", self.export, look, "Export", query=ExportQuery),
            Page("GET", added, self.form, act, title),
            Page("POST", added, self.add, act, title, form=Add, again=self.form),
            Page("GET", taken, self.choose, act, "Import suppressions"),
            Page(
                "POST",
                taken,
                self.take,
                act,
                "Import suppressions",
                form=Import,
                again=self.choose,
                upload=_MOST_OCTETS,
            ),
            Page(
                "POST",
                f"{PLACE}/lift",
                self.lift,
                act,
                "Lift a suppression",
                form=Lift,
                confirm=self.confirm_lift,
            ),
        ]

    async def list(self, visit: Visit) -> Answered:
        """The list."""
        query: Find = visit.query
        after = (query.after, query.after_reason, query.after_list) if query.after else ()
        found = await self._suppressions.page(visit.tenant, after, _ON_PAGE + 1, query.reason, query.q)
        shown = found[:_ON_PAGE]
        return Html("suppressions.html", {"found": shown, "more": len(found) > _ON_PAGE})

    async def form(self, visit: Visit) -> Answered:
        """The form for addresses."""
        return Html("suppressions_add.html")

    async def add(self, visit: Visit) -> Answered:
        """Put addresses on the list."""
        form: Add = visit.form.value
        evidence = {"by": visit.by, "note": form.note}
        entries = [Suppression(one, form.reason, form.list, visit.now, evidence) for one in form.addresses]
        new = await self._suppressions.add(visit.tenant, entries)
        for one in new:
            self._note(changed("added", visit.tenant, one, visit.by, visit.now))
        known = len(entries) - len(new)
        said = f"{len(new)} added" + (f", {known} were on the list before" if known else "") + "."
        return Redirect(PLACE, said, "good" if new else "note")

    async def choose(self, visit: Visit) -> Answered:
        """The form for a file."""
        return Html("suppressions_import.html")

    async def take(self, visit: Visit) -> Answered:
        """Take what a file lists; what cannot be used is told line by line."""
        form: Import = visit.form.value
        try:
            text = form.file.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Invalid(
                {"file": f"Octet {error.start} is not UTF-8; save the file as UTF-8, and send it again."}
            ) from None
        entries, problems, wrong = await settle(self._run(read, text, visit.now, form.reason))
        count = 0
        for start in range(0, len(entries), _AT_ONCE):
            count += len(await self._suppressions.add(visit.tenant, entries[start : start + _AT_ONCE]))
        if count:
            self._note(
                SuppressionChanged(
                    at=visit.now, action="imported", tenant=visit.tenant, count=count, by=visit.by
                )
            )
        values = {"added": count, "known": len(entries) - count, "wrong": wrong, "problems": problems}
        return Html("suppressions_import.html", values)

    async def export(self, visit: Visit) -> Answered:
        """All of it, as a file."""
        query: ExportQuery = visit.query
        name = f"suppressions.{query.format}"

        def run(request: Any) -> Deferred[None]:
            return Deferred.fromCoroutine(self._write(Paced(request), visit.tenant, query))

        return Live(run, FORMATS[query.format], name)

    async def _write(self, out: Paced, tenant: str, query: ExportQuery) -> None:
        with out:
            await out.write(heading(query.format).encode())
            after: tuple[str, ...] = ()
            while True:
                found = await self._suppressions.page(tenant, after, _AT_ONCE, query.reason)
                await out.write(written(found, query.format).encode())
                if len(found) < _AT_ONCE:
                    return
                after = (found[-1].address, found[-1].reason, found[-1].list)

    async def confirm_lift(self, visit: Visit) -> Confirmation:
        """What that means, which depends on why it is there."""
        form: Lift = visit.form.value
        text = {
            "bounce": "Mail is sent to it again.  If its mailbox is gone still, the next message bounces, "
            "and it is back on the list.",
            "complaint": "This person has called your mail spam.  Mail to it again harms your reputation; "
            "lift this only if the person has asked you to.",
            "unsubscribe": "This person has unsubscribed.  Lift this only if the person has asked you to: "
            "in many countries the law demands it.",
            "manual": "Mail is sent to it again.",
        }[form.reason]
        facts = [("Address", form.address), ("Reason", form.reason), ("List", form.list or "all mail")]
        return Confirmation(f"Send to {form.address} again?", text, "Lift the suppression", PLACE, facts)

    async def lift(self, visit: Visit) -> Answered:
        """Take one off the list."""
        form: Lift = visit.form.value
        try:
            gone = await self._suppressions.remove(visit.tenant, form.address, form.reason, form.list)
        except (NoSuppression, ValueError):
            return Redirect(PLACE, f"{form.address} is not on the list any more.", "note")
        for one in gone:
            self._note(changed("removed", visit.tenant, one, visit.by, visit.now))
        return Redirect(PLACE, f"Mail is sent to {form.address} again.")
