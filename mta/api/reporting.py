"""Reports to others sent before their time, and those of others added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mta.api.bodies import DailyReports, DmarcSummary
from mta.api.problem import ApiProblem
from mta.journal.dmarc_summary import sources
from mta.journal.reader import JournalReader
from mta.model.event_report import DmarcReportReceived

#: Reports that are added up at the most.
_MOST = 10_000


async def sent(reporters: Mapping[str, Any], table: str, body: DailyReports, by: str) -> dict[str, Any]:
    """Have the reports of a day sent that were not.

    :param reporters: by settings table.
    :param by: who wants it.
    :raise ApiProblem: if another worker does that, or the day is none.
    """
    if table not in reporters:
        raise ApiProblem(404, "No reports here", "the first worker sends them: control-0.sock")
    try:
        tasks = await reporters[table].send(body.day, body.domain, by)
    except ValueError as error:
        raise ApiProblem(400, "Nothing was sent", str(error)) from None
    return {"reports": [asdict(task) for task in tasks]}


def dmarc_summary(journal: JournalReader, query: DmarcSummary) -> dict[str, Any]:
    """Who sends in our name, by the reports that came to this shard."""
    kinds = (DmarcReportReceived.kind,)
    records = journal.recent(since=query.since, kinds=kinds, limit=_MOST)
    events = [record.event for record in records if isinstance(record.event, DmarcReportReceived)]
    found = sources(events, query.domain.lower(), query.failed)
    return {"sources": [one.to_json() for one in found[: query.limit]], "all": len(found)}
