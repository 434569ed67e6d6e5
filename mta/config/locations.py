"""Finds the line on which each key of a TOML text stands.

:mod:`tomllib` tells values but not where they stood.  :class:`Locations` reads
the text once more, knowing already that it is valid TOML, so that it only has
to recognise where keys and values begin and end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: A way to a value: keys of tables, and positions in arrays.
Path = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_SCALAR = re.compile(r"[^,\]}\n#]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''.*?'{3,5}", re.DOTALL)
_ESCAPE = re.compile(r'\\(?:([btnfr"\\])|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))')
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


class Locations:
    """The lines of all keys in one text.

    :param text: valid TOML.
    """

    def __init__(self, text: str = "") -> None:
        self._text = text.replace("\r\n", "\n")
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}
        self._offset = 0
        self._line = 1
        self._read()

    def line(self, path: Path) -> int:
        """The line of a key, or of the nearest table around it; 0 if there is none."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return 0

    def __contains__(self, path: Path) -> bool:
        return path in self._lines

    def __iter__(self) -> Iterator[Path]:
        return iter(self._lines)

    def _mark(self, path: Path, position: int) -> None:
        self._line += self._text.count("\n", self._offset, position)
        self._offset = position
        self._lines.setdefault(path, self._line)

    def _read(self) -> None:
        text = self._text
        table: Path = ()
        position = self._skip(_BLANK, 0)
        while position < len(text):
            if text.startswith("[", position):
                double = text.startswith("[[", position)
                keys, end = self._keys(position + 2 if double else position + 1)
                table = self._enter(keys, position, double)
                position = end + (2 if double else 1)
            else:
                position = self._pair(table, position)
            position = self._skip(_BLANK, position)

    def _enter(self, keys: list[str], position: int, double: bool) -> Path:
        """The path of a table from its header, through the last element of arrays of tables."""
        path: Path = ()
        for key in keys[:-1]:
            path = (*path, key)
            if path in self._arrays:
                path = (*path, self._arrays[path])
            self._mark(path, position)
        path = (*path, keys[-1])
        if double:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            self._mark(path, position)
            path = (*path, self._arrays[path])
        self._mark(path, position)
        return path

    def _pair(self, table: Path, position: int) -> int:
        """Read ``key = value``; return where it ends."""
        keys, end = self._keys(position)
        path = table
        for key in keys:
            path = (*path, key)
            self._mark(path, position)
        return self._value(path, self._skip(_SPACE, end + 1))

    def _keys(self, position: int) -> tuple[list[str], int]:
        """Read a dotted key; return its parts and where the thing after it stands."""
        text = self._text
        parts: list[str] = []
        while True:
            position = self._skip(_SPACE, position)
            if text[position] == '"':
                end = self._end(_BASIC, position)
                parts.append(_ESCAPE.sub(_unescape, text[position + 1 : end - 1]))
            elif text[position] == "'":
                end = self._end(_LITERAL, position)
                parts.append(text[position + 1 : end - 1])
            else:
                end = self._end(_BARE_KEY, position)
                parts.append(text[position:end])
            position = self._skip(_SPACE, end)
            if text[position] != ".":
                return parts, position
            position += 1

    def _value(self, path: Path, position: int) -> int:
        """Pass over a value, noting what stands inside it; return where it ends."""
        text = self._text
        first = text[position]
        if text.startswith('"""', position):
            return self._end(_LONG_BASIC, position)
        if text.startswith("'''", position):
            return self._end(_LONG_LITERAL, position)
        if first == '"':
            return self._end(_BASIC, position)
        if first == "'":
            return self._end(_LITERAL, position)
        if first == "[":
            return self._array(path, position + 1)
        if first == "{":
            return self._inline_table(path, position + 1)
        return self._end(_SCALAR, position)

    def _array(self, path: Path, position: int) -> int:
        text = self._text
        index = 0
        while True:
            position = self._skip(_BLANK, position)
            if text[position] == "]":
                return position + 1
            if text[position] == ",":
                position += 1
                continue
            self._mark((*path, index), position)
            position = self._value((*path, index), position)
            index += 1

    def _inline_table(self, path: Path, position: int) -> int:
        text = self._text
        while True:
            position = self._skip(_BLANK, position)
            if text[position] == "}":
                return position + 1
            if text[position] == ",":
                position += 1
                continue
            position = self._pair(path, position)

    def _skip(self, pattern: re.Pattern[str], position: int) -> int:
        match = pattern.match(self._text, position)
        return match.end() if match else position

    def _end(self, pattern: re.Pattern[str], position: int) -> int:
        match = pattern.match(self._text, position)
        if match is None:
            raise ValueError(f"not TOML at offset {position}")
        return match.end()


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        return _ESCAPES[match[1]]
    return chr(int(match[2] or match[3], 16))


def dotted(path: Path) -> str:
    """A path as a person writes it; positions in arrays are left out, the line tells them."""
    parts = []
    for part in path:
        if isinstance(part, int):
            continue
        parts.append(part if _BARE_KEY.fullmatch(part) else '"{}"'.format(part.replace('"', '\\"')))
    return ".".join(parts)
