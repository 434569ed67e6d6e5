"""All maps of a configuration: ``[[rewrite]]``, ``[[route]]``, ``[[sender_relay]]``, ``[backup_mx]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mta.config.settings import RouteRule, SenderRelay, Settings
from mta.route.backup import backup_key, backup_value
from mta.route.departure import sender_key, sender_way
from mta.route.file_problem import FileProblem
from mta.route.maps import MapBuilder, TableProblem
from mta.route.rewriting import Targets, find_circles, rewrite_key, rewrite_targets
from mta.route.watched_file import Threads, WatchedFile
from mta.route.way import Known, Way, parse_way


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps, and what is wrong with them.

    :ivar rewrites: of ``[[rewrite]]``.
    :ivar ways: of ``[[route]]``.
    :ivar senders: of ``[[sender_relay]]``.
    :ivar backup: of ``[backup_mx]``.
    :ivar known: the transports that they may name.
    """

    rewrites: MapBuilder[Targets]
    ways: MapBuilder[Way]
    senders: MapBuilder[Way]
    backup: MapBuilder[None]
    known: Mapping[str, Known]

    @classmethod
    def of(
        cls,
        settings: Settings,
        base: Path,
        clock: Any,
        run_in_thread: Threads,
        known: Mapping[str, Known],
        place: Callable[[tuple[str | int, ...]], str],
        before: Maps | None = None,
    ) -> Maps:
        """Read all.  Blocks: before the reactor runs, or in a thread.

        :param base: directory of the configuration; file names are relative to it.
        :param clock: ``seconds()`` tells the time.
        :param known: the transports that there are, by name.
        :param place: ``file:line`` of a place in the configuration.
        :param before: those in use: their files are kept, for the caller to reload in a
            thread; a large one, read here, would keep everybody waiting for seconds.
        """
        common: Any = {"base": base, "clock": clock, "run_in_thread": run_in_thread, "place": place}
        made = cls(
            MapBuilder(
                table="rewrite", value=rewrite_targets, key=rewrite_key, examine=find_circles, **common
            ),
            MapBuilder(table="route", value=lambda key, text: parse_way(text, known), **common),
            MapBuilder(
                table="sender_relay",
                value=lambda key, text: sender_way(text, known),
                key=sender_key,
                **common,
            ),
            MapBuilder(table="backup_mx", value=backup_value, key=backup_key, **common),
            known,
        )
        if before is not None and before.known == known:
            for builder, old in zip(made._builders, before._builders, strict=True):
                builder.kept = {file.path: file for file in old.files}
        for number, rewrite in enumerate(settings.rewrite):
            made.rewrites.add(number, rewrite.match, ", ".join(rewrite.to), "to", rewrite.file)
        for number, rule in enumerate(settings.route):
            _add(made.ways, number, rule)
        for number, sender in enumerate(settings.sender_relay):
            _add(made.senders, number, sender)
        backup = settings.backup_mx
        if backup.domains:
            made.backup.add_entries(("backup_mx", "domains"), backup.domains, "", "domains")
        if backup.file:
            made.backup.add_file(backup.file)
        return made

    @property
    def files(self) -> list[WatchedFile[Any]]:
        """All files, for a reload."""
        return [file for builder in self._builders for file in builder.files]

    @property
    def table_problems(self) -> list[TableProblem]:
        """Mistakes in the tables."""
        return [problem for builder in self._builders for problem in builder.table_problems]

    @property
    def file_problems(self) -> list[FileProblem]:
        """Mistakes in the files."""
        return [problem for builder in self._builders for problem in builder.file_problems]

    @property
    def _builders(self) -> tuple[MapBuilder[Any], ...]:
        return self.rewrites, self.ways, self.senders, self.backup


def _add(builder: MapBuilder[Way], number: int, rule: RouteRule | SenderRelay) -> None:
    way = f"{rule.transport}:{rule.next_hop}"
    builder.add(number, rule.match, way, "next_hop" if rule.next_hop else "transport", rule.file)
