"""Who sends in our name, and whether it passes: the DMARC reports of others, added up; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from mta.model.event_report import DmarcReportReceived


@dataclass(slots=True)
class Source:
    """What came from one address in the name of one domain.

    :ivar domain: in From.
    :ivar source: IP address.
    :ivar passed: messages that pass DMARC.
    :ivar failed: messages that do not.
    :ivar dkim: how many are aligned by DKIM.
    :ivar spf: how many are aligned by SPF.
    :ivar dispositions: what became of them.
    :ivar identities: domains that SPF or DKIM did authenticate, with the method: whose server it may be.
    :ivar reasons: why a policy was not followed.
    :ivar reporters: who tells of them.
    """

    domain: str
    source: str
    passed: int = 0
    failed: int = 0
    dkim: int = 0
    spf: int = 0
    dispositions: Counter[str] = field(default_factory=Counter)
    identities: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    reporters: Counter[str] = field(default_factory=Counter)

    @property
    def messages(self) -> int:
        """How many there are."""
        return self.passed + self.failed

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        facts = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**facts, "messages": self.messages}

    def add(self, row: dict[str, Any], by: str) -> None:
        """Count a row of a report."""
        count = int(row.get("count", 0))
        dkim, spf = bool(row.get("dkim")), bool(row.get("spf"))
        self.passed += count * (dkim or spf)
        self.failed += count * (not dkim and not spf)
        self.dkim += count * dkim
        self.spf += count * spf
        self.dispositions[str(row.get("disposition", "none"))] += count
        self.reporters[by] += count
        for method, results in (("dkim", row.get("signatures", ())), ("spf", row.get("senders", ()))):
            found = {str(one.get("domain", "")) for one in results if one.get("result") == "pass"}
            for name in found:
                self.identities[f"{method}={name}"] += count
        for reason in row.get("reasons", ()):
            self.reasons[str(reason.get("type", ""))] += count


def sources(events: Iterable[DmarcReportReceived], domain: str = "", failed: bool = False) -> list[Source]:
    """By domain and address, those of which most fails first.

    A report that came twice counts once.

    :param domain: only this one and those below it.
    :param failed: only those of which something fails.
    """
    seen: set[tuple[str, str, str]] = set()
    found: dict[tuple[str, str], Source] = {}
    for event in events:
        key = (event.organization, event.report, event.domain)
        if key in seen:
            continue
        seen.add(key)
        for row in event.rows:
            author = str(row.get("author", "")) or event.domain
            if domain and not f".{author}".endswith(f".{domain}"):
                continue
            where = (author, str(row.get("source", "")))
            found.setdefault(where, Source(*where)).add(row, event.organization)
    chosen = [one for one in found.values() if one.failed or not failed]
    return sorted(chosen, key=lambda one: (-one.failed, -one.messages, one.domain, one.source))
