"""A sequence drawn as a flow of text: for a terminal, a page, a diff."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mta.model.waiting import in_words
from mta.sequence.condition import OUTCOMES
from mta.sequence.definition import (
    AddToList,
    AnyStep,
    Assign,
    Branch,
    Definition,
    Exit,
    Notify,
    RemoveFromList,
    Send,
    Trigger,
    WaitFor,
    WaitUntil,
    Webhook,
)


def drawn(definition: Definition, counts: Mapping[str, int] | None = None) -> list[str]:
    """The lines of the drawing.

    :param counts: how many contacts are at each step now.
    """
    here = counts or {}
    lines = [f"▷ {words}" for words in _entries(definition)]
    lines += [
        f"◁ leaves{' (goal)' if one.goal else ''}: {condition_words(one.when)}" for one in definition.exits
    ]
    if definition.quiet is not None:
        zone = definition.quiet.zone
        where = "where the contact is" if zone == "contact" else zone
        lines.append(f"☾ nothing is sent from {definition.quiet.begin} to {definition.quiet.until}, {where}")
    if definition.cap is not None:
        lines.append(
            f"≤ {definition.cap.messages} messages in {in_words(definition.cap.within)}; "
            f"one more {'waits' if definition.cap.over == 'wait' else 'is not sent'}"
        )
    lines.append("│")
    for number, one in enumerate(definition.steps):
        count = here.get(one.id, 0)
        stands = f"   [{count} here]" if count else ""
        lines.append(f"● {one.id}: {step_words(one)}{stands}")
        below = definition.steps[number + 1].id if number + 1 < len(definition.steps) else ""
        ways = list(_ways(definition, one))
        falls = any(target == below for _, target in ways) and not isinstance(one, Exit)
        for word, target in ways:
            if target == below and (word == "" or below):
                if word:
                    lines.append(f"├─ {word} ↓")
                continue
            arrow = f"{word} " if word else ""
            lines.append(f"├─ {arrow}→ {target or 'end'}")
        if below:
            lines.append("│" if falls else "")
    if not isinstance(definition.steps[-1], Exit):
        lines.append("◼ end")
    return lines


def _entries(definition: Definition) -> Iterator[str]:
    for one in definition.triggers:
        yield trigger_words(one)
    if not definition.triggers:
        yield "by request only"
    yield {
        "never": "never a second time",
        "after_end": "again, when it has ended",
        "always": "again, each time",
    }[definition.reentry]


def trigger_words(one: Trigger) -> str:
    """What lets a contact in."""
    if one.event:
        where = f" where {_where(one.where)}" if one.where else ""
        return f"event {one.event}{where}"
    if one.list:
        return f"joins list {one.list}"
    return f"comes into segment {one.segment}" + (", or is in it at the beginning" if one.existing else "")


def step_words(one: AnyStep) -> str:
    """What a step does."""
    match one:
        case Send():
            return f"send {one.template}"
        case Notify():
            by = "the channel of the contact" if one.channel == "contact" else one.channel
            return f"notify by {by}: {one.template}"
        case WaitFor():
            return f"wait {in_words(one.span)}"
        case WaitUntil() if one.when is not None:
            most = f", {in_words(one.timeout)} at the most" if one.timeout is not None else ""
            return f"wait until {condition_words(one.when)}{most}"
        case WaitUntil():
            where = "where the contact is" if one.zone == "contact" else one.zone
            return f"wait until {' '.join([one.time or '', ', '.join(one.days)]).strip()}, {where}"
        case Branch():
            return f"if {condition_words(one.when)}"
        case Webhook():
            return f"post to {one.endpoint or one.url}"
        case Assign():
            return "set " + ", ".join(
                f"{name} = {json.dumps(value)}" for name, value in one.attributes.items()
            )
        case AddToList():
            return f"add to list {one.list}"
        case RemoveFromList():
            return f"take off list {one.list}"
        case Exit():
            return "leave" + (" (goal)" if one.goal else "") + (f": {one.reason}" if one.reason else "")


def condition_words(data: Mapping[str, Any] | None) -> str:
    """A condition, for a person."""
    if not data:
        return "nothing"
    for joint, word in (("all", " and "), ("any", " or ")):
        if joint in data:
            return "(" + word.join(condition_words(one) for one in data[joint]) + ")"
    if "not" in data:
        return f"not {condition_words(data['not'])}"
    for outcome in OUTCOMES:
        if outcome in data:
            return f"{data[outcome]} was {'complained of' if outcome == 'complained' else outcome}"
    if "event" in data and set(data) <= {"event", "where", "at_least"}:
        where = f" where {_where(data['where'])}" if data.get("where") else ""
        times = f" {data['at_least']} times" if data.get("at_least", 1) > 1 else ""
        return f"event {data['event']}{where}{times}"
    return ", ".join(f"{name} {_value(value)}" for name, value in data.items())


def _where(where: Mapping[str, Any]) -> str:
    found = []
    for name, wanted in where.items():
        comparisons = wanted if isinstance(wanted, Mapping) else {"is": wanted}
        found += [f"{name} {word} {_value(value)}" for word, value in comparisons.items()]
    return " and ".join(found)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _ways(definition: Definition, one: AnyStep) -> Iterator[tuple[str, str]]:
    if isinstance(one, Exit):
        return
    if isinstance(one, Branch) or (isinstance(one, WaitUntil) and one.when is not None):
        yield "yes", definition.after(one, one.then)
        yield "no" if isinstance(one, Branch) else "too late", definition.after(one, one.otherwise)
    else:
        yield "", definition.after(one)
