"""What is held and waits for a person: why, what is in it, and what to do with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mta.dashboard import waiting
from mta.dashboard.page import Answered, Html, Page, Query, missing, misspelt
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.dashboard.waiting import Chosen
from mta.dashboard.workers import Workers
from mta.journal.quarantine import Held, held, is_held
from mta.journal.reader import JournalReader

_ROWS = 30
#: Octets of a message that are shown.
_SHOWN = 64 * 1024


class Listed(Query):
    """Behind which message to begin."""

    after: str = ""


class HeldPages:
    """See the module.

    :param workers: all of them.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(self, workers: Workers, run_in_thread: Callable[..., Any]) -> None:
        self._workers = workers
        self._run = run_in_thread

    def pages(self) -> list[Page]:
        """What there is."""
        place = "/dashboard/held"
        return [
            Page("GET", place, self.listed, Right.LOOK, "Held", query=Listed),
            Page("GET", place + "/{id}", self.one, Right.ACT, "A held message"),
        ]

    async def listed(self, visit: Visit) -> Answered:
        """All that is held, the oldest first."""
        try:
            found, more = await self._run(self._read, visit.query.after)
        except ValueError as error:
            raise misspelt(str(error)) from None
        return Html("held.html", {"rows": found, "more": more})

    def _read(self, after: str) -> tuple[list[Held], str]:
        """In a thread."""
        directories = self._workers.directories()
        found, more = waiting.messages(directories, Chosen(after=after, state="held"), _ROWS)
        reader = JournalReader(self._workers.journals())
        return [
            held(message, [record.event for record in reader.message(message.id)]) for message in found
        ], more

    async def one(self, visit: Visit) -> Answered:
        """One of them, with its source."""
        found = await self._run(self._look, visit.path["id"])
        if found is None:
            raise missing("No such message is held", "The search for messages tells what became of it.")
        about, source, size = found
        return Html("held_message.html", {"one": about, "source": source, "size": size, "shown": _SHOWN})

    def _look(self, name: str) -> tuple[Held, str, int] | None:
        """In a thread."""
        try:
            message = waiting.one(self._workers.directories(), name)
        except ValueError:
            return None
        if message is None or not is_held(message):
            return None
        events = [record.event for record in JournalReader(self._workers.journals()).message(name)]
        octets = message.trace + message.content.read()
        return held(message, events), octets[:_SHOWN].decode("utf-8", "replace"), len(octets)
