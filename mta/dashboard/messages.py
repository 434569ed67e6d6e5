"""Messages: found by a word, and the story of each with every reply, its cause, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mta.dashboard import waiting
from mta.dashboard.line import TONES
from mta.dashboard.page import Answered, Html, Page, Query, Redirect, Trouble, missing
from mta.dashboard.role import Right
from mta.dashboard.story import Why, moment_of, moments, why_of
from mta.dashboard.visit import Visit
from mta.dashboard.workers import Workers
from mta.interfaces import TemporarilyUnavailable
from mta.journal.reader import JournalError, JournalReader
from mta.journal.text import event_line
from mta.journal.timeline import Story, story
from mta.model.event import Event, Received
from mta.model.ids import decode_id
from mta.model.message import Message
from mta.tracking.position import places_of, position
from mta.tracking.reader import TrackedMessage, TrackingReader, Wanted
from mta.tracking.state import STATES

#: Rows of a page; hits that are looked at for it.
_ROWS, _HITS = 40, 400
#: Kinds of events that a view shows.
VIEWS = {
    "": ("received", "rejected"),
    "accepted": ("received",),
    "trouble": ("failed", "deferred", "bounced", "complained"),
    "refused": ("rejected", "authentication-failed"),
}


class Find(Query):
    """What is looked for."""

    q: str = ""
    view: str = ""
    state: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list.

    :ivar id: of the message; ``""``: there is none.
    """

    at: float
    id: str
    sender: str
    recipients: Sequence[str]
    subject: str
    state: str
    tone: str
    words: str = ""
    why: Why | None = None


#: How states are to be taken.
_STATES = {
    "delivered": "good",
    "confirmed": "good",
    "queued": "",
    "waiting": "",
    "scheduled": "note",
    "deferred": "warn",
    "held": "warn",
    "suppressed": "warn",
    "partly delivered": "warn",
    "failed": "bad",
    "expired": "bad",
    "bounced": "bad",
    "rejected": "bad",
    "removed": "bad",
    "discarded": "bad",
}


class MessagePages:
    """See the module.

    :param workers: all of them.
    :param current: wait until the index knows what has happened.
    :param content: whether the octets of a message are still there.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self, workers: Workers, current: Callable[[], Any], run_in_thread: Callable[..., Any]
    ) -> None:
        self._workers = workers
        self._current = current
        self._run = run_in_thread
        self._index = TrackingReader(workers.spool)

    def pages(self) -> list[Page]:
        """What there is."""
        place = "/dashboard/messages"
        return [
            Page("GET", place, self.search, Right.LOOK_OWN, "Messages", query=Find),
            Page("GET", place + "/{id}", self.one, Right.LOOK_OWN, "Message"),
        ]

    async def search(self, visit: Visit) -> Answered:
        """Messages that are found, or the newest."""
        query: Find = visit.query
        word = query.q.strip()
        if _is_id(word):
            return Redirect(f"/dashboard/messages/{word.lower()}")
        if visit.confined:
            return await self._of_tenant(visit, word)
        rows, more = await self._run(self._found, word, query)
        return Html("messages.html", {"rows": rows, "query": query, "more": more, "states": ()})

    async def _of_tenant(self, visit: Visit, word: str) -> Answered:
        query: Find = visit.query
        await self._current()
        wanted = Wanted(state=query.state if query.state in STATES else "")
        if "@" in word and " " not in word and not word.startswith("<"):
            wanted = Wanted(address=word, state=wanted.state)
        elif word.startswith("<"):
            wanted = Wanted(message_id=word, state=wanted.state)
        elif word:
            wanted = Wanted(subject=word, state=wanted.state)
        try:
            found = await self._run(self._index.page, visit.tenant, wanted, query.after, _ROWS)
        except ValueError as error:
            raise Trouble(400, "This address is misspelt", str(error), "Begin at the menu.") from None
        rows = [_tracked(one) for one in found.messages]
        values = {"rows": rows, "query": query, "more": found.next, "states": list(STATES)}
        return Html("messages.html", values)

    def _found(self, word: str, query: Find) -> tuple[list[Row], str]:
        """In a thread."""
        reader = JournalReader(self._workers.journals())
        try:
            if not word:
                kinds = VIEWS.get(query.view, VIEWS[""])
                places = places_of(query.before) if query.before else {}
                records, more = reader.before(places, kinds, _ROWS)
                events = [record.event for record in records]
                return self._rows(reader, events), position(more) if more else ""
            refused = query.view == "refused"
            events = [record.event for record in reader.find(word, rejected=refused, limit=_HITS)]
            if query.view in ("accepted", "trouble"):
                kinds = VIEWS[query.view]
                events = [event for event in events if event.kind in kinds]
            return self._rows(reader, _once(events)[:_ROWS]), ""
        except JournalError as error:
            raise TemporarilyUnavailable(str(error)) from error
        except ValueError as error:
            raise Trouble(400, "This address is misspelt", str(error), "Begin at the menu.") from None

    def _rows(self, reader: JournalReader, events: Sequence[Event]) -> list[Row]:
        return [self._row(reader, event) for event in events]

    def _row(self, reader: JournalReader, event: Event) -> Row:
        if not event.message:
            told = moment_of(event)
            words = f"{told.said}" if told.said else event_line(event)
            sender, to = getattr(event, "sender", ""), getattr(event, "recipient", "")
            who = sender or getattr(event, "account", "") or getattr(event, "client", "")
            state = "refused" if event.kind == "rejected" else event.kind
            tone = TONES.get(event.kind, "")
            return Row(event.at, "", who, [to] if to else [], told.what, state, tone, words, why_of(event))
        known = [record.event for record in reader.message(event.message)]
        received = next((one for one in known if isinstance(one, Received)), None)
        about = story(known)
        state = about.state
        queued = None
        if state in ("queued", "unknown"):
            queued = waiting.one(self._workers.directories(), event.message)
            about = story(known, queued)
            state = about.state
        if state == "queued" and any(one.attempts for one in about.standings):
            state = "deferred"
        words = next((one.why for one in about.standings if one.why and one.state != "delivered"), "")
        return Row(
            received.at if received else event.at,
            event.message,
            (received.sender or "<>") if received else "",
            received.recipients if received else [one.address for one in about.standings],
            received.subject if received else "",
            state,
            _STATES.get(state, ""),
            words,
        )

    # --- one message ---------------------------------------------------------------

    async def one(self, visit: Visit) -> Answered:
        """Its story."""
        name = visit.path["id"].lower()
        if not _is_id(name):
            raise missing("There is no such message")
        events, queued = await self._run(self._read, name)
        if not events and queued is None:
            raise missing("There is no such message", "What is older than journal.keep is forgotten.")
        if visit.confined and tenant_of(events) != visit.tenant:
            raise missing("There is no such message")
        about: Story = story(events, queued)
        told = moments(events, visit.confined)
        received = next((event for event in events if isinstance(event, Received)), None)
        state = about.state
        if state == "queued" and any(one.attempts for one in about.standings):
            state = "deferred"
        # What went wrong last, with what to do: for who has no time to read the rest.
        last = next((one for one in reversed(told) if one.why is not None), None)
        if state in ("delivered",):
            last = None
        return Html(
            "message.html",
            {
                "id": name,
                "received": received,
                "state": state,
                "tone": _STATES.get(state, ""),
                "standings": about.standings,
                "states": _STATES,
                "moments": told,
                "queued": queued,
                "last": last,
            },
        )

    def _read(self, name: str) -> tuple[list[Event], Message | None]:
        """In a thread."""
        try:
            records = JournalReader(self._workers.journals()).message(name)
        except JournalError as error:
            raise TemporarilyUnavailable(str(error)) from error
        return [record.event for record in records], waiting.one(self._workers.directories(), name)


def tenant_of(events: Sequence[Event]) -> str:
    """Whose message it is; ``""``: nobody's."""
    return next((event.tenant for event in events if isinstance(event, Received)), "")


def owner_of(journals: Callable[[], Sequence[Path]], identifier: str) -> str | None:
    """Whose message it is; ``None``: nobody knows it.  Blocks.

    :raise TemporarilyUnavailable: if a journal cannot be read.
    """
    try:
        records = JournalReader(journals()).message(identifier)
    except JournalError as error:
        raise TemporarilyUnavailable(str(error)) from error
    return tenant_of([record.event for record in records]) if records else None


def _is_id(word: str) -> bool:
    try:
        decode_id(word)
    except ValueError:
        return False
    return True


def _once(events: Sequence[Event]) -> list[Event]:
    """Each message once, and every refusal."""
    found, seen = [], set()
    for event in events:
        if event.message in seen:
            continue
        if event.message:
            seen.add(event.message)
        found.append(event)
    return found


def _tracked(one: TrackedMessage) -> Row:
    states = {person.state for person in one.recipients}
    worst = next(
        (state for state in ("failed", "bounced", "deferred", "held", "suppressed") if state in states),
        next(iter(states), "queued"),
    )
    state = "partly delivered" if worst in ("failed", "bounced") and "delivered" in states else worst
    words = next(
        (person.reply for person in one.recipients if person.reply and person.state != "delivered"), ""
    )
    recipients = [person.address for person in one.recipients]
    return Row(one.at, one.id, one.sender, recipients, one.subject, state, _STATES.get(state, ""), words)
