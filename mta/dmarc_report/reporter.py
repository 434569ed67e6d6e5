"""Sends each domain what came in its name, once a day.

The hours, and that it is once: :mod:`mta.daily_report.reporter`.  Of a domain that had several
records on a day each gets a report, to the addresses of that record.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import mta
from mta.asking import asked
from mta.bounded import Overdue
from mta.config.settings import DmarcReports
from mta.daily_report.ledger import Task
from mta.daily_report.reporter import DailyReporter, Made, Means, Unwanted
from mta.dmarc.destinations import Destinations, destinations
from mta.dmarc.discovery import DnsTrouble
from mta.dmarc.questions import answer_from
from mta.dmarc.record import Record, parse_record
from mta.dmarc_report.composition import fitted, mail, report
from mta.dmarc_report.ledger import DmarcLedger
from mta.interfaces import TemporarilyUnavailable
from mta.model.event_report import DmarcReportSent

#: Seconds for the questions about a domain's destinations.
_ASKING = 60.0


class DmarcReporter(DailyReporter):
    """See the module.

    :param ledger: counts and tasks.
    :param settings: ``[dmarc_report]``.
    """

    title = "DMARC reports"
    section = "dmarc_report"
    tag = "dmarc-report"
    event = DmarcReportSent

    def __init__(self, reactor: Any, means: Means, ledger: DmarcLedger, settings: DmarcReports) -> None:
        super().__init__(reactor, means, ledger, settings)
        self._counts = ledger

    async def targets(self, task: Task) -> list[Task]:
        """See :class:`~mta.daily_report.reporter.DailyReporter`."""
        found: list[Task] = []
        refused: list[str] = []
        for variant, (text, _) in (await self._run(self._counts.records, task.day, task.domain)).items():
            where = await self._destinations(task.domain, _record(text))
            refused += where.refused
            found += [
                replace(
                    task, state="send", target=f"mailto:{address}", variant=variant, attempts=0, detail=""
                )
                for address in where.addresses
            ]
        if not found:
            raise Unwanted("; ".join(dict.fromkeys(refused)) or "its record has no address for reports")
        return found

    async def made(self, task: Task, to: str) -> Made:
        """See :class:`~mta.daily_report.reporter.DailyReporter`."""
        who, now = self.reporter(), self._reactor.seconds()
        identifier = who.identifier(task.day, task.domain, task.target, task.variant)
        records = await self._run(self._counts.records, task.day, task.domain)
        text, left_out = records[task.variant]
        rows = await self._run(self._counts.rows, task.day, task.domain, task.variant)
        generator = f"mta {mta.__version__}"
        whole = report(who, identifier, task.day, task.domain, _record(text), rows, left_out, generator)
        most = self._settings.max_size if isinstance(self._settings, DmarcReports) else 0
        made, data = await self._run(fitted, whole, most)
        facts = {"messages": whole.messages + left_out, "failures": whole.failures}
        return Made(identifier, mail(who, made, data, to, now), facts)

    async def post(self, task: Task) -> None:
        """See :class:`~mta.daily_report.reporter.DailyReporter`: there are only mails."""
        raise ValueError(f"{task.target} is no address")

    async def _destinations(self, domain: str, record: Record) -> Destinations:
        try:
            return await asked(
                self._reactor,
                destinations(domain, record),
                partial(answer_from, self.means.resolver),
                _ASKING,
            )
        except (DnsTrouble, Overdue) as trouble:
            raise TemporarilyUnavailable(str(trouble)) from None


def _record(text: str) -> Record:
    return parse_record(text.encode("latin-1", "replace")) or Record()
