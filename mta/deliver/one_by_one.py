"""What transports have in common that deliver to each addressee by itself, some at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from mta.interfaces import Delivery
from mta.model.message import Addressee, Message
from mta.model.outcome import Outcome


class OneByOne:
    """Shares slots among all deliveries of one transport.

    :param slots: attempts at once, whatever they are for.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._semaphore = DeferredSemaphore(slots)
        self._under_way: set[Deferred[Outcome]] = set()

    def concurrency(self, next_hop: str) -> int:
        """See :class:`~mta.interfaces.ITransport`."""
        return self._slots

    async def deliver(self, delivery: Delivery) -> Sequence[Outcome]:
        """Attempt it for each addressee, as slots become free."""
        attempts = [
            self._semaphore.run(self._begin, delivery.message, addressee, delivery.sender)
            for addressee in delivery.addressees
        ]
        outcomes: Sequence[Outcome] = await gatherResults(attempts)
        return outcomes

    async def attempt(self, message: Message, addressee: Addressee, sender: str) -> Outcome:
        """Deliver to one addressee.  Never raises but for being cancelled.

        :param sender: the reverse-path of this copy.
        """
        raise NotImplementedError

    def cancel(self) -> None:
        """Cancel every attempt that has a slot."""
        for running in list(self._under_way):
            running.cancel()

    def _begin(self, message: Message, addressee: Addressee, sender: str) -> Deferred[Outcome]:
        running = Deferred.fromCoroutine(self.attempt(message, addressee, sender))
        self._under_way.add(running)

        def end(result: Any) -> Any:
            self._under_way.discard(running)
            return result

        return running.addBoth(end)
