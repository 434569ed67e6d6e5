"""What earlier judges, at this stage or before, have said of a client or a message."""

from __future__ import annotations

from typing import Any

from mta.interfaces import Facts

_ACCESS = "access"


def judged(facts: Facts, name: str) -> dict[str, Any]:
    """The evidence that a judge has left at earlier stages."""
    found: dict[str, Any] = {}
    envelope = facts.envelope
    for _, verdict in (*facts.client.judged, *(envelope.judged if envelope is not None else ())):
        one = verdict.evidence.get(name)
        if isinstance(one, dict):
            found.update(one)
    return found


def is_accepted(facts: Facts) -> bool:
    """Whether an ``[[access.rule]]`` with ``action = "accept"`` fits: further judges of access pass."""
    if _ACCESS in facts.results:
        return True
    return any(str(told).startswith("accept,") for told in judged(facts, _ACCESS).values())
