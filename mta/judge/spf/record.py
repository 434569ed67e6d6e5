"""One SPF record: read as a whole, before any of it is evaluated (RFC 7208, 4.6 and 12)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Network, IPv6Network, NetmaskValueError

from mta.judge.spf.macro import MacroError, MacroString

#: Octets of a record that are read: an answer of the DNS over TCP holds no more than these.
LONGEST = 65_535

#: Octets up to which a record is remembered once it is read.
_REMEMBERED = 512
_VERSION = b"v=spf1"
_TERM = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9_.-]*)(.*)\Z", re.DOTALL)
# Behind the name of a domain: "/24", "//64", "/24//64".
_LENGTHS = re.compile(r"(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?\Z")
_IP4 = re.compile(r":([0-9.]+)(?:/(0|[1-9][0-9]?))?\Z")
_IP6 = re.compile(r":([0-9A-Fa-f:.]+)(?:/(0|[1-9][0-9]{0,2}))?\Z")

#: Mechanisms whose argument is the name of a domain, and whether it may be left out.
_NEEDS_DOMAIN = {"a": False, "mx": False, "ptr": False, "include": True, "exists": True}
#: Of these, the ones that networks are cut from.
_HAS_LENGTHS = frozenset({"a", "mx"})


class RecordError(ValueError):
    """It does not keep to the grammar, for a reason in words."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism (5).

    :ivar text: as it stands in the record.
    :ivar qualifier: ``+``, ``-``, ``~`` or ``?``.
    :ivar name: in lower case.
    :ivar domain: its argument, if that is the name of a domain; ``None``: the domain in question.
    :ivar network: its argument, if that is one.
    :ivar length4: bits of an IPv4 address that count.
    :ivar length6: bits of an IPv6 address that count.
    """

    text: str
    qualifier: str
    name: str
    domain: MacroString | None = None
    network: IPv4Network | IPv6Network | None = None
    length4: int = 32
    length6: int = 128


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    :ivar text: as it was published.
    :ivar mechanisms: in order.
    :ivar redirect: which domain's record counts if no mechanism matches (6.1).
    :ivar exp: where the explanation stands (6.2).
    """

    text: str
    mechanisms: tuple[Mechanism, ...] = ()
    redirect: MacroString | None = None
    exp: MacroString | None = None

    @classmethod
    def parse(cls, octets: bytes) -> Record:
        """Read it.

        :param octets: one of :func:`spf_records`.
        :raise RecordError: if there is any mistake in it.
        """
        if len(octets) <= _REMEMBERED:
            return _remembered(octets)
        return _read_all(octets)


def spf_records(records: Iterable[bytes]) -> list[bytes]:
    """Those TXT records of a domain that are about SPF (4.5)."""
    return [
        record
        for record in records
        if record[: len(_VERSION)].lower() == _VERSION
        and record[len(_VERSION) : len(_VERSION) + 1] in (b"", b" ")
    ]


def _read_all(octets: bytes) -> Record:
    if len(octets) > LONGEST:
        raise RecordError(f"it is longer than {LONGEST} octets")
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError:
        raise RecordError("it is not ASCII") from None
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, MacroString] = {}
    for term in text[len(_VERSION) :].split(" "):
        if not term:
            continue
        try:
            _read(term, mechanisms, modifiers)
        except (RecordError, MacroError) as error:
            raise RecordError(f"{term[:100]!r}: {error}") from None
    return Record(text, tuple(mechanisms), modifiers.get("redirect"), modifiers.get("exp"))


#: The same records are met again and again: those of the large providers.  Strangers fill it: it is small.
_remembered = lru_cache(maxsize=256)(_read_all)


def _read(term: str, mechanisms: list[Mechanism], modifiers: dict[str, MacroString]) -> None:
    match = _TERM.match(term)
    if match is None:
        raise RecordError("it is neither a mechanism nor a modifier")
    qualifier, name, argument = match.groups()
    if argument.startswith("=") and not qualifier:
        _read_modifier(name.lower(), argument[1:], modifiers)
        return
    mechanisms.append(_mechanism(term, qualifier or "+", name.lower(), argument))


def _read_modifier(name: str, value: str, modifiers: dict[str, MacroString]) -> None:
    if name not in ("redirect", "exp"):
        # 6: what nobody knows is passed over, once it is known to be one.
        MacroString.parse(value)
        return
    if name in modifiers:
        raise RecordError("it stands there twice")
    modifiers[name] = MacroString.parse_domain(value)


def _mechanism(term: str, qualifier: str, name: str, argument: str) -> Mechanism:
    if name == "all":
        if argument:
            raise RecordError("it takes no argument")
        return Mechanism(term, qualifier, name)
    if name in ("ip4", "ip6"):
        return Mechanism(term, qualifier, name, network=_network(name, argument))
    if name not in _NEEDS_DOMAIN:
        raise RecordError("there is no such mechanism")
    length4 = length6 = None
    if name in _HAS_LENGTHS:
        # What looks like lengths is: no name of a domain ends so.
        start = _start_of_lengths(argument)
        lengths = _LENGTHS.match(argument, start)
        if lengths is None:
            raise RecordError("the length of a network is none")
        length4, length6 = lengths.groups()
        argument = argument[:start]
    domain = None
    if argument:
        if not argument.startswith(":"):
            raise RecordError("its argument does not begin with a colon")
        domain = MacroString.parse_domain(argument[1:])
    elif _NEEDS_DOMAIN[name]:
        raise RecordError("it needs the name of a domain")
    return Mechanism(
        term,
        qualifier,
        name,
        domain,
        length4=_length(length4, 32),
        length6=_length(length6, 128),
    )


def _start_of_lengths(argument: str) -> int:
    """Where the lengths begin: behind the domain, in which a slash may stand, too."""
    start = len(argument)
    match = re.search(r"(?:/[0-9]*)?(?://[0-9]*)?\Z", argument)
    if match is not None:
        start = match.start()
    return start


def _network(name: str, argument: str) -> IPv4Network | IPv6Network:
    match = (_IP4 if name == "ip4" else _IP6).match(argument)
    if match is None:
        raise RecordError("it needs a network")
    address, length = match.groups()
    kind, most = (IPv4Network, 32) if name == "ip4" else (IPv6Network, 128)
    try:
        return kind(f"{address}/{_length(length, most)}", strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise RecordError(f"{address!r} is no address") from None


def _length(text: str | None, most: int) -> int:
    length = most if text is None else int(text)
    if length > most:
        raise RecordError(f"a network's length is {most} at the most")
    return length
