"""Suppression lists as files: CSV with a heading, NDJSON, or one address in a line; pure.

The exports of others are read as they are: columns may have the names that SendGrid, Postmark and
Mailgun give them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from mta.registry.suppressions import REASONS, Suppression, checked_address

#: Media types, by the name of the format.
FORMATS = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
_COLUMNS = ("address", "reason", "list", "created", "evidence")
#: How others call the columns.
_NAMES = {
    "email": "address",
    "emailaddress": "address",
    "email_address": "address",
    "recipient": "address",
    "suppressionreason": "reason",
    "type": "reason",
    "createdat": "created",
    "created_at": "created",
    "date": "created",
    "list_name": "list",
    "note": "note",
}
#: And the reasons.
_WORDS = {
    "hardbounce": "bounce",
    "hard_bounce": "bounce",
    "bounces": "bounce",
    "blocks": "bounce",
    "invalid_email": "bounce",
    "spamcomplaint": "complaint",
    "spam_complaint": "complaint",
    "spam_report": "complaint",
    "spam_reports": "complaint",
    "complaints": "complaint",
    "unsubscribes": "unsubscribe",
    "unsubscribed": "unsubscribe",
    "manualsuppression": "manual",
    "": "manual",
}
#: Problems that are told.
MOST_PROBLEMS = 100
#: Times like Mailgun's: "Fri, 21 Oct 2011 11:02:55 GMT".
_RFC_DATE = "%a, %d %b %Y %H:%M:%S %Z"


class Problem(ValueError):
    """A line cannot be used."""


#: What a spreadsheet takes for a formula (CWE-1236).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def read(
    text: str, now: float, reason: str = "manual"
) -> tuple[list[Suppression], list[tuple[int, str]], int]:
    """Read a list.

    :param now: when those were made of which it is not told.
    :param reason: of those of which it is not told.
    :return: entries; numbers of lines that cannot be used, with why, and how many those are.
    """
    text = text.removeprefix("\ufeff")
    rows = _objects(text) if text.lstrip().startswith("{") else _table(text)
    found: list[Suppression] = []
    problems: list[tuple[int, str]] = []
    count = 0
    for number, row in rows:
        try:
            if isinstance(row, str):
                raise Problem(row)
            found.append(_entry(row, now, reason))
        except ValueError as error:
            count += 1
            if len(problems) < MOST_PROBLEMS:
                problems.append((number, str(error)))
    return found, problems, count


def _objects(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "it is no JSON object"
            continue
        yield number, _named(value) if isinstance(value, dict) else "it is no JSON object"


def _table(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    heading: list[str] | None = None
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, f"it is no CSV: {error}"
            continue
        if not any(cell.strip() for cell in row):
            continue
        if heading is None:
            heading = [_NAMES.get(name, name) for name in (cell.strip().lower() for cell in row)]
            if "address" in heading:
                continue
            # Without a heading it is a list of addresses, with a reason perhaps.
            heading = ["address", "reason"]
        yield reader.line_num, dict(zip(heading, map(_read, row), strict=False))


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return {_NAMES.get(name.lower(), name.lower()): value for name, value in row.items()}


def _entry(row: dict[str, Any], now: float, reason: str) -> Suppression:
    said = row.get("reason")
    word = str(said if said else reason).strip().lower()
    word = _WORDS.get(word, word)
    if word not in REASONS:
        raise Problem(f"{word[:100]!r} is no reason: {', '.join(REASONS)}")
    evidence = row.get("evidence") or {}
    if isinstance(evidence, str):
        try:
            evidence = json.loads(evidence)
        except (ValueError, RecursionError):
            evidence = {"note": evidence}
    if not isinstance(evidence, dict):
        raise Problem("evidence is a JSON object")
    note = row.get("note") or (
        said if isinstance(said, str) and said.lower() not in (*REASONS, *_WORDS) else ""
    )
    if note:
        evidence = {**evidence, "note": str(note)}
    mailing = str(row.get("list") or "").strip()
    if len(mailing) > 200:
        raise Problem("the name of a list has at most 200 characters")
    return Suppression(
        checked_address(str(row.get("address") or "")),
        word,
        mailing,
        _time(row.get("created"), now),
        evidence,
    )


def _time(value: Any, now: float) -> float:
    if value in (None, ""):
        return now
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    else:
        text = str(value).strip()
        if text.replace(".", "", 1).isdigit() and len(text) < 20:
            found = float(text)
        else:
            try:
                at = datetime.fromisoformat(text)
            except ValueError:
                try:
                    at = datetime.strptime(text.replace("UTC", "GMT"), _RFC_DATE)
                except ValueError:
                    raise Problem(f"{text[:100]!r} is no time, such as 2027-01-31T08:00:00Z") from None
            found = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if not 0 <= found < 1e11:
        raise Problem(f"{found:.0f} is no time in seconds since 1970")
    return found


def heading(form: str) -> str:
    """What stands above all entries of an export."""
    return ",".join(_COLUMNS) + "\r\n" if form == "csv" else ""


def written(entries: Iterable[Suppression], form: str) -> str:
    """Entries of an export.

    :param form: of :data:`FORMATS`.
    """
    rows = [
        {
            "address": one.address,
            "reason": one.reason,
            "list": one.list,
            "created": datetime.fromtimestamp(one.created, UTC).isoformat(timespec="seconds"),
            "evidence": dict(one.evidence),
        }
        for one in entries
    ]
    if form == "ndjson":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        cells = [row[name] for name in _COLUMNS[:-1]]
        evidence = json.dumps(row["evidence"]) if row["evidence"] else ""
        writer.writerow([_harmless(str(cell)) for cell in (*cells, evidence)])
    return out.getvalue()


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet computes: an address may begin like a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _read(cell: str) -> str:
    """A cell as it was before :func:`_harmless`."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell
