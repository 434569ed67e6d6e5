"""Events of reports: what others tell us of our mail and its TLS, and what we tell them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from mta.model.event import Event, lower_words


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsReportReceived(Event):
    """Another server told of the TLS of its sessions with us (RFC 8460); ``message`` brought it.

    ``policies`` are those of the report, as its JSON has them; ``cut`` is how many were left out.
    ``signed`` has the domains that have signed it.
    """

    kind: ClassVar[str] = "tls-report-received"
    indexed: ClassVar[bool] = True

    organization: str
    report: str
    contact: str = ""
    begins: float = 0.0
    ends: float = 0.0
    domains: list[str] = field(default_factory=list)
    successes: int = 0
    failures: int = 0
    policies: list[dict[str, Any]] = field(default_factory=list)
    cut: int = 0
    signed: list[str] = field(default_factory=list)

    def keys(self) -> tuple[str, ...]:
        """The domains, the organization, the report's id; and the kind, by which all are found at once."""
        return (*lower_words(*self.domains, self.organization, self.report), self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsReportSent(Event):
    """A domain was told of the TLS of our sessions with it, or could not be (RFC 8460).

    ``action`` is ``queued`` (as a mail, which ``message`` is), ``posted`` or ``failed``; ``day`` is what
    it is about, in UTC.
    """

    kind: ClassVar[str] = "tls-report-sent"
    indexed: ClassVar[bool] = True

    action: str
    domain: str
    day: str
    report: str = ""
    target: str = ""
    successes: int = 0
    failures: int = 0
    reason: str = ""

    def keys(self) -> tuple[str, ...]:
        """The domain, and the report's id."""
        return lower_words(self.domain, self.report)


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcReportReceived(Event):
    """Another server told of mail in the name of a domain (RFC 9990); ``message`` brought it.

    ``published`` is the policy that it has found, ``rows`` the messages that are alike in everything, as
    :class:`~mta.model.dmarc_report.Row` has them; ``cut`` is how many rows were left out.
    ``authenticated`` is what DMARC says of the mail that brought it, ``""`` if nobody has looked.
    """

    kind: ClassVar[str] = "dmarc-report-received"
    indexed: ClassVar[bool] = True

    organization: str
    report: str
    domain: str
    contact: str = ""
    begins: float = 0.0
    ends: float = 0.0
    published: dict[str, Any] = field(default_factory=dict)
    messages: int = 0
    failures: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    cut: int = 0
    error: str = ""
    authenticated: str = ""

    def keys(self) -> tuple[str, ...]:
        """The domain, the organization, the report's id; and the kind, by which all are found at once."""
        return (*lower_words(self.domain, self.organization, self.report), self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcReportSent(Event):
    """A domain was told of mail in its name, or could not be (RFC 9990).

    ``action`` is ``queued`` (as a mail, which ``message`` is) or ``failed``; ``day`` is what it is about, in
    UTC; ``failures`` of the ``messages`` fail DMARC.
    """

    kind: ClassVar[str] = "dmarc-report-sent"
    indexed: ClassVar[bool] = True

    action: str
    domain: str
    day: str
    report: str = ""
    target: str = ""
    messages: int = 0
    failures: int = 0
    reason: str = ""

    def keys(self) -> tuple[str, ...]:
        """The domain, and the report's id."""
        return lower_words(self.domain, self.report)
