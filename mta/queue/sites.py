"""Which hosts are behind the next hops that messages wait for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.logger import Logger

from mta.interfaces import settle

#: A transport by its name, and a next hop.
Way = tuple[str, str]

_log = Logger()
#: Next hops that are looked up at once.
_AT_ONCE = 50
#: Seconds after which nobody waits for one any more.
_PATIENCE = 15.0


async def sites_of(
    transports: Mapping[str, Any], ways: Collection[Way], reactor: Any
) -> dict[Way, tuple[str, ...]]:
    """The hosts by way, sorted; none where nobody knows any, or the next hop is a host itself.

    :param transports: by name; those that provide :class:`~mta.interfaces.ISites` are asked.
    """
    slots = DeferredSemaphore(_AT_ONCE)
    asked = [slots.run(_ask, transports.get(name), next_hop, reactor) for name, next_hop in ways]
    answers: Sequence[Sequence[str]] = await gatherResults(asked)
    return {way: tuple(sorted(set(hosts))) for way, hosts in zip(ways, answers, strict=True)}


def _ask(transport: Any, next_hop: str, reactor: Any) -> Deferred[Sequence[str]]:
    asked: Deferred[Sequence[str]] = Deferred.fromCoroutine(_hosts(transport, next_hop))
    asked.addTimeout(_PATIENCE, reactor)
    # Whatever fails, its attempt tells; here it is a next hop of which no host is known.
    return asked.addErrback(lambda failure: _unknown(failure, next_hop))


async def _hosts(transport: Any, next_hop: str) -> Sequence[str]:
    ask = getattr(transport, "site", None)
    return () if ask is None else await settle(ask(next_hop))


def _unknown(failure: Any, next_hop: str) -> Sequence[str]:
    _log.debug("No host of {next_hop} is known: {why}", next_hop=next_hop, why=failure.getErrorMessage())
    return ()
