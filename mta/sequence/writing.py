"""A definition as TOML, as a person writes it; :mod:`mta.sequence.reading` reads it again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
#: Values that are durations.
_SPANS = frozenset({"for", "timeout", "within"})


def toml(data: Mapping[str, Any]) -> str:
    """A definition as it is kept (:meth:`~mta.sequence.definition.Definition.to_json`).

    :raise ValueError: if it has a null, which TOML cannot say; JSON can.
    """
    return "\n".join(_lines(data)) + "\n"


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    tables = {name: value for name, value in data.items() if _is_table(value)}
    for name, value in data.items():
        if name not in tables:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in tables.items():
        some = [value] if isinstance(value, Mapping) else value
        for one in some:
            yield ""
            yield f"[{_key(name)}]" if isinstance(value, Mapping) else f"[[{_key(name)}]]"
            for key, inner in one.items():
                span = key in _SPANS and isinstance(inner, int | float)
                yield f"{_key(key)} = {_span(inner) if span else _value(inner)}"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, Sequence) and not isinstance(value, str) and bool(value) and _are_tables(value)
    )


def _are_tables(value: Sequence[Any]) -> bool:
    return all(isinstance(one, Mapping) for one in value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _span(seconds: float) -> str:
    for unit, of in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= of and seconds % of == 0:
            return f'"{int(seconds // of)}{unit}"'
    return repr(seconds)


def _value(value: Any) -> str:
    match value:
        case None:
            raise ValueError("TOML has no null; JSON has")
        case bool() | str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            return (
                "{ " + ", ".join(f"{_key(name)} = {_value(one)}" for name, one in value.items()) + " }"
                if value
                else "{}"
            )
        case list() | tuple():
            return "[" + ", ".join(_value(one) for one in value) + "]"
    return str(value)
