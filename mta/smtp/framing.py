"""Where a message ends and what it may hold: content behind DATA and BDAT.

Nothing here looks at single lines or octets from Python: a block goes through
a handful of ``bytes`` methods that run in C, whatever its size, and whichever
way the network has cut it.

Why content with a bare CR or LF is refused (RFC 5321, 2.3.8): servers do not
agree on what ends a line, so an octet sequence such as ``LF . LF`` or
``CR LF . CR`` is the end of a message to one of them and part of it to the
next.  Whoever can make such a pair disagree can forge mail in the name of the
first.  For us only CR LF . CR LF ends a message; one that holds anything else
that could is answered with a refusal, once, after its true end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import Logger

_log = Logger()

_END = b"\r\n.\r\n"
#: What could be the beginning of ``_END`` at the end of a block, longest first.
_PARTS = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")

_FIELD_NAME = re.compile(rb"[!-9;-~]+[ \t]*:")
_FIELDS = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\r]*\r\n(?:[ \t][^\r]*\r\n)*)*")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why content is refused.

    :ivar name: the catalogue's name of the reply.
    :ivar values: for its fields.
    :ivar evidence: for the journal.
    """

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)


class ContentGate:
    """Lets content through to whoever keeps it, until there is something wrong with it.

    :param sink: takes the octets; what it raises is logged and becomes a fault.
    :param size: octets of content at the most.
    :param header_size: octets of the header section at the most.
    :param hops: Received fields at the most.
    :param binary: whether bare CR and LF, and NUL, are allowed (BODY=BINARYMIME).
    :ivar fault: what is wrong, or ``None``; nothing goes through any more.
    :ivar size: octets seen so far.
    """

    __slots__ = ("_binary", "_header", "_header_limit", "_hops", "_limit", "_sink", "fault", "size")

    def __init__(
        self,
        sink: Callable[[bytes], None],
        size: int,
        header_size: int,
        hops: int,
        binary: bool = False,
    ) -> None:
        self._sink = sink
        self._limit = size
        self._header_limit = header_size
        self._hops = hops
        self._binary = binary
        #: The header section as far as it has come; ``None`` once it is complete.
        self._header: bytearray | None = bytearray()
        self.fault: Fault | None = None
        self.size = 0

    def write(self, block: bytes) -> None:
        """Take some octets, dots undone; a block never ends within CR LF."""
        self.size += len(block)
        if self.fault is not None:
            return
        if self.size > self._limit:
            self.fault = Fault("message-too-large", {"limit": self._limit})
            return
        if not self._binary:
            # Replacing by as many octets needs no second buffer to grow; what is
            # left of CR and LF then stood alone.
            rest = block.replace(b"\r\n", b"  ")
            if b"\r" in rest or b"\n" in rest:
                self.fault = Fault("bare-line-ending", evidence=_around(rest, self.size - len(block)))
                return
            if b"\0" in rest:
                self.fault = Fault("nul-octet", evidence={"offset": self.size - len(block) + rest.index(0)})
                return
        if self._header is not None and not self._header_passes(block):
            return
        try:
            self._sink(block)
        except Exception:
            _log.failure("Content could not be kept")
            self.fault = Fault("internal-trouble")

    def end(self) -> None:
        """There is no more: a header section without a body is complete now."""
        if self._header is not None and self.fault is None:
            self._judge_header(bytes(self._header))

    def _header_passes(self, block: bytes) -> bool:
        header = self._header
        assert header is not None
        if not header and self.size == len(block):
            # Nearly always the first block holds the whole section.
            end = -2 if block.startswith(b"\r\n") else block.find(b"\r\n\r\n")
            if end != -1:
                return self._judge_header(block[: max(end, 0)])
        start = max(len(header) - 3, 0)
        header += block
        end = -2 if header.startswith(b"\r\n") else header.find(b"\r\n\r\n", start)
        if end != -1:
            return self._judge_header(bytes(header[: max(end, 0)]))
        return len(header) <= self._header_limit + 4 or self._judge_header(bytes(header))

    def _judge_header(self, header: bytes) -> bool:
        self._header = None
        if len(header) > self._header_limit:
            header = _fields(header)
        if len(header) > self._header_limit:
            self.fault = Fault("header-too-large", {"limit": self._header_limit})
            return False
        lower = header.lower()
        count = lower.count(b"\nreceived:") + lower.startswith(b"received:")
        if count > self._hops:
            self.fault = Fault("routing-hops", {"count": count}, {"received": count, "limit": self._hops})
            return False
        return True


def _fields(header: bytes) -> bytes:
    """What of it is a header section, if the empty line behind it was left out.

    Simple programs send a body and nothing else; its first line, which is no
    field, then begins it.
    """
    match = _FIELDS.match(header)
    assert match is not None
    rest = header[match.end() :]
    # Of the last line only a part may have come.
    unfinished = b"\r\n" not in rest and (rest[:1] in (b" ", b"\t") or _FIELD_NAME.match(rest))
    return header if unfinished else match[0]


def _around(rest: bytes, before: int) -> dict[str, Any]:
    """Which octet stood alone, and where in the message."""
    places = [place for place in (rest.find(b"\r"), rest.find(b"\n")) if place >= 0]
    place = min(places)
    return {"octet": "CR" if rest[place] == 13 else "LF", "offset": before + place}


class DataReader:
    """Finds the end of content behind DATA and undoes dot-stuffing (RFC 5321, 4.5.2).

    :param gate: takes the content.
    """

    __slots__ = ("_held", "_started", "gate")

    def __init__(self, gate: ContentGate) -> None:
        self.gate = gate
        # A line begins where content begins, as if a CR LF went before.
        self._held = b"\r\n"
        self._started = False

    def feed(self, block: bytes) -> bytes | None:
        """Take what came from the network.

        :return: ``None`` if the end is yet to come, else what follows it.
        """
        data = self._held + block
        end = data.find(_END)
        if end >= 0:
            self._pass(data[: end + 2])
            self.gate.end()
            return data[end + 5 :]
        self._held = b""
        # The usual block ends within a line.
        if data[-1] in b"\r\n.":
            for part in _PARTS:
                if data.endswith(part):
                    self._held = part
                    data = data[: -len(part)]
                    break
        self._pass(data)
        return None

    def _pass(self, data: bytes) -> None:
        if not data:
            return
        data = data.replace(b"\r\n.", b"\r\n")
        if not self._started:
            self._started = True
            data = data[2:]
            if not data:
                return
        self.gate.write(data)


class ChunkReader:
    """Counts the octets of one BDAT chunk (RFC 3030, 2).

    :param octets: how many belong to it.
    :param gate: takes them; ``None`` if they are to be swallowed.
    :param held: what the chunk before left over: a CR whose LF may come now.
    :ivar held: the same for the next chunk.
    """

    __slots__ = ("gate", "held", "left")

    def __init__(self, octets: int, gate: ContentGate | None, held: bytes = b"") -> None:
        self.left = octets
        self.gate = gate
        self.held = held

    def feed(self, block: bytes) -> bytes | None:
        """Take what came from the network.

        :return: ``None`` if the chunk goes on, else what follows it.
        """
        rest: bytes | None = None
        if len(block) >= self.left:
            rest = block[self.left :]
            block = block[: self.left]
        self.left -= len(block)
        if self.gate is not None and block:
            data = self.held + block
            self.held = b""
            if data.endswith(b"\r"):
                self.held = b"\r"
                data = data[:-1]
            if data:
                self.gate.write(data)
        return rest

    def end(self) -> None:
        """This was the last chunk."""
        gate = self.gate
        if gate is not None:
            if self.held:
                gate.write(self.held)
            gate.end()
