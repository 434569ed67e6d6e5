"""What the machine says of names: resolv.conf(5) and hosts(5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mta.route.next_hop import as_address

#: DNS servers used at the most, as in resolv.conf(5).
MAX_SERVERS = 3
_LOCALHOST = ("::1", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class SystemNames:
    """What was read.

    :ivar servers: IP addresses of DNS servers.
    :ivar hosts: names in lower case, each with its addresses.
    """

    servers: tuple[str, ...] = ("127.0.0.1",)
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class SystemFiles:
    """The two files.  Reading them blocks for as long as the disk takes."""

    resolv_conf: Path = Path("/etc/resolv.conf")
    hosts: Path = Path("/etc/hosts")
    _mark: tuple[tuple[int, int], ...] = ()

    def read(self) -> SystemNames:
        """Read both; one that is not there says nothing."""
        self._mark = self._marks()
        return SystemNames(parse_resolv_conf(_text(self.resolv_conf)), parse_hosts(_text(self.hosts)))

    def read_if_changed(self) -> SystemNames | None:
        """``None`` if both are as they were."""
        return None if self._marks() == self._mark else self.read()

    def _marks(self) -> tuple[tuple[int, int], ...]:
        return tuple(_mark(path) for path in (self.resolv_conf, self.hosts))


def parse_resolv_conf(text: str) -> tuple[str, ...]:
    """The servers; this machine if none is named.  Search lists are not for mail (RFC 5321, 5)."""
    servers: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            address, percent, zone = words[1].partition("%")
            known = as_address(address)
            if known is not None:
                servers.append(known + percent + zone)
    return tuple(dict.fromkeys(servers))[:MAX_SERVERS] or ("127.0.0.1",)


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Addresses by name."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        address = as_address(words[0]) if words else None
        if address is not None:
            for name in words[1:]:
                key = name.lower().removesuffix(".")
                found[key] = tuple(dict.fromkeys((*found.get(key, ()), address)))
    return found


def special_name(name: str) -> tuple[str, ...] | None:
    """Addresses of names that are never asked for (RFC 6761, RFC 7686).

    :return: empty for a name that never exists; ``None`` for every other name.
    """
    last = name.rpartition(".")[2]
    if last == "localhost":
        return _LOCALHOST
    return () if last in ("invalid", "onion") else None


def parse_server(text: str) -> tuple[str, int]:
    """``192.0.2.53``, ``192.0.2.53:5353``, ``2001:db8::53`` or ``[2001:db8::53]:5353``.

    :raise ValueError: with a text for the operator.
    """
    host, port = text.strip(), "53"
    if host.startswith("["):
        host, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    bare, percent, zone = host.partition("%")
    address = as_address(bare)
    if address is None or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f'dns.servers: {text!r} is no address of a server, such as "192.0.2.53"')
    return address + percent + zone, int(port)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _mark(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return found.st_mtime_ns, found.st_size


def interleaved(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """One of each in turn, beginning with ``first`` (RFC 8305, 4)."""
    mixed: list[str] = []
    for index in range(max(len(first), len(second))):
        mixed += first[index : index + 1]
        mixed += second[index : index + 1]
    return tuple(dict.fromkeys(mixed))
