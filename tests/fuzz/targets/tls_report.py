"""TLS reports: where they go, and what others send as one."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress

from mta.feedback.tls_report import LONGEST_JSON, received, signed, unpacked
from mta.model.event_rows import event_row
from mta.model.tls_report import BadTlsReport, TlsReport
from mta.model.tls_report_record import MOST, NoDestination, destinations
from tests.fuzz.targets.target import Target
from tests.tls_report.published import EXAMPLE

_READ = TlsReport.read(EXAMPLE)


def tls_report_record(octets: bytes) -> None:
    """Addresses and URLs that can stand in a header or a request, and not too many."""
    with suppress(NoDestination):
        found = destinations([b"v=TLSRPTv1;" + octets])
        assert 0 < len(found) <= MOST
        for one in found:
            assert all("!" <= character <= "~" for character in one.target), one


def tls_report(octets: bytes) -> None:
    """What is read is a row of the journal, of a bounded size, and is written as it was read."""
    with suppress(BadTlsReport):
        report = TlsReport.read(octets)
        assert TlsReport.read(report.written()) == report
        assert json.loads(report.written())["report-id"] == report.report_id
        assert len(event_row(received(report, "", 0.0))[4]) < 1_000_000


def tls_report_packed(octets: bytes) -> None:
    """What unpacks does not unpack to more than there is room for."""
    with suppress(BadTlsReport):
        assert len(unpacked(octets)) <= LONGEST_JSON


def tls_report_signed(octets: bytes) -> None:
    """Who has signed it, by a field that a judge wrote about what a stranger wrote."""
    found = signed(b"Authentication-Results:" + octets + b"\r\n", octets, _READ)
    assert found.domains or not found.counts


TARGETS = (
    Target(
        "tls-report-record",
        tls_report_record,
        (
            b" rua=mailto:a%21b@c.test?subject=x,https://d.test:8443/e?f#g ; x-y=1;",
            b"rua=https://[2001:db8::1]/,mailto:%22a%20b%22@c.test",
        ),
    ),
    Target("tls-report", tls_report, (EXAMPLE, b'{"policies":[],"report-id":"","date-range":{}}')),
    Target("tls-report-packed", tls_report_packed, (gzip.compress(EXAMPLE, mtime=0),)),
    Target(
        "tls-report-signed",
        tls_report_signed,
        (b" mx.test; dkim=pass header.d=company-x.example; spf=none", b" a; dkim=fail reason=x header.d=b"),
    ),
)
