"""What signatures are verified with: their keys and the hashes of the body.

The DNS is asked for all keys at once, for so long at the most, while the body is hashed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults

from mta.dkim.header_fields import Canonicalization
from mta.dkim.message_body import body_digests
from mta.dkim.verification import BodyDigests, KeyAnswer
from mta.interfaces import Facts, IResolver, NoSuchDomain, TemporarilyUnavailable, settle


class KeyLookup:
    """See the module.

    :param reactor: gives timers.
    :param resolver: asks the DNS.
    :param timeout: seconds for all keys of a message.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    """

    def __init__(
        self,
        reactor: Any,
        resolver: IResolver,
        timeout: float,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._timeout = timeout
        self._run_in_thread = run_in_thread

    async def with_bodies(
        self, names: Sequence[str], facts: Facts, ways: Collection[Canonicalization]
    ) -> tuple[Mapping[str, KeyAnswer], BodyDigests]:
        """The answers to names, and what the body of a message comes to under canonicalizations."""
        asking = Deferred.fromCoroutine(self.answers(names))
        try:
            bodies = await settle(body_digests(facts, ways, self._run_in_thread)) if ways else {}
        except BaseException:
            asking.addErrback(lambda failure: None)
            asking.cancel()
            raise
        return await asking, bodies

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
