"""Alerts: what is watched and how it stands, what was told to whom, and a try of a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from mta.dashboard.page import Answered, Confirmation, Form, Html, Page, Query, Redirect, missing
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.dashboard.workers import Workers
from mta.journal.reader import JournalReader
from mta.model.event import Administered, Event
from mta.model.event_security import Alerted

PLACE = "/dashboard/alerts"
_ON_PAGE = 50
_TONES = {"raised": "bad", "reminded": "warn", "recovered": "good", "tested": "note", "untold": "bad"}
#: What a person may begin with.
EXAMPLE = """[[alert]]
name      = "many bounces"
statistic = "bounce_rate"
above     = 0.05
minimum   = 200
to        = "postmaster@example.org"

[[alert]]
name      = "less is delivered than usual"
statistic = "delivered"
change    = 0.5
to        = "postmaster@example.org"

[[alert]]
name   = "passwords are guessed"
event  = "authentication-failed"
count  = 100
within = "10m"
to     = "postmaster@example.org"

[[alert]]
name = "disk"
disk = "10%"
to   = "postmaster@example.org"
"""


class Find(Query):
    """Of which rule."""

    rule: str = Field("", max_length=100)


class Try(Form):
    """The rule that is tried out."""

    rule: str = Field(max_length=100)


@dataclass(frozen=True, slots=True)
class Told:
    """Something that was told, or could not be.

    :ivar evidence: names and values, without the cause, which stands by itself.
    """

    event: Alerted
    tone: str
    cause: str
    evidence: Sequence[tuple[str, str]]


class AlertPages:
    """See the module.

    :param workers: the first of them watches.
    :param note: puts an event into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self, workers: Workers, note: Callable[[Event], None], run_in_thread: Callable[..., Any]
    ) -> None:
        self._workers = workers
        self._note = note
        self._run = run_in_thread

    def pages(self) -> list[Page]:
        """What there is."""
        return [
            Page("GET", PLACE, self.overview, Right.LOOK, "Alerts", query=Find),
            Page("POST", f"{PLACE}/try", self.attempt, Right.ACT, "Try a rule", None, Try, None, self.ask),
        ]

    async def overview(self, visit: Visit) -> Answered:
        """The rules, those that are raised first, and what was told."""
        rules = await self._workers.alerts()
        wanted: str = visit.query.rule
        names = [wanted] if wanted else [str(one.get("rule")) for one in rules]
        found: list[Told] = await self._run(self._told, names)
        rules.sort(key=lambda one: (not one.get("raised"), str(one.get("rule")).lower()))
        latest = {one.event.rule: one for one in reversed(found) if one.event.action != "over"}
        values = {"rules": rules, "told": found[:_ON_PAGE], "latest": latest, "example": EXAMPLE}
        return Html("alerts.html", values)

    def _told(self, rules: Sequence[str]) -> list[Told]:
        """The newest of each of some rules, which the journal finds by their names; blocks."""
        journals = JournalReader(self._workers.journals())
        records = [record for rule in rules for record in journals.find(rule, limit=_ON_PAGE)]
        events = [one.event for one in records if isinstance(one.event, Alerted)]
        events.sort(key=lambda one: one.at, reverse=True)
        return [_told(one) for one in events]

    async def ask(self, visit: Visit) -> Confirmation:
        """Who would get it."""
        rule = await self._rule(visit.form.value.rule)
        return Confirmation(
            f"Try the rule {rule['rule']}?",
            "Everybody of the rule is told at once that somebody tries it out, as if it had been raised.",
            "Tell them",
            PLACE,
            [("To", ", ".join(rule.get("to") or []))],
            danger=False,
        )

    async def attempt(self, visit: Visit) -> Answered:
        """Tell everybody of a rule."""
        rule = await self._rule(visit.form.value.rule)
        told = await self._workers.try_alert(str(rule["rule"]))
        self._note(
            Administered(at=visit.now, action="alert test", tenant="", target=str(rule["rule"]), by=visit.by)
        )
        failed = [f"{one['to']}: {one['trouble']}" for one in told if one.get("trouble")]
        if failed:
            return Redirect(PLACE, f"Not everybody could be told: {'; '.join(failed)}", "bad")
        return Redirect(PLACE, f"Told: {', '.join(one['to'] for one in told)}.")

    async def _rule(self, name: str) -> Mapping[str, Any]:
        for one in await self._workers.alerts():
            if one.get("rule") == name:
                return one
        raise missing("There is no such rule")


def _told(event: Alerted) -> Told:
    evidence = [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in event.evidence.items()
        if name != "cause"
    ]
    return Told(event, _TONES.get(event.action, ""), str(event.evidence.get("cause", "")), evidence)
