"""From which address a message leaves: ``[[egress]]``, ``[[egress_pool]]``, and who picks a pool; pure.

Who is asked first: a pool that names the message's sender, a ``[[shape]]`` about its tenant, a pool
that names its tenant, and at last a ``[[shape]]`` about where it goes.  Of several pools or tables
that fit, the last one counts.  What none picks leaves from where the transport's settings say.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from zope.interface import implementer

from mta.config.settings import Egress as EgressTable
from mta.config.settings import EgressPool
from mta.interfaces import IEgress, IShaping
from mta.model.egress import Choice, Pool, Source, Warming

#: How patterns call the sender of a notification.
NULL = "<>"


@implementer(IEgress)
class Egress:
    """See the module.

    :param shaping: says which pool a ``[[shape]]`` picks.
    """

    def __init__(
        self, shaping: IShaping, sources: Sequence[EgressTable] = (), pools: Sequence[EgressPool] = ()
    ) -> None:
        self._shaping = shaping
        self.use(sources, pools)

    def use(self, sources: Sequence[EgressTable], pools: Sequence[EgressPool]) -> None:
        """Go by these from now on."""
        self._sources = {
            one.name: Warming(one.source(), one.warm_up.plan() if one.warm_up is not None else None)
            for one in sources
        }
        self._pools = {one.name: Pool(one.name, dict(one.sources)) for one in pools}
        self._by_sender = [one for one in reversed(pools) if one.sender]
        self._by_tenant = [one for one in reversed(pools) if one.tenant]
        self._transports = {name for one in pools for name in one.transport}

    def covers(self, transport: str) -> bool:
        """See :class:`~mta.interfaces.IEgress`."""
        return transport in self._transports

    def choose(
        self, transport: str, next_hop: str, hosts: Sequence[str], message: str, sender: str, tenant: str
    ) -> Choice | None:
        """See :class:`~mta.interfaces.IEgress`."""
        name, why = self._pick(transport, next_hop, hosts, sender.lower() or NULL, tenant)
        pool = self._pools.get(name)
        if pool is None:
            return None
        sources: list[Source] = [
            self._sources[one].source for one in pool.ranking(message) if one in self._sources
        ]
        return Choice(name, why, sources, pool.weights)

    def find(self, name: str) -> Warming | None:
        """See :class:`~mta.interfaces.IEgress`."""
        return self._sources.get(name)

    def _pick(
        self, transport: str, next_hop: str, hosts: Sequence[str], sender: str, tenant: str
    ) -> tuple[str, str]:
        """The name of a pool, and what picked it."""
        for pool in self._by_sender:
            if transport in pool.transport and _any(pool.sender, sender):
                return pool.name, f"sender {sender}"
        shaped, of_tenant = self._shaping.egress(transport, next_hop, hosts, tenant)
        if of_tenant:
            return shaped, f"[[shape]] of tenant {tenant}"
        if tenant:
            for pool in self._by_tenant:
                if transport in pool.transport and _any(pool.tenant, tenant):
                    return pool.name, f"tenant {tenant}"
        return shaped, "[[shape]]"


def _any(patterns: Sequence[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
