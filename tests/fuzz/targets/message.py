"""Messages: the header section, addresses in it, and the Authentication-Results field."""

from __future__ import annotations

from contextlib import suppress

from mta.judge.content.parts import PartScanner
from mta.model.address import AddressError, parse_address
from mta.model.authentication_results import AuthenticationResults, Unreadable, without_forged
from mta.model.header import field_value, header_fields, header_section, take_fields
from tests.fuzz.targets.target import Target


def address(octets: bytes) -> None:
    """What is an address is the same when it is written and read again."""
    with suppress(AddressError):
        found = parse_address(octets.decode("utf-8", "replace"))
        assert parse_address(str(found)) == found


def header(octets: bytes) -> None:
    """Fields lie one behind the other; what is taken out is gone, and the body stays."""
    section = header_section(octets)
    assert octets.startswith(section)
    assert b"".join(header_fields(section)) == section
    value = field_value(section, b"subject")
    rest, values = take_fields(octets, [b"subject"])
    assert values == [value or b""]
    assert rest.endswith(octets[len(section) :])
    again, _ = take_fields(octets, [b"x-not-there"])
    assert again == octets


def authentication_results(octets: bytes) -> None:
    """What is read can be written and read again; what is ours does not come in."""
    with suppress(Unreadable):
        found = AuthenticationResults.parse(octets)
        again = AuthenticationResults.parse(found.value())
        assert len(again.results) == len(found.results)
    message = b"A: b\r\nAuthentication-Results:" + octets.replace(b"\n", b"\n ") + b"\r\n\r\nbody"
    once = without_forged(message, "mx.test")
    assert without_forged(once, "mx.test") == once
    assert once.endswith(b"body") or b"\r\n\r\n" in octets
    ours = b"A: b\r\nAuthentication-Results: mx.test;" + octets.replace(b"\n", b"\n ") + b"\r\n\r\nbody"
    assert b"Authentication-Results: mx.test" not in without_forged(ours, "mx.test")


def parts(octets: bytes) -> None:
    """The parts of a message are the same, however it comes."""
    whole, pieces = PartScanner(), PartScanner()
    whole.feed(octets)
    for start in range(0, len(octets), 7):
        pieces.feed(octets[start : start + 7])
    assert whole.close() == pieces.close()
    assert whole.excess == pieces.excess
    assert all(part.size >= 0 and len(part.names) <= 8 for part in whole.parts)


TARGETS = (
    Target(
        "message-parts",
        parts,
        (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
            b"Content-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\n\r\ntext\r\n--bb--\r\n--b\r\n"
            b"Content-Type: x/y; name*0*=utf-8''a%2E;\r\n name*1=exe\r\nContent-Transfer-Encoding: base64\r\n"
            b'Content-Disposition: attachment; filename="=?utf-8?b?YS5leGU=?="\r\n\r\nAAAA\r\n--b--\r\n',
        ),
    ),
    Target(
        "address",
        address,
        (
            b"a.b+c@example.org",
            b'"a b\\"c"@[IPv6:2001:db8::1]',
            b"postmaster",
            "\u00fc@b\u00fccher.example".encode(),
        ),
    ),
    Target(
        "header",
        header,
        (
            b"Subject: a\r\n b\r\nFrom: x@y.test\r\nsubject :c\r\n\r\nbody\r\n",
            b"\r\nbody",
            b"no field\r\nSubject:\r\n",
        ),
    ),
    Target(
        "authentication-results",
        authentication_results,
        (
            b'a.test 1; spf=pass (it (is)) reason="a \\"b\\"" smtp.mailfrom="a b"@x.test;\r\n dkim/1=none',
            b"(c) other.test; none",
        ),
    ),
)
