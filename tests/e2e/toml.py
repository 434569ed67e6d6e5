"""Writes TOML, which the standard library only reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def dump(table: Mapping[str, Any]) -> str:
    """A document from nested dictionaries; a list of dictionaries is an array of tables."""
    return "\n".join(_lines(table, ())) + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    later: list[str] = []
    lines: list[str] = []
    for key, value in table.items():
        name = ".".join(json.dumps(part) for part in (*path, key))
        if isinstance(value, Mapping):
            later += ["", f"[{name}]", *_lines(value, (*path, key))]
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for item in value:
                later += ["", f"[[{name}]]", *_lines(item, (*path, key))]
        else:
            # JSON's strings, numbers, booleans and arrays are TOML's, but for "/" and astral escapes.
            lines.append(f"{json.dumps(key)} = {json.dumps(value, ensure_ascii=False)}")
    return lines + later
