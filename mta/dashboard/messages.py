"""Messages: found by a word, and the story of each with every reply, its cause, and what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from mta.dashboard import waiting
from mta.dashboard.line import TONES
from mta.dashboard.page import (
    Answered,
    Confirmation,
    Form,
    Html,
    Page,
    Query,
    Redirect,
    Trouble,
    missing,
    misspelt,
)
from mta.dashboard.role import Right
from mta.dashboard.story import Why, moment_of, moments, why_of
from mta.dashboard.visit import Visit
from mta.dashboard.workers import Workers
from mta.journal.reader import JournalReader
from mta.journal.text import event_line
from mta.journal.timeline import Story, story
from mta.model.event import Event, Operated, Received
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


class Again(Form):
    """Who is to get it once more."""

    to: list[str] = Field(default_factory=list, max_length=1000)


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


#: Who did not get it, and will not.
_LOST = frozenset({"failed", "expired", "bounced", "removed"})


class MessagePages:
    """See the module.

    :param workers: all of them.
    :param current: wait until the index knows what has happened.
    :param content: the octets of a tenant's message, by tenant and id; ``None``: they are not kept.
    :param again: sends them once more.
    :param note: puts an event into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        workers: Workers,
        current: Callable[[], Any],
        content: Callable[[str, str], Awaitable[bytes | None]],
        again: Callable[..., Awaitable[Any]],
        note: Callable[[Event], None],
        run_in_thread: Callable[..., Any],
    ) -> None:
        self._workers = workers
        self._current = current
        self._content = content
        self._again = again
        self._note = note
        self._run = run_in_thread
        self._index = TrackingReader(workers.spool)

    def pages(self) -> list[Page]:
        """What there is."""
        place = "/dashboard/messages"
        return [
            Page("GET", place, self.search, Right.LOOK_OWN, "Messages", query=Find),
            Page("GET", place + "/{id}", self.one, Right.LOOK_OWN, "Message"),
            Page(
                "POST",
                place + "/{id}/again",
                self.send_again,
                Right.ACT_OWN,
                "Send again",
                form=Again,
                confirm=self.confirm_again,
            ),
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
            raise misspelt(str(error)) from None
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
        except ValueError as error:
            raise misspelt(str(error)) from None

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
        name, events, queued = await self._own(visit)
        about: Story = story(events, queued)
        told = moments(events, visit.confined)
        received = next((event for event in events if isinstance(event, Received)), None)
        state = about.state
        if state == "queued" and any(one.attempts for one in about.standings):
            state = "deferred"
        lost = [one.address for one in about.standings if one.state in _LOST]
        kept = False
        if lost and received is not None and received.tenant:
            kept = await self._content(received.tenant, name) is not None
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
                "lost": lost,
                "kept": kept,
            },
        )

    async def _own(self, visit: Visit) -> tuple[str, list[Event], Message | None]:
        """The message of the path, if the visitor may see it."""
        name = visit.path["id"].lower()
        if not _is_id(name):
            raise missing("There is no such message")
        events, queued = await self._run(self._read, name)
        if not events and queued is None:
            raise missing("There is no such message", "What is older than journal.keep is forgotten.")
        if visit.confined and tenant_of(events) != visit.tenant:
            raise missing("There is no such message")
        return name, events, queued

    async def confirm_again(self, visit: Visit) -> Confirmation:
        """Ask before."""
        name, _, received = await self._lost(visit)
        form: Again = visit.form.value
        return Confirmation(
            "Send it again?",
            "It goes out as a new message with the same content, and is followed by itself.",
            "Send again",
            f"/dashboard/messages/{name}",
            [("To", ", ".join(form.to)), ("From", received.sender or "<>")],
            danger=False,
        )

    async def send_again(self, visit: Visit) -> Answered:
        """Send it once more, to those who did not get it."""
        name, _, received = await self._lost(visit)
        form: Again = visit.form.value
        handed = await self._again(received.tenant, name, received, form.to, visit.address)
        back = f"/dashboard/messages/{name}"
        if handed is None:
            return Redirect(back, "Its content is not kept any more.", "warn")
        if not handed.reply.is_positive:
            words = " ".join(handed.reply.lines)
            return Redirect(back, f"It was not taken: {words}", "bad")
        self._note(
            Operated(
                at=visit.now,
                message=name,
                action="again",
                by=visit.by,
                target=handed.id,
                recipients=list(form.to),
            )
        )
        return Redirect(f"/dashboard/messages/{handed.id}", "It is sent again; this is what becomes of it.")

    async def _lost(self, visit: Visit) -> tuple[str, list[Event], Received]:
        """A message that some did not get, and who of them is to get it."""
        name, events, queued = await self._own(visit)
        received = next((event for event in events if isinstance(event, Received)), None)
        lost = {one.address for one in story(events, queued).standings if one.state in _LOST}
        form: Again = visit.form.value
        if received is None or not received.tenant or not form.to or not set(form.to) <= lost:
            raise Trouble(
                422,
                "This cannot be sent again",
                "It is sent to those only who did not get it, if it is a tenant's and its content is kept.",
                "Open the message, and choose who is to get it.",
            )
        return name, events, received

    def _read(self, name: str) -> tuple[list[Event], Message | None]:
        """In a thread."""
        records = JournalReader(self._workers.journals()).message(name)
        return [record.event for record in records], waiting.one(self._workers.directories(), name)


def tenant_of(events: Sequence[Event]) -> str:
    """Whose message it is; ``""``: nobody's."""
    return next((event.tenant for event in events if isinstance(event, Received)), "")


def owner_of(journals: Callable[[], Sequence[Path]], identifier: str) -> str | None:
    """Whose message it is; ``None``: nobody knows it.  Blocks.

    :raise TemporarilyUnavailable: if a journal cannot be read.
    """
    records = JournalReader(journals()).message(identifier)
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
