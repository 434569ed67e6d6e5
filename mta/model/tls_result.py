"""How one attempt to open a session to another mail server ended, as TLS reports count it (RFC 8460)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

#: Which policy decided (RFC 8460, 4.2).
PolicyType: TypeAlias = Literal["sts", "tlsa", "no-policy-found"]

#: ``success``, or a result type of RFC 8460, 4.3.
ResultType: TypeAlias = Literal[
    "success",
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "tlsa-invalid",
    "dnssec-invalid",
    "dane-required",
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
]


@dataclass(frozen=True, slots=True)
class TlsResult:
    """One attempt, which came as far as to show what TLS it has, or to why it may have none.

    A success is a session that has the TLS that the policy demands; where there is no policy,
    one that has TLS.  A host that did not answer, or turned us away before, is no attempt.

    :ivar policy: the type of the policy that was applied.
    :ivar domain: the domain of the recipients, in its ASCII form: the policy domain.
    :ivar host: the MX host, in its ASCII form; ``""`` when none was chosen.
    :ivar sending: our IP address; ``""`` when there was no connection.
    :ivar receiving: the IP address of the host; ``""`` when there was no connection.
    :ivar result: how it ended.
    :ivar strings: the policy, a line or a TLSA record each (``policy-string``).
    :ivar patterns: of MTA-STS, the hosts that it allows (``mx-host``).
    :ivar helo: what the host calls itself, as far as it said so.
    :ivar reason: more about a failure, in words for whoever reads the report.
    """

    policy: PolicyType
    domain: str
    host: str = ""
    sending: str = ""
    receiving: str = ""
    result: ResultType = "success"
    strings: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    helo: str = ""
    reason: str = ""
