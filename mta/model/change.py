"""What a judge may change of a message (see ``Verdict.changes``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class AddField:
    """A header field below all others.

    A line end in the value folds it.  Octets that are no UTF-8 stand as ``surrogateescape`` has them.
    """

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class InsertField:
    """A header field before the one that is at ``position`` now; 0: on top."""

    name: str
    value: str
    position: int = 0


@dataclass(frozen=True, slots=True)
class ChangeField:
    """Another value for the field of this name; added below all others if there is none.

    :ivar number: which one of that name, the topmost being 1.
    """

    name: str
    value: str
    number: int = 1


@dataclass(frozen=True, slots=True)
class RemoveField:
    """Take a field out; nothing happens if there is none.

    :ivar number: which one of that name, the topmost being 1; 0: all of them.
    """

    name: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    """Another body, behind the header section and the empty line."""

    body: bytes


@dataclass(frozen=True, slots=True)
class AddRecipient:
    """One more recipient, by its canonical address.

    :ivar notify: what the sender is told of (RFC 3461): nothing, because they do not know of it.
    :ivar orcpt: ORCPT as ``type;address``.
    """

    address: str
    notify: frozenset[str] = frozenset({"NEVER"})
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class RemoveRecipient:
    """One recipient less, by its address.  A message without any is accepted and not kept."""

    address: str


@dataclass(frozen=True, slots=True)
class ChangeSender:
    """Another reverse-path; ``""`` for the null one."""

    address: str


Change: TypeAlias = (
    AddField
    | InsertField
    | ChangeField
    | RemoveField
    | ReplaceBody
    | AddRecipient
    | RemoveRecipient
    | ChangeSender
)


def words(change: Change) -> str:
    """The change in a few words, for the journal; never a value, which may be long or private."""
    match change:
        case AddField() | InsertField():
            return f"added {change.name}"
        case ChangeField():
            return f"changed {change.name}"
        case RemoveField():
            return f"removed {change.name}"
        case ReplaceBody():
            return f"replaced the body by one of {len(change.body)} octets"
        case AddRecipient():
            return f"added the recipient <{change.address}>"
        case RemoveRecipient():
            return f"removed the recipient <{change.address}>"
        case ChangeSender():
            return f"changed the sender to <{change.address}>"
