"""Text as it is compared: whatever case, width, line breaks and encoding it was written with.  Pure.

What is searched and what is searched for are folded alike, so that a plain search of substrings finds
what RFC 5051 (``i;unicode-casemap``) calls equal: without case, and with accents apart from their
letters.  White space is one space, however long and wherever lines were broken; characters that nobody
sees are left out.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from binascii import Error as BadBase64
from binascii import a2b_qp

#: Ends a field, or a part: nothing that is searched for goes on behind it.
END = "\n"

_SPACE = re.compile(r"\s+")
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u034f\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
# Codecs that are no charsets, or take time that grows with the square of the text.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)
_ENCODED = re.compile(
    r"=\?([^?\s]{1,60})\?([BbQq])\?([^?\s]*)\?=(?:[ \t\r\n]+(?==\?[^?\s]{1,60}\?[BbQq]\?))?"
)
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


def fold(text: str) -> str:
    """A text as it is compared."""
    if text.isascii():
        return " ".join(text.replace("\x00", " ").lower().split())
    text = unicodedata.normalize("NFKD", text.casefold()).casefold().translate(_UNSEEN)
    # Halves of pairs, which UTF-7 can bring, are no characters.
    text = text.encode("utf-8", "replace").decode()
    return " ".join(text.replace("\x00", " ").split())


def fold_wanted(text: str) -> str:
    """What is searched for, as it is compared: a space at its ends belongs to it."""
    folded = fold(text)
    if not folded:
        return " " if text else ""
    return (" " if text[0].isspace() else "") + folded + (" " if text[-1].isspace() else "")


def decoded(octets: bytes, charset: str) -> str:
    """Octets in a charset; in an unknown one, or none, they are taken for what they look like."""
    name = _codec(charset)
    if name in ("", "ascii"):
        # Whoever says ASCII and writes something else, or says nothing, mostly writes UTF-8.
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            return octets.decode("latin-1")
    try:
        return octets.decode(name, "replace")
    except (LookupError, ValueError):
        return octets.decode("latin-1")


def is_charset(name: str) -> bool:
    """Whether text can be decoded from it."""
    return bool(_codec(name))


def _codec(charset: str) -> str:
    charset = charset.strip().strip("\"'").partition("*")[0]
    if not charset or len(charset) > 60 or not charset.isascii() or "\x00" in charset:
        return ""
    try:
        found = codecs.lookup(charset)
    except (LookupError, ValueError):
        return ""
    if found.name.replace("-", "_") in _NO_CHARSETS or not getattr(found, "_is_text_encoding", True):
        return ""
    # Pages of browsers call it so too, and mean the larger one.
    return "cp1252" if found.name == "iso8859-1" else found.name


def unfolded(octets: bytes) -> str:
    """A field's octets on one line, encoded words decoded (RFC 2047)."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    return words_decoded(text) if "=?" in text else text


def words_decoded(text: str) -> str:
    """A text with its encoded words decoded; what cannot be is left as it is."""
    # Neighbours of one charset are put together first: characters are cut by programs that do not care.
    found: list[str] = []
    held, held_charset, place = b"", "", 0
    for match in _ENCODED.finditer(text):
        octets = _octets(match[2], match[3])
        charset = match[1]
        if held and (match.start() != place or charset.lower() != held_charset.lower()):
            found.append(decoded(held, held_charset))
            held = b""
        found.append(text[place : match.start()])
        place = match.end()
        if octets is None or not is_charset(charset):
            if held:
                found.append(decoded(held, held_charset))
                held = b""
            found.append(match[0])
        else:
            held, held_charset = held + octets, charset
    if held:
        found.append(decoded(held, held_charset))
    found.append(text[place:])
    return "".join(found)


def _octets(way: str, text: str) -> bytes | None:
    if not text.isascii():
        return None
    octets = text.encode()
    if way in "Qq":
        return a2b_qp(octets, header=True)
    return base64_decoded(octets)


def base64_decoded(octets: bytes) -> bytes:
    """As much as can be decoded, whatever stands between and however it ends (RFC 2045, 6.8)."""
    from binascii import a2b_base64

    # What follows the padding may be another run of base64, which programs that put texts together leave.
    parts = []
    for run in octets.split(b"="):
        clean = _NO_BASE64.sub(b"", run)
        if len(clean) % 4 == 1:
            clean = clean[:-1]
        if clean:
            try:
                parts.append(a2b_base64(clean + b"=" * (-len(clean) % 4)))
            except BadBase64:
                continue
    return b"".join(parts)
