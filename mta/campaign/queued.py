"""What a pause or a stop does to messages of a campaign that are in the queue of this worker already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from mta.campaign.campaigns import Campaign
from mta.campaign.states import PAUSED, RUNNING, STOPPED
from mta.interfaces import IQueue
from mta.model.message import Message

#: Messages that one act is given at once.
_AT_ONCE = 500

#: Of a tenant's campaign all messages in the queue of this shard, a page at a time; blocks.
Find = Callable[[str, str], Iterator[Message]]


class Queued:
    """See the module.

    :param queue: of this worker.
    :param find: looks for messages.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(self, queue: IQueue, find: Find, run_in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._queue = queue
        self._find = find
        self._run = run_in_thread

    async def apply(self, campaign: Campaign) -> int:
        """Do what the state of a campaign asks for; answers how many messages it was done to.

        A pause holds them if that was asked for, and a resumption releases them; a stop takes out those
        that were never attempted: others may have reached somebody.
        """
        if campaign.state == PAUSED:
            return await self._each(campaign, "hold", _queued) if campaign.hold else 0
        count = 0
        if campaign.state == STOPPED:
            count = await self._each(campaign, "remove", _untried)
        if campaign.hold and campaign.state in (RUNNING, STOPPED):
            count += await self._each(campaign, "release", _held)
        return count

    async def _each(self, campaign: Campaign, act: str, wanted: Callable[[Message], bool]) -> int:
        ids: list[str] = await self._run(
            lambda: [one.id for one in self._find(campaign.tenant, campaign.name) if wanted(one)]
        )
        count = 0
        what = {"hold": "paused", "release": "resumed", "remove": "stopped"}[act]
        reason = f"campaign {campaign.name} was {what}"
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            if act == "remove":
                count += await self._queue.remove(some, campaign.who, reason, False)
            else:
                count += await getattr(self._queue, act)(some, campaign.who, reason)
        return count


def _queued(message: Message) -> bool:
    return any(one.state == "queued" for one in message.addressees)


def _held(message: Message) -> bool:
    return any(one.state == "held" for one in message.addressees)


def _untried(message: Message) -> bool:
    return not any(one.attempts for one in message.addressees)
