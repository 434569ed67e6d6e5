"""From TOML, JSON or JSON values to a definition; each mistake has its place and a remedy."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from mta.config.locations import Locations
from mta.config.problem import ConfigurationError, Problem, nearest
from mta.sequence import condition
from mta.sequence.definition import (
    STEPS,
    Branch,
    Cap,
    Definition,
    Exit,
    Leave,
    Notify,
    Quiet,
    Send,
    Trigger,
    WaitUntil,
    Webhook,
    targets,
)

#: Octets of a definition as it is kept.
LARGEST = 256 * 1024
Place = tuple[str | int, ...]
#: Checks a condition of segments; raises ``ValueError``.
Foreign = Callable[[Mapping[str, Any]], None]

_TABLES = {"triggers": Trigger, "exits": Leave, "quiet": Quiet, "cap": Cap}


def read(text: str, file: str, foreign: Foreign, form: str = "") -> Definition:
    """A definition out of a file.

    :param file: its path, for messages.
    :param foreign: checks conditions of segments.
    :param form: ``toml`` or ``json``; ``""``: as the text looks.
    :raise ConfigurationError: with everything that is wrong.
    """
    form = form or ("json" if text.lstrip()[:1] == "{" else "toml")
    try:
        data = json.loads(text) if form == "json" else tomllib.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            [Problem(file, error.lineno, "", f"this is no JSON: {error.msg}, column {error.colno}")]
        ) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        words, line = str(error), 0
        if "at line " in words:
            line = int(words.partition("at line ")[2].partition(",")[0])
        raise ConfigurationError([Problem(file, line, "", f"this is no TOML: {words}")]) from None
    if not isinstance(data, dict):
        raise ConfigurationError([Problem(file, 1, "", "this is no table", "write { ... }")])
    locations = Locations(text) if form == "toml" else Locations()
    return checked(data, foreign, file, locations)


def checked(
    data: Mapping[str, Any], foreign: Foreign, file: str = "", locations: Locations | None = None
) -> Definition:
    """A definition of JSON values.

    :raise ConfigurationError: with everything that is wrong.
    """
    where = locations or Locations()
    try:
        definition = Definition.model_validate(data)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        # A list of which every entry is wrong is not too short as well.
        said = [one for one in errors if one["type"] != "too_short" or not one["input"]]
        found = [_told(one, data) for one in said or errors]
    except RecursionError:
        found = [((), "it is nested too deep", "")]
    else:
        found = list(_wrong(definition, foreign))
        if len(json.dumps(definition.to_json())) > LARGEST:
            found.append(((), f"it has more than {LARGEST // 1024} KiB", "move texts into templates"))
    if not found:
        return definition
    problems = {}
    for place, what, remedy in reversed(found):
        key = _named(place, data)
        problems[key] = Problem(file, where.line(place), key, what, remedy)
    raise ConfigurationError(sorted(problems.values(), key=lambda one: (one.line, one.key)))


def _named(place: Place, data: Mapping[str, Any]) -> str:
    """A place in words: the step by its id, where it has one."""
    key = ""
    for part in place:
        key += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if key else str(part)
    if len(place) >= 2 and place[0] == "steps" and isinstance(place[1], int):
        try:
            name = data["steps"][place[1]]["id"]
        except (KeyError, IndexError, TypeError):
            return key
        if isinstance(name, str):
            return f"{key} ({name:.64})"
    return key


def _told(error: Any, data: Mapping[str, Any]) -> tuple[Place, str, str]:
    """What pydantic says, without the tags of the kinds of steps in its place."""
    loc: list[str | int] = list(error["loc"])
    kind = ""
    if len(loc) >= 3 and loc[0] == "steps" and loc[2] in STEPS:
        kind = str(loc.pop(2))
    place, last, value = tuple(loc), str(loc[-1]) if loc else "", error.get("input")
    match error["type"]:
        case "extra_forbidden":
            known = _keys(place, kind)
            guess = nearest(last, known)
            return (
                place,
                "unknown key",
                f"did you mean {guess!r}?" if guess else f"known here: {_listed(known)}",
            )
        case "missing":
            return place[:-1] if place else place, f"{last} is missing", f"add {last} = ..."
        case "too_short":
            return (
                place,
                "there is nothing in it",
                f"add [[{last}]]" if isinstance(value, list) else "add something",
            )
        case "union_tag_not_found":
            return place, "it is not said what this step does", f'add do = "send", or one of {_listed(STEPS)}'
        case "union_tag_invalid":
            word = value.get("do") if isinstance(value, dict) else value
            guess = nearest(str(word), STEPS)
            remedy = f"did you mean {guess!r}?" if guess else f"one of {_listed(STEPS)}"
            return (*place, "do"), f"there is no such step: {word!r:.80}", remedy
    what = error["msg"].removeprefix("Value error, ").replace("Input should be", "it is")
    if isinstance(value, str | int | float | bool) and repr(value) not in what:
        what += f" (it is {value!r:.80})"
    return place, what[:1].lower() + what[1:], ""


def _keys(place: Place, kind: str) -> list[str]:
    if kind:
        model: Any = STEPS[kind]
    else:
        model = _TABLES.get(str(place[0]), Definition) if len(place) > 1 else Definition
    return [field.alias or name for name, field in model.model_fields.items()]


def _listed(words: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(words)


def _wrong(definition: Definition, foreign: Foreign) -> Iterator[tuple[Place, str, str]]:
    """What the models cannot see."""
    steps = definition.steps
    senders = {one.id for one in steps if isinstance(one, Send | Notify)}
    first: dict[str, int] = {}
    for number, one in enumerate(steps):
        if one.id in first:
            yield (
                ("steps", number, "id"),
                f"{one.id} is the name of step {first[one.id] + 1}, too",
                "give each its own",
            )
        first.setdefault(one.id, number)
    for number, one in enumerate(steps):
        place: Place = ("steps", number)
        for key, target in targets(one):
            if not target:
                continue
            there = first.get(target)
            if there is None:
                guess = nearest(target, first)
                remedy = f"did you mean {guess!r}?" if guess else f"there are {', '.join(first)}"
                yield (*place, key), f"there is no step {target!r}", remedy
            elif there <= number:
                yield (
                    (*place, key),
                    f"{target!r} does not stand below",
                    'steps lead forward only; to begin again, there is reentry = "after_end"',
                )
        if isinstance(one, Exit) and one.next:
            yield (*place, "next"), "nothing follows an exit", "leave it out"
        if isinstance(one, Send | Notify) and not (one.sender or definition.sender):
            yield (
                place,
                "it is not said from whom the message is",
                'add from = "Shop <hello@shop.example>" at the top, or here',
            )
        if isinstance(one, Webhook) and bool(one.endpoint) == bool(one.url):
            yield place, "it posts to an endpoint, or to a url", 'add endpoint = "we_..."'
        if isinstance(one, WaitUntil):
            yield from _wait_until(one, place)
        if isinstance(one, Branch) or (isinstance(one, WaitUntil) and one.when is not None):
            yield from _condition(one.when, senders, foreign, (*place, "when"))
    reached = _reachable(definition, first)
    for number in range(len(steps)):
        if number not in reached:
            yield ("steps", number), "nothing leads to this step", "name it in then, otherwise or next"
    for number, rule in enumerate(definition.exits):
        yield from _condition(rule.when, senders, foreign, ("exits", number, "when"))
    for number, trigger in enumerate(definition.triggers):
        yield from _trigger(trigger, ("triggers", number))
    if definition.quiet is not None and definition.quiet.begin == definition.quiet.until:
        yield ("quiet",), "these hours begin when they end", "leave [quiet] out, or write other times"


def _reachable(definition: Definition, first: Mapping[str, int]) -> set[int]:
    reached = {0}
    for number, one in enumerate(definition.steps):
        if number in reached:
            reached.update(first.get(target, number) if target else number + 1 for _, target in targets(one))
    return reached


def _wait_until(one: WaitUntil, place: Place) -> Iterator[tuple[Place, str, str]]:
    timed = one.time is not None or bool(one.days)
    if timed == (one.when is not None):
        yield place, "it waits for a time, or for a condition", 'add time = "09:00", or when = {...}'
    elif timed and (one.timeout is not None or one.then or one.otherwise):
        yield place, "timeout, then and otherwise belong to when", "leave them out"


def _condition(
    data: Any, senders: set[str], foreign: Foreign, place: Place
) -> Iterator[tuple[Place, str, str]]:
    try:
        condition.check(data, senders, foreign, place)
    except condition.Wrong as error:
        yield error.place, error.what, error.remedy


def _trigger(trigger: Trigger, place: Place) -> Iterator[tuple[Place, str, str]]:
    given = [name for name in ("event", "list", "segment") if getattr(trigger, name)]
    if len(given) != 1:
        yield place, "a trigger is one of event, list and segment", 'write event = "signed_up"'
        return
    if trigger.where and given != ["event"]:
        yield (*place, "where"), "only events have properties", "leave it out"
    if trigger.existing and given != ["segment"]:
        yield (*place, "existing"), "this is for segments only", "leave it out"
    try:
        condition.check_where(trigger.where, (*place, "where"))
    except condition.Wrong as error:
        yield error.place, error.what, error.remedy
