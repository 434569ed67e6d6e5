"""Who says what when, without I/O: generators that ask to send or to receive.

Whoever runs one sends what it yields as :class:`Send`, and comes back with ``None``; for
:data:`RECEIVE` it comes back with the filter's next packet, for :data:`NEXT_PIECE` with the next
octets of the body, or ``b""`` behind the last.  What the generator returns is the answer.

A filter may send progress (SMFIR_PROGRESS) before any answer; whoever runs the dialogue waits
anew for each packet.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias, TypeVar

from mta.judge.milter import macros, steps
from mta.judge.milter.options import Agreed, Protocol, agreed, offer
from mta.judge.milter.packets import MilterError, Packet
from mta.judge.milter.replies import (
    GO_ON,
    PROGRESS,
    BodyPiece,
    Quarantine,
    Said,
    decision,
    modification,
)
from mta.judge.milter.steps import Step
from mta.model.change import Change, ReplaceBody

T = TypeVar("T")

#: Octets of a new body, and number of other changes, that are taken at the most.
MOST_BODY = 64 << 20
MOST_CHANGES = 10_000


@dataclass(frozen=True, slots=True)
class Send:
    """Send these octets."""

    octets: bytes


class Want(Enum):
    """What a dialogue waits for."""

    PACKET = 1
    PIECE = 2


RECEIVE: Literal[Want.PACKET] = Want.PACKET
NEXT_PIECE: Literal[Want.PIECE] = Want.PIECE

Request: TypeAlias = Send | Want
Given: TypeAlias = Packet | bytes | None
Dialogue: TypeAlias = Generator[Request, Given, T]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message.

    :ivar said: the decision.
    :ivar step: at which step.
    :ivar changes: what is to be changed.
    :ivar quarantine: why it is to be held; ``None`` if it is not.
    """

    said: Said
    step: str
    changes: tuple[Change, ...] = ()
    quarantine: str | None = None


def negotiate() -> Dialogue[Agreed]:
    """The first thing on a connection.

    :raise MilterError: if there is nothing to agree on.
    """
    yield Send(offer().encode())
    return agreed((yield from _packet()))


def tell(step: Step, packet: Packet, terms: Agreed, values: Mapping[str, str]) -> Dialogue[Said]:
    """One step, and the filter's decision.

    :param terms: what was agreed on.
    :param values: what is known, for macros.
    :raise MilterError: if what it answers is none.
    """
    if step.unwanted & terms.protocol:
        return GO_ON
    yield Send(macros.packet(step, terms, values) + packet.encode())
    if step.silent & terms.protocol:
        return GO_ON
    return decision((yield from _answer()))


def message(fields: Iterable[bytes], terms: Agreed, values: Mapping[str, str]) -> Dialogue[Outcome]:
    """From DATA to the end of the message; the body is asked for piece by piece.

    :param fields: header fields, each with its CRLF.
    :raise MilterError: if it does not keep to the protocol.
    """
    said = yield from tell(steps.DATA, Packet(b"T"), terms, values)
    if said.decision != "continue":
        return Outcome(said, steps.DATA.name)
    leading = bool(terms.protocol & Protocol.LEADING_SPACE)
    if not terms.protocol & Protocol.NO_HEADER:
        for octets in fields:
            packet = steps.field(octets, leading)
            if packet is None:
                continue
            said = yield from tell(steps.HEADER, packet, terms, values)
            if said.decision != "continue":
                return Outcome(said, steps.HEADER.name)
    said = yield from tell(steps.END_OF_HEADER, Packet(b"N"), terms, values)
    if said.decision != "continue":
        return Outcome(said, steps.END_OF_HEADER.name)
    if not terms.protocol & Protocol.NO_BODY:
        said = yield from _body(terms)
        if said.decision != "continue":
            return Outcome(said, steps.BODY.name)
    yield Send(macros.packet(steps.END_OF_MESSAGE, terms, values) + Packet(b"E").encode())
    return (yield from _changes(terms))


def _body(terms: Agreed) -> Dialogue[Said]:
    while piece := (yield NEXT_PIECE):
        assert isinstance(piece, bytes)
        for start in range(0, len(piece), steps.PIECE):
            packet = Packet(b"B", piece[start : start + steps.PIECE])
            said = yield from tell(steps.BODY, packet, terms, {})
            if said.decision == "skip":
                return GO_ON
            if said.decision != "continue":
                return said
    return GO_ON


def _changes(terms: Agreed) -> Dialogue[Outcome]:
    changes: list[Change] = []
    body: list[bytes] = []
    octets = 0
    quarantine: str | None = None
    while True:
        packet = yield from _answer()
        change = modification(packet, terms.actions)
        if change is None:
            break
        if isinstance(change, Quarantine):
            quarantine = change.reason
        elif isinstance(change, BodyPiece):
            body.append(change.octets)
            octets += len(change.octets)
        else:
            changes.append(change)
        if octets > MOST_BODY or len(changes) + len(body) > MOST_CHANGES:
            raise MilterError(f"it asks for too much: {len(changes)} changes, {octets} octets of a body")
    if body:
        changes.append(ReplaceBody(b"".join(body)))
    said = decision(packet)
    if said.decision == "skip":
        raise MilterError("it wants no more of the body when there is no more")
    return Outcome(said, steps.END_OF_MESSAGE.name, tuple(changes), quarantine)


def _answer() -> Dialogue[Packet]:
    """The next packet that is more than a sign of life."""
    while True:
        packet = yield from _packet()
        if packet.command != PROGRESS:
            return packet


def _packet() -> Dialogue[Packet]:
    packet = yield RECEIVE
    assert isinstance(packet, Packet)
    return packet
