"""What became of messages: by id, by address, by batch and tag, and as they are searched for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import Field

from mta.api.v1.cursor import Page, cursor
from mta.api.v1.moment import Moment
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
from mta.journal.reader import JournalReader, Record
from mta.tracking.reader import Tracked, TrackedMessage, TrackingReader, Wanted
from mta.tracking.schema import ALL, BATCH, TAG
from mta.tracking.state import MARKS
from mta.tracking.telling import TOLD, moment, told

StateWord = Literal[
    "scheduled",
    "queued",
    "held",
    "deferred",
    "delivered",
    "bounced",
    "expired",
    "removed",
    "suppressed",
    "opened",
    "clicked",
    "complained",
    "unsubscribed",
]


class Search(Page):
    """Which messages to show."""

    address: str = Field("", max_length=320, description="of a recipient")
    sender: str = Field("", max_length=320, description="the reverse-path")
    message_id: str = Field("", max_length=1000, description="the Message-ID, with or without <>")
    subject: str = Field("", max_length=300, description="words that all stand in it; `word*`: a beginning")
    tag: str = Field("", max_length=100)
    batch: str = Field("", max_length=100)
    campaign: str = Field("", max_length=100)
    state: StateWord | None = Field(None, description="of at least one recipient")
    since: Moment | None = Field(None, description="received at this time or later")
    until: Moment | None = Field(None, description="received before")


class Days(Model):
    """Of which days."""

    since: Moment | None = Field(None, description="messages received on its day (UTC) or later")
    until: Moment | None = Field(None, description="messages received before the end of its day (UTC)")


class ReplyShown(Shown):
    """What the other server said."""

    code: int
    enhanced: str
    text: str
    host: str


class RecipientShown(Shown):
    """How a recipient stands."""

    address: str
    state: StateWord
    at: str = Field(description="since when")
    attempts: int
    next_attempt: str | None
    reply: ReplyShown | None = Field(description="the last one")
    bounce_class: str | None
    reached: list[str] = Field(description="what has come back: " + ", ".join(MARKS))


class MessageShown(Shown):
    """A message, and how its recipients stand."""

    id: str
    received: str
    sender: str
    subject: str
    message_id: str
    batch: str | None
    campaign: str | None
    tags: list[str]
    metadata: dict[str, str]
    size: int
    scheduled: str | None
    recipients: list[RecipientShown]


class MessagesShown(Shown):
    """A page of messages, the newest first."""

    messages: list[MessageShown]
    next: str | None = Field(description="give it as `cursor` for the next page; null: there is none")


class EventReply(ReplyShown):
    """What the other server said, and to which command."""

    command: str


class EventShown(Shown):
    """Something that happened to a message."""

    id: str
    type: str = Field(description=", ".join(TOLD))
    at: str
    message: str
    recipient: str | None
    reply: EventReply | None
    details: dict[str, Any]
    words: str = Field(description="the same for a person")


class EventsShown(Shown):
    """The time line of a message, the oldest first."""

    events: list[EventShown]
    next: str | None = None


class SentShown(Shown):
    """What was sent to a recipient."""

    message: str
    state: StateWord
    at: str
    attempts: int
    next_attempt: str | None
    reply: ReplyShown | None
    bounce_class: str | None
    reached: list[str]


class HistoryShown(Shown):
    """What was sent to an address, the newest first."""

    address: str
    messages: list[SentShown]
    next: str | None


class CountsShown(Shown):
    """How many recipients are in each state, and how many ever reached one."""

    name: str
    recipients: int
    states: dict[str, int] = Field(description="each recipient is in one of them")
    reached: dict[str, int] = Field(description="a recipient may count in several")


class TagsShown(Shown):
    """The tags of the tenant's messages."""

    tags: list[str]
    next: str | None


#: Answers with the octets of a message, while they are kept.
Content = Callable[[str, str], Awaitable[bytes | None]]


class TrackingRoutes:
    """Answers for messages.

    :param reader: of the indexes.
    :param current: waits until they know what has happened by now.
    :param journals: gives a reader of all journals.
    :param content: by tenant and id.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        reader: TrackingReader,
        current: Callable[[], Awaitable[None]],
        journals: Callable[[], JournalReader],
        content: Content,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._reader = reader
        self._current = current
        self._journals = journals
        self._content = content
        self._run = run_in_thread

    def routes(self) -> list[Route]:
        """What it answers."""
        named = {"id": "of the message, as the answer to sending it has it"}

        def get(path: str, handler: Any, summary: str, answer: Any, **more: Any) -> Route:
            return Route("GET", path, handler, "messages:read", summary, answer=answer, **more)

        return [
            get(
                "/v1/messages",
                self.search,
                "Search messages",
                MessagesShown,
                description="All that is given must fit. A page may have fewer messages than `limit` and a"
                " `next` all the same.",
                query=Search,
            ),
            get("/v1/messages/{id}", self.message, "One message", MessageShown, path_help=named),
            get(
                "/v1/messages/{id}/events",
                self.events,
                "The whole time line of a message",
                EventsShown,
                description="Every attempt with every reply of other servers, for as long as the journal is"
                " kept.",
                path_help=named,
            ),
            get(
                "/v1/messages/{id}/content",
                self.content,
                "The message itself",
                None,
                description="While it is in the queue, and then for as long as the tenant's messages are"
                " kept, which may be not at all.",
                media="message/rfc822",
                path_help=named,
            ),
            get(
                "/v1/recipients/{address}",
                self.recipient,
                "What was sent to an address",
                HistoryShown,
                query=Page,
                path_help={"address": "of the recipient"},
            ),
            get(
                "/v1/batches/{id}/status",
                self.batch,
                "How a batch stands",
                CountsShown,
                path_help={"id": "of the batch"},
            ),
            get("/v1/tags", self.tags, "All tags", TagsShown, query=Page),
            get(
                "/v1/tags/{tag}",
                self.tag,
                "How the messages of a tag stand",
                CountsShown,
                query=Days,
                path_help={"tag": "as the messages have it"},
            ),
            get("/v1/counts", self.counts, "How all messages stand", CountsShown, query=Days),
        ]

    async def search(self, call: Call) -> MessagesShown:
        """A page of them."""
        query: Search = call.query
        place = query.after(str)
        wanted = Wanted(
            address=query.address,
            sender=query.sender,
            message_id=query.message_id,
            subject=query.subject,
            tag=query.tag,
            batch=query.batch,
            campaign=query.campaign,
            state=query.state or "",
            since=query.since.timestamp() if query.since else 0.0,
            until=query.until.timestamp() if query.until else 0.0,
        )
        await self._current()
        try:
            after = place[0] if place else ""
            found = await self._run(self._reader.page, call.tenant.name, wanted, after, query.limit)
        except ValueError:
            raise _no_cursor() from None
        shown = [_message(one) for one in found.messages]
        return MessagesShown(messages=shown, next=cursor(found.next) if found.next else None)

    async def message(self, call: Call) -> MessageShown:
        """One."""
        return _message(await self._own(call))

    async def events(self, call: Call) -> EventsShown:
        """All of its time line."""
        message = await self._own(call)
        records: list[Record] = await self._run(self._journals().message, message.id)
        return EventsShown(
            events=[
                EventShown(**told(record.event, f"{record.shard}.{record.number}"))
                for record in records
                if record.event.kind in TOLD
            ]
        )

    async def content(self, call: Call) -> Response:
        """The octets."""
        message = await self._own(call)
        octets = await self._content(call.tenant.name, message.id)
        if octets is None:
            raise Refusal("not-found", f"the content of {message.id} is not kept any more")
        headers = {
            "content-disposition": f'attachment; filename="{message.id}.eml"',
            "x-content-type-options": "nosniff",
        }
        return Response(octets, headers=headers, media="message/rfc822")

    async def recipient(self, call: Call) -> HistoryShown:
        """What was sent to an address."""
        query: Page = call.query
        place, address = query.after(str), call.path["address"]
        await self._current()
        try:
            found: list[Tracked] = await self._run(
                self._reader.recipient, call.tenant.name, address, place[0] if place else "", query.limit
            )
        except ValueError:
            raise _no_cursor() from None
        if not found and not place:
            raise Refusal("not-found", "nothing was sent to this address in the time that is kept")
        more = found[-1].message if len(found) == query.limit else ""
        return HistoryShown(
            address=address,
            messages=[SentShown(message=one.message, **_standing(one)) for one in found],
            next=cursor(more) if more else None,
        )

    async def batch(self, call: Call) -> CountsShown:
        """How a batch stands."""
        return await self._counted(call, BATCH, call.path["id"], "batch")

    async def tag(self, call: Call) -> CountsShown:
        """How the messages of a tag stand."""
        return await self._counted(call, TAG, call.path["tag"], "tag", call.query)

    async def counts(self, call: Call) -> CountsShown:
        """How all stand."""
        return await self._counted(call, ALL, "", "", call.query)

    async def tags(self, call: Call) -> TagsShown:
        """All tags."""
        query: Page = call.query
        place = query.after(str)
        await self._current()
        names: list[str] = await self._run(
            self._reader.names, call.tenant.name, TAG, place[0] if place else "", query.limit
        )
        return TagsShown(tags=names, next=cursor(names[-1]) if len(names) == query.limit else None)

    async def _counted(
        self, call: Call, sort: int, name: str, what: str, days: Days | None = None
    ) -> CountsShown:
        since = days.since.timestamp() if days is not None and days.since else 0.0
        until = days.until.timestamp() if days is not None and days.until else 0.0
        await self._current()
        found = await self._run(self._reader.counts, call.tenant.name, sort, name, since, until)
        if found is None and days is not None and (since or until):
            # Of other days, perhaps.
            known = await self._run(self._reader.counts, call.tenant.name, sort, name)
            found = ({}, {}) if known is not None else None
        if found is None and what:
            raise Refusal("not-found", f"there is no {what} {name} in the time that is kept")
        states, reached = found or ({}, {})
        reached = dict(reached)
        return CountsShown(name=name, recipients=reached.pop("recipients", 0), states=states, reached=reached)

    async def _own(self, call: Call) -> TrackedMessage:
        await self._current()
        found: TrackedMessage | None = await self._run(
            self._reader.get, call.tenant.name, call.path["id"].lower()
        )
        if found is None:
            raise Refusal("not-found", f"there is no message {call.path['id']} in the time that is kept")
        return found


def _no_cursor() -> Refusal:
    error = {"parameter": "cursor", "in": "query", "detail": "it is no `next` of this list"}
    return Refusal("invalid", "cursor: it is no `next` of this list", [error])


def _message(one: TrackedMessage) -> MessageShown:
    return MessageShown(
        id=one.id,
        received=moment(one.at),
        sender=one.sender,
        subject=one.subject,
        message_id=one.message_id,
        batch=one.batch or None,
        campaign=one.campaign or None,
        tags=one.tags,
        metadata=one.metadata,
        size=one.size,
        scheduled=moment(one.scheduled) if one.scheduled else None,
        recipients=[RecipientShown(address=item.address, **_standing(item)) for item in one.recipients],
    )


def _standing(one: Tracked) -> dict[str, Any]:
    reply = None
    if one.code or one.reply:
        reply = ReplyShown(code=one.code, enhanced=one.enhanced, text=one.reply, host=one.host)
    waits = one.state in ("scheduled", "queued", "deferred") and one.due
    return {
        "state": one.state,
        "at": moment(one.at),
        "attempts": one.attempts,
        "next_attempt": moment(one.due) if waits else None,
        "reply": reply,
        "bounce_class": one.bounce_class or None,
        "reached": [name for name, bit in MARKS.items() if one.marks & bit],
    }
