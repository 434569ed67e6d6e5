"""Events of a journal become rows of the index: in SQL, so that the interpreter has no part in it.

The reactor's thread and the thread that indexes share one interpreter; a statement that reads five
thousand events and writes what follows gives the interpreter up once, and not for each row.

Events that come back (bounces, complaints, opens) may be in the journal of any worker, but never
before the message was received.  So whoever reads journals looks first how far the others are, then
reads that of the message's shard, and then the others up to there.
"""

# ruff: noqa: S608 -- no text in these statements comes from outside.

from __future__ import annotations

import sqlite3

from mta.tracking import state as s
from mta.tracking.schema import ALL, BATCH, CAMPAIGN, TAG

#: Kinds of events that change something here.
KINDS = (
    "received",
    "delivered",
    "deferred",
    "failed",
    "discarded",
    "operated",
    "bounced",
    "complained",
    "opened",
    "clicked",
    "unsubscribed",
    "suppressed",
)
_LIST = ", ".join(f"'{kind}'" for kind in KINDS)

_FRESH = f"""INSERT INTO temp.fresh SELECT id, at, kind, message, payload FROM journal.events
    WHERE id > :after AND id <= :upto AND message IS NOT NULL AND message >> 16 & 63 = :shard
    AND kind IN ({_LIST}) AND (kind <> 'received' OR instr(payload, '"tenant":')) AND json_valid(payload)"""


def _value(name: str) -> str:
    return f"json_extract(payload, '$.{name}')"


def _text(name: str) -> str:
    return f"CAST(ifnull({_value(name)}, '') AS TEXT)"


_TENANTS = (
    f"INSERT OR IGNORE INTO tenants (name) SELECT DISTINCT {_text('tenant')} FROM temp.fresh"
    f" WHERE kind = 'received' AND {_text('tenant')} <> ''"
)
_MESSAGES = f"""INSERT OR IGNORE INTO messages SELECT f.message, t.id, f.at, {_text("sender")},
    {_text("subject")}, lower(trim({_text("message_id")}, ' <>')), {_text("batch")}, {_text("campaign")},
    ifnull({_value("tagged")}, '[]'), ifnull({_value("metadata")}, '{{}}'), {_text("key")},
    CAST(ifnull({_value("size")}, 0) AS INTEGER), CAST(ifnull({_value("scheduled")}, 0) AS REAL)
    FROM temp.fresh f JOIN tenants t ON t.name = {_text("tenant")} WHERE f.kind = 'received'"""
_NEW = "temp.fresh f JOIN messages m ON m.id = f.message WHERE f.kind = 'received'"
_SUBJECTS = (
    "INSERT INTO subjects (rowid, owner, subject) SELECT m.id, 't' || m.tenant, m.subject"
    f" FROM {_NEW} AND m.subject <> ''"
)
_LABELS = (
    f"INSERT OR IGNORE INTO labels SELECT m.tenant, {ALL}, '', m.id FROM {_NEW}",
    f"INSERT OR IGNORE INTO labels SELECT m.tenant, {BATCH}, m.batch, m.id FROM {_NEW} AND m.batch <> ''",
    f"INSERT OR IGNORE INTO labels SELECT m.tenant, {CAMPAIGN}, m.campaign, m.id FROM {_NEW}"
    " AND m.campaign <> ''",
    f"INSERT OR IGNORE INTO labels SELECT m.tenant, {TAG}, CAST(j.value AS TEXT), m.id"
    " FROM temp.fresh f JOIN messages m ON m.id = f.message, json_each(m.tags) j WHERE f.kind = 'received'",
)
_RECIPIENTS = f"""INSERT OR IGNORE INTO recipients
    SELECT m.id, lower(CAST(j.value AS TEXT)), m.tenant, '',
    CASE WHEN {_text("held")} <> '' THEN {s.HELD} WHEN m.scheduled > f.at THEN {s.SCHEDULED}
        ELSE {s.QUEUED} END,
    0, f.at, 0, m.scheduled, 0, '', '', '', '', 0
    FROM temp.fresh f JOIN messages m ON m.id = f.message, json_each(f.payload, '$.recipients') j
    WHERE f.kind = 'received'"""
_BORN = (
    "INSERT INTO temp.deltas SELECT r.message, r.delivery, r.marks, 1"
    " FROM temp.fresh f JOIN recipients r ON r.message = f.message WHERE f.kind = 'received'"
)
#: Recipients that were left out before the message was accepted: there is no row of them yet.
_LEFT = f"""temp.fresh f JOIN messages m ON m.id = f.message
    WHERE f.kind = 'suppressed' AND {_text("recipient")} <> '' AND NOT EXISTS
    (SELECT 1 FROM recipients r WHERE r.message = m.id AND r.address = lower({_text("recipient")}))"""
_LEFT_OUT = (
    f"INSERT INTO temp.deltas SELECT m.id, {s.QUEUED}, 0, 1 FROM {_LEFT}",
    f"INSERT OR IGNORE INTO recipients SELECT m.id, lower({_text('recipient')}), m.tenant, '', {s.QUEUED}, 0,"
    f" f.at, 0, 0, 0, '', '', '', '', 0 FROM {_LEFT}",
)
_OTHERS = "DELETE FROM temp.fresh WHERE kind = 'received' OR message NOT IN (SELECT id FROM messages)"

_OPERATIONS = f"""CASE {_value("action")} WHEN 'hold' THEN {s.HELD} WHEN 'release' THEN {s.QUEUED}
    WHEN 'remove' THEN {s.REMOVED} WHEN 'cancel' THEN {s.REMOVED}
    WHEN 'reschedule' THEN iif(ifnull({_value("until")}, 0) > at, {s.SCHEDULED}, {s.QUEUED}) ELSE 0 END"""
_PROGRAM = f"ifnull({_value('sort')}, 'human') <> 'human'"
_MARK = f"""CASE kind
    WHEN 'bounced' THEN iif(ifnull({_value("action")}, 'failed') = 'failed', {s.HAS_BOUNCED}, 0)
    WHEN 'complained' THEN {s.HAS_COMPLAINED}
    WHEN 'opened' THEN iif({_PROGRAM}, {s.OPENED_BY_PROGRAM}, {s.HAS_OPENED})
    WHEN 'clicked' THEN iif({_PROGRAM}, {s.CLICKED_BY_PROGRAM}, {s.HAS_CLICKED})
    WHEN 'unsubscribed' THEN iif(ifnull({_value("action")}, 'unsubscribe') = 'unsubscribe',
        {s.HAS_UNSUBSCRIBED}, {s.CAME_BACK}) ELSE 0 END"""
_STEPS = (
    f"""INSERT INTO temp.steps SELECT id, message, lower({_text("recipient")}),
    lower(ifnull(nullif({_text("original")}, ''), {_text("recipient")})),
    CASE kind WHEN 'delivered' THEN {s.DELIVERED} WHEN 'deferred' THEN {s.DEFERRED}
    WHEN 'suppressed' THEN {s.SUPPRESSED}
    ELSE iif(ifnull({_value("expired")}, 0), {s.EXPIRED}, {s.BOUNCED}) END,
    0, at, payload FROM temp.fresh WHERE kind IN ('delivered', 'deferred', 'failed', 'suppressed')""",
    f"""INSERT INTO temp.steps SELECT fresh.id, message, lower(CAST(j.value AS TEXT)), NULL,
    iif(kind = 'discarded', {s.REMOVED}, {_OPERATIONS}), 0, at, ''
    FROM temp.fresh, json_each(payload, '$.recipients') j
    WHERE kind = 'operated' OR (kind = 'discarded' AND {_text("what")} = 'message')""",
    f"""INSERT INTO temp.steps SELECT id, message, lower({_text("recipient")}), NULL, 0, {_MARK}, at, ''
    FROM temp.fresh WHERE kind IN ('bounced', 'complained', 'opened', 'clicked', 'unsubscribed')""",
    # Addresses may be those behind an alias.
    """UPDATE temp.steps SET address = coalesce(
    (SELECT r.address FROM recipients r WHERE r.message = steps.message AND r.address = steps.address),
    (SELECT r.address FROM recipients r WHERE r.message = steps.message AND r.address = steps.said),
    (SELECT r.address FROM recipients r WHERE r.message = steps.message AND r.final = steps.said),
    (SELECT r.address FROM temp.steps o JOIN recipients r ON r.message = o.message AND r.address = o.address
        WHERE o.message = steps.message AND o.said = steps.said AND o.payload <> ''),
    (SELECT min(r.address) FROM recipients r WHERE r.message = steps.message HAVING count(*) = 1))""",
    "DELETE FROM temp.steps WHERE address IS NULL OR (delivery = 0 AND marks = 0)",
)
_TOUCHED = (
    "INSERT INTO temp.deltas SELECT r.message, r.delivery, r.marks, {} FROM"
    " (SELECT DISTINCT message, address FROM temp.steps) t"
    " JOIN recipients r ON r.message = t.message AND r.address = t.address"
)
#: What an attempt tells; an operation does not, and leaves what there was.
_SAID = {
    "attempts": f"max(attempts, CAST(ifnull({_value('attempt')}, 0) AS INTEGER))",
    "due": f"ifnull({_value('next_attempt')}, 0)",
    "code": f"ifnull({_value('code')}, 0)",
    "enhanced": _text("enhanced"),
    "reply": _text("reply"),
    "host": _text("host"),
    "bounce_class": _text("bounce_class"),
    "final": "said",
}
_DELIVERY = f"""UPDATE recipients SET delivery = n.delivery, at = n.at_,
    {", ".join(f"{name} = iif(payload = '', {name}, {what})" for name, what in _SAID.items())}
    FROM (SELECT message AS message_, address AS address_, delivery, at AS at_, said, payload, max(id)
        FROM temp.steps WHERE delivery GROUP BY message, address) n
    WHERE recipients.message = n.message_ AND recipients.address = n.address_"""
_BITS = " | ".join(f"max(marks & {bit})" for bit in s.MARKS.values() if bit != s.HAS_UNSUBSCRIBED)
_MARKS = f"""UPDATE recipients SET marks = recipients.marks | n.marks, at = max(recipients.at, n.at)
    FROM (SELECT message, address, {_BITS} AS marks, max(at) AS at FROM temp.steps WHERE marks
        GROUP BY message, address) n
    WHERE recipients.message = n.message AND recipients.address = n.address"""
#: Whoever unsubscribes may come back: what was last counts, whichever worker heard of it.
_TURNS = f"""UPDATE recipients SET turned = n.at, at = max(recipients.at, n.at),
    marks = (recipients.marks & ~{s.HAS_UNSUBSCRIBED}) | (n.marks & {s.HAS_UNSUBSCRIBED})
    FROM (SELECT message, address, marks, max(at) AS at FROM temp.steps
        WHERE marks & {s.HAS_UNSUBSCRIBED | s.CAME_BACK} GROUP BY message, address) n
    WHERE recipients.message = n.message AND recipients.address = n.address AND n.at >= recipients.turned"""
# In this order: SQLite would go through all labels, to have them sorted.
_COUNT = """INSERT INTO counts
    SELECT l.tenant, l.sort, l.name, CAST(m.at / 86400 AS INTEGER), d.delivery, d.marks, sum(d.number)
    FROM temp.deltas d CROSS JOIN labels l ON l.message = d.message CROSS JOIN messages m ON m.id = d.message
    WHERE true GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(d.number) <> 0
    ON CONFLICT DO UPDATE SET number = number + excluded.number"""

_OLD = "SELECT id FROM messages WHERE id < :before ORDER BY id LIMIT :some"


def fold(base: sqlite3.Connection, shard: int, after: int, upto: int) -> int:
    """Read events of the attached database ``journal`` into the index, in the transaction under way.

    :param shard: whose messages the index has.
    :param after: the event behind which to begin.
    :param upto: the last one.
    :return: how many events counted.
    """
    for table in ("fresh", "steps", "deltas"):
        base.execute(f"DELETE FROM temp.{table}")
    found = base.execute(_FRESH, {"after": after, "upto": upto, "shard": shard}).rowcount
    if not found:
        return 0
    if base.execute("SELECT EXISTS (SELECT 1 FROM temp.fresh WHERE kind = 'received')").fetchone()[0]:
        for statement in (_TENANTS, _MESSAGES, _SUBJECTS, *_LABELS, _RECIPIENTS, _BORN):
            base.execute(statement)
    base.execute(_OTHERS)
    if base.execute("SELECT EXISTS (SELECT 1 FROM temp.fresh)").fetchone()[0]:
        for statement in (*_LEFT_OUT, *_STEPS):
            base.execute(statement)
        base.execute(_TOUCHED.format(-1))
        base.execute(_DELIVERY)
        base.execute(_MARKS)
        base.execute(_TURNS)
        base.execute(_TOUCHED.format(1))
    base.execute(_COUNT)
    return found


def forget(base: sqlite3.Connection, before: int, some: int = 500) -> int:
    """Drop some messages whose number is below one, in the transaction under way; answers how many."""
    values = {"before": before, "some": some}
    base.execute("DELETE FROM temp.deltas")
    base.execute(
        "INSERT INTO temp.deltas SELECT message, delivery, marks, -1 FROM recipients"
        f" WHERE message IN ({_OLD})",
        values,
    )
    base.execute(_COUNT)
    base.execute(
        "INSERT INTO subjects (subjects, rowid, owner, subject) SELECT 'delete', id, 't' || tenant, subject"
        f" FROM messages WHERE id IN ({_OLD}) AND subject <> ''",
        values,
    )
    base.execute(f"DELETE FROM recipients WHERE message IN ({_OLD})", values)
    base.execute(f"DELETE FROM labels WHERE message IN ({_OLD})", values)
    gone = base.execute(f"DELETE FROM messages WHERE id IN ({_OLD})", values).rowcount
    base.execute("DELETE FROM counts WHERE number = 0")
    return gone
