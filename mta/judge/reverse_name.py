"""The reverse name of a client, if it leads back to the client (RFC 8601, 2.7.3: iprev)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.model.envelope import Client
from mta.model.network import parsed

#: Names of one address that are looked at; nobody has more for a good reason.
_MOST = 5


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
    """Asks the DNS, whose answers are remembered there.

    :param resolver: asks.
    """

    def __init__(self, resolver: IResolver) -> None:
        self._resolver = resolver

    async def find(self, client: Client) -> ReverseName:
        """The name of a client; notes it there, too."""
        address = parsed(client.address)
        if address is None:
            return ReverseName("none")
        try:
            names = tuple(name.rstrip(".").lower() for name in await self._resolver.reverse(str(address)))
        except NoSuchDomain:
            names = ()
        except TemporarilyUnavailable as trouble:
            return ReverseName("unknown", None, (), str(trouble))
        trouble_met = ""
        for name in names[:_MOST]:
            try:
                found = await self._resolver.addresses(name)
            except NoSuchDomain:
                continue
            except TemporarilyUnavailable as trouble:
                trouble_met = str(trouble)
                continue
            if any(parsed(one) == address for one in found):
                client.reverse_name = name
                return ReverseName("confirmed", name, names)
        if trouble_met:
            return ReverseName("unknown", None, names, trouble_met)
        return ReverseName("unconfirmed" if names else "none", "", names)
