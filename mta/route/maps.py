"""Maps out of tables of ``mta.toml`` and out of files, each in its order.

A file has a line for each entry, ``KEY VALUE``, as Postfix's tables have it: a
``#`` begins a comment line, and a line that begins with a blank continues the
one before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from mta.route.address_map import AddressMap, Entry, Key, Layers, parse_key
from mta.route.alias_syntax import logical_lines
from mta.route.file_problem import FileError, FileProblem, Wrong
from mta.route.watched_file import Read, Threads, WatchedFile

T = TypeVar("T")

#: Where in ``mta.toml``, what is wrong, and what to write.
TableProblem = tuple[tuple[str | int, ...], str, str]
ParseKey = Callable[[str], Key]
#: The value of an entry, from its key and the right side.
ParseValue = Callable[[Key, str], T]
#: What is wrong with entries that are each right: (entry, what, remedy).
Examine = Callable[[AddressMap[T]], Iterable[tuple[Entry[T], str, str]]]

_EXPRESSION = re.compile(r"/(?:[^\\/]|\\.)*/(?=\s|\Z)")
_WORD = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s"])+')


def parse_map(
    text: str,
    file: str,
    value: ParseValue[T],
    key: ParseKey = parse_key,
    examine: Examine[T] = lambda entries: (),
) -> AddressMap[T]:
    """Read a whole file.

    :param file: its name, for messages.
    :raise FileError: with every problem.
    """
    problems: list[FileProblem] = []
    lines: dict[tuple[str, str], int] = {}
    found: AddressMap[T] = AddressMap()
    for number, line in logical_lines(text):
        try:
            left = (_EXPRESSION if line.startswith("/") else _WORD).match(line)
            if left is None and line.startswith("/"):
                raise Wrong(
                    "the expression has no end, or something stands behind its last slash",
                    "write /EXPRESSION/, a space, VALUE; no flags are needed, case does not matter",
                )
            if left is None:
                raise Wrong("no key at the beginning", "write KEY, a space, VALUE")
            parsed = key(left[0])
            first = lines.setdefault((parsed.kind, parsed.text), number)
            if first != number:
                raise Wrong(f"{left[0]} stands here twice, first in line {first}", "join the two")
            found.add(Entry(parsed, value(parsed, line[left.end() :].strip()), f"{file}:{number}"))
        except Wrong as wrong:
            problems.append(FileProblem(file, number, wrong.what, wrong.remedy))
    for entry, what, remedy in examine(found):
        problems.append(FileProblem(file, int(entry.place.rpartition(":")[2]), what, remedy))
    if problems:
        raise FileError(sorted(problems, key=lambda problem: problem.line))
    return found


@dataclass(slots=True)
class MapBuilder(Generic[T]):
    """Joins the ``[[table]]`` entries of one map.

    :ivar table: its name in the configuration.
    :ivar base: directory that file names are relative to.
    :ivar clock: see :class:`~mta.route.watched_file.WatchedFile`; so is ``run_in_thread``.
    :ivar place: ``file:line`` of a place in the configuration.
    :ivar value: see :data:`ParseValue`; so are ``key`` and ``examine``.
    :ivar kept: files that were read already, by path; whoever gives them has them read again.
    :ivar map: what was joined.
    :ivar files: the files in it, for a reload.
    :ivar table_problems: mistakes in the tables.
    :ivar file_problems: mistakes in the files.
    """

    table: str
    base: Path
    clock: Any
    run_in_thread: Threads
    place: Callable[[tuple[str | int, ...]], str]
    value: ParseValue[T]
    key: ParseKey = parse_key
    examine: Examine[T] = lambda entries: ()
    kept: Mapping[str, WatchedFile[AddressMap[T]]] = field(default_factory=dict)
    map: Layers[T] = field(default_factory=Layers)
    files: list[WatchedFile[AddressMap[T]]] = field(default_factory=list)
    table_problems: list[TableProblem] = field(default_factory=list)
    file_problems: list[FileProblem] = field(default_factory=list)

    def add(self, number: int, keys: Sequence[str], value: str, value_key: str, file: str) -> None:
        """One table: either its keys and their value, or a file.

        :param number: its position among the tables of this name.
        :param value_key: under which key of the table the value stands.
        """
        where = (self.table, number)
        if file and keys:
            self.table_problems.append(
                ((*where, "match"), "this table names a file already", "put the two into a table each")
            )
        elif file:
            self.add_file(file)
        elif not keys:
            self.table_problems.append((where, "neither match nor file is set", "set one of them"))
        else:
            self.add_entries(where, keys, value, value_key)

    def add_file(self, name: str) -> None:
        """The entries of a file."""
        path = str(self.base / name)

        def parse(text: str, read: Read) -> AddressMap[T]:
            return parse_map(text, path, self.value, self.key, self.examine)

        file = self.kept.get(path)
        if file is None:
            try:
                file = WatchedFile(path, parse, self.clock, self.run_in_thread, f"entries of {path}")
            except FileError as error:
                self.file_problems += error.problems
                return
        self.files.append(file)
        read: WatchedFile[AddressMap[T]] = file
        self.map.layers.append(lambda: read.value)

    def add_entries(
        self, where: tuple[str | int, ...], keys: Sequence[str], value: str, value_key: str
    ) -> None:
        """Entries of the configuration that have the same value.

        :param where: the place of their table.
        """
        found: AddressMap[T] = AddressMap()
        for text in keys:
            try:
                key = self.key(text)
            except Wrong as wrong:
                match = where if where[-1] == value_key else (*where, "match")
                self.table_problems.append((match, wrong.what, wrong.remedy))
                continue
            try:
                found.add(Entry(key, self.value(key, value), self.place(where)))
            except Wrong as wrong:
                self.table_problems.append(((*where, value_key), wrong.what, wrong.remedy))
        for _, what, remedy in self.examine(found):
            self.table_problems.append((where, what, remedy))
        self.map.layers.append(lambda: found)
