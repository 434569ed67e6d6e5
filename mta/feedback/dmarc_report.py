"""Finds and reads the DMARC aggregate report in a message (RFC 9990, 2.5); pure.

It comes from anybody.  A report in a mail that fails DMARC itself does not count (RFC 9990, 2.5.2); whether
it does, a judge has found out when the mail came, if there is one that looks.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from email.message import Message
from typing import Any

from mta.feedback.mime import content, parts, words
from mta.feedback.packing import BadPacking, gunzipped, unzipped
from mta.model.authentication_results import NAME, AuthenticationResults, Unreadable
from mta.model.dmarc_report import BadDmarcReport, DmarcReport
from mta.model.event_report import DmarcReportReceived
from mta.model.header import field_value

#: Octets of a message with a report that are read.
LONGEST = 8 * 1024 * 1024
#: Octets of XML: what is compressed well may be a bomb.
LONGEST_XML = 16 * 1024 * 1024
#: Characters of the rows that the journal keeps.
_KEPT = 128 * 1024

_SUBJECT = re.compile(r"report[ _-]*domain:.*submitter:", re.IGNORECASE | re.DOTALL)
# receiver "!" policy-domain "!" begin "!" end [ "!" unique-id ] "." extension
_FILE = re.compile(r"[^!\s]+![^!\s]+!\d+!\d+(?:![^!\s]*)?\.(?:xml|xml\.gz|gz|zip)\Z", re.IGNORECASE)
_FILE_IN_HEADER = re.compile(rb"![^!\s]+!\d+!\d+[^\s]*\.(?:xml|gz|zip)", re.IGNORECASE)
_KINDS = frozenset(
    {
        "application/gzip",
        "application/x-gzip",
        "application/gzip-compressed",
        "application/zip",
        "application/x-zip",
        "application/x-zip-compressed",
        "application/octet-stream",
        "application/xml",
        "text/xml",
    }
)


def is_dmarc_report(header: bytes) -> bool:
    """Whether a header section announces one."""
    subject = (field_value(header, b"subject") or b"").decode("utf-8", "replace")
    return bool(_SUBJECT.search(words(subject)) or _FILE_IN_HEADER.search(header))


def dmarc_report(message: Message[str, str]) -> DmarcReport | None:
    """The report; ``None`` if the message is none.

    :raise BadDmarcReport: if there is one that cannot be read.
    """
    announced = bool(_SUBJECT.search(words(message.get("Subject"))))
    for part in parts(message):
        name = words(part.get_filename())
        if part.get_content_type() in _KINDS and (announced or _FILE.match(name)):
            return DmarcReport.read(unpacked(content(part)))
    if announced:
        raise BadDmarcReport("it has no attachment with XML, plain or compressed with gzip or zip")
    return None


def unpacked(data: bytes) -> bytes:
    """The XML of an attachment, whatever its type says.

    :raise BadDmarcReport: if it cannot be unpacked, or is too large.
    """
    try:
        if data.startswith(b"\x1f\x8b"):
            return gunzipped(data, LONGEST_XML)
        if data.startswith(b"PK"):
            return unzipped(data, LONGEST_XML, ".xml")
    except BadPacking as bad:
        raise BadDmarcReport(str(bad)) from None
    if len(data) > LONGEST_XML:
        raise BadDmarcReport(f"it is larger than {LONGEST_XML >> 20} MiB")
    return data


def authenticated(trace: bytes) -> str:
    """What DMARC says of the mail that brought a report; ``""`` if nobody has looked.

    :param trace: the fields that we put on top of the message.
    """
    value = field_value(trace, NAME)
    if value is None:
        return ""
    try:
        results = AuthenticationResults.parse(value).results
    except Unreadable:
        return ""
    return next((one.result for one in results if one.method == "dmarc"), "")


def received(report: DmarcReport, message: str, now: float, result: str = "") -> DmarcReportReceived:
    """The event of a report.

    :param message: queue id of what brought it.
    :param result: see :func:`authenticated`.
    """
    rows: list[dict[str, Any]] = []
    left, cut = _KEPT, 0
    # Those that tell most: what fails, and what there is most of.
    for row in sorted(report.rows, key=lambda one: (one.passes, -one.count)):
        facts = json.dumps({name: value for name, value in asdict(row).items() if value})
        left -= len(facts)
        if left < 0:
            cut += 1
        else:
            rows.append(json.loads(facts))
    return DmarcReportReceived(
        at=now,
        message=message,
        organization=report.organization,
        report=report.report,
        domain=report.published.domain,
        contact=report.contact,
        begins=report.begins,
        ends=report.ends,
        published={name: value for name, value in asdict(report.published).items() if value},
        messages=report.messages,
        failures=report.failures,
        rows=rows,
        cut=cut,
        error=report.error,
        authenticated=result,
    )
