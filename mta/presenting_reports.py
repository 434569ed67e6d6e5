"""Joins the pages for reports that others sent: whose domains are whose, and what the DNS says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mta.application import SendingApi
from mta.config.settings import Settings
from mta.dashboard.page import Page
from mta.dashboard.report_records import RecordLook
from mta.dashboard.reports import ReportPages
from mta.dashboard.workers import Workers
from mta.environment import Environment


def report_pages(
    api: SendingApi,
    environment: Environment,
    workers: Workers,
    settings: Callable[[], Settings],
    reactor: Any,
) -> list[Page]:
    """The pages.

    :param api: has the domains of tenants.
    :param environment: threads, and the DNS.
    :param workers: all of them.
    :param settings: gives what stands in the configuration now.
    :param reactor: timers.
    """

    def addresses() -> tuple[list[str], list[str]]:
        now = settings()
        return now.dmarc_report.addresses, now.tls_report.addresses

    look = RecordLook(environment.resolver, addresses, reactor)
    return ReportPages(workers, api.registry.domains, look, environment.run_in_thread).pages()
