"""IMAP: messages of strangers, and what is told of them."""

from __future__ import annotations

import re
import tempfile

from mta.imap.fetch import Content, Extent, stream
from mta.imap.fetch_item import Section
from mta.mailbox.full_text.parts import Source
from mta.mailbox.full_text.preview import LONGEST
from mta.mailbox.full_text.text import read, read_header
from mta.mailbox.message.mime import MOST, Part, Reader
from mta.mailbox.message.rendering import envelope, structure
from tests.fuzz.targets.target import Target
from tests.imap.messages import MESSAGES

_STRING = re.compile(rb'"(?:[^"\\\r\n]|\\["\\])*"|\{([0-9]+)\}\r\n')


def _balanced(octets: bytes) -> None:
    """Strings end, and parentheses are closed."""
    at = depth = 0
    while at < len(octets):
        found = _STRING.match(octets, at)
        if found is not None:
            at = found.end() + int(found[1] or 0)
            continue
        assert octets[at : at + 1] not in b'"{\r\n', octets[at : at + 20]
        depth += {b"(": 1, b")": -1}.get(octets[at : at + 1], 0)
        at += 1
        assert depth > 0 or at == len(octets)
    assert not depth
    assert at == len(octets)


def _section(
    file: int, content: Content, section: Section, cut: tuple[int, int] | None = None
) -> bytes | None:
    parts = content.section(section, cut)
    if parts == [b"NIL"]:
        return None
    if parts == [b'""']:
        return b""
    octets = b"".join(b"".join(stream(file, one)) if isinstance(one, Extent) else one for one in parts)
    length, _, octets = octets.partition(b"}\r\n")
    assert int(length[1:]) == len(octets)
    return octets


def _walk(part: Part, numbers: tuple[int, ...]) -> list[tuple[tuple[int, ...], Part]]:
    if part.is_multipart:
        found = []
        for number, child in enumerate(part.children, 1):
            found += _walk(child, (*numbers, number))
        return [(numbers, part), *found] if numbers else found
    own = numbers or (1,)
    if not part.is_message:
        return [(own, part)]
    inner = part.children[0]
    below = _walk(inner, own) if inner.is_multipart else _walk(inner, (*own, 1))
    return [(own, part), *[one for one in below if one[0] != own]]


def imap_message(octets: bytes) -> None:
    """Whatever a message is, answers can be read, and what is told of its parts is true of them."""
    with tempfile.TemporaryFile() as file:
        file.write(octets)
        file.flush()
        number = file.fileno()
        content = Content(number)
        message = Reader(number).read()
        _balanced(envelope(message))
        for extended in (True, False):
            _balanced(structure(message, extended))
        whole = _section(number, content, Section())
        assert whole is not None
        assert len(whole) == content.size
        assert b"\0" not in whole
        header, text = (_section(number, content, Section((), name)) for name in ("HEADER", "TEXT"))
        assert (header or b"") + (text or b"") == whole
        cut = [_section(number, content, Section(), (place, 7)) or b"" for place in range(0, len(whole), 7)]
        assert b"".join(cut[:200]) == whole[:1400]
        for name in ("HEADER.FIELDS", "HEADER.FIELDS.NOT"):
            assert (_section(number, content, Section((), name, (b"subject",))) or b"").endswith(b"\r\n")
        said, fields = read(Source.of_file(number)), read_header(Source.of_file(number))
        assert (said.header, said.subject, said.sent) == (fields.header, fields.subject, fields.sent)
        first = content.preview
        assert len(first) <= LONGEST
        assert first == " ".join(first.split())
        parts = _walk(message, ())
        assert len(parts) <= MOST
        for numbers, part in parts[:20]:
            body = _section(number, content, Section(numbers))
            assert body is not None, numbers
            if not part.is_multipart:
                assert len(body) == part.octets, (numbers, len(body), part.octets)


TARGETS = (Target("imap-message", imap_message, tuple(MESSAGES.values())),)
