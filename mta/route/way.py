"""``TRANSPORT:NEXT-HOP``, the right side of transport(5) and its kin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mta.interfaces import Route, RouteError
from mta.model.address import Address
from mta.model.catalogue import REPLIES
from mta.model.reply import Reply
from mta.route.domain_name import ascii_domain
from mta.route.file_problem import Wrong
from mta.route.next_hop import parse_next_hop

#: Names that Postfix has for what is our transport ``relay``.
_RELAYS = ("smtp", "relay", "esmtp")
_PORTS = {"smtp": "25", "submission": "587", "submissions": "465", "smtps": "465"}
_STATUS = re.compile(r"([45]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)")
_SAFE = re.compile(r"[ -~]+\Z")


@dataclass(frozen=True, slots=True)
class Known:
    """A transport that there is.

    :ivar kind: its kind.
    :ivar smarthost: of the kind ``relay``: its own.
    """

    kind: str
    smarthost: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """What an entry demands.

    :ivar kind: ``go``: by a transport; ``usual``: as without any entry; ``refuse``.
    :ivar transport: its name.
    :ivar next_hop: ``""`` with a relay: the recipient's own domain, by its MX records.
    :ivar relay: whether the transport is of the kind ``relay``.
    :ivar reply: of ``refuse``; its text is ours to fill in.
    """

    kind: Literal["go", "usual", "refuse"]
    transport: str = ""
    next_hop: str = ""
    relay: bool = False
    reply: tuple[int, str, str] = (0, "", "")

    def route(self, address: Address, login: str = "") -> Route:
        """The route of an address; not of ``usual``.

        :param login: see :class:`~mta.deliver.relay.RelayTransport`.
        :raise RouteError: of ``refuse``.
        """
        if self.kind == "refuse":
            raise self._refused(address)
        options: dict[str, Any] = {}
        next_hop = self.next_hop
        if self.relay:
            # That it is there at all says that somebody chose this way, whichever it is.
            options["configured"] = bool(next_hop)
            next_hop = next_hop or ascii_domain(address.domain)
            if login and self.next_hop:
                options["login"] = login
        return Route(str(address), self.transport, next_hop, options)

    def _refused(self, address: Address) -> RouteError:
        code, enhanced, text = self.reply
        values = {"text": text}
        reply = REPLIES.reply("route-refused", address=address, ref="-", **values)
        return RouteError(
            Reply(code, reply.lines, enhanced, reply.name), f"{address}: [[route]] refuses it: {text}", values
        )

    def __str__(self) -> str:
        if self.kind == "refuse":
            return f"is refused: {self.reply[0]} {self.reply[1]} {self.reply[2]}"
        if self.kind == "usual":
            return "goes the usual way"
        if self.relay and not self.next_hop:
            return f"goes by {self.transport} to the mail servers of its own domain"
        return f"goes by {self.transport}" + (f" to {self.next_hop}" if self.next_hop else "")


def parse_way(text: str, known: Mapping[str, Known]) -> Way:
    """Read the right side.

    :param known: the transports that there are, by name.
    :raise Wrong: if it is none.
    """
    name, colon, rest = text.strip().partition(":")
    name, rest = name.strip(), rest.strip()
    if not colon:
        raise Wrong(
            f"{text!r} names no transport" if text else "nothing stands behind the key",
            "write TRANSPORT:NEXT-HOP, such as relay:[mail.example.org]:25",
        )
    if name not in known:
        if name in _RELAYS or (not name and rest):
            name = "relay"
        elif not name:
            return Way("usual")
        elif name in ("error", "retry"):
            return _refusal(name, rest)
    elif known[name].kind == "error":
        return _refusal(name, rest)
    if name == "discard":
        raise Wrong("discard would lose mail that was accepted", "write error:TEXT, so that senders are told")
    if name in ("local", "virtual") or (name in known and known[name].kind == "maildir"):
        raise Wrong(f"{name} is no way for here", 'mail is kept for domains in [domains."example.org"]')
    if name not in known:
        there = ", ".join(sorted(other for other in known if known[other].kind != "maildir"))
        raise Wrong(
            f"there is no transport {name!r}", f"add a [[transport]] with that name; there are: {there}"
        )
    found = known[name]
    if found.kind != "relay":
        return Way("go", name, rest.removeprefix("inet:"))
    next_hop = _hop(rest) if rest else found.smarthost if name != "relay" else ""
    return Way("go", name, next_hop, True)


def _refusal(name: str, text: str) -> Way:
    status = _STATUS.match(text)
    enhanced = status[1] if status else ("4.3.0" if name == "retry" else "5.1.2")
    words = text[status.end() :] if status else text
    if words and not _SAFE.match(words):
        raise Wrong(f"{words!r} has more than ASCII in it", "a reply is in ASCII")
    if name == "retry" and enhanced.startswith("5"):
        raise Wrong(f"retry puts off, and {enhanced} refuses", "write 4.x.x, or error:")
    code = 450 if enhanced.startswith("4") else 550
    return Way("refuse", reply=(code, enhanced, words or "mail for this address is not taken here"))


def _hop(text: str) -> str:
    """A next hop, the name of a port turned into its number.

    :raise Wrong: if it is none.
    """
    host, colon, port = text.rpartition(":")
    if colon and port in _PORTS:
        text = f"{host}:{_PORTS[port]}"
    try:
        parse_next_hop(text)
    except ValueError as error:
        raise Wrong(
            str(error), "brackets or a port mean the host itself, a bare name its MX records"
        ) from None
    return text
