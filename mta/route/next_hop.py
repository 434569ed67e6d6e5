"""What a next hop of the relay says: a domain, or a host and perhaps a port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

_BRACKETS = re.compile(r"\[([^\[\]\s]+)\](?::(\d{1,5}))?\Z")
_WITH_PORT = re.compile(r"([^\[\]:\s]+):(\d{1,5})\Z")
_HOST = re.compile(r"[^\[\]:\s@/]+\Z")


@dataclass(frozen=True, slots=True)
class NextHop:
    """One next hop taken apart.

    :ivar host: a domain, a host name, or an IP address as text.
    :ivar port: 0 if none was given.
    :ivar ask_mx: whether MX records decide where to go.
    """

    host: str
    port: int = 0
    ask_mx: bool = False

    @property
    def is_address(self) -> bool:
        """Whether ``host`` is an IP address."""
        return as_address(self.host) is not None


def as_address(text: str) -> str | None:
    """The IP address that ``text`` is, in its usual form; ``None`` if it is none."""
    try:
        # Most are names; this is quicker than the exception.
        if not (text[-1:].isdigit() or ":" in text):
            return None
        return str(ip_address(text))
    except ValueError:
        return None


def unmapped(address: str) -> str:
    """The IPv4 address in an IPv4-mapped IPv6 address, which is where it leads; others as they are."""
    if not address.startswith("::ffff:"):
        return address
    mapped = IPv6Address(address).ipv4_mapped
    return str(mapped) if mapped else address


def parse_next_hop(text: str) -> NextHop:
    """Read ``domain``, ``host:port``, ``[host]``, ``[192.0.2.1]:port``, ``[IPv6:2001:db8::1]:port``.

    :raise ValueError: with a text for the operator.
    """
    address = as_address(text)
    if address is not None:
        return NextHop(address)
    match = _BRACKETS.match(text)
    if match:
        return NextHop(_bracketed(match[1]), _port(match[2]))
    match = _WITH_PORT.match(text)
    if match:
        return NextHop(as_address(match[1]) or match[1].lower(), _port(match[2]))
    if _HOST.match(text):
        return NextHop(text.lower(), 0, ask_mx=True)
    raise ValueError(f"{text!r} is no next hop; write a domain, host:port, [192.0.2.1] or [192.0.2.1]:port")


def literal_address(domain: str) -> str | None:
    """The IP address in an address literal ``[...]`` (RFC 5321, 4.1.3); ``None`` if it has none."""
    if not (domain.startswith("[") and domain.endswith("]")):
        return None
    inner = domain[1:-1]
    tag, colon, rest = inner.partition(":")
    return as_address(rest) if colon and tag.lower() == "ipv6" else as_address(inner)


def _bracketed(inner: str) -> str:
    address = literal_address(f"[{inner}]")
    if address is not None:
        return address
    if not _HOST.match(inner):
        raise ValueError(f"[{inner}] holds neither an IP address nor a host name")
    return inner.lower()


def _port(text: str | None) -> int:
    if text is None:
        return 0
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is no port; ports are 1 to 65535")
    return port
