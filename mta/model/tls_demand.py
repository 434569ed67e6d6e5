"""What TLS a destination demands, or we demand of it; pure."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

TlsLevel: TypeAlias = Literal["may", "encrypt", "verify"]


@dataclass(frozen=True, slots=True)
class TlsDemand:
    """A demand that takes the place of ``relay.tls``.

    Two next hops may share connections only if their demands are equal.

    :ivar level: ``may``: TLS where it is offered, whatever the certificate; ``encrypt``: TLS or
        not at all; ``verify``: with a certificate that fits the host's name.
    :ivar origin: who says so, in words for an outcome.
    :ivar mx: patterns of the hosts that may be used; empty: whatever the DNS says.
    """

    level: TlsLevel
    origin: str
    mx: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """For an outcome: ``verify by tls_policy for example.org``."""
        return f"{self.level} by {self.origin}"

    def admits(self, host: str) -> bool:
        """Whether mail may go to a host of this name."""
        name = host.lower().rstrip(".")
        return not self.mx or any(fnmatchcase(name, pattern) for pattern in self.mx)
