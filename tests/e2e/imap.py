"""An IMAP client that keeps a strict account of what it is told, and of what it has no right to be told.

It is small, and says what the test says: pipelining, literals, broken lines.  Whatever a server tells of
sequence numbers is held against what it told before (RFC 3501, 7.4.1, 7.3.1; RFC 2180).
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass, field

_LITERAL = re.compile(rb"\{([0-9]+)\}\Z")
_NUMBERED = re.compile(rb"([0-9]+) (EXISTS|EXPUNGE|FETCH|RECENT)\b")
_TOKEN = re.compile(rb'[ ]*(?:([()])|"((?:[^"\\]|\\.)*)"|((?:\[[^\]]*\]|[^ ()"\[])+))')
#: During these no message may vanish: the client speaks in sequence numbers (RFC 3501, 7.4.1).
_NUMBERS = re.compile(rb"(FETCH|STORE|SEARCH|SORT) ", re.IGNORECASE)

Value = bytes | int | list["Value"] | None


class Refused(AssertionError):
    """A command was answered with NO or BAD.

    :ivar status: which.
    """

    def __init__(self, command: bytes, status: bytes, text: bytes) -> None:
        super().__init__(f"{command[:200]!r}: {status.decode()} {text.decode(errors='replace')}")
        self.status = status
        self.text = text


@dataclass
class Answer:
    """What came until a command was done.

    :ivar text: behind its OK.
    :ivar lines: untagged responses, without ``* `` and with literals where they stood.
    :ivar fetched: what each FETCH response said.
    """

    text: bytes = b""
    lines: list[list[bytes]] = field(default_factory=list)
    fetched: list[dict[bytes, Value]] = field(default_factory=list)

    def words(self, name: bytes) -> list[bytes]:
        """The words of the first response that begins so."""
        for parts in self.lines:
            if parts[0].upper().startswith(name):
                return parts[0][len(name) :].split()
        return []

    def code(self, name: bytes) -> list[bytes]:
        """The words of a response code of the OK; ``[]`` if there is none."""
        found = re.match(rb"\[" + name + rb" ([^\]]*)\]", self.text)
        return found[1].split() if found else []


def parse(parts: list[bytes]) -> list[Value]:
    """Lists, strings and atoms of a response; the bodies of literals stand between its parts."""
    stack: list[list[Value]] = [[]]
    for number, part in enumerate(parts):
        if number % 2:
            stack[-1].append(part)
            continue
        at = 0
        text = _LITERAL.sub(b"", part).rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            assert match is not None, (text, at)
            at = match.end()
            if match[1] == b"(":
                stack.append([])
            elif match[1] == b")":
                done = stack.pop()
                stack[-1].append(done)
            elif match[2] is not None:
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", match[2]))
            elif match[3].upper() == b"NIL":
                stack[-1].append(None)
            else:
                stack[-1].append(int(match[3]) if match[3].isdigit() else match[3])
    assert len(stack) == 1, parts
    return stack[0]


class Imap:
    """One connection, greeted.

    :param port: of loopback.
    :param tls: whether it is TLS from the first byte; any certificate will do.
    :ivar uids: of the selected folder's messages; ``None`` where the server has not told it.
    :ivar flags: by UID, as the server told last.
    :ivar validity: of the selected folder.
    """

    def __init__(self, port: int, tls: bool = True, timeout: float = 60.0) -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket: socket.socket = trusting().wrap_socket(raw) if tls else raw
        self._file = self.socket.makefile("rb")
        self._number = 0
        self.uids: list[int | None] = []
        self.flags: dict[int, frozenset[bytes]] = {}
        self.validity = 0
        self.selected = b""
        self._command = b""
        self.greeting = self.line()
        assert self.greeting[0].startswith(b"* OK"), self.greeting

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.socket.close()

    # --- lines -------------------------------------------------------------------

    def line(self) -> list[bytes]:
        """One response: text, literal, text, and so on.

        :raise OSError: if the connection is lost.
        """
        parts: list[bytes] = []
        while True:
            line = self._file.readline()
            if not line.endswith(b"\r\n"):
                raise ConnectionResetError("the server has gone")
            line = line[:-2]
            parts.append(line)
            literal = _LITERAL.search(line)
            if literal is None:
                return parts
            body = self._file.read(int(literal[1]))
            if len(body) < int(literal[1]):
                raise ConnectionResetError("the server has gone")
            parts.append(body)

    def send(self, text: bytes, *literals: bytes) -> bytes:
        """Begin a command; each literal stands at a ``{}`` of the text, and does not wait (RFC 7888).

        :return: its tag.
        """
        self._number += 1
        tag = b"t%d" % self._number
        pieces = text.split(b"{}")
        assert len(pieces) == len(literals) + 1
        octets = tag + b" " + pieces[0]
        for literal, piece in zip(literals, pieces[1:], strict=True):
            octets += b"{%d+}\r\n" % len(literal) + literal + piece
        self._command = text
        self.socket.sendall(octets + b"\r\n")
        return tag

    def wait(self, tag: bytes, answer: Answer | None = None) -> Answer:
        """Take responses until a command is done.

        :raise Refused: if its answer is not OK.
        """
        answer = answer or Answer()
        while True:
            parts = self.line()
            if parts[0].startswith(b"* "):
                self._heed(parts, answer)
            elif parts[0].startswith(tag + b" "):
                _, status, text = (parts[0] + b" ").split(b" ", 2)
                answer.text = text.rstrip()
                if status != b"OK":
                    raise Refused(self._command, status, text)
                return answer
            else:
                raise AssertionError(f"{parts!r} comes while {tag!r} is awaited")

    def do(self, text: bytes, *literals: bytes) -> Answer:
        """A command, from its first word to its OK."""
        return self.wait(self.send(text, *literals))

    # --- what is told ------------------------------------------------------------

    def _heed(self, parts: list[bytes], answer: Answer) -> None:
        text = parts[0] = parts[0][2:]
        answer.lines.append(parts)
        if text.upper().startswith(b"BYE"):
            return
        match = _NUMBERED.match(text)
        if match is None:
            if text.startswith(b"OK [UIDVALIDITY "):
                self.validity = int(text[16:].partition(b"]")[0])
            return
        number, word = int(match[1]), match[2]
        if word == b"EXISTS":
            assert number >= len(self.uids), f"{number} EXISTS, and {len(self.uids)} were told of"
            self.uids += [None] * (number - len(self.uids))
        elif word == b"EXPUNGE":
            assert 1 <= number <= len(self.uids), f"{number} EXPUNGE of {len(self.uids)}"
            assert not _NUMBERS.match(self._command), f"EXPUNGE during {self._command!r}"
            gone = self.uids.pop(number - 1)
            if gone is not None:
                self.flags.pop(gone, None)
        elif word == b"FETCH":
            assert 1 <= number <= len(self.uids), f"{number} FETCH of {len(self.uids)}"
            self._heed_fetch(number, parse([text[match.end() :], *parts[1:]]), answer)

    def _heed_fetch(self, number: int, values: list[Value], answer: Answer) -> None:
        (items,) = values
        assert isinstance(items, list), values
        found: dict[bytes, Value] = {}
        answer.fetched.append(found)
        for name, value in zip(items[::2], items[1::2], strict=True):
            assert isinstance(name, bytes), items
            found[name.upper()] = value
        uid = found.get(b"UID")
        if isinstance(uid, int):
            known = self.uids[number - 1]
            assert known in (None, uid), f"message {number} had UID {known}, and has {uid} now"
            assert uid not in self.uids or known == uid, f"UID {uid} stands at two places"
            self.uids[number - 1] = uid
        uid = self.uids[number - 1]
        flags = found.get(b"FLAGS")
        if uid is not None and isinstance(flags, list):
            self.flags[uid] = frozenset(flag for flag in flags if isinstance(flag, bytes))

    # --- commands of every test --------------------------------------------------

    def login(self, user: str, password: str) -> Imap:
        """Log in."""
        self.do(b'LOGIN "%s" "%s"' % (user.encode(), password.encode()))
        return self

    def select(self, folder: bytes = b"INBOX", command: bytes = b"SELECT") -> Answer:
        """Select a folder, and learn its UIDs and flags."""
        self.uids, self.flags, self.selected = [], {}, folder
        answer = self.do(b"%s %s" % (command, folder))
        self.learn()
        known = [uid for uid in self.uids if uid is not None]
        assert known == sorted(set(known)), "UIDs do not rise"
        return answer

    def learn(self) -> None:
        """Learn UIDs and flags of messages that have only been counted; more may come meanwhile."""
        if None in self.uids:
            known = self.uids[: self.uids.index(None)]
            self.do(b"UID FETCH %d:* (FLAGS)" % ((known[-1] or 0) + 1 if known else 1))

    def append(self, folder: bytes, message: bytes, flags: bytes = b"", date: bytes = b"") -> tuple[int, int]:
        """Append a message; its UIDVALIDITY and UID."""
        options = b"(%s) " % flags + (b'"%s" ' % date if date else b"")
        validity, uid = self.do(b"APPEND %s %s{}" % (folder, options), message).code(b"APPENDUID")
        return int(validity), int(uid)

    def message_ids(self) -> dict[int, bytes]:
        """The Message-ID of each message of the selected folder, by UID."""
        if not self.uids:
            return {}
        answer = self.do(b"UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        found = {}
        for items in answer.fetched:
            uid = items.get(b"UID")
            header = next((value for name, value in items.items() if name.startswith(b"BODY[")), None)
            if isinstance(uid, int) and isinstance(header, bytes):
                found[uid] = header.partition(b":")[2].strip()
        return found

    def idle(self) -> bytes:
        """Begin IDLE; the tag, for :meth:`done`."""
        tag = self.send(b"IDLE")
        while not (parts := self.line())[0].startswith(b"+"):
            self._heed(parts, Answer())
        return tag

    def news(self) -> Answer:
        """The next response while IDLE."""
        answer = Answer()
        self._heed(self.line(), answer)
        return answer

    def done(self, tag: bytes) -> Answer:
        """End IDLE."""
        self.socket.sendall(b"DONE\r\n")
        return self.wait(tag)


def trusting() -> ssl.SSLContext:
    """Takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def message(identity: str, body: str = "hello", subject: str = "") -> bytes:
    """A message that is known by its Message-ID."""
    return (
        f"From: x@elsewhere.test\r\nTo: anna@example.org\r\nSubject: {subject or identity}\r\n"
        f"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <{identity}@test>\r\n\r\n{body}\r\n"
    ).encode()
