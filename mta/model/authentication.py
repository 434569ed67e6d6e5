"""What was found out about who sends a message, in the words of RFC 8601.

The common currency of SPF, DKIM, ARC and DMARC: a judge hands its findings on in
:attr:`~mta.model.verdict.Verdict.authentication`, later judges read them in
:attr:`~mta.interfaces.Facts.authentication`, and all of them stand in the
Authentication-Results field of an accepted message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AuthenticationResult:
    """One result of one method (RFC 8601, 2.2 and 2.7).

    :ivar method: such as ``spf``, ``dkim``, ``arc``, ``dmarc``.
    :ivar result: such as ``pass``, ``fail``, ``softfail``, ``neutral``, ``none``,
        ``temperror``, ``permerror``, ``policy``.
    :ivar properties: what it was found out about, in order: ``("smtp.mailfrom",
        "user@example.org")``, ``("header.d", "example.org")``.  Values as they are, not quoted.
    :ivar reason: why, in words; ``""`` if the result says it all.
    :ivar detail: what only the journal keeps of it, JSON values.
    """

    method: str
    result: str
    properties: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    def told(self) -> dict[str, Any]:
        """For the journal: JSON values, empty ones left out."""
        facts = {
            "method": self.method,
            "result": self.result,
            "properties": dict(self.properties),
            "reason": self.reason,
            "detail": dict(self.detail),
        }
        return {name: value for name, value in facts.items() if value}

    def get(self, name: str) -> str:
        """The first property of this name; ``""`` without."""
        return next((value for key, value in self.properties if key == name), "")
