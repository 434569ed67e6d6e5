"""What a filter answers: decisions, and changes that it asks for at the end of a message."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mta.judge.milter.options import Actions
from mta.judge.milter.packets import MilterError, Packet, strings
from mta.model.change import (
    AddField,
    AddRecipient,
    Change,
    ChangeField,
    ChangeSender,
    InsertField,
    RemoveField,
    RemoveRecipient,
)
from mta.model.reply import Reply

Decision = Literal["continue", "accept", "reject", "tempfail", "discard", "skip"]
_DECISIONS: dict[bytes, Decision] = {
    b"c": "continue",
    b"a": "accept",
    b"r": "reject",
    b"t": "tempfail",
    b"d": "discard",
    b"s": "skip",
}
PROGRESS = b"p"
_REPLY = re.compile(r"([45])\d\d(?=[ -]|\Z)")
_ENHANCED = re.compile(r"([45]\.\d{1,3}\.\d{1,3})(?: +|\Z)")
_INDEX = struct.Struct(">I")
_NEVER = frozenset({"NEVER"})
_NOTIFY = frozenset({"NEVER", "SUCCESS", "FAILURE", "DELAY"})
#: Lines of a reply, and characters of one, that are passed on.
_LINES, _LINE = 32, 400


@dataclass(frozen=True, slots=True)
class Said:
    """A filter's decision at one step.

    :ivar decision: what is to be done.
    :ivar reply: the exact reply for ``reject`` and ``tempfail``, if it gave one.
    """

    decision: Decision
    reply: Reply | None = None


GO_ON = Said("continue")


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The message is to be held, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class BodyPiece:
    """One more piece of another body."""

    octets: bytes


def decision(packet: Packet) -> Said:
    """What a packet decides.

    :raise MilterError: if it decides nothing.
    """
    command, payload = packet
    known = _DECISIONS.get(command)
    if known is not None:
        if payload:
            raise MilterError(f"there is something behind its answer {command!r}")
        return Said(known)
    if command == b"y":
        reply = _reply(payload)
        return Said("reject" if reply.is_permanent else "tempfail", reply)
    if command == b"4":
        return Said("tempfail", Reply(421, ("Closing the connection",), "4.3.2"))
    if command == b"f":
        raise MilterError("it wants to be taken for one that cannot be reached")
    raise MilterError(f"it answered {command!r}, which is no decision")


def _reply(payload: bytes) -> Reply:
    """``550 5.7.1 text``, of several lines at times; ``%`` is doubled, as Sendmail wants it."""
    text = payload.rstrip(b"\0").decode("utf-8", "replace").replace("%%", "\0").replace("%", "")
    lines, enhanced, code = [], "", 0
    for line in re.split(r"\r?\n", text.replace("\0", "%").rstrip("\r\n"))[:_LINES]:
        match = _REPLY.match(line)
        if match is None or (code and int(match[0]) != code):
            raise MilterError("its reply has no code of 4xx or 5xx before each line")
        code = int(match[0])
        rest = line[4:]
        mark = _ENHANCED.match(rest)
        if mark is not None and mark[1][0] == match[1]:
            enhanced = enhanced or mark[1]
            rest = rest[mark.end() :]
        lines.append("".join(c if c.isprintable() else " " for c in rest)[:_LINE].strip() or "Refused")
    return Reply(code, tuple(lines), enhanced or ("5.7.1" if code >= 500 else "4.7.1"))


def modification(packet: Packet, allowed: Actions) -> Change | Quarantine | BodyPiece | None:
    """What a packet at the end of a message wants to be changed; ``None`` if it is a decision.

    :param allowed: what was agreed on.
    :raise MilterError: if it is malformed, or was not agreed on.
    """
    known = _MODIFICATIONS.get(packet.command)
    if known is None:
        return None
    action, read = known
    if not action & allowed:
        raise MilterError(f"it asks for {packet.command!r}, which it did not negotiate")
    return read(packet.payload)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _name_and_value(payload: bytes) -> tuple[str, str]:
    found = strings(payload)
    if len(found) != 2 or not found[0]:
        raise MilterError("a header field that it sent is malformed")
    return _text(found[0]), _text(found[1])


def _index(payload: bytes) -> int:
    if len(payload) < _INDEX.size:
        raise MilterError("a header field that it sent has no position")
    number: int = _INDEX.unpack_from(payload)[0]
    return number


def _add(payload: bytes) -> Change:
    return AddField(*_name_and_value(payload))


def _insert(payload: bytes) -> Change:
    # It counts our own Received field, which no filter is shown.
    return InsertField(*_name_and_value(payload[4:]), max(_index(payload) - 1, 0))


def _change(payload: bytes) -> Change:
    number = max(_index(payload), 1)
    name, value = _name_and_value(payload[4:])
    return ChangeField(name, value, number) if value else RemoveField(name, number)


def _address(text: bytes) -> str:
    return _text(text).strip().removeprefix("<").removesuffix(">")


def _first_address(payload: bytes) -> str:
    return _address(strings(payload)[0])


def _recipient_with(payload: bytes) -> Change:
    """An address with parameters of ESMTP, in one string or in several."""
    first, *rest = strings(payload)
    notify, orcpt = _NEVER, ""
    for word in b" ".join(rest).split():
        key, _, value = word.partition(b"=")
        if key.upper() == b"NOTIFY":
            found = frozenset(_text(value).upper().split(","))
            if not found <= _NOTIFY:
                raise MilterError("the NOTIFY parameter of a recipient that it added is malformed")
            notify = found
        elif key.upper() == b"ORCPT":
            orcpt = _text(value)
    return AddRecipient(_address(first), notify, orcpt)


def _quarantine(payload: bytes) -> Quarantine:
    reason = payload.rstrip(b"\0").decode("utf-8", "replace")
    return Quarantine("".join(c if c.isprintable() else " " for c in reason)[:_LINE] or "no reason given")


_MODIFICATIONS: dict[bytes, tuple[Actions, Callable[[bytes], Change | Quarantine | BodyPiece]]] = {
    b"h": (Actions.ADD_FIELDS, _add),
    b"i": (Actions.ADD_FIELDS, _insert),
    b"m": (Actions.CHANGE_FIELDS, _change),
    b"b": (Actions.CHANGE_BODY, BodyPiece),
    b"+": (Actions.ADD_RECIPIENT, lambda payload: AddRecipient(_first_address(payload))),
    b"2": (Actions.ADD_RECIPIENT_WITH, _recipient_with),
    b"-": (Actions.REMOVE_RECIPIENT, lambda payload: RemoveRecipient(_first_address(payload))),
    b"e": (Actions.CHANGE_SENDER, lambda payload: ChangeSender(_first_address(payload))),
    b"q": (Actions.QUARANTINE, _quarantine),
}
