"""Which queued messages are meant, and what they come to by some trait; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mta.model.message import Addressee, Message
from mta.model.message_json import state_of

#: A transport by its name, and a next hop.
Way = tuple[str, str]

#: Words of a reply that differ from message to message: ids, times, addresses of hosts.
_PARTICULAR = re.compile(r"[0-9A-Za-z.:_-]*[0-9][0-9A-Za-z.:_-]{5,}")
#: Characters of a reply that are told apart.
_REPLY = 100
_AGES = (
    (300.0, "under 5 min"),
    (3600.0, "under 1 h"),
    (6 * 3600.0, "under 6 h"),
    (86400.0, "under 1 d"),
    (3 * 86400.0, "under 3 d"),
    (float("inf"), "3 d and more"),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Facts by which messages are chosen; what is empty lets everything through.

    Destination and reply must be those of one addressee; a message with one that
    fits is chosen as a whole.

    :ivar sender_domain: of the reverse-path.
    :ivar destination: a next hop, or ``transport:next_hop``; ``*`` stands for anything.
    :ivar reply: is found in the last reply, whatever the case.
    :ivar before: accepted before, in seconds since 1970.
    :ivar since: accepted then or later.
    :ivar deferred: whether an addressee must have been tried.
    :ivar scheduled: whether it must wait for its time, or must not.
    :ivar ways: transports and next hops, one of which must be the addressee's; ``None``: any.
    """

    sender_domain: str = ""
    destination: str = ""
    tenant: str = ""
    campaign: str = ""
    priority: int | None = None
    reply: re.Pattern[str] | None = None
    before: float = float("inf")
    since: float = 0.0
    deferred: bool = False
    scheduled: bool | None = None
    ways: frozenset[Way] | None = None

    def fits(self, message: Message) -> bool:
        """Whether a message is meant."""
        if not self.since <= message.created < self.before:
            return False
        if self.sender_domain and domain_of(message.envelope.reverse_path) != self.sender_domain.lower():
            return False
        if self.tenant and attribute(message, "tenant") != self.tenant:
            return False
        if self.campaign and attribute(message, "campaign") != self.campaign:
            return False
        if self.priority is not None and message.attributes.get("priority", 0) != self.priority:
            return False
        if self.deferred and not any(one.attempts for one in message.addressees):
            return False
        if self.scheduled is not None and self.scheduled is not (state_of(message) == "scheduled"):
            return False
        if not self.destination and self.reply is None and self.ways is None:
            return True
        return any(map(self._waits_there, message.addressees))

    def _waits_there(self, addressee: Addressee) -> bool:
        if self.reply is not None and not (addressee.last_reply and self.reply.search(addressee.last_reply)):
            return False
        if self.ways is not None and (addressee.transport, addressee.next_hop) not in self.ways:
            return False
        pattern, next_hop = self.destination.lower(), addressee.next_hop.lower()
        return (
            not pattern
            or fnmatchcase(next_hop, pattern)
            or fnmatchcase(f"{addressee.transport}:{next_hop}".lower(), pattern)
        )


def ways_to(pattern: str, sites: Mapping[Way, Sequence[str]]) -> frozenset[Way]:
    """The ways that lead to a host.

    :param pattern: its name; ``*`` stands for anything.
    :param sites: names of the hosts by way; a way without is a site by itself, under its next hop.
    """
    name = pattern.lower().rstrip(".")
    return frozenset(
        way
        for way, hosts in sites.items()
        if any(fnmatchcase(host.lower(), name) for host in hosts or way[1:])
    )


def reply_pattern(text: str) -> re.Pattern[str] | None:
    """An operator's expression for the last reply; ``None`` for ``""``.

    :raise ValueError: if it is none.
    """
    try:
        return re.compile(text, re.IGNORECASE) if text else None
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None


def domain_of(address: str) -> str:
    """The domain of an address, in lower case; ``<>`` for the null reverse-path."""
    return address.rpartition("@")[2].lower() if address else "<>"


def attribute(message: Message, name: str) -> str:
    """An attribute in words; ``""`` without."""
    value = message.attributes.get(name)
    return "" if value is None else str(value)


def _age(message: Message, now: float) -> str:
    age = now - message.created
    return next(name for limit, name in _AGES if age < limit)


def _reply(addressee: Addressee) -> str:
    return _PARTICULAR.sub("…", addressee.last_reply)[:_REPLY]


def _site(addressee: Addressee, sites: Mapping[Way, Sequence[str]]) -> str:
    hosts = sites.get((addressee.transport, addressee.next_hop))
    return " ".join(hosts) if hosts else f"{addressee.transport}:{addressee.next_hop}"


#: By which traits a queue is summed up; each gives the key of an addressee.
TRAITS: dict[str, Callable[[Message, Addressee, float, Mapping[Way, Sequence[str]]], str]] = {
    "destination": lambda message, addressee, now, sites: f"{addressee.transport}:{addressee.next_hop}",
    "site": lambda message, addressee, now, sites: _site(addressee, sites),
    "tenant": lambda message, addressee, now, sites: attribute(message, "tenant"),
    "campaign": lambda message, addressee, now, sites: attribute(message, "campaign"),
    "sender": lambda message, addressee, now, sites: domain_of(message.envelope.reverse_path),
    "age": lambda message, addressee, now, sites: _age(message, now),
    "reply": lambda message, addressee, now, sites: _reply(addressee),
}


@dataclass(slots=True)
class Group:
    """What waits under one key.

    :ivar oldest: when the first of them was accepted, in seconds since 1970.
    :ivar next_try: when the next of them is due; ``None`` if all are held.
    """

    key: str
    messages: int = 0
    recipients: int = 0
    held: int = 0
    octets: int = 0
    oldest: float = float("inf")
    next_try: float | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}

    def merge(self, other: Group) -> None:
        """Add what another shard has under this key."""
        self.messages += other.messages
        self.recipients += other.recipients
        self.held += other.held
        self.octets += other.octets
        self.oldest = min(self.oldest, other.oldest)
        if other.next_try is not None:
            self.next_try = other.next_try if self.next_try is None else min(self.next_try, other.next_try)


def summary(
    messages: Iterable[Message], trait: str, now: float, sites: Mapping[Way, Sequence[str]] | None = None
) -> list[Group]:
    """What messages come to by a trait, the largest group first.

    A message whose addressees differ in it counts once in each of their groups.

    :param trait: a name in ``TRAITS``.
    :param now: seconds since 1970.
    :param sites: names of the hosts by way, for the trait ``site``.
    """
    key_of = TRAITS[trait]
    hosts = sites or {}
    groups: dict[str, Group] = {}
    for message in messages:
        own: dict[str, Group] = {}
        for addressee in message.addressees:
            key = key_of(message, addressee, now, hosts)
            group = own.get(key)
            if group is None:
                group = own[key] = Group(key, 1, octets=message.size, oldest=message.created)
            group.recipients += 1
            if addressee.state == "held":
                group.held += 1
            elif group.next_try is None or addressee.due < group.next_try:
                group.next_try = addressee.due
        for key, group in own.items():
            known = groups.get(key)
            if known is None:
                groups[key] = group
            else:
                known.merge(group)
    return sorted(groups.values(), key=lambda group: (-group.messages, group.key))
