"""What a tenant does to its messages that wait: cancel, reschedule, hold, release, retry.

A message is in the shard of the worker that took it, which its id names.  A request that another
worker got goes on to that one, over its socket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import Field

from mta.api.v1.keys import moment
from mta.api.v1.message_models import Line
from mta.api.v1.moment import Moment
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
from mta.interfaces import IQueue
from mta.model.event import Received
from mta.model.ids import decode_id, shard_of
from mta.model.message import Message
from mta.model.message_json import state_of

#: The acts, and what they are.
_ACTS = {
    "cancel": "Take a message back, as far as it was not delivered",
    "hold": "Keep a message from being sent until it is released",
    "release": "End a hold",
    "retry": "Try a message now that waits for its next attempt",
}


class Act(Model):
    """Why; it stands in the journal."""

    reason: Line = Field("", max_length=500)


class Reschedule(Act):
    """Another time."""

    send_at: Moment = Field(description="to come")


class Acted(Shown):
    """What a message is asked to do.

    While an attempt is under way it is carried out when that has ended.
    """

    id: str
    action: str
    recipients: list[str] = Field(description="those who had not got it when this was asked")
    send_at: str | None = None


class MessageActs:
    """Acts on messages of the queue.

    :param shard: which worker this is.
    :param queue: its queue.
    :param find: looks for a message in the queue of this shard, by its id.
    :param received: from queue ids, what the journal has of their acceptance.
    :param forward: has another worker answer: (shard, method, path, body, tenant, who).
    """

    def __init__(
        self,
        shard: int,
        queue: IQueue,
        *,
        find: Callable[[str], Awaitable[Message | None]],
        received: Callable[[list[str]], Awaitable[Any]],
        forward: Callable[..., Awaitable[Response]],
    ) -> None:
        self._shard = shard
        self._queue = queue
        self._find = find
        self._received = received
        self._forward = forward

    def routes(self) -> list[Route]:
        """What it answers."""
        told: dict[str, Any] = {
            "answer": Acted,
            "path_help": {"id": "of the message"},
            "refusals": ("conflict",),
            "group": "messages",
        }
        simple = [
            Route(
                "POST",
                f"/v1/messages/{{id}}/{name}",
                self._handler(name),
                "messages:send",
                summary,
                body=Act,
                examples={"with a reason": {"reason": "ordered by mistake"}},
                **told,
            )
            for name, summary in _ACTS.items()
        ]
        reschedule = Route(
            "POST",
            "/v1/messages/{id}/reschedule",
            self._handler("reschedule"),
            "messages:send",
            "Give a message another time",
            "It lives from then on for as long as it would have lived.",
            body=Reschedule,
            examples={"to the new year": {"send_at": "2027-01-01T00:00:00Z"}},
            **told,
        )
        return [*simple, reschedule]

    def _handler(self, action: str) -> Callable[[Call], Awaitable[Acted | Response]]:
        async def handler(call: Call) -> Acted | Response:
            return await self._act(call, action)

        return handler

    async def _act(self, call: Call, action: str) -> Acted | Response:
        identifier = call.path["id"].lower()
        try:
            decode_id(identifier)
        except ValueError:
            raise Refusal("not-found", "this is no id of a message") from None
        if shard_of(identifier) != self._shard:
            return await self._forward(
                shard_of(identifier), "POST", f"/v1/messages/{identifier}/{action}", call
            )
        message = await self._find(identifier)
        if message is None or message.attributes.get("tenant") != call.tenant.name:
            await self._gone(call, identifier)
        assert message is not None
        reason = call.body.reason
        if action == "reschedule":
            at = call.body.send_at.timestamp()
            try:
                count = await self._queue.reschedule([identifier], call.who, at, reason)
            except ValueError as error:
                raise field_refusal("/send_at", str(error)) from None
        elif action == "cancel":
            count = await self._queue.remove([identifier], call.who, reason or "cancelled", False)
        else:
            count = await getattr(self._queue, action)([identifier], call.who, reason)
        if not count:
            raise Refusal("conflict", f"there is nothing to {action}: the message is {state_of(message)}")
        return Acted(
            id=identifier,
            action=action,
            recipients=list(dict.fromkeys(addressee.original for addressee in message.addressees)),
            send_at=moment(call.body.send_at.timestamp()) if action == "reschedule" else None,
        )

    async def _gone(self, call: Call, identifier: str) -> None:
        """It is not in the queue, or not the tenant's.

        :raise Refusal: always.
        """
        events: list[Received] = list(await self._received([identifier]))
        if events and events[0].tenant == call.tenant.name:
            raise Refusal("conflict", "the message has left the queue: nobody waits for it any more")
        raise Refusal("not-found", f"there is no message {identifier}")
