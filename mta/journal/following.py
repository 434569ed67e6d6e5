"""Follows the journal of one shard for somebody who keeps what it tells elsewhere, and the place.

Whoever follows is given events of some kinds in order, together with the number up to which was read,
and remembers that number with what they make of the events, in one transaction: after a crash it goes
on from there, and nothing is forgotten.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mta.interfaces import IEventSink
from mta.journal.reader import JournalReader, Record
from mta.model.event import Event

#: Numbers of events in one step.
SPAN = 2000
#: Events that may pass without one of the kinds, until the place is remembered anyhow.
_UNREMEMBERED = 20_000
#: Seconds until it is tried again after trouble, at first and at the most.
_FIRST, _LAST = 1.0, 60.0


@implementer(IEventSink)
class Follower:
    """See the module.

    :param reactor: delayed calls.
    :param reader: of one journal.
    :param kinds: of the events.
    :param place: answers with the number that was remembered; ``None``: nothing is, begin with what
        happens from now on.
    :param take: is given events and a number, to be remembered when it answers.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param name: for the log.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        reader: JournalReader,
        kinds: Collection[str],
        *,
        place: Callable[[], Awaitable[int | None]],
        take: Callable[[Sequence[Record], int], Awaitable[None]],
        run_in_thread: Callable[..., Awaitable[Any]],
        name: str,
    ) -> None:
        self._reactor = reactor
        self._reader = reader
        self._kinds = frozenset(kinds)
        self._place = place
        self._take = take
        self._run = run_in_thread
        self._name = name
        self._after = -1
        self._kept = -1
        self._more = False
        self._stopped = True
        self._busy = False
        self._running: Deferred[None] | None = None
        self._again: Any = None
        self._patience = _FIRST

    def events(self, batch: Sequence[Event]) -> None:
        """See :class:`~mta.interfaces.IEventSink`."""
        for event in batch:
            if event.kind in self._kinds:
                self.wake()
                return

    async def start(self) -> None:
        """Begin, with what happened while nobody followed."""
        self._stopped = False
        self.wake()

    async def stop(self) -> None:
        """End; what is under way is finished."""
        self._stopped = True
        again, self._again = self._again, None
        if again is not None:
            again.cancel()
        if self._busy and self._running is not None:
            await self._running

    def wake(self) -> None:
        """There is something new."""
        self._more = True
        if not self._busy and self._again is None and not self._stopped:
            self._busy = True
            self._running = Deferred.fromCoroutine(self._follow())

    async def _follow(self) -> None:
        try:
            while self._more and not self._stopped:
                self._more = False
                await self._step()
            self._patience = _FIRST
        except CancelledError:
            pass
        except Exception as error:
            self._more = True
            self.log.error(
                "{name} cannot follow the journal: {error}; tried again in {patience:.0f} s",
                name=self._name,
                error=f"{type(error).__name__}: {error}",
                patience=self._patience,
            )
            if not self._stopped:
                self._again = self._reactor.callLater(self._patience, self._once_more)
            self._patience = min(2 * self._patience, _LAST)
        finally:
            self._busy = False

    def _once_more(self) -> None:
        self._again = None
        self.wake()

    async def _step(self) -> None:
        if self._after < 0:
            known = await self._place()
            if known is None:
                (known,) = await self._run(self._reader.ends)
                await self._take((), known)
            self._after = self._kept = known
        records, upto = await self._run(self._reader.following, 0, self._kinds, self._after, SPAN)
        if upto == self._after:
            return
        if records or abs(upto - self._kept) >= _UNREMEMBERED:
            await self._take(records, upto)
            self._kept = upto
        self._after = upto
        self._more = True
