"""Block and allow lists of the DNS (RFC 5782): which name to ask for, and what an answer means; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address

#: Answers that a list gives (2.1).
_LISTED = IPv4Network("127.0.0.0/8")
#: Answers that say that the question was not allowed; large lists have them.
_REFUSALS = IPv4Network("127.255.255.0/24")
_WORDS = {
    252: "the zone's name is mistyped",
    254: "the question came through a public resolver, which the list does not answer; use one of your own",
    255: "the list is asked too often; its operator sells access for more",
}
#: RFC 5782, 5: what no list may list.
NEVER_LISTED_ADDRESS = "1.0.0.127"
NEVER_LISTED_NAME = "invalid"


def reversed_address(address: IPv4Address | IPv6Address) -> str:
    """How an address stands before a zone (2.1, 2.4)."""
    if address.version == 4:
        return ".".join(reversed(str(address).split(".")))
    return ".".join(reversed(address.exploded.replace(":", "")))


@dataclass(frozen=True, slots=True)
class CodeRange:
    """Some answers, such as ``127.0.0.2``, ``127.0.0.4-7``, ``127.0.0.*``, ``127.0.10.0/24``."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> CodeRange:
        """Read one.

        :raise ValueError: if it is none.
        """
        try:
            if "/" in text:
                network = IPv4Network(text)
                return cls(int(network.network_address), int(network.broadcast_address))
            if text.endswith(".*"):
                return cls(int(IPv4Address(text[:-1] + "0")), int(IPv4Address(text[:-1] + "255")))
            start, dash, end = text.partition("-")
            first = IPv4Address(start)
            last = IPv4Address(f"{start.rpartition('.')[0]}.{end}") if dash else first
        except ValueError:
            raise ValueError(
                f'{text!r} is no answer of a list, such as "127.0.0.2", "127.0.0.4-7" or "127.0.0.*"'
            ) from None
        return cls(int(first), int(last))

    def __contains__(self, answer: IPv4Address) -> bool:
        return self.first <= int(answer) <= self.last


@dataclass(frozen=True, slots=True)
class Reading:
    """What a list says.

    :ivar weight: of the answer that weighs most; 0.0 if nothing is said.
    :ivar codes: the answers that count.
    :ivar trouble: why the list is not believed; ``""``.
    """

    weight: float = 0.0
    codes: tuple[str, ...] = ()
    trouble: str = ""


def read(answers: Sequence[str], weight: float, codes: Mapping[CodeRange, float]) -> Reading:
    """What answers mean.

    :param weight: of any answer, where ``codes`` is empty.
    :param codes: weights of answers.
    """
    found: list[tuple[float, str]] = []
    for text in answers:
        answer = IPv4Address(text)
        if answer in _REFUSALS:
            said = _WORDS.get(int(answer) & 255, "the list refuses to answer")
            return Reading(0.0, (), f"{said} ({text})")
        if answer not in _LISTED:
            # Somebody else has the domain now, or the resolver invents answers.
            return Reading(0.0, (), f"{text} is no answer of a list: is its domain still what it was?")
        if not codes:
            found.append((weight, text))
            continue
        fitting = [value for known, value in codes.items() if answer in known]
        if fitting:
            found.append((max(fitting, key=abs), text))
    if not found:
        return Reading()
    return Reading(max((value for value, _ in found), key=abs), tuple(text for _, text in found))
