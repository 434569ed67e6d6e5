"""Events of what recipients do: they open, follow links, and leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mta.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class _Engaged(Event):
    """What they have in common.

    ``sort`` is ``human``, ``proxy`` or ``scanner``; ``visitor`` which of these, or by what it was told;
    ``client`` and ``agent`` where it came from and what it calls itself.
    """

    recipient: str = ""
    tenant: str = ""
    sort: str = "human"
    visitor: str = ""
    client: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(_Engaged):
    """The picture of a message was fetched."""

    kind: ClassVar[str] = "opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clicked(_Engaged):
    """A link of a message was followed."""

    kind: ClassVar[str] = "clicked"

    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksPut(Event):
    """Links of ours were put into a message that was written elsewhere, or were not.

    ``links`` of it lead over the server, ``opens`` whether a picture tells of opens, ``unsubscribe``
    whether it has the fields of one click; ``why`` nothing was put in, or not all.
    """

    kind: ClassVar[str] = "links"

    tenant: str = ""
    links: int = 0
    opens: bool = False
    unsubscribe: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribed(Event):
    """A recipient wants no more of a tenant's mail, or of one list of it; or wants it again.

    ``action`` is ``unsubscribe`` or ``resubscribe``; ``way`` is ``one-click`` (RFC 8058) or ``page``.
    """

    kind: ClassVar[str] = "unsubscribed"
    indexed: ClassVar[bool] = True

    recipient: str
    tenant: str = ""
    list: str = ""
    action: str = "unsubscribe"
    way: str = ""
    client: str = ""

    def keys(self) -> tuple[str, ...]:
        """The recipient."""
        return (self.recipient.lower(),) if self.recipient else ()
