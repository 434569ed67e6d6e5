"""Data from a file held against a model; each mistake becomes a :class:`Problem` with its line."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mta.config.locations import Locations, Path, dotted
from mta.config.problem import ConfigurationError, Problem, nearest

M = TypeVar("M", bound=BaseModel)


def validate(
    model: type[M], data: Mapping[str, Any], file: str, locations: Locations, prefix: Path = ()
) -> M:
    """Make an instance of the model.

    :param data: the table.
    :param file: path of the file it is from, for messages.
    :param locations: the lines of the whole file.
    :param prefix: where in the file the table stands.
    :raise ConfigurationError: with every mistake in it.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        problems = [_problem(model, item, file, locations, prefix) for item in found]
    # One line may be wrong in several ways (the arms of a union): the first says enough.
    unique = {(item.line, item.key): item for item in reversed(problems)}
    raise ConfigurationError(sorted(unique.values(), key=lambda item: (item.line, item.key)))


def _problem(model: type[BaseModel], error: Any, file: str, locations: Locations, prefix: Path) -> Problem:
    place = _in_file(prefix, error["loc"], locations)
    key, line = dotted(place), locations.line(place)
    last = str(error["loc"][-1]) if error["loc"] else ""
    value = error.get("input")
    if error["type"] == "extra_forbidden":
        if len(place) == 3 and place[0] == "domains" and isinstance(value, dict):
            name = ".".join(map(str, [*place[1:], *_single_keys(value)]))
            return Problem(file, line, key, "a name with dots needs quotes", f'write [domains."{name}"]')
        known = known_keys(model, error["loc"][:-1])
        guess = nearest(last, known)
        remedy = (
            f"did you mean {guess!r}?" if guess else "known here: " + (", ".join(sorted(known)) or "nothing")
        )
        return Problem(file, line, key, "unknown key", remedy)
    if error["type"] == "missing":
        return Problem(file, line, key, "this key is missing", f"add {last} = ...")
    what, remedy = _expected(error, last, value)
    secret = error["type"] == "secret"
    if isinstance(value, str | int | float | bool) and repr(value) not in what and not secret:
        what = f"{what} (it is {_toml(value)})"
    return Problem(file, line, key, what, remedy)


def _expected(error: Any, key: str, value: Any) -> tuple[str, str]:
    """What should stand there and what to write, where pydantic says it for programmers."""
    match error["type"]:
        case "list_type" if isinstance(value, str):
            return "this is a list", f"write {key} = [{_toml(value)}]"
        case "list_type" if isinstance(value, dict):
            return "there may be several of these tables", f"write [[{key}]], with two brackets"
        case "list_type":
            return "this is a list", f"write {key} = [...]"
        case "model_type" | "dict_type":
            return "this is a table", "its name stands in brackets on a line of its own, its settings below"
        case "string_type":
            plain = isinstance(value, int | float)
            return (
                "this is text",
                f'write it in quotes: {key} = "{_toml(value)}"' if plain else "write it in quotes",
            )
        case "int_type" | "int_parsing" | "int_from_float":
            return "this is a whole number", ""
        case "bool_type" | "bool_parsing":
            return "this is true or false, without quotes", ""
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] == "literal_error":
        what = what.replace("'", '"')
    what = what.replace("Input should be greater than or equal to", "it is at least")
    what = what.replace("Input should be less than or equal to", "it is at most")
    what = what.replace("Input should be", "it is")
    return what[:1].lower() + what[1:], ""


def _toml(value: str | int | float | bool) -> str:
    """A value as it may stand in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) and '"' not in value else repr(value)


def _single_keys(table: Mapping[str, Any]) -> list[str]:
    """The keys on the way down, as long as there is one only and a table behind it."""
    if len(table) != 1:
        return []
    ((key, value),) = table.items()
    return [key, *_single_keys(value)] if isinstance(value, dict) else []


def _in_file(prefix: Path, loc: Sequence[str | int], locations: Locations) -> Path:
    """The longest part of pydantic's location that stands in the file; the rest names union arms."""
    place = prefix
    for number, part in enumerate(loc):
        if (*place, part) in locations or (number == len(loc) - 1 and (number == 0 or not _is_arm(part))):
            place = (*place, part)
        else:
            break
    return place


def _is_arm(part: str | int) -> bool:
    return isinstance(part, str) and (part in ("int", "str", "float", "bool") or "[" in part)


def known_keys(model: type[BaseModel], loc: Sequence[str | int]) -> set[str]:
    """The keys that the table at a place inside a model may have; empty if any may stand there."""
    current: Any = model
    for part in loc:
        current = _inside(current, part)
        if current is None:
            return set()
    if not _is_model(current):
        return set()
    return {field.alias or name for name, field in current.model_fields.items()}


def _inside(annotation: Any, part: str | int) -> Any:
    if _is_model(annotation):
        fields = annotation.model_fields
        field = fields.get(part) or next((one for one in fields.values() if one.alias == part), None)
        return None if field is None else _plain(field.annotation)
    arguments = typing.get_args(annotation)
    return _plain(arguments[-1]) if arguments else None


def _plain(annotation: Any) -> Any:
    """An annotation without Annotated and without ``| None``."""
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif origin in (typing.Union, types.UnionType):
            annotation = next(item for item in typing.get_args(annotation) if item is not type(None))
        else:
            return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
