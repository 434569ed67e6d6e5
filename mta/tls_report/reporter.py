"""Sends each domain what became of our sessions with it, once a day.

The hours, and that it is once: :mod:`mta.daily_report.reporter`.  A post may be repeated when we
end between its answer and our note of it; the report-id is the same, so that the other side can tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from mta.config.settings import TlsReports
from mta.daily_report.ledger import Task
from mta.daily_report.reporter import DailyReporter, Made, Means, Unwanted
from mta.interfaces import NoSuchDomain, TemporarilyUnavailable
from mta.model.event_report import TlsReportSent
from mta.model.tls_report import TlsReport
from mta.model.tls_report_record import PREFIX, NoDestination, destinations
from mta.tls_report.composition import mail, packed, report
from mta.tls_report.ledger import TlsLedger
from mta.tls_report.post import NotTaken

#: The option of an addressee whose mail goes out whatever is wrong with TLS.
TLS_OPTIONAL = "tls_optional"


class TlsReporter(DailyReporter):
    """See the module.

    :param ledger: counts and tasks.
    :param settings: ``[tls_report]``.
    :param post: posts one over HTTPS.
    """

    title = "TLS reports"
    section = "tls_report"
    tag = "tls-report"
    event = TlsReportSent
    options: ClassVar[Mapping[str, Any]] = {TLS_OPTIONAL: 1}

    def __init__(
        self,
        reactor: Any,
        means: Means,
        ledger: TlsLedger,
        settings: TlsReports,
        post: Callable[[str, bytes], Awaitable[str]],
    ) -> None:
        super().__init__(reactor, means, ledger, settings)
        self._sessions = ledger.sessions
        self._post = post

    async def targets(self, task: Task) -> list[Task]:
        """See :class:`~mta.daily_report.reporter.DailyReporter`."""
        try:
            found = destinations(await self.means.resolver.text(PREFIX + task.domain))
        except NoSuchDomain:
            raise Unwanted("it publishes no record for TLS reports") from None
        except NoDestination as none:
            raise Unwanted(str(none)) from None
        return [replace(task, state="send", target=one.uri, attempts=0, detail="") for one in found]

    async def made(self, task: Task, to: str) -> Made:
        """See :class:`~mta.daily_report.reporter.DailyReporter`."""
        who, now = self.reporter(), self._reactor.seconds()
        made = await self._report(task)
        data = mail(who, task.domain, made, packed(who, task.day, task.domain, made), to, now)
        return Made(made.report_id, data, _numbers(made))

    async def post(self, task: Task) -> None:
        """See :class:`~mta.daily_report.reporter.DailyReporter`."""
        made = await self._report(task)
        try:
            said = await self._post(task.target, packed(self.reporter(), task.day, task.domain, made).data)
        except NotTaken as trouble:
            raise TemporarilyUnavailable(str(trouble)) from None
        await self.keep(task, state="sent", detail=f"posted: {said}")
        self.note(self.told(task, "posted", said, report=made.report_id, **_numbers(made)))

    async def _report(self, task: Task) -> TlsReport:
        sessions = await self._run(self._sessions, task.day, task.domain)
        return report(self.reporter(), task.day, task.domain, sessions, task.target)


def _numbers(made: TlsReport) -> dict[str, int]:
    return {"successes": made.successes, "failures": made.failures}
