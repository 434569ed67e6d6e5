"""Finds and reads the TLS report in a message (RFC 8460, 5.3); pure.

It comes from anybody.  One without a DKIM signature of the domain that reports is to be ignored
(RFC 8460, 3); whether there is one, a judge has found out when the message came, if there is one
that looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Any

from mta.feedback.mime import content, parts
from mta.feedback.packing import BadPacking, gunzipped
from mta.model.address import domain_of
from mta.model.authentication_results import NAME, AuthenticationResults, Unreadable
from mta.model.event_report import TlsReportReceived
from mta.model.header import field_value
from mta.model.tls_report import BadTlsReport, TlsReport

#: Octets of a message with a report that are read.
LONGEST = 4 * 1024 * 1024
#: Octets of JSON: what is compressed well may be a bomb.
LONGEST_JSON = 8 * 1024 * 1024

#: Characters of a report that the journal keeps.
_KEPT = 64 * 1024

_GZIP = frozenset({"application/tlsrpt+gzip", "application/gzip", "application/x-gzip"})
_PLAIN = frozenset({"application/tlsrpt+json", "application/json"})


def is_tls_report(header: bytes) -> bool:
    """Whether a header section announces one."""
    lower = header.lower()
    return b"tlsrpt" in lower or b"\ntls-report-domain:" in b"\n" + lower


def tls_report(message: Message[str, str]) -> TlsReport | None:
    """The report; ``None`` if the message is none.

    :raise BadTlsReport: if there is one that cannot be read.
    """
    announced = str(message.get_param("report-type", "")).lower() == "tlsrpt"
    for part in parts(message):
        kind = part.get_content_type()
        if kind in _GZIP and (announced or "tlsrpt" in kind):
            return TlsReport.read(unpacked(content(part)))
        if kind in _PLAIN and (announced or "tlsrpt" in kind):
            data = content(part)
            if len(data) > LONGEST_JSON:
                raise BadTlsReport(f"it is larger than {LONGEST_JSON >> 20} MiB")
            return TlsReport.read(data)
    if announced:
        raise BadTlsReport("it has no part of the type application/tlsrpt+gzip or application/tlsrpt+json")
    return None


def unpacked(data: bytes) -> bytes:
    """What was compressed with gzip.

    :raise BadTlsReport: if it was not, is cut off, or is too large.
    """
    try:
        return gunzipped(data, LONGEST_JSON)
    except BadPacking as bad:
        raise BadTlsReport(str(bad)) from None


@dataclass(frozen=True, slots=True)
class Signed:
    """What is known of the signatures of a report.

    :ivar domains: those that have signed it.
    :ivar counts: whether the domain that reports is one of them; ``None``: nobody has looked, or could tell.
    """

    domains: tuple[str, ...] = ()
    counts: bool | None = None


def signed(trace: bytes, header: bytes, report: TlsReport) -> Signed:
    """Who has signed a report, by what a judge has found out.

    :param trace: the fields that we put on top of the message.
    :param header: its header section, as it came.
    """
    value = field_value(trace, NAME)
    if value is None:
        return Signed()
    try:
        results = [one for one in AuthenticationResults.parse(value).results if one.method == "dkim"]
    except Unreadable:
        return Signed()
    domains = tuple(dict.fromkeys(one.get("header.d").lower() for one in results if one.result == "pass"))
    reporter = (field_value(header, b"tls-report-submitter") or b"").decode("ascii", "replace").lower()
    reporter = reporter or domain_of(report.contact_info)
    if any(_are_one(domain, reporter) for domain in domains):
        return Signed(domains, True)
    unknown = not results or any(one.result == "temperror" for one in results)
    return Signed(domains, None if unknown else False)


def _are_one(domain: str, other: str) -> bool:
    """Whether two domains are the same, or one is below the other."""
    return bool(domain and other) and (
        f".{domain}".endswith(f".{other}") or f".{other}".endswith(f".{domain}")
    )


def received(report: TlsReport, message: str, now: float, signers: Sequence[str] = ()) -> TlsReportReceived:
    """The event of a report.

    :param message: queue id of what brought it.
    :param signers: domains that have signed it.
    """
    policies: list[dict[str, Any]] = []
    left, cut = _KEPT, 0
    for one in report.policies:
        facts = one.model_dump(by_alias=True, exclude_unset=True, mode="json")
        failures = facts.pop("failure-details", [])
        left -= len(str(facts))
        if left < 0:
            cut += 1
            continue
        kept = []
        for failure in failures:
            left -= len(str(failure))
            if left < 0:
                cut += 1
            else:
                kept.append(failure)
        policies.append({**facts, "failure-details": kept} if kept else facts)
    return TlsReportReceived(
        at=now,
        message=message,
        organization=report.organization_name,
        report=report.report_id,
        contact=report.contact_info,
        begins=report.date_range.start_datetime.timestamp(),
        ends=report.date_range.end_datetime.timestamp(),
        domains=[name[:255] for name in report.domains[:100]],
        successes=report.successes,
        failures=report.failures,
        policies=policies,
        cut=cut,
        signed=[name[:255] for name in signers[:10]],
    )
