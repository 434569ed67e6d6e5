"""DMARC: records, and the authors of a message."""

from __future__ import annotations

from mta.dmarc.author import MOST_AUTHORS, authors_of
from mta.dmarc.record import POLICIES, parse_record
from tests.fuzz.targets.target import Target


def dmarc_record(octets: bytes) -> None:
    """A record asks for one of three things, whatever is wrong with it."""
    record = parse_record(b"v=DMARC1;" + octets)
    assert record is not None
    for of_subdomain in (True, False):
        for exists in (True, False):
            assert record.asks(of_subdomain, exists) in POLICIES
    for fault in record.faults:
        assert fault.isprintable(), fault


def dmarc_author(octets: bytes) -> None:
    """There are so many domains at the most, or a reason why there is none."""
    found = authors_of(b"From:" + octets + b"\r\n")
    assert len(found.domains) <= MOST_AUTHORS
    assert found.domains or found.trouble


TARGETS = (
    Target(
        "dmarc-record",
        dmarc_record,
        (
            b" p=reject; sp=quarantine; np=none; adkim=s; aspf=r; psd=n; t=y; fo=1:d:s; "
            b"rua=mailto:a@b.test!10m,https://c.test/x; ruf=mailto:d%40e.test",
            b"p=none",
        ),
    ),
    Target(
        "dmarc-author",
        dmarc_author,
        (
            b' "A, B" <a@b.test>, (c (d)) e@f.test',
            b" Group: x@y.test, z@w.test;",
            b"\r\n =?utf-8?q?a?= <@c.test:a@b.test>",
        ),
    ),
)
