"""The client for programs on asyncio; :mod:`mta_client.sync` with ``await``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from mta_client import calls
from mta_client.asynchronous_parts import Campaigns, Contacts, Lists, Segments, Sequences, Statistics
from mta_client.batches import Batch, BatchResult
from mta_client.calls import Call, Page
from mta_client.errors import NoAnswer, TooMany, Unavailable, error_of
from mta_client.events import Event, EventReader
from mta_client.messages import Message, Sent
from mta_client.suppressions import Suppression
from mta_client.sync import SILENCE, headers_of
from mta_client.templates import Preview, Template, TemplateVersion

T = TypeVar("T")


class AsyncClient:
    """Asks a server.  Use it in ``async with``, or close it.

    What goes wrong on the way, and 429 and 5xx, is tried again, after the time that the server asks
    for.  Sending is safe to try again: each call has an ``Idempotency-Key``.

    :ivar contacts: asks for them; ``lists``, ``segments``, ``sequences``, ``campaigns`` and ``statistics``
        likewise.
    :param url: of the server, such as ``https://mail.example.org``.
    :param key: ``mk_...``.
    :param timeout: seconds for an answer.
    :param retries: how often a call is tried again.
    :param transport: of httpx, in place of the network.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 30.0,
        retries: int = 3,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers_of(key), timeout=timeout, transport=transport
        )
        self._sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self.contacts = Contacts(self)
        self.lists = Lists(self)
        self.segments = Segments(self)
        self.sequences = Sequences(self)
        self.campaigns = Campaigns(self)
        self.statistics = Statistics(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    # --- sending -----------------------------------------------------------------------

    async def send(self, message: Message, *, idempotency_key: str | None = None) -> Sent:
        """Send a message; it is on the server's disk when this comes back."""
        return await self.ask(calls.send(message, idempotency_key))

    async def send_batch(self, batch: Batch, *, idempotency_key: str | None = None) -> BatchResult:
        """Send to many; recipients that are wrong are told in ``errors``."""
        return await self.ask(calls.send_batch(batch, idempotency_key))

    async def batch(self, identifier: str) -> BatchResult:
        """How a batch was accepted."""
        return await self.ask(calls.batch(identifier))

    async def message(self, identifier: str) -> Mapping[str, Any]:
        """How a message and its recipients stand."""
        return await self.ask(calls.message(identifier))

    async def cancel(self, identifier: str, reason: str = "") -> None:
        """Take a message back, as far as it was not delivered."""
        await self.ask(calls.cancel(identifier, reason))

    # --- following ---------------------------------------------------------------------

    async def follow(
        self,
        *,
        messages: Sequence[str] = (),
        batches: Sequence[str] = (),
        tags: Sequence[str] = (),
        types: Sequence[str] = (),
        last_id: str = "",
    ) -> AsyncIterator[Event]:
        """Events as they happen, without end.

        A connection that is lost is made again, and goes on after the last event.

        :param last_id: of the event after which to begin; without it, with what happens from now on.
        """
        reader, tried = EventReader(last_id), 0
        query = calls.follow(messages, batches, tags, types)
        while True:
            try:
                headers = {"Last-Event-ID": reader.last_id} if reader.last_id else {}
                timeout = httpx.Timeout(30.0, read=SILENCE)
                async with self._http.stream(
                    "GET", "/v1/events/stream", params=query, headers=headers, timeout=timeout
                ) as answer:
                    if answer.status_code != 200:
                        raise error_of(answer.status_code, await answer.aread(), answer.headers)
                    async for line in answer.aiter_lines():
                        tried = 0
                        for event in reader.line(line):
                            yield event
                wait = reader.retry
            except httpx.TransportError as error:
                wait = max(reader.retry, calls.pause(error, tried) or 0.0)
            except (TooMany, Unavailable) as error:
                asked = calls.pause(error, tried)
                if asked is None:
                    raise
                wait = asked
            # What was read of an event that did not end is read again.
            reader, tried = EventReader(reader.last_id), tried + 1
            await self._sleep(wait)

    # --- suppressions --------------------------------------------------------------------

    def suppressions(self, *, reason: str = "", address: str = "") -> AsyncIterator[Suppression]:
        """The whole list, part by part."""
        return self.pages(lambda cursor: calls.suppressions(reason, address, cursor))

    async def suppression(self, address: str) -> Sequence[Suppression]:
        """Why an address gets nothing; empty: it gets what is sent to it."""
        return await self.ask(calls.suppression(address))

    async def suppress(
        self, addresses: Sequence[str], *, reason: str = "manual", list: str = "", note: str = ""
    ) -> int:
        """Send nothing more to addresses; how many are new on the list."""
        return await self.ask(calls.suppress(addresses, reason, list, note))

    async def unsuppress(self, address: str, *, reason: str = "") -> None:
        """Take an address off the list, for one reason or all."""
        await self.ask(calls.unsuppress(address, reason))

    # --- templates -----------------------------------------------------------------------

    def templates(self) -> AsyncIterator[Template]:
        """All of them."""
        return self.pages(calls.templates)

    async def put_template(self, name: str, version: TemplateVersion) -> int:
        """Keep a version of a template; its number."""
        return await self.ask(calls.put_template(name, version))

    async def delete_template(self, name: str) -> None:
        """Forget a template with all its versions."""
        await self.ask(calls.delete_template(name))

    async def preview(self, name: str, data: Mapping[str, Any] | None = None, *, locale: str = "") -> Preview:
        """What a template becomes; without data, with made-up ones."""
        return await self.ask(calls.preview(name, data, locale))

    # --- the network ---------------------------------------------------------------------

    async def ask(self, call: Call[T]) -> T:
        """What a request answers; tried again where that is safe."""
        for tried in range(self._retries + 1):
            try:
                return await self._once(call)
            except (NoAnswer, TooMany, Unavailable) as error:
                # Who was told to wait has had nothing done; otherwise it may have been.
                again = call.safe or isinstance(error, TooMany)
                wait = calls.pause(error, tried) if again and tried < self._retries else None
                if wait is None:
                    raise
                await self._sleep(wait)
        raise AssertionError("unreachable")

    async def _once(self, call: Call[T]) -> T:
        try:
            answer = await self._http.request(call.method, call.path, **call.request())
        except httpx.TransportError as error:
            raise NoAnswer(f"{call.method} {call.path}: {error or type(error).__name__}") from error
        return call.answer(answer.status_code, answer.content, answer.headers)

    async def pages(self, part: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]:
        """A whole list, part by part."""
        cursor = None
        while True:
            page = await self.ask(part(cursor))
            for item in page.items:
                yield item
            cursor = page.next
            if cursor is None:
                return
