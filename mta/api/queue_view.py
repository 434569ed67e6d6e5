"""What the control socket tells of the queue of a shard, of what is held in it, and of the journal."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from mta.api.bodies import Page, Search, Summary, read_query
from mta.api.problem import ApiProblem
from mta.interfaces import IQueue
from mta.journal.quarantine import Held, held, is_held
from mta.journal.reader import JournalReader
from mta.journal.text import event_json
from mta.journal.timeline import story
from mta.model.ids import decode_id
from mta.model.message import Message
from mta.model.message_json import message_json
from mta.model.selection import Way, summary

#: Messages read at once.
_PAGE = 200
#: A query, as it stands in the request.
Arguments = Mapping[bytes, list[bytes]]


class QueueView:
    """Looks, and changes nothing; every answer is JSON values.

    :param queue: knows the hosts behind next hops.
    :param reader: looks at the queue, synchronously (``mta.queue.reader.QueueReader``).
    :param journal: looks at the journal, synchronously.
    :param run_in_thread: ``(callable, *args) -> Deferred`` on a bounded pool.
    """

    def __init__(
        self,
        queue: IQueue,
        reader: Any,
        journal: JournalReader,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._queue = queue
        self._reader = reader
        self._journal = journal
        self._run = run_in_thread

    async def page(self, query: Arguments) -> dict[str, Any]:
        """A page of the queue.

        :raise ApiProblem: if the query is none.
        """
        found = await self._page(read_query(Page, query), message_json)
        return {**found, "count": await self._run(self._reader.count)}

    async def _page(self, page: Page, tell: Callable[[Message], dict[str, Any]]) -> dict[str, Any]:
        sites = await self._sites() if page.site else {}

        def read() -> dict[str, Any]:
            messages = [tell(message) for message in islice(self._chosen(page, sites), page.limit)]
            more = messages[-1]["id"] if len(messages) == page.limit else None
            return {"messages": messages, "next": more}

        return await self._run(read)  # type: ignore[no-any-return]

    async def summary(self, query: Arguments) -> dict[str, Any]:
        """What waits in this shard, by destination, tenant and so on.

        :raise ApiProblem: if the query is none.
        """
        asked = read_query(Summary, query)
        sites = await self._sites() if asked.site or asked.by == "site" else {}

        def read() -> dict[str, Any]:
            groups = summary(self._chosen(asked, sites), asked.by, time.time(), sites)
            return {"groups": [group.to_json() for group in groups[: asked.limit]], "all": len(groups)}

        return await self._run(read)  # type: ignore[no-any-return]

    async def sites(self) -> dict[str, Any]:
        """Which hosts are behind the next hops of this shard's queue."""
        found = await self._sites()
        return {
            "sites": [
                {"transport": name, "next_hop": hop, "hosts": list(hosts)}
                for (name, hop), hosts in found.items()
            ]
        }

    async def message(self, identifier: str) -> dict[str, Any]:
        """One message of the queue.

        :raise ApiProblem: if it is none of the queue.
        """
        name = _checked(identifier)
        message = await self._run(self._reader.get, name)
        if message is None:
            raise ApiProblem(
                404,
                "No such message in the queue",
                f"{name} is not in the queue; `mta trace {name}` tells what became of it",
            )
        return message_json(message)

    async def quarantine(self, query: Arguments) -> dict[str, Any]:
        """What is held, and why.

        :raise ApiProblem: if the query is none.
        """
        page = read_query(Page, query).model_copy(update={"state": "held"})
        return await self._page(page, lambda message: self._held(message).to_json())

    def _held(self, message: Message) -> Held:
        return held(message, [record.event for record in self._journal.message(message.id)])

    async def held(self, identifier: str) -> dict[str, Any]:
        """One message that is held, with its content.

        :raise ApiProblem: if it is none that is held.
        """
        name = _checked(identifier)

        def read() -> dict[str, Any]:
            message = self._reader.get(name)
            if message is None or not is_held(message):
                raise ApiProblem(
                    404,
                    "No such message is held",
                    f"{name} is not held; `mta trace {name}` tells what became of it",
                )
            octets = message.trace + message.content.read()
            return {**self._held(message).to_json(), "content": octets.decode("utf-8", "surrogateescape")}

        return await self._run(read)  # type: ignore[no-any-return]

    async def trace(self, query: Arguments) -> dict[str, Any]:
        """Events: of a message, under a word, or the newest.

        :raise ApiProblem: if the query is none.
        """
        search = read_query(Search, query)

        def read() -> dict[str, Any]:
            try:
                decode_id(search.word)
            except ValueError:
                pass
            else:
                records = self._journal.message(search.word)
                if records:
                    queued = self._reader.get(search.word.lower())
                    return story([record.event for record in records], queued).to_json()
            options: dict[str, Any] = {"since": search.since, "until": search.until, "limit": search.limit}
            if search.word:
                records = self._journal.find(search.word, rejected=search.rejected, **options)
            else:
                records = self._journal.recent(rejected=search.rejected, **options)
            return {"events": [event_json(record.event) for record in records]}

        return await self._run(read)  # type: ignore[no-any-return]

    async def _sites(self) -> Mapping[Way, Sequence[str]]:
        """Hosts behind every next hop of this shard's queue."""
        return await self._queue.sites(await self._run(self._reader.ways))

    def _chosen(self, page: Page, sites: Mapping[Way, Sequence[str]]) -> Iterator[Message]:
        """What fits, read piece by piece; in a thread."""
        selection, after = page.selection(sites), page.after
        while True:
            found = self._reader.page(
                after,
                _PAGE,
                sender=page.sender,
                recipient=page.recipient,
                state=page.state,
                domain=page.domain,
            )
            yield from filter(selection.fits, found)
            if len(found) < _PAGE:
                return
            after = found[-1].id


def _checked(identifier: str) -> str:
    try:
        decode_id(identifier)
    except ValueError as error:
        raise ApiProblem(400, "This is no queue id", str(error)) from None
    return identifier.lower()
