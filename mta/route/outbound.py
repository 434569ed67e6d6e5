"""The way out for everything that is not ours."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from mta.interfaces import IRouter, Route
from mta.model.address import domain_of
from mta.route.next_hop import parse_next_hop


@implementer(IRouter)
class OutboundRouter:
    """Sends every address with a domain to the relay.

    :param smarthost: a next hop for all (``host:port``, ``[address]``, or a
        domain whose MX records count); ``""`` for each domain its own.
    :raise ValueError: if that is no next hop.
    """

    def __init__(self, smarthost: str = "") -> None:
        if smarthost:
            parse_next_hop(smarthost)
        self._smarthost = smarthost

    def route(self, address: str) -> Sequence[Route] | None:
        """See :class:`~mta.interfaces.IRouter`; bare ``postmaster`` is not for here."""
        domain = domain_of(address)
        if not domain:
            return None
        return (Route(address, "relay", self._smarthost or domain),)

    def is_local(self, domain: str) -> bool:
        """Nothing is."""
        return False

    async def trace(self, address: str) -> tuple[list[str], Sequence[Route] | Exception | None]:
        """What :meth:`route` does, in sentences."""
        routes = self.route(address)
        if routes is None:
            return [], None
        if self._smarthost:
            return [f"{address} is not ours; relay.smarthost sends it to {self._smarthost}"], routes
        return [f"{address} is not ours; it goes to the mail servers of {domain_of(address)}"], routes
