"""Who is next: people are written down when a campaign begins, and claimed in pieces when it is their turn.

Functions of a connection, for transactions of whoever calls.  All workers claim from the same rows: what one
has claimed no other gets, and the pace is kept by all together, because it is looked at and spent in the
transaction that claims.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from mta.campaign.campaigns import SPLIT, UNDECIDED, Campaign, get, move
from mta.campaign.pace import Clock, Wave, may_go
from mta.campaign.schedule import due
from mta.campaign.schema import CLAIMED, WAITING
from mta.campaign.split import in_test, variant_of
from mta.campaign.states import RUNNING

#: People in one piece.
PIECE = 200
#: Seconds for which pieces are kept beside those that the throttle asks for.
_KEPT = 60.0


class Somebody(Protocol):
    """What is needed of a contact."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def time_zone(self) -> str:
        """Its time zone; ``""``: unknown."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """One person of a piece.

    :ivar variant: its place.
    :ivar message: the queue id that was promised.
    """

    contact: int
    variant: int
    message: str


@dataclass(frozen=True, slots=True)
class Piece:
    """People whose turn has come, and who are nobody else's now."""

    id: str
    campaign: int
    people: tuple[Claimed, ...]
    at: float = 0.0


# --- before it begins ---------------------------------------------------------


def enrol(
    base: sqlite3.Connection,
    campaign: Campaign,
    after: int,
    people: Sequence[Somebody],
    following: int | None,
) -> bool:
    """Write down some who get it.

    :param after: where the reading of the audience had begun.
    :param following: where it goes on; ``None``: these were the last.
    :return: whether it was done: another worker may have done it already.
    """
    row = base.execute(
        "SELECT reached, prepared FROM campaigns WHERE id = ? AND state = ?", (campaign.id, RUNNING)
    ).fetchone()
    if row is None or row[1] or row[0] != after:
        return False
    definition = campaign.definition
    local = datetime.fromisoformat(definition.local) if definition.local else None
    rows, waves = [], Counter[tuple[int, float]]()
    for one in people:
        tested = definition.test is None or in_test(campaign.key, one.id, definition.test.share)
        at = (
            campaign.started
            if local is None
            else due(local, one.time_zone, definition.zone, campaign.started)
        )
        variant = variant_of(campaign.key, one.id, definition.weights)
        rows.append((campaign.id, one.id, variant, int(not tested), at))
        waves[int(not tested), at] += 1
    base.executemany(
        "INSERT INTO campaign_people (campaign, contact, variant, part, due) VALUES (?, ?, ?, ?, ?)", rows
    )
    base.executemany(
        "INSERT INTO campaign_waves (campaign, part, due, total) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET total = total + excluded.total",
        [(campaign.id, part, at, count) for (part, at), count in waves.items()],
    )
    base.execute(
        "UPDATE campaigns SET total = total + ?, reached = ?, prepared = ? WHERE id = ?",
        (len(rows), after if following is None else following, following is None, campaign.id),
    )
    return True


# --- while it runs -------------------------------------------------------------


def claim(
    base: sqlite3.Connection, number: int, shard: int, now: float, piece: str, ids: Sequence[str]
) -> Piece | Campaign | None:
    """Take those who may go now.

    :param piece: what they are known by together.
    :param ids: queue ids, each larger than the one before; as many people at the most.
    :return: ``None``: nobody may go now; the campaign, if that has ended it.
    """
    campaign = get(base, number)
    if campaign is None or campaign.state != RUNNING or not campaign.prepared:
        return None
    clock, waves, counts = _look(base, campaign, now, len(ids))
    people: list[Claimed] = []
    for (part, wave), count in zip(waves, counts, strict=True):
        if wave.begun == clock.active:
            base.execute(
                "UPDATE campaign_waves SET begun = coalesce(begun, ?)"
                " WHERE campaign = ? AND part = ? AND due = ?",
                (wave.begun, number, part, wave.due),
            )
        if not count:
            continue
        chosen = campaign.chosen if part else UNDECIDED
        rows = base.execute(
            "SELECT contact, variant FROM campaign_people"
            " WHERE campaign = ? AND state = 0 AND part = ? AND due = ? LIMIT ?",
            (number, part, wave.due, count),
        ).fetchall()
        some = [
            Claimed(contact, chosen if chosen >= 0 else variant, ids[len(people) + place])
            for place, (contact, variant) in enumerate(rows)
        ]
        base.executemany(
            "UPDATE campaign_people SET state = ?, piece = ?, message = ?, variant = ?"
            " WHERE campaign = ? AND contact = ?",
            [(CLAIMED, piece, one.message, one.variant, number, one.contact) for one in some],
        )
        base.execute(
            "UPDATE campaign_waves SET gone = gone + ? WHERE campaign = ? AND part = ? AND due = ?",
            (len(some), number, part, wave.due),
        )
        people += some
    clock = clock.spent(len(people))
    base.execute(
        "UPDATE campaigns SET active = ?, looked = ?, credit = ? WHERE id = ?",
        (clock.active, clock.looked, clock.credit, number),
    )
    if not people:
        return _settle(base, number, now)
    base.execute(
        "INSERT INTO campaign_pieces VALUES (?, ?, ?, ?, ?, ?, 1)",
        (piece, number, shard, now, clock.active, len(people)),
    )
    base.execute(
        "DELETE FROM campaign_pieces WHERE campaign = ? AND active < ? AND open = 0",
        (number, clock.active - campaign.definition.pace.seconds - _KEPT),
    )
    return Piece(piece, number, tuple(people), now)


def ready(base: sqlite3.Connection, campaign: Campaign, now: float) -> int:
    """How many may go now; nothing is changed."""
    return sum(_look(base, campaign, now, PIECE)[2])


def waves_of(base: sqlite3.Connection, number: int) -> list[tuple[int, Wave]]:
    """All waves with the part that they are of, in the order in which they are served."""
    rows = base.execute(
        "SELECT part, due, total, gone, begun FROM campaign_waves WHERE campaign = ? ORDER BY part, due",
        (number,),
    )
    return [(part, Wave(*rest)) for part, *rest in rows]


def _look(
    base: sqlite3.Connection, campaign: Campaign, now: float, most: int
) -> tuple[Clock, list[tuple[int, Wave]], list[int]]:
    pace = campaign.definition.pace
    clock = Clock(campaign.active, campaign.looked, campaign.credit).at(now, pace)
    waves = []
    for part, wave in waves_of(base, campaign.id):
        if wave.begun is None and wave.due <= now and not (part and campaign.waits_for_result):
            wave = replace(wave, begun=clock.active)
        waves.append((part, wave))
    recent = 0
    if pace.count:
        (recent,) = base.execute(
            "SELECT coalesce(sum(count), 0) FROM campaign_pieces WHERE campaign = ? AND active > ?",
            (campaign.id, clock.active - pace.seconds),
        ).fetchone()
    return clock, waves, may_go(pace, clock, [wave for _, wave in waves], recent, most)


def finish(
    base: sqlite3.Connection, piece: Piece, results: Mapping[int, tuple[int, str]], now: float
) -> Campaign | None:
    """Write down what became of a piece, and end the campaign if that was the last.

    :param results: by contact the state and why; ``WAITING``: it is to be tried again.
    :return: the campaign, if that has ended it.
    """
    done = base.execute("UPDATE campaign_pieces SET open = 0 WHERE id = ? AND open = 1", (piece.id,))
    if not done.rowcount:
        return None
    back = []
    for one in piece.people:
        state, why = results.get(one.contact, (WAITING, ""))
        if state == WAITING:
            back.append(one.contact)
        base.execute(
            "UPDATE campaign_people SET state = ?, why = ?,"
            " piece = '', message = CASE WHEN ? THEN '' ELSE message END WHERE campaign = ? AND contact = ?",
            (state, why[:500], state == WAITING, piece.campaign, one.contact),
        )
    if back:
        _give_back(base, piece, back)
    return _settle(base, piece.campaign, now)


def _give_back(base: sqlite3.Connection, piece: Piece, contacts: Iterable[int]) -> None:
    waves = Counter[tuple[int, float]]()
    for contact in contacts:
        part, at = base.execute(
            "SELECT part, due FROM campaign_people WHERE campaign = ? AND contact = ?",
            (piece.campaign, contact),
        ).fetchone()
        waves[part, at] += 1
    for (part, at), count in waves.items():
        base.execute(
            "UPDATE campaign_waves SET gone = gone - ? WHERE campaign = ? AND part = ? AND due = ?",
            (count, piece.campaign, part, at),
        )
    count = sum(waves.values())
    base.execute("UPDATE campaign_pieces SET count = count - ? WHERE id = ?", (count, piece.id))
    base.execute("UPDATE campaigns SET credit = credit + ? WHERE id = ?", (count, piece.campaign))


def _settle(base: sqlite3.Connection, number: int, now: float) -> Campaign | None:
    """See whether the test, or all, has been handed over."""
    campaign = get(base, number)
    if campaign is None or not campaign.prepared:
        return None
    query = "SELECT 1 FROM campaign_pieces WHERE campaign = ? AND open = 1 LIMIT 1"
    if base.execute(query, (number,)).fetchone():
        return None
    left = Counter[int]()
    for part, wave in waves_of(base, number):
        left[part] += wave.total - wave.gone
    if left[0]:
        return None
    if campaign.waits_for_result and left[1]:
        if not campaign.tested:
            base.execute("UPDATE campaigns SET tested = ? WHERE id = ?", (now, number))
        return None
    if left[1] or campaign.state != RUNNING:
        return None
    reason = "" if campaign.total else "nobody is in the audience"
    return move(base, campaign, "finish", now, reason=reason, who=campaign.who)


def decide(base: sqlite3.Connection, number: int, chosen: int, decision: str, now: float) -> Campaign | None:
    """Choose what the rest gets.

    :param chosen: the place of a variant, or :data:`~mta.campaign.campaigns.SPLIT`.
    :param decision: why, as JSON.
    :return: the campaign; ``None``: somebody else has decided.
    """
    assert chosen >= 0 or chosen == SPLIT
    done = base.execute(
        "UPDATE campaigns SET chosen = ?, decision = ?, changed = ? WHERE id = ? AND chosen = ?",
        (chosen, decision, now, number, UNDECIDED),
    )
    return get(base, number) if done.rowcount else None


# --- after a crash -------------------------------------------------------------


def left_open(base: sqlite3.Connection, shard: int, workers: int) -> list[Piece]:
    """The pieces that an earlier worker has left.

    :param shard: of this worker; the first one takes those of shards that have no worker any more, too.
    """
    rows = base.execute(
        "SELECT id, campaign, at FROM campaign_pieces"
        " WHERE open = 1 AND (shard = ? OR (? = 0 AND shard >= ?))",
        (shard, shard, workers),
    ).fetchall()
    return [
        Piece(
            name,
            number,
            tuple(
                Claimed(*row)
                for row in base.execute(
                    "SELECT contact, variant, message FROM campaign_people WHERE piece = ? AND state = 1",
                    (name,),
                )
            ),
            at,
        )
        for name, number, at in rows
    ]


# --- looking -------------------------------------------------------------------


def counts(base: sqlite3.Connection, number: int) -> dict[tuple[int, int, int], int]:
    """How many people there are by variant, part and state."""
    rows = base.execute(
        "SELECT variant, part, state, count(*) FROM campaign_people WHERE campaign = ?"
        " GROUP BY variant, part, state",
        (number,),
    )
    return {(variant, part, state): count for variant, part, state, count in rows}
