"""Joins what tells others, once a day, of our sessions with them and of mail in their name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mta.config.loading import Loaded
from mta.daily_report.reporter import DailyReporter, Means
from mta.dmarc_report.ledger import DmarcLedger
from mta.dmarc_report.reporter import DmarcReporter
from mta.environment import Environment
from mta.journal.reader import JournalReader
from mta.parts import Parts
from mta.tls_report.ledger import TlsLedger
from mta.tls_report.reporter import TlsReporter


def reporters(
    reactor: Any,
    loaded: Loaded,
    environment: Environment,
    *,
    spool: Any,
    admitted: Callable[[Any], None],
    parts: Callable[[], Parts],
    post: Callable[[str, bytes], Any],
) -> dict[str, DailyReporter]:
    """Those of the first worker, for all of them; by settings table.

    :param spool: its :class:`~mta.queue.spool.Spool`.
    :param admitted: is told of what was written.
    :param parts: gives the parts in use.
    :param post: posts a report to an address.
    """
    means = Means(
        journals=lambda: JournalReader(sorted((loaded.state / "spool").glob("*/queue.db"))),
        journal=environment.journal,
        spool=spool,
        admitted=admitted,
        route=lambda address, sender: parts().departures.notifications(parts().router.route, sender)(address),
        resolver=environment.resolver,
        run_in_thread=environment.run_in_thread,
        hostname=loaded.settings.hostname,
        sign=lambda data, now: parts().signer.own(data, now),
    )
    settings = loaded.settings
    tls = TlsReporter(reactor, means, TlsLedger(loaded.state / "tls-reports.db"), settings.tls_report, post)
    ledger = DmarcLedger(loaded.state / "dmarc-reports.db")
    dmarc = DmarcReporter(reactor, means, ledger, settings.dmarc_report)
    return {"tls_report": tls, "dmarc_report": dmarc}
