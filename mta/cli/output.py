"""Prints: tables for a person, JSON for a program; errors to stderr."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TextIO

from mta.journal.words import printable

#: What JSON leaves as it is though a terminal obeys it (C1) or shows something else (bidi).
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Output:
    """Where commands print to.

    :param stream: results.
    :param errors: warnings and errors.
    :param as_json: whether results are for a program.
    """

    def __init__(self, stream: TextIO, errors: TextIO, as_json: bool = False) -> None:
        self.stream = stream
        self.errors = errors
        self.as_json = as_json

    def line(self, text: str = "") -> None:
        """One line, or several; a stranger may have written some of it."""
        print(_shown(text), file=self.stream)

    def drawn(self, text: str) -> None:
        """Lines as they are, with the colours that we have given them."""
        print(text, file=self.stream)

    def content(self, text: str) -> None:
        """What somebody asked to have: as it is in a file, harmless on a terminal."""
        self.stream.write(_shown(text) if self.stream.isatty() else text)

    def json(self, value: Any) -> None:
        """One JSON value, readable."""
        text = json.dumps(value, indent=2, default=str, ensure_ascii=False)
        print(_OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text), file=self.stream)

    def json_line(self, value: Any) -> None:
        """One JSON value in one line."""
        print(json.dumps(value, default=str, separators=(",", ":")), file=self.stream, flush=True)

    def warn(self, text: str) -> None:
        """A warning."""
        print(f"mta: warning: {_shown(text)}", file=self.errors)

    def error(self, text: str) -> None:
        """An error."""
        print(f"mta: {_shown(text)}", file=self.errors)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> None:
        """A table; what comes from the network cannot move the cursor or style the text.

        :param columns: their names.
        :param rows: cells of any type.
        :param right: columns to be aligned to the right.
        """
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        terminal = self.stream.isatty()
        # Not for a terminal: nothing is cut or folded.
        console = Console(file=self.stream, width=None if terminal else 10_000, highlight=False)
        table = Table(box=SIMPLE_HEAD if terminal else None, pad_edge=False)
        for column in columns:
            table.add_column(
                column, justify="right" if column in right else "left", overflow="fold", no_wrap=not terminal
            )
        for row in rows:
            table.add_row(*(Text(printable(str(cell))) for cell in row))
        if terminal:
            console.print(table)
            return
        with console.capture() as captured:
            console.print(table)
        for text in captured.get().splitlines():
            print(text.rstrip(), file=self.stream)


def _shown(text: str) -> str:
    """One line, or several, without what a terminal obeys: a server may have said some of it."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))
