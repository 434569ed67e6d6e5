"""The reverse name of a client, if it leads back to the client (RFC 8601, 2.7.3: iprev)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from twisted.internet.defer import Deferred

from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.model.envelope import Client
from mta.model.network import parsed

#: Names of one address that are looked at; nobody has more for a good reason.
_MOST = 5
#: Sessions whose name is remembered.
_REMEMBERED = 2000


@dataclass(frozen=True, slots=True)
class ReverseName:
    """What was found.

    :ivar state: ``confirmed``; ``unconfirmed`` (there are names, none leads back); ``none``
        (there is no name); ``unknown`` (the DNS does not say).
    :ivar name: that is confirmed; ``None`` if nobody can tell.
    :ivar names: that were found.
    :ivar trouble: why nobody can tell.
    """

    state: Literal["confirmed", "unconfirmed", "none", "unknown"]
    name: str | None = ""
    names: tuple[str, ...] = ()
    trouble: str = ""


class ReverseNames:
    """Asks the DNS, once in a session: one that does not answer holds up the client once.

    :param resolver: asks.
    """

    def __init__(self, resolver: IResolver) -> None:
        self._resolver = resolver
        self._found: OrderedDict[str, ReverseName] = OrderedDict()

    async def find(self, client: Client) -> ReverseName:
        """The name of a client; notes it there, too."""
        key = f"{client.session} {client.address}"
        found = self._found.get(key)
        if found is None:
            found = await self._ask(client.address)
            self._found[key] = found
            if len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
        if found.name:
            client.reverse_name = found.name
        return found

    async def _ask(self, text: str) -> ReverseName:
        address = parsed(text)
        if address is None:
            return ReverseName("none")
        try:
            names = tuple(name.rstrip(".").lower() for name in await self._resolver.reverse(str(address)))
        except NoSuchDomain:
            names = ()
        except TemporarilyUnavailable as trouble:
            return ReverseName("unknown", None, (), str(trouble))
        # All at once; the first that leads back counts.
        asked = [(name, Deferred.fromCoroutine(self._addresses(name))) for name in names[:_MOST]]
        confirmed, trouble_met = "", ""
        for name, waiting in asked:
            addresses, why = await waiting
            trouble_met = trouble_met or why
            if not confirmed and any(parsed(one) == address for one in addresses):
                confirmed = name
        if confirmed:
            return ReverseName("confirmed", confirmed, names)
        if trouble_met:
            return ReverseName("unknown", None, names, trouble_met)
        return ReverseName("unconfirmed" if names else "none", "", names)

    async def _addresses(self, name: str) -> tuple[Sequence[str], str]:
        """The addresses of a name, and why nobody can tell them."""
        try:
            return await self._resolver.addresses(name), ""
        except NoSuchDomain:
            return (), ""
        except TemporarilyUnavailable as trouble:
            return (), str(trouble)
