"""Jinja's lexer, with the column of each token beside its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, TemplateSyntaxError
from jinja2.lexer import Lexer

_NEWLINE = re.compile(r"\r\n|\r|\n")


class Place(int):
    """A line that knows its column, both from 1; everywhere else it is a line."""

    column: int

    def __new__(cls, line: int, column: int) -> Place:
        """A line at a column."""
        place = super().__new__(cls, line)
        place.column = column
        return place


class SourceLexer(Lexer):
    """Gives :class:`Place` for the line of each token; Jinja hands it on to nodes and errors."""

    def tokeniter(
        self,
        source: str,
        name: str | None,
        filename: str | None = None,
        state: str | None = None,
    ) -> Iterator[tuple[int, str, str]]:
        """Tokens as they stand in the source."""
        text = _NEWLINE.sub("\n", source)
        position = line_start = 0
        line = 1

        def place(at: int) -> Place:
            nonlocal line, line_start
            while (end := text.find("\n", line_start, at)) >= 0:
                line, line_start = line + 1, end + 1
            return Place(line, at - line_start + 1)

        tokens: Any = super().tokeniter(source, name, filename, state)
        while True:
            try:
                _, token, value = next(tokens)
            except StopIteration:
                return
            except TemplateSyntaxError as error:
                # It is what comes next that cannot be read.
                rest = text[position:]
                error.lineno = place(position + len(rest) - len(rest.lstrip()))
                raise
            # Whitespace that a "-" has taken away stands between them.
            found = text.find(value, position)
            if found < 0:
                found = position
            yield place(found), token, value
            position = found + len(value)


def lexer_of(environment: Environment) -> SourceLexer:
    """A lexer with the settings of an environment."""
    return SourceLexer(environment)
