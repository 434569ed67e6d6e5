"""Where reports on a domain may be sent (RFC 9989, 4.7 ``rua``; RFC 9990, 3): external destinations say so.

Otherwise a record could have the whole world write to a victim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mta.dmarc.discovery import Asking, DnsTrouble, Question, Tree
from mta.dmarc.record import Record, mail_address, parse_record

#: The longest name that the DNS can ask about.
_LONGEST = 253


@dataclass(frozen=True, slots=True)
class Destinations:
    """What was found.

    :ivar addresses: that want reports, each once.
    :ivar refused: why others do not count, in words.
    """

    addresses: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def destinations(domain: str, record: Record, tree: Tree | None = None) -> Asking[Destinations]:
    """The addresses of ``rua``.

    :param domain: who publishes the record.
    :raise DnsTrouble: if nobody knows now.
    """
    tree = tree or Tree()
    found: list[str] = []
    refused: list[str] = []
    for uri in record.aggregate:
        address = mail_address(uri)
        if address is None:
            refused.append(f"{uri[:100]} is no address")
            continue
        host = _host(address)
        if (yield from _is_external(domain, host, tree)):
            agreed = yield from _agreed(domain, address, host)
            found += agreed
            if not agreed:
                refused.append(f"{host} does not say that it wants reports on {domain}")
        else:
            found.append(address)
    return Destinations(tuple(dict.fromkeys(found)), tuple(refused))


def _is_external(domain: str, host: str, tree: Tree) -> Asking[bool]:
    if host == domain:
        return False
    if host.rpartition(".")[2] != domain.rpartition(".")[2]:
        return True
    own = yield from tree.organization(domain)
    return own != (yield from tree.organization(host))


def _agreed(domain: str, address: str, host: str) -> Asking[Sequence[str]]:
    """The addresses at a host that want reports on a domain: that which was asked for, or others there."""
    name = f"{domain}._report._dmarc.{host}"
    if len(name) > _LONGEST:
        return []
    answer = yield Question(name)
    if answer.trouble:
        raise DnsTrouble(f"{name}: {answer.trouble}")
    records = [one for one in map(parse_record, answer.records) if one is not None]
    if not records:
        return []
    instead = [other for one in records for other in map(mail_address, one.aggregate) if other]
    if not instead:
        return [address]
    # One that leads further away has us write to neither (step 9).
    return instead if all(_host(other) == host for other in instead) else []


def _host(address: str) -> str:
    return address.rpartition("@")[2].removesuffix(".").lower()
