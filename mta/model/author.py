"""Who a message says it is from: the addresses of its From fields (RFC 5322, 3.4, 3.6.2 and 4.4).

What a person sees there decides whose authentication counts, so it is read as a mail program
would: comments go, quoted words are words, and what stands in angle brackets is the address.
"""

from __future__ import annotations

from collections.abc import Iterator

from mta.model.header import header_fields

#: Octets of a field that are read.
_MOST = 32 * 1024


def authors(header: bytes) -> list[str]:
    """The addresses of all From fields, in order, as they are written.

    What has no local part or no domain is passed over.

    :param header: a header section.
    """
    found: list[str] = []
    for octets in header_fields(header):
        if is_from(octets):
            value = octets.partition(b":")[2][:_MOST].replace(b"\r\n", b"")
            for address in addresses(value.decode("utf-8", "replace")):
                local, _, domain = address.rpartition("@")
                if local and domain:
                    found.append(address)
    return found


def is_from(octets: bytes) -> bool:
    """Whether a field of a header section is a From field."""
    return octets.partition(b":")[0].rstrip(b" \t").lower() == b"from"


def addresses(text: str) -> Iterator[str]:
    """The addresses of a list of mailboxes and groups, without comments; quoted parts stay quoted."""
    plain: list[str] = []  # What stands outside of angle brackets.
    angled: list[str] | None = None  # What stands within them.
    inside = False
    seen = False
    for kind, token in _tokens(text):
        if kind == "<" and not inside:
            angled, inside = [], True
        elif kind == ">" and inside:
            inside = False
            seen = True
            yield "".join(angled or ())
            angled = None
        elif kind in (",", ";") and not inside:
            if not seen and plain:
                yield "".join(plain)
            plain, seen = [], False
        elif kind == ":" and not inside:
            # It was the name of a group.
            plain, seen = [], False
        elif inside:
            assert angled is not None
            if kind == ":":
                # A source route (RFC 5322, 4.4) says nothing of the author.
                angled.clear()
            else:
                angled.append(token)
        elif kind != " ":
            plain.append(token)
    if inside and angled:
        yield "".join(angled)
    elif not seen and plain:
        yield "".join(plain)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Special characters as themselves, quoted strings, and runs of other characters."""
    at, length = 0, len(text)
    while at < length:
        character = text[at]
        if character == '"':
            end = _end_of_quote(text, at)
            yield "word", text[at:end]
            at = end
        elif character == "(":
            at = _end_of_comment(text, at)
            yield " ", " "
        elif character == "[":
            end = text.find("]", at)
            end = length if end < 0 else end + 1
            yield "word", text[at:end]
            at = end
        elif character in "<>,;:":
            yield character, character
            at += 1
        elif character in " \t\r\n":
            yield " ", " "
            at += 1
        else:
            end = at + 1
            while end < length and text[end] not in '"([<>,;: \t\r\n':
                end += 1
            yield "word", text[at:end]
            at = end


def _end_of_quote(text: str, at: int) -> int:
    at += 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"':
            return at + 1
        at += 1
    return len(text)


def _end_of_comment(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if not depth:
                return at + 1
        at += 1
    return len(text)
