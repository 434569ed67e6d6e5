"""Counts what concerns security, as it is written; for ``mta status``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zope.interface import implementer

from mta.interfaces import IEventSink
from mta.model.event import AuthenticationFailed, Event, Rejected
from mta.model.event_security import Alerted

#: What is counted, and which rules of refusals belong to it.
RULES = {
    "relay_attempts": frozenset({"relay"}),
    "tls_failures": frozenset({"tls-failed"}),
    "smuggling": frozenset(
        {"bare-line-ending", "nul-octet", "bad-line-ending", "pipelining-forbidden", "too-early"}
    ),
    "banned_clients": frozenset({"banned"}),
    "throttled_log_ins": frozenset({"auth-throttled"}),
}
KINDS = ("auth_failures", *RULES, "bans", "suspensions", "alerts")
#: Seconds of a slot, and slots of an hour.
_SLOT, _SLOTS = 300.0, 12
_BY_RULE = {rule: name for name, rules in RULES.items() for rule in rules}


def security_kind(event: Event) -> str:
    """What it counts as; ``""``: nothing."""
    if isinstance(event, Rejected):
        return _BY_RULE.get(event.rule) or _BY_RULE.get(event.name, "")
    if isinstance(event, AuthenticationFailed):
        if event.name in RULES["throttled_log_ins"]:
            return "throttled_log_ins"
        return "" if event.temporary else "auth_failures"
    if isinstance(event, Alerted):
        return "alerts" if event.action == "raised" else ""
    if event.kind == "banned":
        return "bans" if getattr(event, "action", "") == "banned" else ""
    if event.kind == "suspended":
        return "suspensions" if getattr(event, "action", "") == "suspended" else ""
    return ""


@implementer(IEventSink)
class SecurityCounts:
    """See the module.

    :param seconds: gives the time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._total = dict.fromkeys(KINDS, 0)
        self._slots: dict[int, dict[str, int]] = {}

    def events(self, batch: Sequence[Event]) -> None:
        """See :class:`~mta.interfaces.IEventSink`."""
        for event in batch:
            kind = security_kind(event)
            if kind:
                self._total[kind] += 1
                slot = self._slots.setdefault(int(event.at / _SLOT), {})
                slot[kind] = slot.get(kind, 0) + 1
                if len(self._slots) > 2 * _SLOTS:
                    self._forget()

    def _forget(self) -> None:
        oldest = int(self._seconds() / _SLOT) - _SLOTS
        self._slots = {number: slot for number, slot in self._slots.items() if number > oldest}

    def status(self) -> dict[str, Any]:
        """Since the start, and in the last hour; JSON values."""
        self._forget()
        return {
            kind: {
                "since_start": self._total[kind],
                "last_hour": sum(slot.get(kind, 0) for slot in self._slots.values()),
            }
            for kind in KINDS
        }
