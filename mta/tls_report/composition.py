"""A report from its counts, and the mail that carries it (RFC 8460, 4 and 5); pure."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mta.daily_report.composition import DAY, Attachment, Reporter, unique
from mta.daily_report.composition import mail as written
from mta.daily_report.ledger import midnight
from mta.model.tls_report import (
    MOST_POLICIES,
    DateRange,
    FailureDetail,
    Policy,
    PolicyReport,
    Summary,
    TlsReport,
)
from mta.tls_report.ledger import Sessions

#: Failures of one policy that are told apart; the others are in the sum.
_FAILURES = 1000


@dataclass(frozen=True, slots=True)
class Packed:
    """A report that is ready to be sent.

    :ivar identifier: its report-id: the same for the same day, domain and destination, so that
        whoever gets it twice knows.
    :ivar filename: as 5.1 demands.
    :ivar data: JSON, compressed with gzip.
    """

    identifier: str
    filename: str
    data: bytes


def report(reporter: Reporter, day: str, domain: str, sessions: Iterable[Sessions], target: str) -> TlsReport:
    """The report on the sessions of a day for a domain.

    :param target: where it goes.
    """
    begins = midnight(day)
    return TlsReport(
        organization_name=reporter.organization,
        date_range=DateRange(start_datetime=_time(begins), end_datetime=_time(begins + DAY - 1)),
        contact_info=reporter.contact,
        report_id=reporter.identifier(day, domain, target),
        policies=_policies(domain, sessions),
    )


def packed(reporter: Reporter, day: str, domain: str, made: TlsReport) -> Packed:
    """The report as it is sent."""
    begins = int(midnight(day))
    # sender "!" policy-domain "!" begin "!" end "!" unique-id "." extension
    filename = f"{reporter.submitter}!{domain}!{begins}!{begins + DAY - 1}!{unique(made.report_id)}.json.gz"
    return Packed(made.report_id, filename, gzip.compress(made.written(), mtime=begins))


def mail(reporter: Reporter, domain: str, made: TlsReport, pack: Packed, to: str, now: float) -> bytes:
    """The message, lines ended by CRLF; see :func:`mta.daily_report.composition.mail`.

    :param to: address.
    """
    return written(
        reporter,
        pack.identifier,
        domain,
        to,
        now,
        content_type='multipart/report; report-type="tlsrpt"',
        fields=[
            f"TLS-Report-Domain: {domain}",
            f"TLS-Report-Submitter: {reporter.submitter}",
            # A domain whose TLS is broken is to hear of it (RFC 8460, 3; RFC 8689).
            "TLS-Required: No",
        ],
        about="This is a TLS report (RFC 8460) in two parts: words, and a file for programs.",
        words=words(reporter, domain, made),
        attachment=Attachment("application/tlsrpt+gzip", pack.filename, pack.data),
    )


def words(reporter: Reporter, domain: str, made: TlsReport) -> str:
    """What a person reads in the mail."""
    begins = made.date_range.start_datetime
    lines = [
        f"{reporter.organization} reports on the TLS of its SMTP sessions with the mail servers of {domain}",
        f"on {begins:%Y-%m-%d} (UTC): {made.successes} succeeded, {made.failures} failed.",
        "",
    ]
    for one in made.policies:
        lines.append(
            f"Policy {one.policy.policy_type}: {one.summary.total_successful_session_count} succeeded, "
            f"{one.summary.total_failure_session_count} failed"
        )
        for failure in one.failure_details[:20]:
            host = failure.receiving_mx_hostname or "no host"
            why = f": {failure.failure_reason_code}" if failure.failure_reason_code else ""
            lines.append(f"  {failure.failed_session_count} x {failure.result_type} at {host}{why}")
    lines += ["", f"Questions go to {reporter.contact}.", ""]
    return "\r\n".join(lines)


def _policies(domain: str, sessions: Iterable[Sessions]) -> list[PolicyReport]:
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Sessions]] = {}
    for one in sessions:
        groups.setdefault((one.policy, one.strings, one.patterns), []).append(one)
    found = [_policy(domain, group) for _, group in sorted(groups.items())]
    return found[:MOST_POLICIES]


def _policy(domain: str, group: Sequence[Sessions]) -> PolicyReport:
    first = group[0]
    facts: dict[str, Any] = {"policy_type": first.policy, "policy_domain": domain}
    if first.strings:
        facts["policy_string"] = list(first.strings)
    if first.patterns:
        facts["mx_host"] = list(first.patterns)
    good = sum(one.count for one in group if one.result == "success")
    failures = sorted((one for one in group if one.result != "success"), key=lambda one: -one.count)
    return PolicyReport(
        policy=Policy(**facts),
        summary=Summary(
            total_successful_session_count=good,
            total_failure_session_count=sum(one.count for one in failures),
        ),
        failure_details=[_failure(one) for one in failures[:_FAILURES]],
    )


def _failure(one: Sessions) -> FailureDetail:
    facts = {
        "sending_mta_ip": one.sending,
        "receiving_mx_hostname": one.host,
        "receiving_mx_helo": one.helo,
        "receiving_ip": one.receiving,
        "failure_reason_code": one.reason,
    }
    known = {name: value for name, value in facts.items() if value}
    return FailureDetail(result_type=one.result, failed_session_count=one.count, **known)


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
