"""``/v1/events/stream``: events of the tenant's messages, when they happen, as server-sent events."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from twisted.internet.defer import Deferred

from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Model, Route, Stream
from mta.tracking.feed import Feed
from mta.tracking.position import places_of
from mta.tracking.subscriber import Interest, Subscriber
from mta.tracking.telling import TOLD

_DESCRIPTION = """An answer that does not end: `curl -N` shows it, and so does `EventSource`.

Each event has an `id`; whoever lost the connection sends it back as `Last-Event-ID` (browsers do so
themselves) and misses nothing, nor gets anything twice, for as long as the journal is kept, whichever
worker answers, and however often the server was started since.  What must be shown waits in the
journal, not in memory; who reads nothing for half a minute is cut off and goes on with the last id.
Comments show that the connection lives."""

#: Octets that a stream sends in one turn of the reactor, and that wait for it before it counts as slow.
_AT_ONCE = 512 * 1024


class Wanted(Model):
    """What to show; everything where nothing is said."""

    message: list[str] = Field([], max_length=100, description="only of these messages")
    batch: list[str] = Field([], max_length=100, description="only of these batches")
    tag: list[str] = Field([], max_length=100, description="only of messages with one of these tags")
    campaign: list[str] = Field([], max_length=100, description="only of these campaigns")
    type: list[str] = Field([], max_length=50, description="only these: " + ", ".join(TOLD))
    last_event_id: str = Field("", max_length=2000, description="as the header field, which counts before it")


class StreamRoutes:
    """Answers with what happens.

    :param feed: tells what does.
    :param most: streams that one tenant may have of this worker; 0: any number.
    """

    def __init__(self, feed: Feed, most: int) -> None:
        self._feed = feed
        self.most = most

    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                "GET",
                "/v1/events/stream",
                self.stream,
                "messages:read",
                "What happens, live",
                _DESCRIPTION,
                query=Wanted,
                media="text/event-stream",
                refusals=("too-many",),
                headers={"Last-Event-ID": "the `id` of the last event that was received"},
            )
        ]

    async def stream(self, call: Call) -> Stream:
        """All that is wanted."""
        query: Wanted = call.query
        wrong = sorted(set(query.type) - set(TOLD))
        if wrong:
            what = f"there is no type {wrong[0]!r}; there are: {', '.join(TOLD)}"
            raise Refusal("invalid", f"type: {what}", [{"parameter": "type", "in": "query", "detail": what}])
        last = call.header("last-event-id") or query.last_event_id
        try:
            places = places_of(last) if last else None
        except ValueError as error:
            where = {"parameter": "last_event_id", "in": "query", "detail": str(error)}
            raise Refusal("invalid", str(error), [where]) from None
        if self.most and self._feed.count_of(call.tenant.name) >= self.most:
            raise Refusal("too-many", f"at most {self.most} streams at a time", headers={"retry-after": "5"})
        interest = Interest(
            call.tenant.name,
            frozenset(one.lower() for one in query.message),
            frozenset(query.batch),
            frozenset(query.tag),
            frozenset(query.campaign),
            frozenset(query.type),
        )

        def run(request: Any) -> Deferred[Any]:
            _widen(request.channel)
            subscriber = Subscriber(interest, request.write, request.channel.forceAbortClient)
            request.registerProducer(subscriber, True)
            running = Deferred.fromCoroutine(self._feed.follow(subscriber, places))
            return running.addBoth(_over, request)

        # A proxy would collect events otherwise.
        return Stream(run, headers={"x-accel-buffering": "no"})


def _widen(channel: Any) -> None:
    """Let a connection take more at once: what is told of one commit may be megabytes."""
    transport: Any = getattr(channel, "transport", None)
    if hasattr(transport, "SEND_LIMIT"):
        # Twisted sends 128 KiB in a turn of the reactor, which under load are too few turns a second.
        transport.SEND_LIMIT = transport.bufferSize = _AT_ONCE


def _over(result: Any, request: Any) -> Any:
    request.unregisterProducer()
    return result
