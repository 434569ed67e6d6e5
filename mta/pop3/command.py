"""The lines of POP3 clients (RFC 1939, 3; RFC 2449, 4; RFC 5034), and our replies.  Pure."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

#: Octets of a line without its end; longest are responses of SASL (RFC 5034, 4: 12288).
LONGEST = 12_288
#: Octets of any other command: passwords may be long (RFC 2449, 4 allows 255).
LONGEST_COMMAND = 2048
_NUMBER = re.compile(rb"[0-9]{1,10}\Z")
_KEYWORD = re.compile(rb"[A-Za-z0-9]{1,12}\Z")
_VISIBLE = re.compile(rb"[^\x20-\x7e]")


class BadLine(ValueError):
    """A line that is no command; the text is for the client."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    :ivar keyword: in upper case.
    :ivar rest: what stands behind the first space, as it was sent: passwords have spaces.
    """

    keyword: str
    rest: bytes = b""

    @property
    def arguments(self) -> list[bytes]:
        """The words of it."""
        return self.rest.split()


def parse(line: bytes) -> Command:
    """A line as a command.

    :raise BadLine: if it is none.
    """
    if len(line) > LONGEST:
        raise BadLine("the line is too long")
    keyword, _, rest = line.partition(b" ")
    if not _KEYWORD.match(keyword):
        raise BadLine("this is no command")
    if len(line) > LONGEST_COMMAND and keyword.upper() != b"AUTH":
        raise BadLine("the line is too long")
    if b"\0" in rest:
        raise BadLine("there is a NUL in the line")
    return Command(keyword.decode("ascii").upper(), rest)


def number(word: bytes) -> int:
    """A number.

    :raise BadLine: if it is none.
    """
    if not _NUMBER.match(word):
        raise BadLine("this is no number")
    return int(word)


def message_number(command: Command) -> int:
    """The one argument that is the number of a message; its place, from 0.

    :raise BadLine: if it is none.
    """
    arguments = command.arguments
    if len(arguments) != 1:
        raise BadLine(f"{command.keyword} takes the number of a message")
    return _place(arguments[0])


def message_and_lines(command: Command) -> tuple[int, int]:
    """The arguments of TOP: the place of a message, and how many lines.

    :raise BadLine: if they are none.
    """
    arguments = command.arguments
    if len(arguments) != 2:
        raise BadLine(f"{command.keyword} takes the number of a message and a number of lines")
    return _place(arguments[0]), number(arguments[1])


def _place(word: bytes) -> int:
    found = number(word)
    if found < 1:
        raise BadLine("messages are numbered from 1")
    return found - 1


def sasl_response(text: bytes, initial: bool = False) -> bytes:
    """What a client sends in an exchange.

    :param initial: whether it stands behind AUTH, where ``=`` is an empty one (RFC 5034, 4).
    :raise BadLine: if it is not base64.  None of it is in the text: it may be a password.
    """
    if initial and text == b"=":
        return b""
    try:
        return binascii.a2b_base64(text, strict_mode=True) if text else b""
    except ValueError:
        raise BadLine("the response is not base64") from None


def plain_words(text: str) -> bytes:
    """A text for a reply: one line of visible ASCII, or UTF-8 made into ``?``."""
    return _VISIBLE.sub(b"?", text.encode("ascii", "replace"))[:480]


def error(text: str, code: str = "") -> bytes:
    """An error reply.

    :param code: a response code (RFC 2449, 8; RFC 3206), such as ``SYS/TEMP``.
    """
    return b"-ERR " + (f"[{code}] ".encode() if code else b"") + plain_words(text)
