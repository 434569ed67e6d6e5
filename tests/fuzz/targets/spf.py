"""SPF: records, macros, and whole evaluations over a small DNS."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from mta.judge.spf.evaluation import Identity
from mta.judge.spf.macro import MacroError, MacroString
from mta.judge.spf.record import Record, RecordError
from tests.fuzz.targets.target import Target
from tests.judge.spf.zone import Zone


def spf_record(octets: bytes) -> None:
    """A record is one, or says what its mistake is."""
    octets = b"v=spf1 " + octets
    try:
        record = Record.parse(octets)
    except RecordError as error:
        assert str(error)
        return
    assert record.text.encode("ascii") == octets
    for mechanism in record.mechanisms:
        assert 0 <= mechanism.length4 <= 32 and 0 <= mechanism.length6 <= 128


def spf_macro(octets: bytes) -> None:
    """The first line is a text with macros, the second what they stand for."""
    first, _, second = octets.decode("utf-8", "surrogateescape").partition("\n")
    for explanation in (False, True):
        with suppress(MacroError):
            text = MacroString.parse(first, explanation)
            said = text.expand(dict.fromkeys("slodiphvcrt", second))
            # Escaped at the most, each macro is three times its value.
            assert (
                len(said)
                <= len(first) * 3 + len(text.parts) * max(len(second.encode("utf-8", "replace")), 1) * 4
            )


def spf_check(octets: bytes) -> None:
    """Lines are records of a.test, b.test, c.test; then the local part, and addresses of everybody."""
    lines = octets.decode("utf-8", "surrogateescape").split("\n")
    lines += [""] * (4 - len(lines))
    addresses = [{"A": address} for address in lines[4:8]] + [{"AAAA": address} for address in lines[8:10]]
    names = [{"PTR": name} for name in lines[10:24]]
    hosts: list[Any] = [{"MX": [10, name]} for name in lines[10:24]]
    zone = Zone(
        {
            "a.test": [{"TXT": lines[0]}, *addresses, *hosts],
            "b.test": [{"TXT": lines[1]}, *addresses, *hosts],
            "c.test": [{"TXT": lines[2]}, *addresses],
            "1.2.0.192.in-addr.arpa": names,
        }
    )
    finding = zone.check(Identity("192.0.2.1", "a.test", f"{lines[3]}@a.test", "mx.a.test", "mx.test", 1))
    assert len(zone.asked) <= 10 * 11 + 11 + 11 + 1
    assert finding.explanation.isascii()
    for text in (finding.reason, finding.explanation, *(step.record for step in finding.chain)):
        assert text.encode("utf-8") is not None and not any(ord(character) < 32 for character in text), text


TARGETS = (
    Target(
        "spf-record",
        spf_record,
        (
            b"+a mx:m.example.com/24//64 ~ip4:192.0.2.0/24 ?ip6:2001:db8::/32 -include:%{d2} a//0 -all",
            b"exists:%{ir}.%{v}.%{l1r-}._spf.%{d2} ptr x=%{s} exp=e.%{d} redirect=r.example.com",
        ),
    ),
    Target("spf-macro", spf_macro, (b"%{ir}.%{v}.%{L2r-+}._spf.%{d2}%%%_%-\na-b.c+d", b"%{c} %{t1} %{R}\nx")),
    Target(
        "spf-check",
        spf_check,
        (
            b"v=spf1 a mx include:b.test exists:%{l}.c.test ptr -all exp=c.test\nv=spf1 ~all\n"
            b"%{i} is %{p}\nann\n192.0.2.2\n192.0.2.3\n\n\n2001:db8::1\n\na.test\nb.test",
            b"v=spf1 redirect=b.test\nv=spf1 include:a.test ?all\nv=spf1 redirect=a.test\nb",
        ),
    ),
)
