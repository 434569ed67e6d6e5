"""Numbers about the running server, one column for each worker, and the sites it is busy with."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from mta.cli.context import Context
from mta.journal.words import duration, local_time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Print them."""
    from mta.cli.control import ask

    answers = ask(context, "GET", "/v1/status")
    if context.out.as_json:
        context.out.json(answers)
        return os.EX_OK
    columns = [dict(_flat(answer)) for answer in answers]
    names = dict.fromkeys(name for column in columns for name in column)
    headings = ["", *(f"worker {number}" for number in range(len(columns)))]
    rows = [
        (name, *(_cell(column.get(name, "")) for column in columns))
        for name in names
        # Of what concerns security, what has not happened is no news.
        if not name.startswith("security.") or any(column.get(name) for column in columns)
    ]
    context.out.table(headings, rows, right=headings[1:])
    suspensions = answers[0].get("queue", {}).get("suspensions", [])
    if suspensions:
        now = time.time()
        context.out.line()
        context.out.table(
            ("suspended", "by", "since", "ends", "reason"),
            [
                (
                    one["pattern"],
                    one["by"],
                    local_time(one["since"]),
                    f"in {duration(max(0.0, one['until'] - now))}" if one["until"] else "",
                    one["reason"],
                )
                for one in suspensions
            ],
        )
    sites = [_site(site, time.time()) for answer in answers for site in _destinations(answer)]
    if sites:
        context.out.line()
        titles = ("site", "by", "waiting", "in flight", "at most", "rests", "last trouble")
        context.out.table(titles, sites, right=("waiting", "in flight", "at most"))
    return os.EX_OK


def _destinations(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.get("queue", {}).get("destinations", [])
    return found


def _site(site: dict[str, Any], now: float) -> tuple[Any, ...]:
    hosts = site["site"].split(", ")
    name = site["next_hop"] or "-"
    if len(hosts) > 1 or hosts[0] not in ("", name):
        name = hosts[0] + (f" and {len(hosts) - 1} more" if len(hosts) > 1 else "")
    if site.get("source"):
        name += f" from {site['source']}"
    until = site["rests_until"] or site.get("spent_until")
    rests = duration(max(0.0, until - now)) if until else ""
    trouble = site["last_trouble"]
    rule = site.get("automation")
    if rule:
        left = duration(max(0.0, rule["until"] - now))
        trouble = f"{rule['action']} by rule {rule['rule']} for {left}: {trouble}"
    return (
        name,
        site["transport"],
        site["waiting"],
        site["in_flight"],
        site["in_flight_limit"],
        rests,
        trouble if len(trouble) <= 80 else trouble[:79] + "…",
    )


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """``{"a": {"b": 1}}`` as ``("a.b", 1)``."""
    found: list[tuple[str, Any]] = []
    for name, item in value.items():
        if isinstance(item, dict):
            found += _flat(item, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", item))
    return found


def _cell(value: Any) -> Any:
    """A list in a line is read by nobody: its length, and the rest with ``--json``."""
    return len(value) if isinstance(value, list) else "" if value is None else value
