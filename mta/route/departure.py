"""Which way mail leaves by whose it is: ``[[sender_relay]]``.

A recipient's way is found when RCPT is answered, and depends on the recipient
alone.  When the message is complete, what would leave the usual way is given
the smarthost of its sender, if it has one.  What ``[[route]]`` or a domain's
``next_hop`` has sent somewhere stays as it is, as with Postfix's
``sender_dependent_relayhost_maps``.

An entry is looked for by the sender's address and by expressions, then by the
account that sent the message, by its tenant, by the sender's domain, and by ``*``.
The null reverse-path of notifications is ``<>``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from mta.interfaces import Answer, Route
from mta.model.address import AddressError, parse_address
from mta.route.address_map import Hit, Key, Layers, parse_key
from mta.route.file_problem import Wrong
from mta.route.way import Known, Way, parse_way

NULL = "<>"


def sender_key(text: str) -> Key:
    """The left side: as everywhere, or ``account:NAME``, ``tenant:NAME``, ``<>``.

    :raise Wrong: if it is none.
    """
    word, colon, name = text.partition(":")
    if colon and word in ("account", "tenant") and name:
        return Key("address", text.lower())
    return Key("address", NULL) if text == NULL else parse_key(text)


def sender_way(text: str, known: Mapping[str, Known]) -> Way:
    """The right side: ``TRANSPORT:NEXT-HOP``, or as Postfix has it the next hop alone.

    :raise Wrong: if it is neither.
    """
    name, colon, _ = text.partition(":")
    if text.startswith("[") or not colon or not (name in known or name in ("", "smtp", "error", "retry")):
        text = f"relay:{text}"
    way = parse_way(text, known)
    if way.kind == "refuse":
        raise Wrong("a sender is not refused by its smarthost", "write TRANSPORT:NEXT-HOP or a next hop")
    return way


@dataclass(frozen=True, slots=True)
class Departures:
    """The map, in use."""

    map: Layers[Way]

    def __bool__(self) -> bool:
        return bool(self.map)

    def leave(
        self,
        routes: Sequence[Route],
        sender: str,
        account: str = "",
        tenant: str = "",
        steps: list[str] | None = None,
    ) -> Sequence[Route]:
        """The ways of one message.

        :param sender: the reverse-path; a route's own counts more.
        :param account: who sent it, after AUTH.
        :param tenant: whose it is.
        :param steps: gets a sentence for each that changes.
        """
        if not self.map or not any(_usual(route) for route in routes):
            return routes
        return [
            self._leave(route, sender if route.sender is None else route.sender, account, tenant, steps)
            if _usual(route)
            else route
            for route in routes
        ]

    def notifications(
        self, route: Callable[[str], Answer[Sequence[Route] | None]], sender: str = ""
    ) -> Callable[[str], Answer[Sequence[Route] | None]]:
        """A router's ``route`` for mail of our own.

        :param sender: its reverse-path; mostly the null one.
        """

        def found(address: str) -> Answer[Sequence[Route] | None]:
            answer = route(address)
            if isinstance(answer, Awaitable):
                return later(answer)
            return self.leave(answer, sender) if answer else answer

        async def later(pending: Awaitable[Sequence[Route] | None]) -> Sequence[Route] | None:
            answer = await pending
            return self.leave(answer, sender) if answer else answer

        return found

    def _leave(self, route: Route, sender: str, account: str, tenant: str, steps: list[str] | None) -> Route:
        hit = self._find(sender, account, tenant)
        if hit is None or hit.entry.value.kind == "usual":
            return route
        made = hit.entry.value.route(parse_address(route.address), sender.lower())
        if steps is not None:
            steps.append(
                f"<{route.address}> {hit.entry.value}: {hit.entry.place} says so of "
                f"{hit.entry.key.text} (sender <{sender}>)"
            )
        return Route(
            made.address, made.transport, made.next_hop, {**route.options, **made.options}, route.sender
        )

    def _find(self, sender: str, account: str, tenant: str) -> Hit[Way] | None:
        address = None
        if sender:
            try:
                address = parse_address(sender)
            except AddressError:
                address = None
        found = self.map.find_text(NULL) if not sender else None
        if found is None and address is not None:
            found = self.map.find_address(address, "+")
        if found is None and account:
            found = self.map.find_text(f"account:{account.lower()}")
        if found is None and tenant:
            found = self.map.find_text(f"tenant:{tenant.lower()}")
        return found or self.map.find_domain(address.domain if address is not None else "")


def _usual(route: Route) -> bool:
    """Whether nobody has chosen this way yet."""
    return route.transport == "relay" and "configured" not in route.options
