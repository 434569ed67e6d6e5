"""Puts our links into a message that was written elsewhere, and leaves every other octet as it was.

HTML parts that are shown are decoded, changed as :mod:`~mta.engagement.rewriting` does, and encoded as
they were; files and messages inside the message are no affair of ours.  What is signed or encrypted
(:mod:`~mta.engagement.sealed`) stays as it is, with the reason.  Pure.
"""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32

from mta.engagement.links import PLACES, MessageLinks
from mta.engagement.rewriting import rewritten, with_picture
from mta.engagement.sealed import sealed_part, sealed_text, signed_header
from mta.engagement.unsubscribing import fill, unsubscribe_fields
from mta.model.header import header_section, take_fields
from mta.model.linked import Linked, Wish

#: Levels of parts; parts of one message.
_DEEPEST, _MOST = 20, 500
#: Octets of a line that every server takes (RFC 5321, 4.5.3.1.6, without CRLF).
_LINE = 998
_PARSER = BytesHeaderParser(policy=compat32)
_PLAIN = ("", "7bit", "8bit", "binary")
_ENCODING = re.compile(rb"(?im)^content-transfer-encoding[ \t]*:(?:[^\r\n]|\r\n[ \t])*(?:\r\n)?")


class _Sealed(Exception):
    """Nothing may be changed."""


@dataclass(slots=True)
class _State:
    links: MessageLinks
    wish: Wish
    base: str
    parts: int = 0
    count: int = 0
    html: int = 0
    opens: bool = False
    filled: bool = False
    why: str = ""


def linked(content: bytes, links: MessageLinks, wish: Wish) -> Linked:
    """A message with our links.

    :param content: with CRLF.
    :param links: of this message and its recipient.
    """
    header = header_section(content)
    why = signed_header(header)
    if why:
        return Linked(content, why=why)
    state = _State(links, wish, wish.base)
    try:
        changed = _part(content, state, 0)
    except _Sealed as sealed:
        return Linked(content, why=str(sealed))
    if wish.unsubscribe is not None:
        changed, _ = take_fields(changed, [b"List-Unsubscribe", b"List-Unsubscribe-Post"])
        cut = len(header_section(changed))
        fields = unsubscribe_fields(links, wish.unsubscribe)
        added = "".join(f"{name}: {value}\r\n" for name, value in fields).encode()
        changed = changed[:cut] + added + changed[cut:]
    if not state.html and (wish.clicks or wish.opens):
        state.why = state.why or "it has no HTML part that is shown"
    return Linked(changed, state.count, state.opens, wish.unsubscribe is not None, state.why)


def _part(octets: bytes, state: _State, level: int) -> bytes:
    """One part, header section first."""
    state.parts += 1
    if level > _DEEPEST or state.parts > _MOST:
        raise _Sealed("it has too many parts to be looked through")
    head = header_section(octets)
    body = octets[len(head) :]
    fields = _PARSER.parsebytes(head + b"\r\n")
    kind = fields.get_content_type()
    why = sealed_part(fields, kind)
    if why:
        raise _Sealed(why)
    if kind.startswith("multipart/"):
        boundary = fields.get_boundary()
        return octets if not boundary else head + _several(body, boundary, state, level)
    if kind not in ("text/html", "text/plain") or fields.get_content_disposition() == "attachment":
        return octets
    if fields.get_filename() and kind == "text/plain":
        return octets
    return _text(head, body, fields, kind, state)


def _several(body: bytes, boundary: str, state: _State, level: int) -> bytes:
    """The body of a multipart: preamble, parts, epilogue (RFC 2046, 5.1.1)."""
    mark = re.escape(boundary.encode("utf-8", "surrogateescape"))
    pattern = re.compile(rb"(?:(?<=\r\n)|\A)--" + mark + rb"(--)?[ \t]*(?:\r\n|\Z)")
    pieces, start, inside = [], 0, False
    for found in pattern.finditer(body):
        piece = body[start : found.start()]
        if inside:
            # The CRLF before a boundary belongs to it.
            end = piece[-2:] if piece.endswith(b"\r\n") else b""
            piece = _part(piece[: len(piece) - len(end)], state, level + 1) + end
        pieces += [piece, found[0]]
        start, inside = found.end(), found[1] is None
        if not inside:
            break
    rest = body[start:]
    # A message that was cut off has no last boundary.
    pieces.append(_part(rest, state, level + 1) if inside and rest else rest)
    return b"".join(pieces)


def _text(head: bytes, body: bytes, fields: Message[str, str], kind: str, state: _State) -> bytes:
    encoding = str(fields.get("Content-Transfer-Encoding", "")).strip().lower()
    charset = str(fields.get_content_charset() or "us-ascii")
    blank, octets = body[:2], body[2:]
    found = _decoded(octets, encoding, charset)
    if found is None:
        if kind == "text/html":
            state.html += 1
            state.why = f"an HTML part cannot be read as {charset[:40]}, {encoding[:40] or '7bit'}"
        return head + body
    text, charset = found
    why = sealed_text(text)
    if why:
        raise _Sealed(why)
    changed = _changed(text, kind, state)
    if changed == text:
        return head + body
    return _encoded(head, blank, changed.encode(charset), encoding)


def _changed(text: str, kind: str, state: _State) -> str:
    wish, links = state.wish, state.links
    html = kind == "text/html"
    if wish.unsubscribe is not None:
        text = fill(text, links, wish.unsubscribe, html=html)
    if not html:
        return text
    state.html += 1
    if wish.clicks:
        place = state.base + PLACES["click"]
        before = text.count(place)
        text = rewritten(text, links, clicks=True, opens=False)
        state.count += text.count(place) - before
    if wish.opens and not state.opens:
        state.opens = True
        text = with_picture(text, links.open())
    return text


def _decoded(octets: bytes, encoding: str, charset: str) -> tuple[str, str] | None:
    """Text and codec, if it would come back as it is."""
    try:
        codec = codecs.lookup(charset).name
        if encoding == "base64":
            octets = binascii.a2b_base64(octets)
        elif encoding == "quoted-printable":
            octets = quopri.decodestring(octets)
        elif encoding not in _PLAIN:
            return None
        if codec == "ascii" and not octets.isascii():
            # Without a charset it is taken for what it looks like.
            codec = "utf-8"
        text = octets.decode(codec)
        # A charset in which ASCII is something else, or that says a thing in two ways, is left alone.
        if text.encode(codec) != octets or '<a href="">'.encode(codec) != b'<a href="">':
            return None
    except (LookupError, ValueError, TypeError, AttributeError):
        return None
    return text, codec


def _encoded(head: bytes, blank: bytes, octets: bytes, encoding: str) -> bytes:
    """The part with its new content, encoded as it was if its lines allow it."""
    if encoding == "base64":
        text = binascii.b2a_base64(octets, newline=False)
        lines = [text[start : start + 76] for start in range(0, len(text), 76)]
        return head + blank + b"\r\n".join(lines)
    if encoding in _PLAIN and max(map(len, octets.split(b"\r\n"))) <= _LINE:
        return head + blank + octets
    quoted = binascii.b2a_qp(octets.replace(b"\r\n", b"\n"), quotetabs=False, istext=True, header=False)
    if encoding != "quoted-printable":
        head = _ENCODING.sub(b"", head) + b"Content-Transfer-Encoding: quoted-printable\r\n"
    return head + blank + quoted.replace(b"\n", b"\r\n")
