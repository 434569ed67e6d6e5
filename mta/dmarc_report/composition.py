"""A report from its counts, and the mail that carries it (RFC 9990, 2.1 and 2.5); pure."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import replace

from mta.daily_report.composition import DAY, Attachment, Reporter, unique
from mta.daily_report.composition import mail as written
from mta.daily_report.ledger import day_of, midnight
from mta.dmarc.record import Record
from mta.model.dmarc_report import DmarcReport, Published, Row

#: Characters of what is told of a record's faults.
_LONGEST = 500


def report(
    reporter: Reporter,
    identifier: str,
    day: str,
    domain: str,
    record: Record,
    rows: Sequence[Row],
    left_out: int = 0,
    generator: str = "",
) -> DmarcReport:
    """The report on the messages of a day under one record.

    :param identifier: of the report.
    :param domain: who publishes the record.
    :param left_out: messages that are in no row.
    """
    begins = midnight(day)
    errors = list(record.faults)
    if left_out:
        errors.append(f"the report has no room for {left_out} more messages, each unlike the others")
    return DmarcReport(
        organization=reporter.organization,
        contact=reporter.contact,
        report=identifier,
        begins=begins,
        ends=begins + DAY - 1,
        published=_published(domain, record),
        rows=tuple(rows),
        error="; ".join(errors)[:_LONGEST],
        generator=generator,
    )


def _published(domain: str, record: Record) -> Published:
    """What the record says, or what holds without (RFC 9990, 2.1.1.4)."""
    policy = record.asks(of_subdomain=False, exists=True)
    subdomains = record.asks(of_subdomain=True, exists=True)
    return Published(
        domain=domain,
        policy=policy,
        subdomains=subdomains,
        nonexistent=record.asks(of_subdomain=True, exists=False),
        dkim="s" if record.strict_dkim else "r",
        spf="s" if record.strict_spf else "r",
        fo=record.fo,
        testing="y" if record.is_testing else "n",
        discovery="treewalk",
    )


def fitted(made: DmarcReport, most: int) -> tuple[DmarcReport, bytes]:
    """The report as it is sent, XML compressed with gzip, and not larger than so many octets.

    The rows with the fewest messages are left out where it would be.
    """
    rows = made.rows
    left = 0
    while True:
        kept = made
        if left:
            words = f"the report has no room for {left} more messages"
            error = "; ".join(filter(None, (made.error, words)))
            kept = replace(made, rows=rows, error=error)
        data = gzip.compress(kept.written(), mtime=int(made.begins))
        if len(data) <= most or len(rows) < 2:
            return kept, data
        half = len(rows) // 2
        left += sum(row.count for row in rows[half:])
        rows = rows[:half]


def mail(reporter: Reporter, made: DmarcReport, data: bytes, to: str, now: float) -> bytes:
    """The message, lines ended by CRLF; see :func:`mta.daily_report.composition.mail`.

    :param data: the report, compressed.
    :param to: address.
    """
    domain = made.published.domain
    # receiver "!" policy-domain "!" begin "!" end "!" unique-id "." extension
    times = f"{int(made.begins)}!{int(made.ends)}"
    filename = f"{reporter.submitter}!{domain}!{times}!{unique(made.report)}.xml.gz"
    return written(
        reporter,
        made.report,
        domain,
        to,
        now,
        content_type="multipart/mixed",
        fields=[],
        about="This is a DMARC aggregate report (RFC 9990) in two parts: words, and a file for programs.",
        words=words(reporter, made),
        attachment=Attachment("application/gzip", filename, data),
    )


def words(reporter: Reporter, made: DmarcReport) -> str:
    """What a person reads in the mail."""
    lines = [
        f"{reporter.organization} reports on mail that came on {day_of(made.begins)} (UTC) in the name of",
        f"{made.published.domain}: {made.messages} messages, of which {made.failures} fail DMARC.",
        "",
    ]
    failing = [row for row in made.rows if not row.passes]
    for row in failing[:20]:
        why = f", {', '.join(reason.type for reason in row.reasons)}" if row.reasons else ""
        lines.append(f"  {row.count} x from {row.source} as {row.author}: {row.disposition}{why}")
    if len(failing) > 20:
        lines.append(f"  and {len(failing) - 20} more in the file")
    lines += ["", f"Questions go to {reporter.contact}.", ""]
    return "\r\n".join(lines)
