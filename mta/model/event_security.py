"""What concerns the safety of the server itself: its certificate, its alerts.  See :mod:`mta.model.event`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from mta.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSeen(Event):
    """Something is new about our certificate.

    ``what`` is ``loaded`` (another one is in use), ``unusable`` (what is in its place cannot be used,
    and the one before stays), ``expires`` (in ``days``), or ``expired``.
    """

    kind: ClassVar[str] = "certificate"
    indexed: ClassVar[bool] = True

    what: str
    file: str = ""
    names: list[str] = field(default_factory=list)
    expires: float = 0.0
    days: int = 0
    reason: str = ""

    def keys(self) -> tuple[str, ...]:
        """The names in it, and its file."""
        return tuple(dict.fromkeys(word.lower() for word in (*self.names, self.file) if word))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerted(Event):
    """A rule for alerts found something (``action`` is ``raised``), finds it still (``reminded``) or no
    more (``recovered``); or was tried out (``tested``); or could not tell somebody (``untold``).

    ``to`` are those who are told: none, if they were told of the same a short time ago.
    """

    kind: ClassVar[str] = "alert"
    indexed: ClassVar[bool] = True

    rule: str
    action: str
    text: str = ""
    value: float = 0.0
    to: list[str] = field(default_factory=list)
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    def keys(self) -> tuple[str, ...]:
        """The rule."""
        return (self.rule.lower(),)
