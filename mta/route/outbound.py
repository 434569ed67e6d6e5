"""The way out for everything that is not ours."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from mta.interfaces import IRouter, Route, RouteError
from mta.model.address import domain_of, parse_address
from mta.route.address_map import Hit, Layers
from mta.route.next_hop import parse_next_hop
from mta.route.way import Way


@implementer(IRouter)
class OutboundRouter:
    """Sends every address with a domain to the relay, or where ``[[route]]`` says.

    :param smarthost: a next hop for all (``host:port``, ``[address]``, or a
        domain whose MX records count); ``""`` for each domain its own.
    :param ways: of ``[[route]]``.
    :raise ValueError: if the smarthost is no next hop.
    """

    def __init__(self, smarthost: str = "", ways: Layers[Way] | None = None) -> None:
        if smarthost:
            parse_next_hop(smarthost)
        self._smarthost = smarthost
        self._ways: Layers[Way] = ways or Layers()

    def route(self, address: str) -> Sequence[Route] | None:
        """See :class:`~mta.interfaces.IRouter`; bare ``postmaster`` is not for here."""
        domain = domain_of(address)
        if not domain:
            return None
        if self._ways:
            chosen = self.chosen(address)
            if chosen is not None:
                return (chosen,)
        return (Route(address, "relay", self._smarthost or domain),)

    def chosen(self, address: str, by_all: bool = True) -> Route | None:
        """The route that ``[[route]]`` has for an address.

        :param by_all: whether ``*`` counts, too.
        :raise RouteError: if it refuses the address.
        """
        hit = self._find(address)
        if hit is None or (hit.entry.key.kind == "any" and not by_all):
            return None
        return hit.entry.value.route(parse_address(address))

    def is_local(self, domain: str) -> bool:
        """Nothing is."""
        return False

    async def trace(self, address: str) -> tuple[list[str], Sequence[Route] | Exception | None]:
        """What :meth:`route` does, in sentences."""
        hit = self._find(address) if self._ways and domain_of(address) else None
        if hit is not None:
            step = f"{address} {hit.entry.value}: {hit.entry.place} says so of {hit.entry.key.text}"
            try:
                return [step], self.route(address)
            except RouteError as error:
                return [step], error
        routes = self.route(address)
        if routes is None:
            return [], None
        if self._smarthost:
            return [f"{address} is not ours; relay.smarthost sends it to {self._smarthost}"], routes
        return [f"{address} is not ours; it goes to the mail servers of {domain_of(address)}"], routes

    def _find(self, address: str) -> Hit[Way] | None:
        """The entry for an address, unless it says that there is none."""
        hit = self._ways.find(parse_address(address), "+")
        return None if hit is None or hit.entry.value.kind == "usual" else hit
