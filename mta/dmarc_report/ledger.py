"""The counts of messages whose author's domain has a record with ``rua``: by day, domain and record."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from mta.daily_report.ledger import Ledger, day_of
from mta.dmarc.record import mail_address, parse_record
from mta.model.address import domain_of
from mta.model.dmarc_report import MOST_SIGNATURES, Reason, Row, Sender, Signature
from mta.model.event import Event, Received, Rejected

#: Different rows of a record and day that are told apart: whoever forges mail makes as many as they like.
MOST_ROWS = 20_000


class DmarcLedger(Ledger):
    """See the module."""

    kinds = (Received.kind, Rejected.kind)
    # The record stands in the event as it was published, and only one with "rua" is wanted.
    like = "%rua%"
    table = "rows"
    schema = """
CREATE TABLE IF NOT EXISTS records (
    day TEXT NOT NULL, domain TEXT NOT NULL, variant TEXT NOT NULL, record TEXT NOT NULL,
    rows INTEGER NOT NULL, left_out INTEGER NOT NULL, PRIMARY KEY (day, domain, variant)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    day TEXT NOT NULL, domain TEXT NOT NULL, variant TEXT NOT NULL, row TEXT NOT NULL,
    passes INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (day, domain, variant, row)
) WITHOUT ROWID;
"""

    def add(self, base: sqlite3.Connection, events: Iterable[Event]) -> None:
        """See :class:`~mta.daily_report.ledger.Ledger`."""
        found: Counter[tuple[str, str, str, Row]] = Counter()
        for event in events:
            told = _told(event)
            if told is not None:
                found[day_of(event.at), *told] += 1
        for (day, domain, record, row), count in found.items():
            _count(base, day, domain, record, row, count)

    def forget(self, before: str) -> None:
        """See :class:`~mta.daily_report.ledger.Ledger`."""
        super().forget(before)
        with self.changing() as base:
            base.execute("DELETE FROM records WHERE day < ?", (before,))

    def records(self, day: str, domain: str) -> dict[str, tuple[str, int]]:
        """The records of a domain on a day: for each variant its text, and the messages in no row."""
        with self.reading() as base:
            rows = base.execute(
                "SELECT variant, record, left_out FROM records WHERE day = ? AND domain = ?", (day, domain)
            )
            return {variant: (record, left_out) for variant, record, left_out in rows}

    def rows(self, day: str, domain: str, variant: str, limit: int = MOST_ROWS) -> list[Row]:
        """What was counted under one record, the most frequent first."""
        with self.reading() as base:
            rows = base.execute(
                "SELECT row, count FROM rows WHERE day = ? AND domain = ? AND variant = ?"
                " ORDER BY count DESC, row LIMIT ?",
                (day, domain, variant, limit),
            )
            return [_row(json.loads(row), count) for row, count in rows]

    def totals(self, day: str = "") -> list[tuple[str, str, int, int]]:
        """Day, domain, how many messages pass, and how many fail: of one day, or all."""
        with self.reading() as base:
            return base.execute(
                "SELECT day, domain, sum(count * passes), sum(count * (1 - passes)) FROM rows"
                " WHERE ?1 IN ('', day) GROUP BY day, domain ORDER BY day, domain",
                (day,),
            ).fetchall()


def variant_of(record: str) -> str:
    """By what reports on several records of a day are told apart."""
    return blake2b(record.encode(), digest_size=8).hexdigest()


def _count(base: sqlite3.Connection, day: str, domain: str, record: str, row: Row, count: int) -> None:
    key = (day, domain, variant_of(record))
    base.execute("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, 0, 0)", (*key, record))
    text = json.dumps(astuple(row)[:-1], separators=(",", ":"))
    done = base.execute(
        "UPDATE rows SET count = count + ? WHERE day = ? AND domain = ? AND variant = ? AND row = ?",
        (count, *key, text),
    )
    if done.rowcount:
        return
    (rows,) = base.execute(
        "SELECT rows FROM records WHERE day = ? AND domain = ? AND variant = ?", key
    ).fetchone()
    if rows < MOST_ROWS:
        base.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", (*key, text, row.passes, count))
        what, more = "rows", 1
    else:
        what, more = "left_out", count
    base.execute(
        f"UPDATE records SET {what} = {what} + ? WHERE day = ? AND domain = ? AND variant = ?",  # noqa: S608
        (more, *key),
    )


def _row(facts: list[Any], count: int) -> Row:
    source, disposition, dkim, spf, author, sender, reasons, signatures, senders = facts
    return Row(
        source,
        disposition,
        dkim,
        spf,
        author,
        sender,
        tuple(Reason(*one) for one in reasons),
        tuple(Signature(*one) for one in signatures),
        tuple(Sender(*one) for one in senders),
        count,
    )


# --- from an event to a row ------------------------------------------------------


def _told(event: Event) -> tuple[str, str, Row] | None:
    """The domain, its record, and the row of a message; ``None`` if nobody wants to know."""
    if isinstance(event, Rejected):
        # Whoever is put off comes again, and counts then.
        if event.stage != "data" or event.code < 500:
            return None
    elif not isinstance(event, Received):
        return None
    found = next((one for one in event.authentication if one.get("method") == "dmarc"), {})
    detail = found.get("detail") or {}
    if not event.client or not _is_wanted(detail.get("record", "")):
        return None
    properties = found.get("properties", {})
    author = properties.get("header.from", "")
    row = Row(
        source=event.client,
        disposition=detail.get("disposition", "none"),
        dkim=bool(detail.get("dkim")),
        spf=bool(detail.get("spf")),
        author=author,
        sender=domain_of(event.sender),
        reasons=tuple(Reason(*reason) for reason in detail.get("reasons", ())),
        signatures=tuple(_signatures(event.authentication, author)),
        senders=tuple(_senders(event.authentication))[:1],
    )
    return detail["domain"], detail["record"], row


@lru_cache(1000)
def _is_wanted(record: str) -> bool:
    parsed = parse_record(record.encode("latin-1", "replace")) if record else None
    return parsed is not None and any(mail_address(uri) for uri in parsed.aggregate)


def _signatures(results: Iterable[dict[str, Any]], author: str) -> list[Signature]:
    """The signatures, those that say most about the author first (RFC 9990, 2.1.3)."""
    found = []
    for one in results:
        properties = one.get("properties", {})
        if one.get("method") != "dkim" or "header.d" not in properties:
            continue
        domain, selector = properties["header.d"].lower(), properties.get("header.s", "")
        found.append(Signature(domain, selector, one["result"], one.get("reason", "")[:200]))

    def order(one: Signature) -> int:
        if one.result != "pass":
            return 3
        return 0 if one.domain == author else 1 if _are_near(one.domain, author) else 2

    return sorted(dict.fromkeys(found), key=order)[:MOST_SIGNATURES]


def _are_near(domain: str, other: str) -> bool:
    return f".{domain}".endswith(f".{other}") or f".{other}".endswith(f".{domain}")


def _senders(results: Iterable[dict[str, Any]]) -> Iterator[Sender]:
    """What SPF says of MAIL; HELO alone does not count."""
    for one in results:
        properties = one.get("properties", {})
        if one.get("method") == "spf" and "smtp.mailfrom" in properties:
            domain = properties["smtp.mailfrom"].rpartition("@")[2].lower()
            yield Sender(domain, one["result"], one.get("reason", "")[:200])
