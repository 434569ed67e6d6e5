"""Where a domain wants TLS reports sent: the TXT record of ``_smtp._tls.DOMAIN`` (RFC 8460, 3); pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from mta.model.address import AddressError, parse_address

Scheme: TypeAlias = Literal["mailto", "https"]

#: Where the record stands, before the domain.
PREFIX = "_smtp._tls."
#: Destinations of one record at the most: a record must not make us write to half the world.
MOST = 10

_VERSION = b"v=TLSRPTv1"
_EXTENSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[!-:<>-~]+\Z")
_URI = re.compile(r"[!-~]{1,2000}\Z")
#: What was percent-encoded may be anything; it goes into a header.
_ADDRESS = re.compile(r"[!-~]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where reports go.

    :ivar scheme: how.
    :ivar target: the address, or the URL.
    """

    scheme: Scheme
    target: str

    @property
    def uri(self) -> str:
        """As a person reads it."""
        return f"mailto:{self.target}" if self.scheme == "mailto" else self.target


class NoDestination(Exception):
    """Nobody wants a report, for a reason in words."""


def destinations(records: Iterable[bytes]) -> tuple[Destination, ...]:
    """The destinations in the TXT records of ``_smtp._tls.DOMAIN``.

    Records about something else do not count; of more than one that do, none does.
    URIs of other schemes, and those that cannot be used, are passed over.

    :raise NoDestination: if there is none.
    """
    ours = [record for record in records if _is_version(record)]
    if not ours:
        raise NoDestination("it publishes no record for TLS reports")
    if len(ours) > 1:
        raise NoDestination(f"it publishes {len(ours)} records for TLS reports, so none counts")
    try:
        text = ours[0].decode("ascii")
    except UnicodeDecodeError:
        raise NoDestination("its record for TLS reports is not ASCII") from None
    _, *fields = (field.strip(" \t") for field in text.split(";"))
    if fields and not fields[-1]:
        fields.pop()
    given = ""
    for field in fields:
        if field.startswith("rua="):
            if given:
                raise NoDestination("its record for TLS reports has two rua fields")
            given = field[4:]
        elif not _EXTENSION.match(field):
            raise NoDestination(f"its record for TLS reports has a field that is none: {field[:40]!r}")
    if not given:
        raise NoDestination("its record for TLS reports has no rua field")
    found = [item for uri in given.split(",") for item in _destination(uri.strip(" \t"))]
    if not found:
        raise NoDestination(f"none of the destinations in its record can be used: {given[:200]!r}")
    return tuple(dict.fromkeys(found))[:MOST]


def _is_version(record: bytes) -> bool:
    """Whether it begins with the version: whatever else there is belongs to somebody else."""
    rest = record[len(_VERSION) :].lstrip(b" \t")
    return record.startswith(_VERSION) and rest.startswith(b";")


def _destination(uri: str) -> list[Destination]:
    if not _URI.match(uri):
        return []
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "https":
        return _url(uri)
    if scheme.lower() != "mailto":
        return []
    # RFC 6068: fields of a header may follow; a report has a header of its own.
    found = []
    for item in rest.partition("?")[0].split(","):
        address = unquote(item)
        try:
            if _ADDRESS.match(address):
                found.append(Destination("mailto", str(parse_address(address))))
        except AddressError:
            continue
    return found


def _url(uri: str) -> list[Destination]:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return []
    # Whoever names a user there has us log in as somebody.
    if not host or parts.username is not None or port == 0:
        return []
    # Nothing behind a fragment is ever sent.
    return [Destination("https", uri.partition("#")[0])]
