"""What a person, or a program, is told; pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from mta.alert.rule import Rule
from mta.journal.words import evidence_lines, iso_time, printable

_HEADS = {
    "raised": "ALERT",
    "reminded": "STILL",
    "recovered": "OVER",
    "tested": "TEST",
}


def subject(rule: Rule, action: str, hostname: str) -> str:
    """The subject of a mail: what begins it can be sorted by."""
    return printable(f"[{_HEADS[action]}] {rule.settings.name}: {rule.found} ({hostname})")


def text(rule: Rule, action: str, hostname: str, now: float) -> str:
    """The text of a mail."""
    begun = {
        "raised": "This has begun:",
        "reminded": f"This has lasted since {iso_time(rule.standing.since)}:",
        "recovered": "This is over:",
        "tested": "Nothing has happened: somebody tries out whether this arrives.  It would be about this:",
    }[action]
    lines = [
        begun,
        "",
        f"  rule:      {rule.settings.name}",
        f"  raised by: {rule.threshold}",
        f"  now:       {rule.found}",
        f"  server:    {hostname}",
        f"  time:      {iso_time(now)}",
    ]
    # Strangers wrote some of it.
    lines += [f"  {printable(line)}" for line in evidence_lines(rule.evidence)]
    lines += ["", *_remedy(rule), ""]
    return "\n".join(lines)


def _remedy(rule: Rule) -> list[str]:
    match rule.settings.subject:
        case "event" if rule.settings.event == "campaign" and rule.settings.rule == "halted":
            return [
                "It goes on when a person says so: look why with `mta campaign show NAME`, mend that, then"
                " `mta campaign resume NAME`, or `mta campaign stop NAME`."
            ]
        case "event":
            return [f"`mta log --kind {rule.settings.event}` shows them; `mta why ADDRESS` tells of one."]
        case "statistic":
            remedy = rule.finding.remedy if rule.finding else ""
            return [
                *([remedy] if remedy else []),
                f"`mta stats --since 7d --plot {rule.settings.statistic}` draws it; "
                "`mta log --kind failed` and `mta log --kind deferred` show what other servers say.",
            ]
        case "certificate":
            return ["Renew it where it comes from; the server uses the new one within a minute."]
        case "disk":
            return ["While there is no room no mail is taken.  `mta status` tells what waits."]
        case _:
            return [
                "`mta queue summary --by domain` tells where it is to go, and `mta status` what keeps it."
            ]


def body(rule: Rule, action: str, hostname: str, now: float) -> bytes:
    """What is posted to a webhook."""
    facts: dict[str, Any] = {
        "type": f"alert.{action}",
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "data": {
            "rule": rule.settings.name,
            "about": rule.settings.subject,
            "raised_by": rule.threshold,
            "found": rule.found,
            "value": rule.value,
            "since": rule.standing.since or None,
            "host": hostname,
            "evidence": rule.evidence,
        },
    }
    return json.dumps(facts, ensure_ascii=False).encode()
