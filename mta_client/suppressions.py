"""Who gets nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Suppression:
    """One reason to send nothing to an address.

    :ivar reason: ``bounce``, ``complaint``, ``unsubscribe`` or ``manual``.
    :ivar list: the list of mail that it is about; ``""``: all.
    """

    address: str
    reason: str
    list: str
    created: str | None
    evidence: Mapping[str, Any]


def suppression_of(value: Any) -> Suppression:
    """What was answered."""
    return Suppression(value["address"], value["reason"], value["list"], value["created"], value["evidence"])
