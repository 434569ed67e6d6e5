"""IMAP: where commands end, and what they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from mta.imap import fetch_item
from mta.imap.arguments import Arguments
from mta.imap.framing import LONGEST_COMMAND, Continue, Frame, Framing, TooLong
from mta.imap.list_pattern import matches
from mta.imap.refusal import Bad
from mta.imap.search_command import parse_search, parse_sort
from mta.imap.search_key import BadCharset
from mta.imap.sequence_set import SequenceSet, compact_ranges
from tests.fuzz.targets.target import Target


def _frames(octets: bytes, length: int) -> Iterator[Frame | Continue | TooLong | bytes]:
    """What comes out of octets that come so many at a time."""
    framing = Framing()
    framing.inside = True
    missing = 0
    streamed = b""
    for start in range(0, len(octets), length):
        framing.feed(octets[start : start + length])
        while True:
            streamed += (piece := framing.take(missing))
            missing -= len(piece)
            if missing:
                break
            if streamed:
                yield streamed
                streamed = b""
            found = framing.command()
            if found is None:
                break
            yield found
            if isinstance(found, Frame):
                missing = found.streamed or 0
    if streamed:
        yield streamed


def framing(octets: bytes) -> None:
    """The same commands are in it however it comes, and none is larger than it may be."""
    found = list(_frames(octets, max(len(octets), 1)))
    assert found == list(_frames(octets, 1)) == list(_frames(octets, 7))
    for one in found:
        if isinstance(one, Frame):
            assert len(one.parts) % 2 == 1 or one.streamed is not None
            assert sum(map(len, one.parts)) <= LONGEST_COMMAND + 100


def arguments(octets: bytes) -> None:
    """What a command asks for is understood, or is wrong in words of visible ASCII."""
    for one in _frames(octets + b"\r\n", max(len(octets) + 2, 1)):
        if not isinstance(one, Frame):
            continue
        parts = one.parts
        for reader in (fetch_item.parse, parse_search, parse_sort, Arguments.rest):
            try:
                reader(Arguments((b" " + parts[0] if reader is Arguments.rest else parts[0], *parts[1:])))
            except (Bad, BadCharset) as problem:
                assert str(problem).isascii() and str(problem).isprintable(), problem
        with suppress(Bad):
            for item in fetch_item.parse(Arguments(parts)):
                # Clients find in the answer what they have asked for.
                again = item.label
                if item.partial is not None:
                    again = again[:-1] + b".%d>" % item.partial[1]
                if b"\r\n" not in again:
                    (same,) = fetch_item.parse(Arguments((again,)))
                    assert (same.label, same.section) == (item.label, item.section)
        with suppress(ValueError):
            bounds = SequenceSet.parse(parts[0]).bounds(100)
            assert all(low <= high for low, high in bounds)
            assert SequenceSet.parse(compact_ranges(bounds)).bounds(100) == bounds


def list_pattern(octets: bytes) -> None:
    """A name fits a pattern if it fits what says the same as a regular expression."""
    pattern, _, name = octets.decode("latin-1").partition("\n")
    pattern, name = pattern[:40], name[:12]
    if len(re.findall("[*%]+", pattern)) <= 5:
        wild = re.sub("[*%]+", lambda match: "*" if "*" in match[0] else "%", pattern)
        translated = "".join({"*": ".*", "%": "[^.]*"}.get(one, re.escape(one)) for one in wild)
        fits = re.fullmatch(translated, name, re.DOTALL) is not None
        assert matches(pattern, name) == fits, (pattern, name)


TARGETS = (
    Target(
        "imap-framing",
        framing,
        (
            b"a LOGIN {1}\r\na {1+}\r\nb\r\nb NOOP\r\n",
            b"a APPEND {1+}\r\na (\\Seen) {3+}\r\n\r\n\r\r\nb NOOP\n",
            b"a X {262145+}\r\n",
            b"a X {0+}\r\n {0+}\r\n\r\n",
        ),
    ),
    Target(
        "imap-arguments",
        arguments,
        (
            b"(FLAGS UID BODY.PEEK[1.2.HEADER.FIELDS (Date {3+}\r\na)b)]<1.20> RFC822)",
            b'BODY[HEADER.FIELDS.NOT (From "a\\"b" c]d)]',
            b"BINARY.PEEK[1]<0.5>",
            b"RETURN (MIN MAX PARTIAL -1:-100 SAVE) CHARSET iso-8859-1 OR (SEEN NOT FROM \xe9) UID 1:*,$",
            b'(REVERSE DATE SUBJECT) UTF-8 SINCE 1-Feb-2024 LARGER 5 MODSEQ "/flags/\\\\Seen" all 620',
            b'OLDER 5 KEYWORD $Junk HEADER X-A {0+}\r\n SENTON "28-feb-2024" $',
            b"1:5,3:9,*,7:*",
            b'((a "b") ({1+}\r\n) ()))',
        ),
    ),
    Target("imap-pattern", list_pattern, (b"a.%\na.b", b"*b%*c%\na.bc", b"%\n", b"%a*%\nb.ab")),
)
