"""What a pause or a stop does to messages of a campaign that are in the queue of this worker already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol

from mta.campaign.campaigns import Campaign
from mta.campaign.held import ALL
from mta.campaign.states import PAUSED, STOPPED
from mta.interfaces import IQueue
from mta.model.message import Message

#: Messages that one act is given at once.
_AT_ONCE = 500

#: Of a tenant's campaign all messages in the queue of this shard, a page at a time; blocks.
Find = Callable[[str, str], Iterator[Message]]


class Remembers(Protocol):
    """Remembers what a pause has held; see :class:`mta.campaign.held.Held`."""

    async def of(self, campaign: int) -> list[str]:
        """The queue ids."""

    async def remember(self, campaign: int, messages: Sequence[str]) -> None:
        """Remember that these are held."""

    async def forget(self, campaign: int) -> None:
        """None is held any more."""


class Queued:
    """See the module.

    :param queue: of this worker.
    :param find: looks for messages.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param held: remembers what a pause has held.
    """

    def __init__(
        self, queue: IQueue, find: Find, run_in_thread: Callable[..., Awaitable[Any]], held: Remembers
    ) -> None:
        self._queue = queue
        self._find = find
        self._run = run_in_thread
        self._remembered = held

    async def apply(self, campaign: Campaign) -> int:
        """Do what the state of a campaign asks for; answers how many messages it was done to.

        A pause holds them if that was asked for; whatever comes after it releases those, and none that
        somebody else holds.  A stop takes out those that were never attempted: others may have reached
        somebody.
        """
        if campaign.state == PAUSED and campaign.hold:
            return await self._each(campaign, "hold", _queued)
        count = 0
        if campaign.state == STOPPED:
            count = await self._each(campaign, "remove", _untried)
        return count + await self._release(campaign)

    async def _release(self, campaign: Campaign) -> int:
        # Also where it is paused again, without holding: this worker may have been down in between.
        ours = set(await self._remembered.of(campaign.id))
        if not ours:
            return 0
        count = await self._each(
            campaign, "release", lambda one: _held(one) and (one.id in ours or ALL in ours)
        )
        await self._remembered.forget(campaign.id)
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
                continue
            if act == "hold":
                await self._remembered.remember(campaign.id, some)
            count += await getattr(self._queue, act)(some, campaign.who, reason)
        return count


def _queued(message: Message) -> bool:
    return any(one.state == "queued" for one in message.addressees)


def _held(message: Message) -> bool:
    return any(one.state == "held" for one in message.addressees)


def _untried(message: Message) -> bool:
    return not any(one.attempts for one in message.addressees)
