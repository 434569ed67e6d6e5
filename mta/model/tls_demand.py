"""What TLS a destination demands, or we demand of it; pure.

A demand is about the way to a domain, and is known before any of its hosts is chosen; what
it comes to at one host may need another look at the DNS.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from mta.model.mta_sts import StsPolicy
from mta.model.tls_result import PolicyType, ResultType
from mta.model.tlsa import Tlsa

TlsLevel: TypeAlias = Literal["may", "encrypt", "verify", "dane", "mta-sts"]


@dataclass(frozen=True, slots=True)
class TlsDemand:
    """A demand that takes the place of ``relay.tls``.

    Two next hops may share connections only if their demands are equal.

    :ivar level: ``may``: TLS where it is offered, whatever the certificate; ``encrypt``: TLS or
        not at all; ``verify``: with a certificate that fits the host's name; ``dane``: with one
        that TLSA records name; ``mta-sts``: as the domain's policy demands, and not without one.
    :ivar origin: who says so, in words for an outcome; ``""``: nobody but ``relay.tls``.
    :ivar mx: patterns of the hosts that may be used; empty: whatever the DNS says.
    :ivar dane: whether TLSA records of the hosts count, because DNSSEC has validated the way to them.
    :ivar hosts: to which alone DNSSEC leads; empty where no MX records were asked for.
    :ivar names: of the domain, which are as good as the host's in a certificate of an authority
        that a TLSA record names (RFC 7672, 3.2.2).
    :ivar sts: the policy of the domain (RFC 8461), unless it has withdrawn it.
    :ivar problem: why nothing may be sent to any host.
    :ivar result: of what went wrong when the policy was looked for, for TLS reports.
    :ivar trouble: the same in words; ``problem``, where there is one.
    :ivar told: whether TLS reports tell of sessions under it.
    """

    level: TlsLevel
    origin: str = ""
    mx: tuple[str, ...] = ()
    dane: bool = False
    hosts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    sts: StsPolicy | None = None
    problem: str = ""
    result: ResultType = "success"
    trouble: str = ""
    told: bool = True

    @property
    def words(self) -> str:
        """For an outcome: ``verify by tls_policy for example.org``."""
        return f"{self.level} by {self.origin}" if self.origin else ""

    @property
    def enforces(self) -> bool:
        """Whether the MTA-STS policy decides, rather than be only tested."""
        return self.sts is not None and (self.level == "mta-sts" or self.sts.mode == "enforce")

    def admits(self, host: str) -> bool:
        """Whether mail may go to a host of this name, by our own patterns."""
        name = host.lower().rstrip(".")
        return not self.mx or any(fnmatchcase(name, pattern) for pattern in self.mx)


#: For a TLS report, which is to arrive though TLS is broken, and is not in the next one (RFC 8460, 3).
FOR_REPORTS = TlsDemand("may", "RFC 8460 for TLS reports", told=False)


@dataclass(frozen=True, slots=True)
class HostTls:
    """What a connection to one host must have.

    :ivar level: see :class:`TlsDemand`; ``None``: what the transport's own settings say.
    :ivar words: what is demanded and by whom, for outcomes; ``""`` if nothing is.
    :ivar records: for ``dane``: those of which one must fit.
    :ivar names: for ``dane``: of which a certificate of a named authority must have one; the first
        is the one at which the records stand, and that the server is asked for (RFC 7672, 8.1).
    :ivar problem: why the host must not be used.
    :ivar unknown: whether the problem is that nobody can tell what is demanded.
    :ivar result: of that problem, or of a flaw over which nothing is refused, for TLS reports.
    :ivar reason: the flaw in words.
    :ivar domain: the policy domain of TLS reports; ``""``: nobody reports about this next hop.
    :ivar policy: the type of the policy that counts here.
    :ivar strings: it, line by line or record by record.
    :ivar patterns: the hosts that it allows.
    """

    level: TlsLevel | None = None
    words: str = ""
    records: tuple[Tlsa, ...] = ()
    names: tuple[str, ...] = ()
    problem: str = ""
    unknown: bool = False
    result: ResultType = "success"
    reason: str = ""
    domain: str = ""
    policy: PolicyType = "no-policy-found"
    strings: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
