"""The first words of a message, as programs show them in lists (RFC 8970): no markup, no quotes, one line."""

from __future__ import annotations

import re

from mta.mailbox.full_text import markup
from mta.mailbox.full_text.parts import Part, Source, fields, parts, text_of

#: Characters of a preview (RFC 8970, 3.3).
LONGEST = 200
#: Octets of a part that are looked at: before its words pages of advertisements have styles.
_LOOKED_AT = 128 * 1024
#: Parts that are looked at.
_PARTS = 50
#: What nobody sees, and what fills the line behind the first words of advertisements.
_UNSEEN = re.compile(
    "[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]"
)
_SEALED = "-----BEGIN PGP MESSAGE-----"


def preview(source: Source) -> str:
    """The first words; ``""`` if it has none that a person could read.

    :raise OSError: if it cannot be read.
    """
    for number, part in enumerate(parts(source)):
        if number >= _PARTS:
            break
        if part.kind in ("text/plain", "text/html") and not _is_attached(part):
            found = _words(source, part)
            if found:
                return "" if found.startswith(_SEALED) else found[:LONGEST].rstrip()
    return ""


def _is_attached(part: Part) -> bool:
    return any(
        name.lower() == b"content-disposition" and value.strip().lower().startswith(b"attachment")
        for name, value in fields(part.header)
    )


def _words(source: Source, part: Part) -> str:
    text = text_of(source, part, _LOOKED_AT)
    if part.kind == "text/html":
        return _one_line(markup.words(_without_head(text)))
    own = []
    for line in text.splitlines():
        if line.rstrip() == "--":
            # What follows is a signature.
            break
        if not line.startswith(">"):
            own.append(line)
    return _one_line("\n".join(own)) or _one_line(text)


def _without_head(page: str) -> str:
    """A page without its title and styles."""
    lower = page.lower()
    begin = lower.find("<head")
    end = lower.find("</head", begin) if begin >= 0 and not lower.startswith("<header", begin) else -1
    return page[:begin] + page[end:].partition(">")[2] if end >= 0 else page


def _one_line(text: str) -> str:
    return " ".join(_UNSEEN.sub("", text).split())
