"""Domains of others, for which this server is one of the lesser MX hosts: ``[backup_mx]``.

Their mail is taken from anybody, kept while their own servers are away, and
delivered to hosts of better preference than ours only (RFC 5321, 5.1; see
:mod:`mta.route.exchangers`).  With ``verify`` the primary is asked first whether
it takes the recipient, so that mail to nobody is refused here and not returned
later to a sender that was made up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from zope.interface import implementer

from mta.interfaces import Answer, IRouter, Route, RouteError
from mta.model.address import domain_of
from mta.model.catalogue import REPLIES
from mta.model.outcome import RemoteReply
from mta.route.address_map import Hit, Key, Layers, parse_key
from mta.route.domain_name import ascii_domain
from mta.route.file_problem import Wrong
from mta.route.outbound import OutboundRouter

#: Asks a next hop whether it takes an address: its refusal, or ``None`` if it takes it or is away.
Verify = Callable[[str, str], Answer[RemoteReply | None]]


def backup_key(text: str) -> Key:
    """A domain, or ``.example.org`` for all below one.

    :raise Wrong: if it is neither.
    """
    key = parse_key(text)
    if key.kind not in ("domain", "below"):
        raise Wrong(f"{text} is no domain", "write example.org, or .example.org for all below it")
    return key


def backup_value(key: Key, text: str) -> None:
    """What stands behind a domain in Postfix's ``relay_domains`` means nothing."""


@implementer(IRouter)
class BackupRouter:
    """Routes to the primaries.

    :param domains: of others.
    :param outbound: where ``[[route]]`` says something of a domain, that counts.
    :param verify: asks the primary; ``None``: every recipient is taken.
    """

    def __init__(self, domains: Layers[None], outbound: OutboundRouter, verify: Verify | None = None) -> None:
        self._domains = domains
        self._outbound = outbound
        self._verify = verify

    def is_local(self, domain: str) -> bool:
        """Whether the domain is one of these."""
        return self._find(domain) is not None

    def route(self, address: str) -> Answer[Sequence[Route] | None]:
        """See :class:`~mta.interfaces.IRouter`."""
        domain = domain_of(address)
        if not domain or self._find(domain) is None:
            return None
        # What ``*`` sends elsewhere is what a smarthost takes, and that is not the primary.
        # Better hosts than ours are a matter of our configuration: no trouble with them
        # is a reason to return what was taken.
        way = self._outbound.chosen(address, by_all=False) or Route(
            address, "relay", ascii_domain(domain), {"configured": True}
        )
        if self._verify is None or way.transport != "relay":
            return (way,)
        answer = self._verify(address, way.next_hop)
        if isinstance(answer, Awaitable):
            return self._verified(answer, way)
        return self._taken(way, answer)

    async def _verified(self, answer: Awaitable[RemoteReply | None], way: Route) -> Sequence[Route]:
        return self._taken(way, await answer)

    def _taken(self, way: Route, refusal: RemoteReply | None) -> Sequence[Route]:
        if refusal is None:
            return (way,)
        values = {"host": refusal.host, "said": f"{refusal.code} {refusal.enhanced} {refusal.text}"}
        # A reply to our client is in ASCII, whatever the other side has said.
        values = {name: text.encode("ascii", "replace").decode() for name, text in values.items()}
        reply = REPLIES.reply("primary-refuses", address=way.address, ref="-", **values)
        raise RouteError(reply, f"{refusal}", values)

    async def trace(self, address: str) -> tuple[list[str], Sequence[Route] | Exception | None]:
        """What :meth:`route` does, in sentences."""
        domain = domain_of(address)
        hit = self._find(domain) if domain else None
        if hit is None:
            return [], None
        steps = [f"{domain} is a domain of others, for which {hit.entry.place} makes us a backup MX"]
        try:
            answer = self.route(address)
            routes = (await answer) if isinstance(answer, Awaitable) else answer
        except RouteError as error:
            return [*steps, str(error)], error
        assert routes is not None
        if self._verify is not None and routes[0].transport == "relay":
            steps.append(f"its primary, {routes[0].next_hop}, takes {address}, or cannot be asked now")
        steps.append(f"{address} goes to those of its mail servers that are of better preference than we are")
        return steps, routes

    def _find(self, domain: str) -> Hit[None] | None:
        return self._domains.find_domain(domain) if self._domains else None
