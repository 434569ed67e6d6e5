"""Whether the DNS knows an address that mail leaves from: its name, and the way back.

Many providers take nothing from an address without a PTR record, or whose name does not lead
back to it (forward-confirmed reverse DNS), and compare the name with what is said in EHLO.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one address.

    :ivar state: ``good``, ``bad``, or ``unknown`` because the DNS does not answer.
    :ivar what: in a sentence.
    :ivar remedy: what to do.
    """

    state: str
    what: str
    remedy: str = ""


async def look_at(resolver: IResolver, address: str, helo: str) -> Finding:
    """Ask for an address's names and whether they lead back, and compare with EHLO.

    :param helo: what a server at this address says after EHLO.
    """
    if not ip_address(address).is_global:
        return Finding("unknown", f"{address} is not seen on the internet: something else stands before it")
    ask = f"have whoever gave you {address} set its PTR record to {helo}"
    try:
        try:
            names = [name.lower().rstrip(".") for name in await resolver.reverse(address)]
        except NoSuchDomain:
            names = []
        if not names:
            return Finding("bad", f"{address} has no name in the DNS (PTR record)", ask)
        leading = [name for name in names if await _leads_to(resolver, name, address)]
        if not leading:
            listed = ", ".join(names)
            remedy = f"publish an address record of {names[0]} with {address}, or {ask}"
            return Finding("bad", f"{address} is called {listed}, which does not lead back to it", remedy)
        if helo.lower() in leading:
            return Finding("good", f"{address} is called {helo}, which leads back to it")
        if await _leads_to(resolver, helo, address):
            what = f"{address} says {helo} in EHLO, which leads to it, but is called {', '.join(leading)}"
        else:
            what = f"{address} says {helo} in EHLO, but is called {', '.join(leading)}"
        return Finding("bad", what, f'set helo = "{leading[0]}", or {ask}')
    except TemporarilyUnavailable as trouble:
        return Finding("unknown", f"the DNS does not answer about {address}: {trouble}", "try again later")


async def _leads_to(resolver: IResolver, name: str, address: str) -> bool:
    try:
        found = await resolver.addresses(name)
    except NoSuchDomain:
        return False
    return ip_address(address) in {ip_address(one.partition("%")[0]) for one in found}
