"""The IP addresses of this machine, to see when a way leads back to us."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

_SIOCGIFCONF = 0x8912
_REQUEST = 40  # octets of a struct ifreq on 64 bits
#: "Any address" connects to this machine, too.
_ALWAYS = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - compared, never bound


class OwnAddresses:
    """Asks the kernel, at most once in a while; a call costs microseconds.

    Elsewhere than on Linux it knows the loopback addresses only.

    :param every: seconds between two questions.
    :param seconds: a monotonic clock.
    """

    def __init__(self, every: float = 30.0, seconds: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._seconds = seconds
        self._known = _ALWAYS
        self._asked = float("-inf")

    def __call__(self) -> frozenset[str]:
        """The addresses, each as :mod:`ipaddress` writes it."""
        now = self._seconds()
        if now >= self._asked + self._every:
            self._asked = now
            self._known = _ALWAYS | _ipv4() | _ipv6(Path("/proc/net/if_inet6"))
        return self._known


def _ipv4() -> frozenset[str]:
    buffer = array.array("B", bytes(_REQUEST * 128))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            request = struct.pack("iL", len(buffer), buffer.buffer_info()[0])
            length = struct.unpack("iL", fcntl.ioctl(probe.fileno(), _SIOCGIFCONF, request))[0]
    except OSError:
        return frozenset()
    octets = buffer.tobytes()[:length]
    return frozenset(
        socket.inet_ntoa(octets[start + 20 : start + 24]) for start in range(0, len(octets) - 23, _REQUEST)
    )


def _ipv6(table: Path) -> frozenset[str]:
    try:
        lines = table.read_text("ascii").splitlines()
    except OSError:
        return frozenset()
    return frozenset(str(ip_address(bytes.fromhex(line.split()[0]))) for line in lines if line.strip())
