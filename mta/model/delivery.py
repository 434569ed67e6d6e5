"""From a recipient to an attempt and its record: routes, hosts, deliveries, results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mta.model.egress import Source
from mta.model.event import Event
from mta.model.message import Addressee, Message


@dataclass(frozen=True, slots=True)
class Route:
    """One way for one recipient (see :class:`~mta.model.message.Addressee`).

    :ivar sender: reverse-path for this copy, where a list has an owner; ``None``
        to keep the message's.
    """

    address: str
    transport: str
    next_hop: str
    options: dict[str, Any] = field(default_factory=dict)
    sender: str | None = None

    def addressee(self, number: int, original: str, **facts: Any) -> Addressee:
        """Whom a message of our own goes to this way; ``sender`` is not his affair.

        :param number: among the addressees of the message.
        :param original: the recipient whose way it is.
        :param facts: further ones of the addressee.
        """
        return Addressee(
            number=number,
            address=self.address,
            original=original,
            transport=self.transport,
            next_hop=self.next_hop,
            options=dict(self.options),
            **facts,
        )


@dataclass(slots=True)
class Delivery:
    """One attempt: one message, and those of its recipients that go one way.

    :ivar message: whole message; its ``addressees`` may include others.
    :ivar addressees: whom this attempt is for; same transport and next hop.
    :ivar sender: the reverse-path to use.
    :ivar repeat: whether an earlier attempt may have got through without our
        knowing (after a crash); a transport that can should look before it acts.
    :ivar source: where it is to leave from; ``None``: from wherever the transport's settings say.
    """

    message: Message
    addressees: list[Addressee]
    sender: str
    repeat: bool = False
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Exchanger:
    """One host that takes mail for a next hop.

    :ivar name: its name, for TLS and for replies; the address where there is no name.
    :ivar addresses: its IP addresses, in the order in which to try them.
    :ivar port: the port.
    :ivar preference: of its MX record; 0 where there is none.
    """

    name: str
    addresses: tuple[str, ...]
    port: int = 25
    preference: int = 0


@dataclass(slots=True)
class Result:
    """What the manager wants recorded about one attempt.

    :ivar message: queue id.
    :ivar changed: addressees with their new ``state``, ``due``, ``attempts``,
        ``warned`` and ``last_reply``; those ended leave the queue.
    :ivar complete: whether nobody waits any more, so that the message goes.
    :ivar events: to be written in the same transaction.
    :ivar admit: notifications to be queued in the same transaction.
    :ivar retimed: the message, if it got another time: ``expires`` and ``attributes`` are kept.
    """

    message: str
    changed: list[Addressee]
    complete: bool
    events: list[Event]
    admit: list[Message] = field(default_factory=list)
    retimed: Message | None = None
