"""Tag lists (RFC 6376, 3.2): ``a=rsa-sha256; d=example.org``."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
#: Whitespace that may be folded; control characters and 8-bit text are for nobody's values.
_SPACE = " \t\r\n"
_NO_VALUE = re.compile(r"[^\t\r\n\x20-\x3a\x3c-\x7e\x80-\U0010ffff]")
_FOLDS = re.compile(r"[ \t\r\n]+")


class TagError(Exception):
    """It is no tag list, for a reason in words."""


def parse_tags(octets: bytes) -> dict[str, str]:
    """The tags and their values, without white space around them.

    :raise TagError: if it is no tag list, or a tag stands there twice.
    """
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise TagError("it is not UTF-8") from None
    parts = text.split(";")
    if not parts[-1].strip(_SPACE):
        parts.pop()
    tags: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip(_SPACE)
        if not equals or not _NAME.match(name):
            raise TagError(f"{_shown(part)} is no tag")
        if name in tags:
            raise TagError(f"the tag {name} stands there twice")
        if _NO_VALUE.search(value):
            raise TagError(f"the tag {name} has a control character")
        tags[name] = value.strip(_SPACE)
    return tags


def without_folds(value: str) -> str:
    """A value without any white space, as base64 and lists of names are read."""
    return _FOLDS.sub("", value)


def _shown(part: str) -> str:
    return ascii(part.strip(_SPACE)[:40])
