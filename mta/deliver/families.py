"""Whether IPv6 works on this machine, learnt from connections (RFC 8305 in spirit); pure.

The DNS answers with IPv6 first.  Where a machine has an IPv6 address and no way, each
connection would first wait for one that never comes.  So after some hosts, one after the
other, were not reached over IPv6, or when the kernel says that there is no route, IPv4
comes first for a while; then one connection may find out whether that has changed.
"""

from __future__ import annotations

import errno
from ipaddress import ip_address

#: Hosts not reached one after the other after which IPv6 is taken not to work.
HOSTS = 3
#: Seconds for which IPv4 then comes first.
PAUSE = 600.0

#: What the kernel says of this machine, and not of a host.
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class Families:
    """What is known of IPv6."""

    __slots__ = ("_failed", "_until")

    def __init__(self) -> None:
        self._failed: set[str] = set()
        self._until = 0.0

    def avoid(self, now: float) -> bool:
        """Whether IPv4 is to come first.

        :param now: seconds.
        """
        return now < self._until

    def reached(self, address: str) -> None:
        """A host was reached at this address."""
        if _counts(address):
            self._failed.clear()
            self._until = 0.0

    def failed(self, address: str, problem: int | None, now: float) -> None:
        """A host was not reached at this address.

        :param problem: the system's number, if it has one; a host that refuses is there.
        """
        if not _counts(address) or self.avoid(now):
            return
        if problem in (errno.ECONNREFUSED, errno.ECONNRESET):
            return
        self._failed.add(address)
        if problem in _NO_WAY or len(self._failed) >= HOSTS:
            # One that fails after the pause is enough for the next.
            self._failed = set(list(self._failed)[: HOSTS - 1])
            self._until = now + PAUSE


def _counts(address: str) -> bool:
    """Whether an address tells something of IPv6 to others: one of this machine does not."""
    if ":" not in address:
        return False
    try:
        return not ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
