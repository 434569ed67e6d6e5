"""Which addresses are one client, and which are one network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

#: Ways to write an address of IPv4 as one of IPv6 (RFC 6052, 4291, 2765, 3056), by bits from the right.
_EMBEDDING = (
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("64:ff9b:1::/48"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
#: What :mod:`ipaddress` takes for public, and is not, or not in every version of Python.
_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10", "fec0::/10", "3fff::/20", "5f00::/16")
)


@lru_cache(maxsize=4096)
def parsed(address: str) -> IPv4Address | IPv6Address | None:
    """An address as it is compared: of IPv4 in IPv6 the former; ``None`` if it is none."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@lru_cache(maxsize=4096)
def block(address: str, four: int, six: int) -> str:
    """The network of so many bits around an address; the address itself where it is whole or none."""
    found = parsed(address)
    if found is None:
        return address
    bits = four if found.version == 4 else six
    if bits == found.max_prefixlen:
        return str(found)
    return str(ip_network((found, bits), strict=False))


def client_of(address: str) -> str:
    """What counts as one client: of IPv6 64 bits, the least that anybody is given."""
    return block(address, 32, 64)


def network_of(address: str) -> str:
    """What counts as one network."""
    return block(address, 24, 48)


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of some networks."""
    found = parsed(address)
    return found is not None and any(found in network for network in networks)


def is_public(address: str, besides: Iterable[Network] = ()) -> bool:
    """Whether an address is one of the public internet, or in one of some networks besides.

    An address of IPv6 that leads to one of IPv4 is as private as that.
    """
    found = parsed(address)
    if found is None or "%" in address:
        return False
    networks = tuple(besides)
    if any(found in network for network in networks):
        return True
    leads_to = _embedded(found) if isinstance(found, IPv6Address) else [found]
    return all(_is_global(one) or any(one in network for network in networks) for one in leads_to)


def _embedded(found: IPv6Address) -> Sequence[IPv4Address | IPv6Address]:
    """Where an address leads to; mostly to itself."""
    if found.teredo is not None:
        return found.teredo
    for network, bits in _EMBEDDING:
        if found in network:
            return [IPv4Address((int(found) >> bits) & 0xFFFFFFFF)]
    return [found]


def _is_global(found: IPv4Address | IPv6Address) -> bool:
    return (
        found.is_global
        and not found.is_multicast
        and not found.is_reserved
        and not any(found in network for network in _NOT_PUBLIC)
    )


class NetworkTable:
    """Many networks, of which the narrowest around an address is found at once.

    :param networks: each with what stands for it.
    """

    def __init__(self, networks: Iterable[tuple[Network, str]] = ()) -> None:
        tables: dict[tuple[int, int], dict[int, str]] = {}
        for network, name in networks:
            shift = network.max_prefixlen - network.prefixlen
            tables.setdefault((network.version, shift), {}).setdefault(
                int(network.network_address) >> shift, name
            )
        # The narrowest first.
        self._tables = sorted(tables.items(), key=lambda item: item[0][1])

    def __bool__(self) -> bool:
        return bool(self._tables)

    def around(self, address: str) -> Iterator[str]:
        """What stands for each network around an address, the narrowest first."""
        found = parsed(address)
        if found is None:
            return
        number = int(found)
        for (version, shift), table in self._tables:
            if version == found.version:
                name = table.get(number >> shift)
                if name is not None:
                    yield name

    def find(self, address: str) -> str | None:
        """What stands for the narrowest network; ``None`` if there is none."""
        return next(self.around(address), None)
