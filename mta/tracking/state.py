"""How a recipient stands: one word, of what the queue did and of what came back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: What the queue did, by number; what came last counts.
SCHEDULED, QUEUED, HELD, DEFERRED, DELIVERED, BOUNCED, EXPIRED, REMOVED, SUPPRESSED = range(1, 10)
OPENED, CLICKED, COMPLAINED, UNSUBSCRIBED = range(10, 14)

STATES: Mapping[str, int] = {
    "scheduled": SCHEDULED,
    "queued": QUEUED,
    "held": HELD,
    "deferred": DEFERRED,
    "delivered": DELIVERED,
    "bounced": BOUNCED,
    "expired": EXPIRED,
    "removed": REMOVED,
    "suppressed": SUPPRESSED,
    "opened": OPENED,
    "clicked": CLICKED,
    "complained": COMPLAINED,
    "unsubscribed": UNSUBSCRIBED,
}
NAMES: Mapping[int, str] = {number: name for name, number in STATES.items()}

#: What came back, as bits; in any order, from the journal of any worker.
HAS_BOUNCED, HAS_COMPLAINED, HAS_OPENED, HAS_CLICKED, HAS_UNSUBSCRIBED = 1, 2, 4, 8, 16
#: By a program, not a person.
OPENED_BY_PROGRAM, CLICKED_BY_PROGRAM = 32, 64
#: In an event only: who has unsubscribed is back.
CAME_BACK = 128
MARKS: Mapping[str, int] = {
    "bounced": HAS_BOUNCED,
    "complained": HAS_COMPLAINED,
    "opened": HAS_OPENED,
    "clicked": HAS_CLICKED,
    "unsubscribed": HAS_UNSUBSCRIBED,
    "opened_by_program": OPENED_BY_PROGRAM,
    "clicked_by_program": CLICKED_BY_PROGRAM,
}

#: The state, as SQL over ``delivery`` and ``marks``: what tells most, first.
STATE_SQL = (
    f"CASE WHEN marks & {HAS_COMPLAINED} THEN {COMPLAINED}"
    f" WHEN marks & {HAS_UNSUBSCRIBED} THEN {UNSUBSCRIBED}"
    f" WHEN marks & {HAS_BOUNCED} THEN {BOUNCED}"
    f" WHEN marks & {HAS_CLICKED} THEN {CLICKED}"
    f" WHEN marks & {HAS_OPENED} THEN {OPENED} ELSE delivery END"
)


def state_of(delivery: int, marks: int) -> int:
    """The state, as :data:`STATE_SQL` has it."""
    for mark, state in (
        (HAS_COMPLAINED, COMPLAINED),
        (HAS_UNSUBSCRIBED, UNSUBSCRIBED),
        (HAS_BOUNCED, BOUNCED),
        (HAS_CLICKED, CLICKED),
        (HAS_OPENED, OPENED),
    ):
        if marks & mark:
            return state
    return delivery


def counted(rows: Iterable[tuple[int, int, int]]) -> tuple[dict[str, int], dict[str, int]]:
    """How many recipients are in each state, and how many have ever been delivered, opened and so on.

    :param rows: delivery, marks, and how many.
    :return: ``states``, of which each recipient is in one, and ``reached``.
    """
    states: dict[str, int] = {}
    reached = dict.fromkeys(("recipients", "delivered", *MARKS), 0)
    for delivery, marks, count in rows:
        name = NAMES.get(state_of(delivery, marks), "queued")
        states[name] = states.get(name, 0) + count
        reached["recipients"] += count
        if delivery == DELIVERED:
            reached["delivered"] += count
        for mark, bit in MARKS.items():
            if marks & bit:
                reached[mark] += count
        if delivery == BOUNCED and not marks & HAS_BOUNCED:
            reached["bounced"] += count
    return {name: states[name] for name in STATES if states.get(name)}, reached
