"""The states of a campaign, and what leads from one to another.

::

    draft ──schedule──> scheduled ──start, or its time──> running ──everybody had his turn──> done
      ^                     │                             │     ^
      └─────unschedule──────┘                       pause │     │ resume
                            │                             v     │
                            └──────────stop──────────> stopped  │
                                                          ^     │
                                                     stop └── paused

A draft may be changed; nothing else may.  ``paused`` hands nothing more to the queue; what is there
already goes on, unless it was to be held.  ``done`` and ``stopped`` are for good: a campaign that was sent is
never sent again, and its name is not used again, so that its numbers stay its own.
"""

from __future__ import annotations

from collections.abc import Mapping

DRAFT, SCHEDULED, RUNNING, PAUSED, DONE, STOPPED = (
    "draft",
    "scheduled",
    "running",
    "paused",
    "done",
    "stopped",
)
STATES = (DRAFT, SCHEDULED, RUNNING, PAUSED, DONE, STOPPED)

#: By act: from which states to which.
ACTS: Mapping[str, Mapping[str, str]] = {
    "schedule": {DRAFT: SCHEDULED, SCHEDULED: SCHEDULED},
    "unschedule": {SCHEDULED: DRAFT},
    "start": {DRAFT: RUNNING, SCHEDULED: RUNNING},
    "pause": {RUNNING: PAUSED},
    "resume": {PAUSED: RUNNING},
    "stop": {SCHEDULED: STOPPED, RUNNING: STOPPED, PAUSED: STOPPED},
    "finish": {RUNNING: DONE},
}


class NotNow(ValueError):
    """What is asked for cannot be done in the state in which the campaign is."""


def after(act: str, state: str) -> str:
    """The state that an act leads to.

    :raise NotNow: if it cannot be done now, with what can.
    """
    to = ACTS[act].get(state)
    if to is None:
        possible = [name for name, ways in ACTS.items() if state in ways and name != "finish"]
        more = f"; it may be asked to {', '.join(possible)}" if possible else ", and that is for good"
        raise NotNow(f"a campaign that is {state} cannot be asked to {act}{more}")
    return to
