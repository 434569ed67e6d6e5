"""The author's domain: whose address stands in From (RFC 9989, 5.3.1; RFC 5322, 3.4 and 4.4).

What a reader sees as the sender is what counts, so nothing is guessed: a field that can be
read in two ways, or two fields, give all domains that there may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import idna

from mta.model.header import header_fields

#: Domains of one message that are told; more of them are abuse.
MOST_AUTHORS = 10
#: Octets of a From field that are looked at.
_LONGEST = 32 * 1024


@dataclass(frozen=True, slots=True)
class Authors:
    """Who is said to have written a message.

    :ivar domains: each once, in the form of the DNS, in order.
    :ivar fields: how many From fields there are.
    :ivar trouble: what is wrong with them, in words; ``""`` if there is exactly one domain.
    """

    domains: tuple[str, ...]
    fields: int
    trouble: str = ""


def authors_of(header: bytes) -> Authors:
    """The authors' domains of a header section."""
    values = [octets.partition(b":")[2] for octets in header_fields(header) if _is_from(octets)]
    domains: dict[str, None] = {}
    trouble = ""
    for value in values:
        text = value[:_LONGEST].replace(b"\r\n", b"").decode("utf-8", "replace")
        for address in _addresses(text):
            try:
                domains[_domain_of(address)] = None
            except ValueError as error:
                trouble = trouble or str(error)
            if len(domains) > MOST_AUTHORS:
                return Authors(
                    tuple(domains)[:MOST_AUTHORS], len(values), f"more than {MOST_AUTHORS} authors"
                )
    found = tuple(domains)
    if not values:
        trouble = "there is no From field"
    elif len(values) > 1:
        trouble = f"there are {len(values)} From fields"
    elif len(found) > 1:
        trouble = f"the From field names {len(found)} domains"
    elif not found:
        trouble = trouble or "the From field names no address"
    return Authors(found, len(values), trouble)


def _is_from(octets: bytes) -> bool:
    return octets.partition(b":")[0].rstrip(b" \t").lower() == b"from"


def _addresses(text: str) -> Iterator[str]:
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


def _domain_of(address: str) -> str:
    """The domain of an address in the form of the DNS.

    :raise ValueError: if it has none.
    """
    local, at, domain = address.replace(" ", "").rpartition("@")
    if not at or not local or domain.startswith("["):
        raise ValueError(f"{address[:80]!a} is no address with a domain")
    name = domain.removesuffix(".").lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except UnicodeError:
            raise ValueError(f"{domain[:80]!a} is no domain") from None
    if not 0 < len(name) <= 253 or not all(0 < len(label) <= 63 for label in name.split(".")):
        raise ValueError(f"{domain[:80]!a} is no domain")
    return name
