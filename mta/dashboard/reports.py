"""Reports that others sent: of mail in our names (DMARC), and of TLS with us."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import Field

from mta.dashboard.page import Answered, Html, Page, Query, missing
from mta.dashboard.report_advice import (
    advice_on,
    known_as,
    policy_domain,
    policy_name,
    remedy_for,
    sessions,
)
from mta.dashboard.report_records import MOST, RecordLook
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.dashboard.workers import Workers
from mta.interfaces import settle
from mta.journal.dmarc_summary import sources
from mta.journal.reader import JournalReader
from mta.model.event_report import DmarcReportReceived, TlsReportReceived
from mta.registry.domains import SendingDomains
from mta.registry.tenants import DEFAULT

PLACE = "/dashboard/reports"
#: Reports that are added up, lines of a table, and reports that are listed, at the most.
_MOST, _LINES, _LISTED = 1000, 100, 50
#: Rows that are added up at the most, and reports that are read at a time.
_MOST_ROWS, _BATCH = 30_000, 50
_DAY = 86400.0
Report = DmarcReportReceived | TlsReportReceived


class Period(Query):
    """Of how many days, and of which domain."""

    days: Literal["7", "30", "90"] = "30"
    domain: str = Field("", max_length=255)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which domains somebody may see.

    :ivar domains: those that are theirs, by name.
    :ivar sees: whether a name is theirs, or stands below one that is.
    """

    domains: list[str]
    sees: Callable[[str], bool]


@dataclass(slots=True)
class Came:
    """The reports of a period.

    :ivar count: how many were added up.
    :ivar listed: the newest, without their rows.
    :ivar more: whether older ones were not looked at.
    """

    count: int = 0
    listed: list[Report] = field(default_factory=list)
    more: bool = False

    def take(self, event: Report) -> None:
        """Count one."""
        self.count += 1
        if len(self.listed) < _LISTED:
            if isinstance(event, TlsReportReceived):
                self.listed.append(replace(event, policies=[]))
            else:
                self.listed.append(replace(event, rows=[]))


class ReportPages:
    """See the module.

    :param workers: all of them: their journals have the reports.
    :param domains: whose domains are whose.
    :param look: asks the DNS.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        workers: Workers,
        domains: SendingDomains,
        look: RecordLook,
        run_in_thread: Callable[..., Any],
    ) -> None:
        self._workers = workers
        self._domains = domains
        self._look = look
        self._run = run_in_thread

    def pages(self) -> list[Page]:
        """What there is."""
        right = Right.LOOK_OWN
        return [
            Page("GET", PLACE, self.dmarc, right, "Reports", query=Period),
            Page("GET", f"{PLACE}/tls", self.tls, right, "Reports", query=Period),
            Page("GET", f"{PLACE}/records", self.records, right, "Reports"),
            Page("GET", PLACE + "/at/{id}", self.one, right, "Report"),
        ]

    async def dmarc(self, visit: Visit) -> Answered:
        """Who sends in our name."""
        reach = await self._reach(visit)
        found, came = await self._run(self._summed, DmarcReportReceived.kind, visit, reach)
        shown = found[:_LINES]
        nameless = [one.source for one in shown if one.failed and not known_as(one)]
        names = await self._look.names(nameless) if nameless else {}
        rows = [(one, known_as(one), names.get(one.source, ""), advice_on(one)) for one in shown]
        values = {
            "rows": rows,
            "all": len(found),
            "passed": sum(one.passed for one in found),
            "failed": sum(one.failed for one in found),
            "reports": came.listed,
            "count": came.count,
            "more": came.more,
            "records": [] if came.count else await self._look.of(reach.domains),
        }
        return Html("reports.html", {**values, **self._frame(reach)})

    async def tls(self, visit: Visit) -> Answered:
        """How TLS went with us."""
        reach = await self._reach(visit)
        found, came = await self._run(self._summed, TlsReportReceived.kind, visit, reach)
        values = {
            "rows": [(one, policy_name(one.policy)) for one in found[:_LINES]],
            "all": len(found),
            "succeeded": sum(one.succeeded for one in found),
            "failed": sum(one.failed for one in found),
            "reports": came.listed,
            "count": came.count,
            "more": came.more,
            "records": [] if came.count else await self._look.of(reach.domains),
        }
        return Html("reports_tls.html", {**values, **self._frame(reach)})

    async def records(self, visit: Visit) -> Answered:
        """What makes others send reports, and whether it is published."""
        reach = await self._reach(visit)
        return Html(
            "reports_records.html", {"records": await self._look.of(reach.domains), **self._frame(reach)}
        )

    async def one(self, visit: Visit) -> Answered:
        """A report whole; of a tenant, what is about their domains."""
        reach = await self._reach(visit)
        found = await self._run(self._read_one, visit.path["id"])
        event = _within(found, reach.sees) if found is not None else None
        if event is None:
            raise missing("There is no such report")
        if isinstance(event, DmarcReportReceived):
            return Html("report_dmarc.html", {"report": event, "rows": event.rows[:1000]})
        return Html(
            "report_tls.html",
            {
                "report": event,
                "policy_name": policy_name,
                "policy_domain": policy_domain,
                "remedy": remedy_for,
            },
        )

    def _frame(self, reach: Reach) -> dict[str, Any]:
        dmarc, tls = self._look.addresses
        return {
            "domains": reach.domains,
            "looked": MOST,
            "dmarc_addresses": dmarc,
            "tls_addresses": tls,
        }

    async def _reach(self, visit: Visit) -> Reach:
        known = await settle(self._domains.known())
        if not visit.confined:
            names = {one.name for one in await self._domains.of(DEFAULT)} | set(known)
            return Reach(sorted(names), lambda name: True)
        tenant = visit.tenant

        def owner(name: str) -> str:
            """Whose the nearest domain above is that somebody has; ``""``: nobody's."""
            labels = name.lower().rstrip(".").split(".")
            for start in range(len(labels)):
                above = ".".join(labels[start:])
                if above in known:
                    return known[above].tenant
                if self._domains.belongs(known, DEFAULT, above):
                    return DEFAULT
            return ""

        own = [one.name for one in await self._domains.of(tenant)]
        return Reach(own, lambda name: owner(name) == tenant)

    def _summed(self, kind: str, visit: Visit, reach: Reach) -> tuple[list[Any], Came]:
        """In a thread: the sums of a period, as far as somebody may see them, and the newest reports."""
        came = Came()
        wanted = _asked(visit)

        def sees(name: str) -> bool:
            return reach.sees(name) and (not wanted or f".{name}".endswith(f".{wanted}"))

        events = self._own(kind, visit.now - int(visit.query.days) * _DAY, sees, came)
        if kind == DmarcReportReceived.kind:
            return sources(event for event in events if isinstance(event, DmarcReportReceived)), came
        return sessions(event for event in events if isinstance(event, TlsReportReceived)), came

    def _own(self, kind: str, since: float, sees: Callable[[str], bool], came: Came) -> Iterator[Report]:
        """What somebody sees of each report, each once, the newest first; it is told to ``came``.

        One may have 100 KB: no more than a few are in memory at a time.
        """
        reader = JournalReader(self._workers.journals())
        seen: set[tuple[Any, ...]] = set()
        read: set[tuple[int, int]] = set()
        until, size = float("inf"), 0
        while True:
            records = reader.find(kind, since=since, until=until, limit=_BATCH)
            fresh = [one for one in records if (one.shard, one.number) not in read]
            for record in fresh:
                read.add((record.shard, record.number))
                event = record.event
                # A report may call itself by the word that they stand under; other events may too.
                if not isinstance(event, Report) or event.kind != kind:
                    continue
                # RFC 9990, 2.1.1.1: an id is one of its reporter's.
                key = (event.organization, event.report, getattr(event, "domain", ""))
                if key in seen:
                    continue
                seen.add(key)
                size += _size(event)
                if (part := _within(event, sees)) is not None:
                    came.take(part)
                    yield part
            if len(records) < _BATCH:
                return
            # More of one moment than a batch has cannot be read on; there are none by chance.
            if not fresh or len(read) >= _MOST or size >= _MOST_ROWS:
                came.more = True
                return
            until = records[-1].event.at

    def _read_one(self, identifier: str) -> Report | None:
        """In a thread: what a message brought."""
        try:
            records = JournalReader(self._workers.journals()).message(identifier)
        except ValueError:
            return None
        return next((record.event for record in records if isinstance(record.event, Report)), None)


def _asked(visit: Visit) -> str:
    return str(visit.query.domain).strip().lower()


def _size(event: Report) -> int:
    """Its rows, or its policies and failures."""
    if isinstance(event, DmarcReportReceived):
        return len(event.rows)
    return sum(1 + len(one.get("failure-details") or ()) for one in event.policies)


def _within(event: Report, sees: Callable[[str], bool]) -> Report | None:
    """What of a report is about domains that somebody sees, with the sums of that; ``None``: nothing."""
    if isinstance(event, TlsReportReceived):
        policies = [one for one in event.policies if sees(policy_domain(one))]
        if len(policies) == len(event.policies) and event.domains and all(map(sees, event.domains)):
            return event
        if not policies:
            return None
        summaries = [one.get("summary") or {} for one in policies]
        return replace(
            event,
            policies=policies,
            domains=sorted({policy_domain(one) for one in policies}),
            successes=sum(int(one.get("total-successful-session-count") or 0) for one in summaries),
            failures=sum(int(one.get("total-failure-session-count") or 0) for one in summaries),
            cut=0,
        )
    rows = [one for one in event.rows if sees(str(one.get("author", "")) or event.domain)]
    if len(rows) == len(event.rows) and sees(event.domain):
        return event
    if not rows:
        return None
    return replace(
        event,
        rows=rows,
        messages=sum(int(one.get("count", 0)) for one in rows),
        failures=sum(int(one.get("count", 0)) for one in rows if not one.get("dkim") and not one.get("spf")),
        cut=0,
    )
