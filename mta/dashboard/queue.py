"""The queue: what waits for whom, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import Field

from mta.dashboard import waiting
from mta.dashboard.page import Answered, Confirmation, Form, Html, Page, Query, Redirect, misspelt
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.dashboard.waiting import Chosen, Look
from mta.dashboard.workers import Workers
from mta.model.message_json import state_of

#: Rows of a page.
_ROWS, _LINES = 50, 100
#: For how long a destination is suspended, by what the form says.
_SPANS = {"1": 3600.0, "6": 6 * 3600.0, "24": 86400.0, "": 0.0}


class Listed(Query):
    """Which messages are shown."""

    after: str = ""
    q: str = ""
    state: str = ""
    transport: str = ""
    next_hop: str = ""


class Suspend(Form):
    """Let nothing go to a destination."""

    pattern: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x20\x7f]+$")
    reason: str = Field("", max_length=300)
    hours: str = ""


class Resume(Form):
    """Let it go again."""

    pattern: str


class QueuePages:
    """See the module.

    :param workers: all of them.
    :param seconds: gives the time since 1970.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self, workers: Workers, seconds: Callable[[], float], run_in_thread: Callable[..., Any]
    ) -> None:
        self._workers = workers
        self._seconds = seconds
        self._run = run_in_thread

    def pages(self) -> list[Page]:
        """What there is."""
        place = "/dashboard/queue"
        return [
            Page("GET", place, self.destinations, Right.LOOK, "Queue"),
            Page(
                "GET", f"{place}/messages", self.messages, Right.LOOK, "Messages in the queue", query=Listed
            ),
            Page(
                "POST",
                f"{place}/suspend",
                self.suspend,
                Right.ACT,
                "Suspend a destination",
                form=Suspend,
                confirm=self.confirm_suspend,
            ),
            Page("POST", f"{place}/resume", self.resume, Right.ACT, "Resume a destination", form=Resume),
        ]

    async def look(self) -> Look:
        """The queue of all workers at this moment.

        :raise TemporarilyUnavailable: if it cannot be read.
        """
        statuses = await self._workers.status()
        found: Look = await self._run(waiting.look, self._workers.directories(), statuses)
        return found

    async def destinations(self, visit: Visit) -> Answered:
        """What waits, by destination."""
        look = await self.look()
        return Html("queue.html", {"look": look, "lines": look.destinations[:_LINES]})

    async def messages(self, visit: Visit) -> Answered:
        """Messages, the oldest first."""
        query: Listed = visit.query
        chosen = chosen_of(query)
        try:
            found, more = await self._run(waiting.messages, self._workers.directories(), chosen, _ROWS)
        except ValueError as error:
            raise misspelt(str(error)) from None
        rows = [(message, state_of(message)) for message in found]
        return Html("queue_messages.html", {"rows": rows, "more": more, "query": query})

    async def confirm_suspend(self, visit: Visit) -> Confirmation:
        """Ask before."""
        form: Suspend = visit.form.value
        return Confirmation(
            f"Let nothing go to {form.pattern}?",
            "Mail for it is taken and waits; nothing is lost, and nothing is tried until somebody resumes it"
            + (f", or {form.hours} hours have passed." if _SPANS.get(form.hours) else "."),
            "Suspend",
            "/dashboard/queue",
            danger=False,
            reason="Why, for the journal and the next person",
        )

    async def suspend(self, visit: Visit) -> Answered:
        """Let nothing go to a destination."""
        form: Suspend = visit.form.value
        span = _SPANS.get(form.hours, 0.0)
        until = self._seconds() + span if span else 0.0
        await self._workers.suspend(form.pattern, visit.by, form.reason, until)
        return Redirect("/dashboard/queue", f"Nothing goes to {form.pattern} until it is resumed.")

    async def resume(self, visit: Visit) -> Answered:
        """Let it go again."""
        form: Resume = visit.form.value
        count = await self._workers.resume(form.pattern, visit.by, "")
        if not count:
            return Redirect("/dashboard/queue", "It was not suspended any more.", "note")
        return Redirect("/dashboard/queue", f"Mail goes to {form.pattern} again.")


def chosen_of(query: Listed) -> Chosen:
    """What to look for: an address or a domain, whichever it looks like."""
    word = query.q.strip().strip("<>").lower()
    recipient, domain = ("", word.lstrip("@")) if "@" not in word.lstrip("@") else (word, "")
    return Chosen(
        after=query.after,
        recipient=recipient,
        domain=domain,
        state=query.state if query.state in ("queued", "held") else "",
        way=(query.transport, query.next_hop) if query.next_hop else None,
    )


def several(words: Sequence[str], most: int = 2) -> str:
    """Some words, and how many more there are."""
    shown = ", ".join(words[:most])
    return f"{shown} and {len(words) - most} more" if len(words) > most else shown
