"""An event as one line of a page, with how it is to be taken; pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from mta.journal.text import event_line
from mta.model.event import Event
from mta.tracking.telling import TOLD

#: How kinds of events are to be taken: everything else is neither good nor bad.
TONES = {
    "received": "note",
    "delivered": "good",
    "confirmed": "good",
    "opened": "good",
    "clicked": "good",
    "deferred": "warn",
    "suppressed": "warn",
    "unsubscribed": "warn",
    "discarded": "warn",
    "alert": "warn",
    "failed": "bad",
    "rejected": "bad",
    "bounced": "bad",
    "complained": "bad",
    "authentication-failed": "bad",
    "banned": "bad",
    "suspended": "bad",
}


@dataclass(frozen=True, slots=True)
class Line:
    """See the module.

    :ivar time: as a person reads it.
    :ivar iso: for the element ``time``.
    :ivar exact: what is shown to who points at it.
    :ivar path: of the page about it; ``""``: there is none.
    """

    at: float
    time: str
    iso: str
    exact: str
    kind: str
    tone: str
    words: str
    path: str

    def to_json(self) -> dict[str, Any]:
        """For a script."""
        return asdict(self)


def line_of(event: Event, confined: bool = False) -> Line | None:
    """The line of an event.

    :param confined: for a tenant: what concerns who runs the server alone is ``None``.
    """
    if confined and event.kind not in TOLD:
        return None
    there = datetime.fromtimestamp(event.at, UTC).astimezone()
    exact = there.astimezone(UTC)
    name = event.message or event.session
    words = event_line(event).removeprefix(f"{name}: ")
    path = f"/dashboard/messages/{event.message}" if event.message else ""
    return Line(
        event.at,
        f"{there:%H:%M:%S}",
        exact.isoformat(timespec="milliseconds"),
        f"{there:%Y-%m-%d %H:%M:%S %Z} · {exact:%Y-%m-%d %H:%M:%S} UTC",
        event.kind,
        TONES.get(event.kind, ""),
        words,
        path,
    )
