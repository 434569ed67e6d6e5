"""Events of a journal become groups: in SQL, so that the interpreter has little part in it.

The reactor's thread and the one that counts share an interpreter; a statement that reads five thousand
events and groups them gives it up once.  What comes back of messages (opens, complaints) is seldom, and
read one by one.
"""

# ruff: noqa: S608 -- no text in these statements comes from outside.

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from mta.analytics.group import NO_LABELS, ONCE, Group, Labels, delay_bucket, domain_of
from mta.model.event_rows import key_of

#: Kinds of events that count.
KINDS = frozenset(
    {
        "received",
        "rejected",
        "delivered",
        "deferred",
        "failed",
        "bounced",
        "complained",
        "opened",
        "clicked",
        "unsubscribed",
        "suppressed",
    }
)
#: Seconds after its acceptance for which a message is known by its tags, campaign and so on.
REMEMBERED = 14 * 86400
#: Begins the ids of messages: ``mta.model.ids``.
_EPOCH = 1_704_067_200


@dataclass(frozen=True, slots=True)
class Span:
    """Events of one journal.

    :ivar journal: whose.
    :ivar shard: whose messages are counted.
    :ivar after: the event behind which to begin.
    :ivar upto: the last one.
    :ivar hour: the first that still takes events.
    """

    journal: int
    shard: int
    after: int
    upto: int
    hour: int


@dataclass(frozen=True, slots=True)
class Engagement:
    """An open or a click of a person.

    :ivar recipient: a number that stands for the address.
    """

    group: Group
    message: int
    recipient: int
    at: float


def _value(name: str) -> str:
    return f"json_extract(payload, '$.{name}')"


def _text(name: str) -> str:
    return f"CAST(ifnull({_value(name)}, '') AS TEXT)"


def _domain(name: str) -> str:
    # What stands behind the last @: the text without what is left of it when all but @ is cut off its end.
    text = _text(name)
    return f"lower(replace({text}, rtrim({text}, replace({text}, '@', '')), ''))"


#: Events of the span: of messages of our shard, and without a message in our own journal.
_OURS = """e.id > :after AND e.id <= :upto AND e.at >= :hour * 3600.0
    AND CASE WHEN e.message IS NULL THEN :journal = :shard ELSE e.message >> 16 & 63 = :shard END
    AND NOT EXISTS (SELECT 1 FROM frozen f WHERE f.journal = :journal
        AND f.hour = CAST(e.at / 3600 AS INTEGER) AND e.id <= f.upto) AND json_valid(e.payload)"""
#: The number of the labels of a message; 0: it has none, or none any more.
_LABELS = f"""CASE WHEN e.message IS NULL
    OR e.at - {_EPOCH} - (e.message >> 22) / 1000.0 > {REMEMBERED} THEN 0
    ELSE ifnull((SELECT l.labels FROM labelled l WHERE l.message = e.message), 0) END"""

_LABEL_TEXT = f"""json_array({_text("tenant")}, {_text("campaign")}, {_text("template")},
    {_text("metadata.variant")},
    CASE json_type(payload, '$.tagged') WHEN 'array' THEN json_extract(payload, '$.tagged') END)"""
_LABELLED = f"""INSERT INTO temp.fresh SELECT e.message, {_LABEL_TEXT} FROM journal.events e
    WHERE kind = 'received' AND e.message IS NOT NULL AND {_OURS} AND (instr(payload, '"tenant":')
    OR instr(payload, '"campaign":') OR instr(payload, '"tagged":') OR instr(payload, '"template":'))"""

_RECEIVED = f"""SELECT min(id), CAST(at / 60 AS INTEGER), {_LABELS}, count(*),
    sum(ifnull(json_array_length(payload, '$.recipients'), 0)),
    sum(CAST(ifnull({_value("size")}, 0) AS INTEGER))
    FROM journal.events e WHERE kind = 'received' AND {_OURS} GROUP BY 2, 3"""
_ATTEMPTS = f"""SELECT min(id), CAST(at / 60 AS INTEGER), kind, {_LABELS}, {_domain("recipient")},
    lower({_text("host")}), {_text("transport")}, {_text("source")}, {_text("bounce_class")},
    CAST(ifnull({_value("code")}, 0) AS INTEGER) / 100, {_text("tls")} <> '',
    ifnull({_value("expired")}, 0) <> 0, CASE kind WHEN 'delivered'
    THEN printf('%.1e', CAST(ifnull({_value("delay")}, 0) AS REAL)) ELSE '' END, count(*)
    FROM journal.events e WHERE kind IN ('delivered', 'deferred', 'failed') AND {_OURS}
    GROUP BY 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13"""
_REFUSED = f"""SELECT min(id), CAST(at / 60 AS INTEGER),
    CASE WHEN {_text("rule")} <> '' THEN {_text("rule")} ELSE {_text("name")} END, count(*)
    FROM journal.events e WHERE kind = 'rejected' AND {_OURS} GROUP BY 2, 3"""
_CAME_BACK = f"""SELECT id, at, kind, message, {_LABELS}, {_text("recipient")}, {_text("tenant")},
    {_text("sort")}, {_text("bounce_class")}, {_text("action")}
    FROM journal.events e WHERE kind IN
    ('bounced', 'complained', 'opened', 'clicked', 'unsubscribed', 'suppressed') AND {_OURS} ORDER BY id"""


def fold(base: sqlite3.Connection, span: Span) -> list[Group | Engagement]:
    """Read events of the attached database ``journal``, in the transaction under way.

    Labels of messages are remembered, and so is which event was the first of each hour.

    :return: in the order of their first event.
    """
    values = {
        "after": span.after,
        "upto": span.upto,
        "journal": span.journal,
        "shard": span.shard,
        "hour": span.hour,
    }
    base.execute("CREATE TEMP TABLE IF NOT EXISTS fresh (message INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    base.execute("DELETE FROM temp.fresh")
    if base.execute(_LABELLED, values).rowcount:
        base.execute("INSERT OR IGNORE INTO labels (text) SELECT DISTINCT text FROM temp.fresh")
        base.execute(
            "INSERT OR IGNORE INTO labelled SELECT f.message, l.id FROM temp.fresh f"
            " JOIN labels l ON l.text = f.text"
        )
    found = [
        *_received(base, values),
        *_attempts(base, values),
        *_refused(base, values),
        *_came_back(base, values),
    ]
    found.sort(key=_first)
    hours: dict[int, int] = {}
    for one in found:
        group = one if isinstance(one, Group) else one.group
        hours.setdefault(group.minute // 60, group.first)
    base.executemany(
        "INSERT OR IGNORE INTO spans VALUES (?, ?, ?)",
        [(span.journal, hour, first) for hour, first in hours.items()],
    )
    return found


def _first(one: Group | Engagement) -> int:
    return one.first if isinstance(one, Group) else one.group.first


class _Known:
    """Labels by their numbers."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base
        self._known: dict[int, Labels] = {0: NO_LABELS}

    def __getitem__(self, number: int) -> Labels:
        found = self._known.get(number)
        if found is None:
            row = self._base.execute("SELECT text FROM labels WHERE id = ?", (number,)).fetchone()
            found = self._known[number] = labels_of(row[0]) if row else NO_LABELS
        return found


def labels_of(text: str) -> Labels:
    """Labels as the database has them."""
    tenant, campaign, template, variant, tags = json.loads(text)
    return Labels(tenant, campaign, template, variant, tuple(str(tag) for tag in tags or ()))


def _received(base: sqlite3.Connection, values: dict[str, int]) -> Iterator[Group]:
    known = _Known(base)
    for first, minute, labels, count, recipients, octets in base.execute(_RECEIVED, values).fetchall():
        yield Group(
            first,
            minute,
            "received",
            count,
            known[labels],
            recipients=recipients,
            octets=octets,
        )


def _attempts(base: sqlite3.Connection, values: dict[str, int]) -> Iterator[Group]:
    known = _Known(base)
    for row in base.execute(_ATTEMPTS, values).fetchall():
        first, minute, kind, labels, domain, host, transport, source, name, code, tls, flag, delay, count = (
            row
        )
        yield Group(
            first,
            minute,
            kind,
            count,
            known[labels],
            domain,
            host,
            transport,
            source,
            name,
            code,
            bool(tls),
            bool(flag),
            delay=delay_bucket(delay) if delay else 0,
        )


def _refused(base: sqlite3.Connection, values: dict[str, int]) -> Iterator[Group]:
    for first, minute, rule, count in base.execute(_REFUSED, values).fetchall():
        yield Group(first, minute, "rejected", count, bounce_class=rule)


def _came_back(base: sqlite3.Connection, values: dict[str, int]) -> Iterator[Group | Engagement]:
    known = _Known(base)
    for row in base.execute(_CAME_BACK, values).fetchall():
        number, at, kind, message, of, recipient, tenant, sort, name, action = row
        labels = known[of]
        # Some know whose they are.
        if not labels.tenant and tenant:
            labels = Labels(tenant)
        group = Group(
            number,
            int(at // 60),
            kind,
            1,
            labels,
            domain_of(recipient),
            bounce_class=name,
            flag=action in ("", "failed", "unsubscribe"),
            sort=sort or "human",
        )
        if (
            kind in ONCE
            and group.sort == "human"
            and message is not None
            # Older ones are not remembered, so that nobody knows whether they are the first.
            and at - _EPOCH - (message >> 22) / 1000 <= REMEMBERED
        ):
            yield Engagement(group, message, key_of(recipient), at)
        else:
            yield group
