"""Who has come by a link: a person, a proxy for one, or a program that looks at all mail.

None of this is certain, and what is not known to be a program counts as a person; so the three are
told apart, and a tenant sees what it was judged by.

* A **proxy** fetches pictures for a mailbox provider.  Gmail's does so when a person looks, Apple's
  (Mail Privacy Protection) for every message, looked at or not: an open by a proxy is an open perhaps.
* A **scanner** follows links to find out whether they are harmful, or shows a preview.  It is known by
  what it says of itself, by where it comes from, by asking without wanting an answer (HEAD), or because
  no person is as fast: it comes within seconds of the delivery, or before it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from mta.model.network import is_within, parsed

Sort = Literal["human", "proxy", "scanner"]
Network = IPv4Network | IPv6Network
#: Seconds after the delivery within which nobody reads and decides.
HASTE = 5.0


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a visitor is taken for.

    :ivar sort: ``human``, ``proxy`` or ``scanner``.
    :ivar name: which proxy or scanner, or by what it was told.
    """

    sort: Sort
    name: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of programs, see ``mta/data/visitors.toml``.

    :ivar agents: parts of what they call themselves, lower case, with sort and name.
    :ivar whole: the whole of it, likewise.
    :ivar networks: where they come from, with sort and name.
    """

    agents: tuple[tuple[str, Visitor], ...]
    whole: Mapping[str, Visitor]
    networks: tuple[tuple[Network, Visitor], ...]


@cache
def known() -> Known:
    """What this program knows."""
    data = tomllib.loads(files("mta").joinpath("data/visitors.toml").read_text("utf-8"))
    agents: list[tuple[str, Visitor]] = []
    whole: dict[str, Visitor] = {}
    networks: list[tuple[Network, Visitor]] = []
    for entry in data["visitor"]:
        visitor = Visitor(entry["sort"], entry["name"])
        agents += [(text.lower(), visitor) for text in entry.get("agent", ())]
        whole.update({text.lower(): visitor for text in entry.get("whole_agent", ())})
        networks += [(ip_network(text), visitor) for text in entry.get("networks", ())]
    return Known(tuple(agents), whole, tuple(networks))


def visitor(
    *,
    method: str,
    agent: str,
    address: str,
    headers: Mapping[str, str],
    since_delivery: float | None,
    scanners: Iterable[Network] = (),
    of: Known | None = None,
) -> Visitor:
    """What a visitor is.

    :param method: of the request.
    :param agent: what it calls itself.
    :param address: where it comes from.
    :param headers: of the request, names in lower case.
    :param since_delivery: seconds; below 0: it was not delivered yet; ``None``: not known.
    :param scanners: further networks of scanners.
    """
    of = of or known()
    if method not in ("GET", "POST"):
        return Visitor("scanner", method)
    purpose = " ".join(headers.get(name, "") for name in ("sec-purpose", "purpose", "x-purpose", "x-moz"))
    if "prefetch" in purpose.lower() or "preview" in purpose.lower():
        return Visitor("scanner", "prefetch")
    text = agent.strip().lower()
    if text in of.whole:
        return of.whole[text]
    for part, found in of.agents:
        if part in text:
            return found
    found_by = _network(address, of, scanners)
    if found_by is not None:
        return found_by
    if not text:
        return Visitor("scanner", "no user agent")
    if since_delivery is not None and since_delivery < HASTE:
        return Visitor("scanner", "before delivery" if since_delivery < 0 else "within seconds of delivery")
    return Visitor("human")


def _network(address: str, of: Known, scanners: Iterable[Network]) -> Visitor | None:
    if is_within(address, scanners):
        return Visitor("scanner", "configured network")
    where = parsed(address)
    return next((found for network, found in of.networks if where is not None and where in network), None)
