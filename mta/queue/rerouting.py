"""A way that is found when it is gone: for what must be queued before anybody can say where it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zope.interface import implementer

from mta.interfaces import Answer, Delivery, ITransport, Route, RouteError, TemporarilyUnavailable, settle
from mta.model.catalogue import REPLIES
from mta.model.message import Addressee
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply
from mta.model.sorting import Decision

#: The name of the transport.
REROUTE = "reroute"


@implementer(ITransport)
class Rerouting:
    """Asks for the way at each attempt, and hands the message to the transport that it leads to.

    A notification whose sender no directory can look up just now goes this way.

    :param route: finds routes, as a router does.
    :param transports: by name.
    """

    def __init__(
        self, route: Callable[[str], Answer[Sequence[Route] | None]], transports: Mapping[str, Any]
    ) -> None:
        self._route = route
        self._transports = transports

    def concurrency(self, next_hop: str) -> int:
        """Few: these are rare."""
        return 5

    async def deliver(self, delivery: Delivery) -> Sequence[Outcome]:
        """Try each addressee by itself."""
        return [await self._one(delivery, addressee) for addressee in delivery.addressees]

    async def _one(self, delivery: Delivery, addressee: Addressee) -> Outcome:
        try:
            routes = await settle(self._route(addressee.address))
        except RouteError as error:
            said = RemoteReply.ours(error.reply)
            return Failed(said) if error.reply.is_permanent else Postponed(said)
        except TemporarilyUnavailable:
            return Postponed(
                RemoteReply.ours(REPLIES.reply("directory-unavailable", address=addressee.address, ref=""))
            )
        if not routes:
            return Failed(
                RemoteReply.ours(REPLIES.reply("mailbox-unknown", address=addressee.address, ref=""))
            )
        worst: Outcome | None = None
        decisions: tuple[Decision, ...] = ()
        for way in routes:
            outcome = await self._by(way, delivery, addressee)
            if isinstance(outcome, Delivered):
                decisions += outcome.decisions
            if worst is None or not isinstance(outcome, Delivered):
                worst = outcome
            if isinstance(outcome, Postponed):
                # All of them are tried again: those that have it take it twice rather than
                # one not at all; local delivery finds its own file and does nothing.
                return outcome
        assert worst is not None
        if isinstance(worst, Delivered) and decisions != worst.decisions:
            worst = replace(worst, decisions=decisions)
        return worst

    async def _by(self, way: Route, delivery: Delivery, addressee: Addressee) -> Outcome:
        transport = self._transports.get(way.transport)
        if transport is None:
            return Postponed(RemoteReply.ours(REPLIES.reply("transport-missing", transport=way.transport)))
        copy = replace(
            addressee,
            address=way.address,
            transport=way.transport,
            next_hop=way.next_hop,
            options=dict(way.options),
        )
        # What has the null reverse-path keeps it, even to a list with an owner: nobody is told of it.
        sender = way.sender if way.sender is not None and delivery.sender else delivery.sender
        outcomes: Sequence[Outcome] = await settle(
            transport.deliver(Delivery(delivery.message, [copy], sender, delivery.repeat))
        )
        return outcomes[0]
