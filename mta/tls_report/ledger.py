"""The counts of TLS sessions: those of the journal, by day, domain, policy, and how they ended."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mta.daily_report.ledger import Ledger, day_of
from mta.model.event import Event, TlsSession

_KEY = "day, domain, policy, strings, patterns, result, sending, receiving, host, helo, reason"


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions that ended in the same way under the same policy.

    :ivar policy: its type; the other fields are those of :class:`~mta.model.tls_result.TlsResult`.
    """

    policy: str
    strings: tuple[str, ...]
    patterns: tuple[str, ...]
    result: str
    sending: str
    receiving: str
    host: str
    helo: str
    reason: str
    count: int


class TlsLedger(Ledger):
    """See the module."""

    kinds = (TlsSession.kind,)
    table = "sessions"
    schema = """
CREATE TABLE IF NOT EXISTS sessions (
    day TEXT NOT NULL, domain TEXT NOT NULL, policy TEXT NOT NULL, strings TEXT NOT NULL,
    patterns TEXT NOT NULL, result TEXT NOT NULL, sending TEXT NOT NULL, receiving TEXT NOT NULL,
    host TEXT NOT NULL, helo TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (day, domain, policy, strings, patterns, result, sending, receiving, host, helo, reason)
) WITHOUT ROWID;
"""

    def add(self, base: sqlite3.Connection, events: Iterable[Event]) -> None:
        """See :class:`~mta.daily_report.ledger.Ledger`."""
        found: Counter[tuple[str, ...]] = Counter()
        for event in events:
            if not isinstance(event, TlsSession):
                continue
            # The DNS gives TLSA records in any order; the lines of an MTA-STS policy have theirs.
            strings = sorted(event.strings) if event.policy == "tlsa" else event.strings
            policy = (event.policy, json.dumps(strings), json.dumps(event.patterns))
            # Of a session that went well nobody is told which one it was.
            details = ("", "", "", "", "")
            if event.result != "success":
                details = (event.sending, event.receiving, event.host, event.helo, event.reason)
            found[(day_of(event.at), event.domain.lower(), *policy, event.result, *details)] += 1
        base.executemany(
            f"INSERT INTO sessions ({_KEY}, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
            f" ON CONFLICT ({_KEY}) DO UPDATE SET count = count + excluded.count",
            [(*key, count) for key, count in found.items()],
        )

    def sessions(self, day: str, domain: str) -> list[Sessions]:
        """What became of the sessions of a day for a domain."""
        with self.reading() as base:
            rows = base.execute(
                "SELECT policy, strings, patterns, result, sending, receiving, host, helo, reason, count"
                " FROM sessions WHERE day = ? AND domain = ?",
                (day, domain),
            ).fetchall()
        return [
            Sessions(policy, tuple(json.loads(strings)), tuple(json.loads(patterns)), *rest)
            for policy, strings, patterns, *rest in rows
        ]

    def totals(self, day: str = "") -> list[tuple[str, str, str, str, int]]:
        """Day, domain, policy, result and how many: of one day, or all."""
        with self.reading() as base:
            return base.execute(
                "SELECT day, domain, policy, result, sum(count) FROM sessions WHERE ?1 IN ('', day)"
                " GROUP BY day, domain, policy, result ORDER BY day, domain, policy, result",
                (day,),
            ).fetchall()
