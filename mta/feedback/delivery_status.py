"""Reads delivery status notifications (RFC 3464, and RFC 6533 for addresses that are not ASCII); pure."""

from __future__ import annotations

import re
from email.message import Message

from mta.feedback.mime import address, blocks, content, parts, typed, words
from mta.feedback.report import Action, RecipientReport

_KINDS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_ACTIONS: tuple[tuple[str, Action], ...] = (
    ("fail", "failed"),
    # OpenSMTPD.
    ("error", "failed"),
    ("delay", "delayed"),
    ("deliver", "delivered"),
    ("relay", "relayed"),
    ("expand", "expanded"),
)
_BY_CLASS: dict[str, Action] = {"5": "failed", "4": "delayed", "2": "delivered"}
#: Recipients of one report at the most.
_MOST = 1000


def delivery_status(message: Message[str, str]) -> list[RecipientReport]:
    """What a notification says of each recipient; empty if it is none."""
    found: dict[RecipientReport, None] = {}
    for part in parts(message):
        if part.get_content_type() not in _KINDS:
            continue
        reporter = ""
        for block in blocks(content(part)):
            if "final-recipient" not in block and "original-recipient" not in block:
                reporter = reporter or typed(block.get("reporting-mta"), 255)
                continue
            # Some servers put the fields of the message and of a recipient into one group.
            reporter = reporter or typed(block.get("reporting-mta"), 255)
            report = _recipient(block, reporter)
            if report is not None:
                found[report] = None
            if len(found) >= _MOST:
                break
    return list(found)[:_MOST]


def status_in(text: str) -> str:
    """The first enhanced status code in a text, without leading zeros; ``""`` if there is none."""
    match = _STATUS.search(text)
    return f"{match[1]}.{int(match[2])}.{int(match[3])}" if match else ""


def _recipient(block: Message[str, str], reporter: str) -> RecipientReport | None:
    final = address(block.get("final-recipient"))
    original = address(block.get("original-recipient"))
    if not final and not original:
        return None
    diagnostic = typed(block.get("diagnostic-code"))
    status = status_in(words(block.get("status")))
    action = _action(words(block.get("action")).lower(), status)
    if action is None:
        return None
    if status[1:] in ("", ".0.0"):
        # The words often tell more than a status that says nothing; of another class they tell of
        # something else.
        other = status_in(diagnostic)
        status = other if other and other[0] == (status or other)[0] else status
    host = typed(block.get("remote-mta"), 255) or reporter
    return RecipientReport(final or original, original, action, status, diagnostic, host)


def _action(text: str, status: str) -> Action | None:
    for beginning, action in _ACTIONS:
        if text.startswith(beginning):
            return action
    return None if text else _BY_CLASS.get(status[:1])
