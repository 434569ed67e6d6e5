"""What an operator does to messages in the queue, wherever they are just now.

A message whose attempt is under way is changed when its round has ended; one
that only waits in the window is given back to the disk first.  So every change
is made to what is on disk, and while it is made nobody claims the message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredLock, FirstError, gatherResults, succeed
from twisted.logger import Logger

from mta.interfaces import ISpool, Result
from mta.model.catalogue import REPLIES
from mta.model.event import Completed, Operated
from mta.model.message import Addressee, Message
from mta.model.outcome import RemoteReply
from mta.queue.notifier import Notifier
from mta.queue.settlement import Report, failed_event

#: Messages changed at once.
_PAGE = 100

Change = Callable[[Message], Awaitable[Result | None]]

#: Seconds for which a message is tried at the least after its hold has ended.
_AFTER_HOLD = 86400.0


class IInterrupted(Protocol):
    """What operations ask of the manager."""

    def interrupt(self, identifier: str) -> Deferred[None] | None:
        """End what can be ended of a message's round; answers when it has, if that takes time."""

    def probe(self, addressees: Sequence[Addressee] | None) -> None:
        """Try destinations that rest, of these or of everybody."""

    def changed(self, identifier: str, admitted: Sequence[Message]) -> None:
        """A message on disk may be another now, and these were admitted with that."""

    def look(self) -> None:
        """Something may be due that was not."""


class Operations:
    """Changes messages one by one, each in a transaction with its event.

    :param manager: has the window.
    :param reactor: gives the time.
    :param spool: keeps the messages.
    :param notifier: tells a sender of a removal.
    :ivar busy: ids of messages that are being changed, with how many changes wait.
    """

    log = Logger()

    def __init__(self, manager: IInterrupted, reactor: Any, spool: ISpool, notifier: Notifier) -> None:
        self._manager = manager
        self._reactor = reactor
        self._spool = spool
        self._notifier = notifier
        self._locks: dict[str, DeferredLock] = {}
        self.busy: dict[str, int] = {}

    # --- acts ------------------------------------------------------------------

    async def hold(self, ids: Sequence[str], by: str, reason: str) -> int:
        """Keep from being delivered until released."""

        async def change(message: Message) -> Result | None:
            changed = [one for one in message.addressees if one.state == "queued"]
            for addressee in changed:
                addressee.state = "held"
            return self._result(message, changed, "hold", by, reason)

        return await self._each(ids, change)

    async def release(self, ids: Sequence[str], by: str, reason: str = "") -> int:
        """End a hold; due at once, or at the time for which it is scheduled."""

        async def change(message: Message) -> Result | None:
            now = self._reactor.seconds()
            changed = [one for one in message.addressees if one.state == "held"]
            for addressee in changed:
                addressee.state = "queued"
                addressee.due = max(now, message.starts)
            result = self._result(message, changed, "release", by, reason)
            if result is not None and message.expires < now + _AFTER_HOLD:
                # It could not be tried while it was held.
                message.expires = now + _AFTER_HOLD
                result.retimed = message
            return result

        return await self._each(ids, change)

    async def retry(self, ids: Sequence[str], by: str, reason: str = "") -> int:
        """Due at once."""

        async def change(message: Message) -> Result | None:
            changed = [one for one in message.addressees if one.state == "queued"]
            for addressee in changed:
                addressee.due = self._reactor.seconds()
            self._manager.probe(changed)
            return self._result(message, changed, "retry", by, reason)

        return await self._each(ids, change)

    async def reschedule(self, ids: Sequence[str], by: str, at: float, reason: str = "") -> int:
        """Give another time; it lives from then for as long as it would have lived.

        :param at: in seconds since 1970; to come.
        """
        words = f"Rescheduled by {by}" + (f": {reason}" if reason else "")

        async def change(message: Message) -> Result | None:
            if message.starts == at and all(one.due == at for one in message.addressees):
                return None
            changed = list(message.addressees)
            for addressee in changed:
                if addressee.state == "queued":
                    addressee.due = at
                # Of a delay from then on its sender is told as of any other.
                addressee.warned = False
                if addressee.last_reply:
                    # What it waited for is not what it waits for now.
                    addressee.last_reply = words
            message.expires += at - message.starts
            message.attributes = {**message.attributes, "release": at}
            result = self._result(message, changed, "reschedule", by, reason, until=at)
            if result is not None:
                result.retimed = message
            return result

        return await self._each(ids, change)

    async def flush(self, by: str) -> int:
        """Everything that waits for a retry is due at once; what is scheduled keeps to its time."""
        now = self._reactor.seconds()
        count = await self._spool.reschedule(now)
        self._spool.note([Operated(at=now, action="flush", by=by)])
        self._manager.probe(None)
        self._manager.look()
        return count

    async def move(self, ids: Sequence[str], by: str, transport: str, next_hop: str, reason: str = "") -> int:
        """Send another way; due at once, unless held.

        :param transport: ``""``: the one that it has.
        """

        async def change(message: Message) -> Result | None:
            changed = [
                one
                for one in message.addressees
                if (one.transport, one.next_hop) != (transport or one.transport, next_hop)
            ]
            for addressee in changed:
                if transport and transport != addressee.transport:
                    # The other options are about the transport that it leaves.
                    options = addressee.options
                    addressee.options = {"sender": options["sender"]} if "sender" in options else {}
                    addressee.transport = transport
                addressee.next_hop = next_hop
                if addressee.state == "queued":
                    # What is scheduled goes the other way when its time has come.
                    addressee.due = max(self._reactor.seconds(), message.starts)
            self._manager.probe(changed)
            target = f"{transport} {next_hop}".strip()
            return self._result(message, changed, "move", by, reason, target)

        return await self._each(ids, change)

    async def bounce(self, ids: Sequence[str], by: str, reason: str) -> int:
        """Fail for good; the sender is told."""

        async def change(message: Message) -> Result | None:
            changed = list(message.addressees)
            result = self._result(message, changed, "bounce", by, reason)
            if result is None:
                return None
            now = self._reactor.seconds()
            reports = self._reports(message, "bounced", reason, now)
            result.events += [failed_event(message, report) for report in reports]
            await self._end(message, result, "failed", reports, now)
            return result

        return await self._each(ids, change)

    async def remove(self, ids: Sequence[str], by: str, reason: str, notify: bool) -> int:
        """Take out of the queue; with ``notify`` the sender is told."""

        async def change(message: Message) -> Result | None:
            changed = list(message.addressees)
            now = self._reactor.seconds()
            result = self._result(message, changed, "remove", by, reason)
            if result is None:
                return None
            reports = self._reports(message, "removed", reason, now) if notify else []
            await self._end(message, result, "removed", reports, now)
            return result

        return await self._each(ids, change)

    # --- how -------------------------------------------------------------------

    def _reports(self, message: Message, name: str, reason: str, now: float) -> list[Report]:
        said = REPLIES.reply(name, reason=reason or "no reason was given")
        reply = RemoteReply.ours(said)
        path = message.envelope.reverse_path
        return [
            Report("failed", one, reply, now, one.options.get("sender", path)) for one in message.addressees
        ]

    async def _end(
        self, message: Message, result: Result, state: str, reports: Sequence[Report], now: float
    ) -> None:
        """Let a message leave the queue, and tell its sender what is reported."""
        if reports:
            result.admit, events = await self._notifier.tell(message, reports, now)
            result.events += events
        for addressee in message.addressees:
            addressee.state = state
        result.complete = True
        result.events.append(Completed(at=now, message=message.id, session=message.client.session))

    def _result(
        self,
        message: Message,
        changed: list[Addressee],
        action: str,
        by: str,
        reason: str = "",
        target: str = "",
        until: float = 0.0,
    ) -> Result | None:
        if not changed:
            return None
        event = Operated(
            at=self._reactor.seconds(),
            message=message.id,
            session=message.client.session,
            action=action,
            by=by,
            reason=reason,
            target=target,
            until=until,
            recipients=[addressee.address for addressee in changed],
        )
        return Result(message.id, changed, False, [event])

    async def _each(self, ids: Sequence[str], change: Change) -> int:
        unique = list(dict.fromkeys(ids))
        count = 0
        for start in range(0, len(unique), _PAGE):
            page = [self._start(identifier, change) for identifier in unique[start : start + _PAGE]]
            try:
                count += sum(await gatherResults(page, consumeErrors=True))
            except FirstError as first:
                # Why it failed is what the operator wants to know, not which was the first.
                first.subFailure.raiseException()
        return count

    def _start(self, identifier: str, change: Change) -> Deferred[bool]:
        self.busy[identifier] = self.busy.get(identifier, 0) + 1
        ended = self._manager.interrupt(identifier)
        changed = Deferred.fromCoroutine(self._one(identifier, change, ended))
        if ended is None:
            return changed
        # A round may last for minutes; the change is made when it has ended.
        changed.addErrback(
            lambda failure: self.log.failure("Message {id} was not changed", failure, id=identifier)
        )
        return succeed(True)

    async def _one(self, identifier: str, change: Change, ended: Deferred[None] | None) -> bool:
        lock = self._locks.setdefault(identifier, DeferredLock())
        admitted: Sequence[Message] = ()
        try:
            if ended is not None:
                await ended
            await lock.acquire()
            try:
                message = await self._spool.get(identifier)
                result = None if message is None else await change(message)
                if result is None:
                    return False
                await self._spool.record(result)
                admitted = result.admit
                return True
            finally:
                lock.release()
        finally:
            self.busy[identifier] -= 1
            if not self.busy[identifier]:
                del self.busy[identifier], self._locks[identifier]
            self._manager.changed(identifier, admitted)
