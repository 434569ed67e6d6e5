"""Which clients a judge is not to ask about."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from mta.model.envelope import Client


def address_of(client: Client) -> IPv4Address | IPv6Address | None:
    """The client's address, an IPv4 one where it is mapped; ``None`` if it has none."""
    try:
        address = ip_address(client.address.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_listed(client: Client, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether the client is in one of these networks."""
    address = address_of(client)
    return address is not None and any(address in network for network in networks)
