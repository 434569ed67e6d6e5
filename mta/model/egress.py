"""Where mail leaves from: sources, pools of them, and which one a message takes; pure.

A message takes a source of its pool by weighted rendezvous: each source draws a number from the
message's id and its own name, and the largest, by weight, is the first.  So the choice needs no
memory: it is the same in every worker, after every restart and at every attempt, which is what a
server that greylists looks for.  A source that is added or taken away moves those messages only
that are, or were, its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from math import log

from mta.model.warm_up import Plan


@dataclass(frozen=True, slots=True)
class Source:
    """One address of this machine, or one of each family, and who it says it is.

    :ivar name: as it stands in the configuration.
    :ivar ipv4: its address; ``""``: hosts are reached by IPv6 only.
    :ivar ipv6: likewise.
    :ivar helo: what it says in EHLO; ``""``: what the transport says.
    """

    name: str
    ipv4: str = ""
    ipv6: str = ""
    helo: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those that it has."""
        return tuple(filter(None, (self.ipv4, self.ipv6)))

    def address_for(self, peer: str) -> str:
        """The address from which to reach one of a peer; ``""`` if it has none of that family."""
        return self.ipv6 if ":" in peer else self.ipv4

    def words(self, address: str, helo: str) -> str:
        """For an outcome: ``a (mail-a.example.org [192.0.2.1])``."""
        return f"{self.name} ({self.helo or helo} [{address}])"


@dataclass(frozen=True, slots=True)
class Pool:
    """Sources among which messages are spread.

    :ivar weights: of each source, by its name; more than 0.
    """

    name: str
    weights: Mapping[str, float] = field(default_factory=dict)

    def ranking(self, key: str) -> list[str]:
        """The names of the sources in the order in which one message takes them.

        :param key: what stays the same over all attempts: the queue id.
        """
        if len(self.weights) == 1:
            return list(self.weights)
        return sorted(self.weights, key=lambda name: _score(key, name, self.weights[name]))


@dataclass(frozen=True, slots=True)
class Choice:
    """What may carry one message.

    :ivar pool: its pool's name.
    :ivar why: what picked the pool, in words.
    :ivar sources: in the order in which it takes them.
    :ivar weights: of each of the pool's sources, by its name.
    """

    pool: str
    why: str
    sources: Sequence[Source]
    weights: Mapping[str, float] = field(default_factory=dict)

    def words(self, helo: str) -> str:
        """What leaves from where, for a person.

        :param helo: what a source says in EHLO that has no name of its own.
        """
        whole = sum(self.weights.values())
        shares = [
            f"{one.words(', '.join(one.addresses), helo)} for {self.weights[one.name] / whole:.0%}"
            for one in sorted(self.sources, key=lambda one: (-self.weights[one.name], one.name))
        ]
        return f"from the pool {self.pool}, by {self.why}: {'; '.join(shares)}"


@dataclass(frozen=True, slots=True)
class Warming:
    """A source and its plan, if it has one."""

    source: Source
    plan: Plan | None = None


def _score(key: str, name: str, weight: float) -> float:
    """The smallest of exponential variables with these rates is each one's as often as its weight says."""
    drawn = int.from_bytes(blake2b(f"{key}\0{name}".encode(), digest_size=8).digest(), "big")
    return -log((drawn + 1) / (2**64 + 1)) / weight
