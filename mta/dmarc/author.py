"""The author's domain: whose address stands in From (RFC 9989, 5.3.1; RFC 5322, 3.4 and 4.4).

What a reader sees as the sender is what counts, so nothing is guessed: a field that can be
read in two ways, or two fields, give all domains that there may be.
"""

from __future__ import annotations

from dataclasses import dataclass

from mta.model.a_labels import a_labels
from mta.model.author import addresses, is_from
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
    values = [octets.partition(b":")[2] for octets in header_fields(header) if is_from(octets)]
    domains: dict[str, None] = {}
    trouble = ""
    for value in values:
        text = value[:_LONGEST].replace(b"\r\n", b"").decode("utf-8", "replace")
        for address in addresses(text):
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
            name = a_labels(name)
        except UnicodeError:
            raise ValueError(f"{domain[:80]!a} is no domain") from None
    if not 0 < len(name) <= 253 or not all(0 < len(label) <= 63 for label in name.split(".")):
        raise ValueError(f"{domain[:80]!a} is no domain")
    return name
