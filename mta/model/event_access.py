"""What happens to those who are not welcome: bans, suspended accounts.  See :mod:`mta.model.event`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from mta.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Banned(Event):
    """A network is let in no more (``action`` is ``banned``), or again (``lifted``).

    ``until`` is when it ends by itself, 0: never; ``by`` a person, or the name of what did it.
    """

    kind: ClassVar[str] = "banned"
    indexed: ClassVar[bool] = True

    network: str
    action: str = "banned"
    until: float = 0.0
    by: str = ""
    reason: str = ""
    client: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    def keys(self) -> tuple[str, ...]:
        """Network and client."""
        return tuple(dict.fromkeys(word.lower() for word in (self.network, self.client) if word))


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended(Event):
    """Mail of an account is taken no more, or held (``action`` is ``suspended``), or taken again
    (``resumed``)."""

    kind: ClassVar[str] = "suspended"
    indexed: ClassVar[bool] = True

    account: str
    action: str = "suspended"
    by: str = ""
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    def keys(self) -> tuple[str, ...]:
        """The account."""
        return (self.account.lower(),)
