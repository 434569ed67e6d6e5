"""Replies as a server sends them (RFC 5321, 4.2), cut out of the stream.

A hostile server can send anything for ever; what is kept of it is bounded by
:data:`LINE`, :data:`LINES` and :data:`OCTETS`, and whatever is no reply ends
the conversation, behind the replies before it.
"""

from __future__ import annotations

import re

#: Octets of one line.  RFC 5321 (4.5.3.1.5) says 512; some servers write longer explanations.
LINE = 4096
#: Lines of one reply; the longest answers to EHLO have about thirty.
LINES = 128
#: Octets of one reply.
OCTETS = 32 * 1024
#: Characters of a reply's text that go into an outcome and so into the journal.
TEXT = 1000

# A CR too many before the LF is known from a few servers and does no harm.
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([^\r\n]*))?\r*\n")
_ENHANCED = re.compile(rb"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+|\Z)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class BadReply(Exception):
    """What came is no reply, or none to what was said; the text says why, in words for an outcome."""


class ServerReply:
    """One reply, of one or more lines.

    :ivar code: the three-digit code, 200 to 599.
    :ivar lines: what follows the code on each line, as it came.
    """

    __slots__ = ("code", "lines")

    def __init__(self, code: int, lines: list[bytes]) -> None:
        self.code = code
        self.lines = lines

    def __repr__(self) -> str:
        return f"<{self.code} {self.text!r}>"

    @property
    def enhanced(self) -> str:
        """The enhanced status code of its last line (RFC 2034); ``""`` without a fitting one."""
        match = _ENHANCED.match(self.lines[-1])
        # A class that contradicts the code would turn a refusal into a success in a bounce.
        if match is None or match[1][0] - 48 != self.code // 100:
            return ""
        return match[1].decode()

    @property
    def text(self) -> str:
        """The words of all lines, without codes and control characters, at most :data:`TEXT`."""
        return self.parts()[1]

    def parts(self) -> tuple[str, str]:
        """Enhanced code and text."""
        enhanced = self.enhanced
        lines = self.lines
        if len(lines) == 1:
            data = lines[0][len(enhanced) :].strip() if enhanced else lines[0].strip()
        else:
            kept = []
            length = 0
            for line in lines:
                if enhanced and (match := _ENHANCED.match(line)) is not None:
                    line = line[match.end() :]
                kept.append(line.strip())
                length += len(line)
                if length > TEXT * 4:
                    break
            data = b" ".join(kept)
        text = data[: TEXT * 4].decode("utf-8", "replace")
        if not text.isprintable():
            text = _CONTROL.sub(" ", text)
        return enhanced, text if len(text) <= TEXT else text[: TEXT - 1] + "…"


class ReplyReader:
    """Cuts replies out of a stream, however it is chunked.

    :ivar problem: why what came behind the last reply is none, or will never end; ``""`` so far.
    """

    __slots__ = ("_buffer", "_lines", "_octets", "problem")

    def __init__(self) -> None:
        self.problem = ""
        self._buffer = b""
        self._lines: list[bytes] = []
        self._octets = 0

    @property
    def pending(self) -> bool:
        """Whether part of a reply has come and the rest has not."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> list[ServerReply]:
        """Take what came from the network.

        :return: the replies that are complete by now, in order; look at ``problem`` after them.
        """
        if self._buffer:
            data = self._buffer + data
        found: list[ServerReply] = []
        position = 0
        while (match := _LINE.match(data, position)) is not None:
            position = match.end()
            code, mark, text = match.groups(b"")
            if mark != b"-" and not self._lines:
                found.append(ServerReply(int(code), [text]))
                continue
            self._lines.append(text)
            self._octets += len(text) + 6
            if len(self._lines) > LINES or self._octets > OCTETS:
                self.problem = f"a reply of more than {LINES} lines or {OCTETS} octets"
                return found
            if mark != b"-":
                found.append(ServerReply(int(code), self._lines))
                self._lines = []
                self._octets = 0
        self._buffer = data[position:]
        if b"\n" in self._buffer:
            line = self._buffer.partition(b"\n")[0][:80].decode("ascii", "backslashreplace").strip()
            self.problem = f"{line!r} is no reply"
        elif len(self._buffer) > LINE:
            self.problem = f"a line of more than {LINE} octets"
        return found
