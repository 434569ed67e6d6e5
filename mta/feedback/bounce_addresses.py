"""The addresses to which bounces and complaints come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from zope.interface import implementer

from mta.feedback.srs import SrsError, is_srs, restored
from mta.feedback.token import Token, TokenError, read_token
from mta.interfaces import Answer, IJournal, IRouter, Route, RouteError, settle
from mta.model.address import Address, AddressError, domain_of, parse_address
from mta.model.catalogue import REPLIES
from mta.model.event import Received

_TRANSPORT = "feedback"


@implementer(IRouter)
class BounceAddresses:
    """Recognises them, refuses those that are forged or too old, and routes the rest.

    Everything goes to the transport ``feedback``, which reads and records it.  What comes to an
    address that stands for a sender goes to that sender too.

    :param domains: of bounce addresses.
    :param addresses: to which complaints, and bounces of whatever else, come.
    :param served: whether a domain has other addresses of ours besides these.
    :param keys: any of which may have signed.
    :param expire: seconds for which an address counts.
    :param copies: whether what comes to an address of VERP goes to the sender too.
    :param route: finds the way to a sender, as a router does.
    :param journal: knows who sent what.
    :param clock: ``seconds()`` tells the time.
    """

    def __init__(
        self,
        *,
        domains: Collection[str],
        addresses: Collection[str],
        served: Callable[[str], bool],
        keys: Sequence[bytes],
        expire: float,
        copies: bool,
        route: Callable[[str], Answer[Sequence[Route] | None]],
        journal: IJournal,
        clock: Any,
    ) -> None:
        self._addresses = frozenset(address.lower() for address in addresses)
        self._domains = frozenset(domains) | {domain_of(address) for address in self._addresses}
        self._served = served
        self._keys = tuple(keys)
        self._expire = expire
        self._copies = copies
        self._route = route
        self._journal = journal
        self._clock = clock

    def is_local(self, domain: str) -> bool:
        """Whether bounces come to this domain."""
        return domain.lower() in self._domains

    def route(self, address: str) -> Answer[Sequence[Route] | None]:
        """See :class:`~mta.interfaces.IRouter`."""
        domain = domain_of(address)
        if domain not in self._domains:
            return None
        if address.lower() in self._addresses:
            return (Route(address, _TRANSPORT, ""),)
        try:
            local = parse_address(address).local
            now = self._clock.seconds()
            token = read_token(self._keys, local, now, self._expire)
            if token is not None:
                return self._of_token(address, token)
            if is_srs(local):
                sender = Address(*restored(self._keys, local, now, self._expire))
                return self._and_sender(address, str(sender), {"copied": 1})
        except (AddressError, TokenError, SrsError) as error:
            raise _unknown(address, str(error)) from None
        if self._served(domain):
            return None
        if local.lower() in ("postmaster", "abuse"):
            return self._route("postmaster")
        raise _unknown(address, "it is no bounce address, and the domain has no others")

    def _of_token(self, address: str, token: Token) -> Answer[Sequence[Route] | None]:
        options: dict[str, Any] = {"about": token.message, "who": token.who}
        if token.purpose == "bounce" and not self._copies:
            return (Route(address, _TRANSPORT, "", options),)
        return self._to_sender(address, token, options)

    async def _to_sender(self, address: str, token: Token, options: dict[str, Any]) -> Sequence[Route]:
        events = await self._journal.message(token.message)
        sender = next((event.sender for event in events if isinstance(event, Received)), "")
        if sender:
            return await self._and_sender(address, sender, {**options, "copied": 1})
        if token.purpose == "return":
            raise _unknown(address, "the journal does not know any more who sent the message")
        return (Route(address, _TRANSPORT, "", options),)

    async def _and_sender(self, address: str, sender: str, options: dict[str, Any]) -> Sequence[Route]:
        # A sender that is gone is refused like any other, while whoever sends it can be told.
        routes = await settle(self._route(sender))
        return (*(routes or ()), Route(address, _TRANSPORT, "", options))


def _unknown(address: str, reason: str) -> RouteError:
    return RouteError(REPLIES.reply("mailbox-unknown", address=address, ref="-"), reason)
