"""ENVELOPE and BODYSTRUCTURE, as IMAP writes them (RFC 3501, 7.4.2).  Pure.

Texts of headers stay as they are: the client decodes them.  What has other octets than ASCII is a
literal, which every client takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mta.mailbox.message.header_field import Value, value
from mta.mailbox.message.mail_address import MailAddress, addresses
from mta.mailbox.message.mime import MESSAGES, Part

NIL = b"NIL"
#: Octets of one text, and of a rendered structure.
_LONGEST = 64 * 1024
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*\Z")


def nstring(octets: bytes | None) -> bytes:
    """A text; ``NIL`` for none."""
    return NIL if octets is None else string(octets)


def string(octets: bytes) -> bytes:
    """A text: quoted if that can be, else as a literal."""
    # A NUL can stand in neither (RFC 3501, 9).
    octets = octets[:_LONGEST].replace(b"\0", b"")
    if len(octets) < 1024 and _QUOTABLE.match(octets):
        return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d}\r\n%s" % (len(octets), octets)


# --- envelopes ---------------------------------------------------------------


def envelope(part: Part) -> bytes:
    """The envelope of a message."""
    sender = _addresses(part, b"from")
    return b"(%s)" % b" ".join(
        (
            nstring(part.field(b"date")),
            nstring(part.field(b"subject")),
            sender,
            # Both are who wrote it, if nobody says otherwise.
            _addresses(part, b"sender", sender),
            _addresses(part, b"reply-to", sender),
            _addresses(part, b"to"),
            _addresses(part, b"cc"),
            _addresses(part, b"bcc"),
            nstring(part.field(b"in-reply-to")),
            nstring(part.field(b"message-id")),
        )
    )


def _addresses(part: Part, name: bytes, otherwise: bytes = NIL) -> bytes:
    texts = [text for one, text in part.fields if one == name]
    found = addresses(b", ".join(texts)) if texts else []
    return b"(%s)" % b"".join(map(_address, found)) if found else otherwise


def _address(one: MailAddress) -> bytes:
    return b"(%s)" % b" ".join(map(nstring, (one.name, one.route, one.mailbox, one.host)))


# --- structures --------------------------------------------------------------


def structure(part: Part, extended: bool) -> bytes:
    """The structure of a message.

    :param extended: BODYSTRUCTURE; else BODY.
    """
    main, _, sub = part.type.word.partition(b"/")
    if part.is_multipart:
        children = b"".join(structure(child, extended) for child in part.children)
        if not extended:
            return b"(%s %s)" % (children, string(sub.upper()))
        words = [string(sub.upper()), _parameters(part.type.parameters), *_common(part)]
        return b"(%s %s)" % (children, b" ".join(words))
    parameters: Mapping[bytes, bytes] = part.type.parameters
    if main == b"text" and b"charset" not in parameters:
        # As other servers do: clients take it for what it is without one (RFC 2046, 4.1.2).
        parameters = {b"charset": b"us-ascii", **parameters}
    coding = value(part.field(b"content-transfer-encoding") or b"").word
    words = [
        string(main.upper()),
        string(sub.upper()),
        _parameters(parameters),
        nstring(part.field(b"content-id")),
        nstring(part.field(b"content-description")),
        string(coding.upper() or b"7BIT"),
        b"%d" % part.octets,
    ]
    if part.type.word in MESSAGES:
        # It must be told of one (RFC 3501, 9), also where none can be read: it is encoded, or too deep.
        inner = part.children[0] if part.children else _EMPTY
        words += [envelope(inner), structure(inner, extended), b"%d" % part.lines]
    elif main == b"text":
        words.append(b"%d" % part.lines)
    if extended:
        words += [nstring(part.field(b"content-md5")), *_common(part)]
    return b"(%s)" % b" ".join(words)


#: A message of which nothing is known.
_EMPTY = Part(0, 0, 0, [], Value(b"text/plain"))


def _common(part: Part) -> Iterable[bytes]:
    """What both kinds of parts have at their ends: disposition, language, location."""
    disposition = part.field(b"content-disposition")
    if disposition:
        found = value(disposition)
        yield b"(%s %s)" % (string(found.word.upper() or b"ATTACHMENT"), _parameters(found.parameters))
    else:
        yield NIL
    languages = part.field(b"content-language")
    words = [word for text in (languages or b"").split(b",") if (word := value(text).word)]
    yield b"(%s)" % b" ".join(map(string, words)) if words else NIL
    yield nstring(part.field(b"content-location"))


def _parameters(parameters: Mapping[bytes, bytes]) -> bytes:
    if not parameters:
        return NIL
    return b"(%s)" % b" ".join(
        string(word) for pair in parameters.items() for word in (pair[0].upper(), pair[1])
    )
