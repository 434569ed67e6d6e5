"""The aliases files of all domains, read anew when they change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zope.interface import implementer

from mta.config.settings import Domain
from mta.interfaces import IReloadable
from mta.route.alias_syntax import AliasEntry, AliasParser
from mta.route.file_problem import FileError, FileProblem
from mta.route.watched_file import Read, Threads, WatchedFile


@implementer(IReloadable)
class AliasFile:
    """One file for one domain; see :class:`~mta.route.watched_file.WatchedFile`.

    :param path: absolute; include files are relative to its directory.
    :param domain: completes bare names.
    :param pipes: names of the transports of kind pipe.
    :raise FileError: if it cannot be read or has errors.
    """

    def __init__(
        self,
        path: Path,
        domain: str,
        clock: Any,
        run_in_thread: Threads,
        pipes: frozenset[str] = frozenset(),
    ) -> None:
        def parse(text: str, read: Read) -> dict[str, AliasEntry]:
            def include(name: str) -> str:
                return read(os.path.join(path.parent, name))

            return AliasParser(str(path), domain, include, pipes).parse(text)

        self._file = WatchedFile(str(path), parse, clock, run_in_thread, f"aliases of {domain}")

    def __len__(self) -> int:
        return len(self._file.value)

    def find(self, key: str) -> AliasEntry | None:
        """The alias of this key (:func:`~mta.route.alias_syntax.key_of`), if there is one."""
        return self._file.value.get(key)

    async def reload(self) -> None:
        """See :class:`~mta.interfaces.IReloadable`.

        :raise FileError: and what was read last stays in force.
        """
        await self._file.reload()


@implementer(IReloadable)
class Aliases:
    """The files of several domains.

    :param files: by domain in lower case.
    """

    def __init__(self, files: Mapping[str, AliasFile] | None = None) -> None:
        self._files = dict(files or {})

    @classmethod
    def read(
        cls,
        domains: Mapping[str, Domain],
        base: Path,
        clock: Any,
        run_in_thread: Threads,
        pipes: frozenset[str] = frozenset(),
    ) -> Aliases:
        """Read all files that the settings name.  Blocks: before the reactor runs, or in a thread.

        :param base: directory of the configuration; paths are relative to it.
        :raise FileError: with the problems of all files.
        """
        files: dict[str, AliasFile] = {}
        problems: list[FileProblem] = []
        for name, domain in domains.items():
            if not domain.aliases:
                continue
            try:
                files[name.lower()] = AliasFile(
                    base / domain.aliases, name.lower(), clock, run_in_thread, pipes
                )
            except FileError as error:
                problems.extend(error.problems)
        if problems:
            raise FileError(problems)
        return cls(files)

    def of(self, domain: str) -> AliasFile | None:
        """The file of a domain (in lower case), if it has one."""
        return self._files.get(domain)

    async def reload(self) -> None:
        """See :class:`~mta.interfaces.IReloadable`: each file for itself.

        :raise FileError: with the problems of all; good files are in force.
        """
        problems: list[FileProblem] = []
        for file in self._files.values():
            try:
                await file.reload()
            except FileError as error:
                problems.extend(error.problems)
        if problems:
            raise FileError(problems)
