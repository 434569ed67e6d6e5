"""Asks the DNS for the keys of signatures, all at once, for so long at the most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults

from mta.dkim.verification import KeyAnswer
from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable


class KeyLookup:
    """See the module.

    :param reactor: gives timers.
    :param resolver: asks the DNS.
    :param timeout: seconds for all keys of a message.
    """

    def __init__(self, reactor: Any, resolver: IResolver, timeout: float) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._timeout = timeout

    async def answers(self, names: Sequence[str]) -> Mapping[str, KeyAnswer]:
        """An answer to each name; never raises for what the DNS does."""
        if not names:
            return {}
        asking = [Deferred.fromCoroutine(self._ask(name)) for name in names]
        if all(one.called for one in asking):
            # It was all remembered.
            return dict(zip(names, await gatherResults(asking), strict=True))
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            for one in asking:
                one.cancel()

        timer = self._reactor.callLater(self._timeout, expire)
        late = KeyAnswer(trouble=f"the DNS did not answer in {self._timeout:g} seconds")
        for one in asking:
            one.addErrback(lambda failure: late if failure.check(CancelledError) and expired else failure)
        try:
            return dict(zip(names, await gatherResults(asking, consumeErrors=True), strict=True))
        finally:
            if timer.active():
                timer.cancel()

    async def _ask(self, name: str) -> KeyAnswer:
        try:
            return KeyAnswer(tuple(bytes(record) for record in await self._resolver.text(name)))
        except NoSuchDomain:
            return KeyAnswer()
        except TemporarilyUnavailable as trouble:
            return KeyAnswer(trouble=str(trouble) or "nobody answers")
