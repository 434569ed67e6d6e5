"""DMARC reports that others send: XML, and what it is packed in."""

from __future__ import annotations

import gzip
import io
import zipfile
from contextlib import suppress

from mta.feedback.dmarc_report import LONGEST_XML, authenticated, received, unpacked
from mta.journal.dmarc_summary import sources
from mta.model.dmarc_report import BadDmarcReport, DmarcReport
from mta.model.event_rows import event_row
from tests.dmarc_report.published import OLDER
from tests.fuzz.targets.target import Target


def dmarc_report(octets: bytes) -> None:
    """What is read is a row of the journal, bounded, can be added up, and be written and read again."""
    with suppress(BadDmarcReport):
        report = DmarcReport.read(octets)
        event = received(report, "", 0.0)
        assert len(event_row(event)[4]) < 1_000_000
        assert sum(one.messages for one in sources([event])) <= report.messages
        assert DmarcReport.read(report.written()).messages == report.messages


def dmarc_report_packed(octets: bytes) -> None:
    """What unpacks does not unpack to more than there is room for."""
    with suppress(BadDmarcReport):
        assert len(unpacked(octets)) <= LONGEST_XML


def dmarc_report_trace(octets: bytes) -> None:
    """A field that a judge wrote about what a stranger wrote."""
    authenticated(b"Authentication-Results:" + octets + b"\r\n")


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a!b!1!2.xml"), OLDER)
    return file.getvalue()


TARGETS = (
    Target("dmarc-report", dmarc_report, (OLDER, b"<feedback/>")),
    Target("dmarc-report-packed", dmarc_report_packed, (gzip.compress(OLDER, mtime=0), _zip())),
    Target("dmarc-report-trace", dmarc_report_trace, (b" mx.test; dmarc=pass header.from=big.example",)),
)
