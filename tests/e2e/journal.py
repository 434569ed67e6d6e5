"""What stands in the journal of a server, read beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mta.journal.reader import JournalReader
from tests.e2e.scenario import wait_for
from tests.e2e.server import Server


def events(server: Server, *kinds: str, limit: int = 100_000) -> list[Any]:
    """Events of some kinds, oldest first."""
    reader = JournalReader(sorted((server.state / "spool").glob("*/queue.db")))
    return [record.event for record in reversed(reader.recent(kinds=kinds, limit=limit))]


def wait_event(
    server: Server, kind: str, fits: Callable[[Any], bool], what: str, timeout: float = 60.0
) -> Any:
    """Wait for an event, which is written a moment after the reply."""

    def found() -> Any:
        return next((event for event in events(server, kind) if fits(event)), None)

    return wait_for(found, what, timeout)
