"""What is told of odd messages, beside Dovecot: envelopes, structures and every section of each.

Both are asked the same of the same files.  Where the two differ for a reason, the message or what is
compared of it leaves that out, and says why.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.e2e.dovecot import Dovecot
from tests.imap.messages import MESSAGES
from tests.imap.sessions import ImapCase

#: Parts that are asked for: some messages have none of them.
_NUMBERS = ("1", "2", "3", "1.1", "1.2", "2.1", "2.2", "1.1.1", "2.1.1", "1.2.1")
ITEMS = [
    *("RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE"),
    *("BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "BODY.PEEK[]<7.20>", "BODY.PEEK[TEXT]<3.99999>"),
    *("BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)]", "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT FROM)]"),
    *(
        f"BODY.PEEK[{number}{text}]"
        for number in _NUMBERS
        for text in ("", ".MIME", ".HEADER", ".TEXT", ".HEADER.FIELDS (SUBJECT)")
    ),
]

_TOKEN = re.compile(
    rb'[ ]*(?:([()])|"((?:[^"\\]|\\.)*)"|\{([0-9]+)\}\r\n|((?:\[[^\]]*\](?:<\d+>)?|[^ ()"\[])+))', re.DOTALL
)
#: Messages of which Dovecot tells something else: which items (an expression), and why.
OTHERWISE: dict[str, tuple[str, str]] = {
    "empty": ("BODY.HEADER.FIELDS", "Dovecot adds the empty line only to fields that are named"),
    "only a header": ("BODY.HEADER.FIELDS", "the same"),
    "a header that ends nowhere": (".*", "we send a last line with an end, as by POP3"),
    "a last line without an end": (".*", "the same"),
    "crlf and lf": (".*", "the same"),
    "lone cr": (
        "ENV|RFC822|BODY$|BODYSTR|BODY.$|BODY.]|BODY.(TEXT|1])",
        "the same; and CR stays in a subject",
    ),
    "folded": ("ENV", "lines are put together without change (RFC 5322, 2.2.3)"),
    "twice": ("ENV", "the first of two subjects is that which people see"),
    "nul": ("ENV", "there is no NUL in a header; Dovecot has a sign for it"),
    "groups unended": ("ENV", "no address is left out"),
    "comments": ("ENV", "a comment is a name, also in front"),
    "no host": ("ENV", "Dovecot has words for what is missing"),
    "no mailbox": ("ENV", "the same"),
    "commas": ("ENV", "nothing between commas is no address"),
    "broken addresses": ("ENV", "as much as can be understood is told"),
    "dots": ("ENV", "spaces around dots are allowed (RFC 5322, 4.4)"),
    "ids": ("ENV", "spaces at the end are none of the value"),
    "type without sub": ("BODY$|BODYSTR", "what is no type can be saved, not read (RFC 2045, 5.2)"),
    "type empty": ("BODY$|BODYSTR", "no type is text (RFC 2045, 5.2)"),
    "type of rubbish": ("BODY$|BODYSTR", "what is no type can be saved, not read"),
    "parameters": ("BODY$|BODYSTR", "a name stands once"),
    "encodings": ("BODY$|BODYSTR", "what follows the word is passed over"),
    "disposition rubbish": ("BODYSTR", "what is unknown is an attachment (RFC 2183, 2.8)"),
    "language": ("BODYSTR", "all languages are told"),
    "multipart without parts": (".*", "its text is told as text: somebody may read it"),
    "multipart ended at once": (".*", "the same"),
    "boundary longer": (".*", "lines that only begin as a boundary are none"),
    "nested prefix": (".*", "the same"),
    "boundary missing": (".*", "its text is told as text"),
    "boundary empty": (".*", "the same"),
    "nested with one boundary": (".*", "a boundary belongs to the outermost that has it"),
    "forwarded multipart": ("BODY", "the line's end in front of a boundary belongs to it (RFC 2046, 5.1.1)"),
    "forwarded base64": ("BODY", "nothing is looked for in what is encoded"),
}
Value = bytes | None | list["Value"]


def read(text: bytes, at: int) -> tuple[Value, int]:
    """A value of a response, and where it ends."""
    stack: list[list[Value]] = [[]]
    while True:
        found = _TOKEN.match(text, at)
        assert found is not None, text[at : at + 80]
        at = found.end()
        if found[1] == b"(":
            stack.append([])
        elif found[1] == b")":
            done = stack.pop()
            stack[-1].append(done)
        elif found[2] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", found[2], flags=re.DOTALL))
        elif found[3] is not None:
            stack[-1].append(text[at : at + int(found[3])])
            at += int(found[3])
        else:
            stack[-1].append(None if found[4].upper() == b"NIL" else found[4])
        if len(stack) == 1:
            return stack[0][0], at


def fetched(text: bytes) -> dict[str, Value]:
    """What a response FETCH tells."""
    value, end = read(text, text.index(b" FETCH ") + 7)
    assert isinstance(value, list)
    assert text[end : end + 2] == b"\r\n", text[end : end + 80]
    names = [name.decode().upper().replace('"', "") for name in value[::2] if isinstance(name, bytes)]
    return dict(zip(names, value[1::2], strict=True))


def _is_there(item: str, structure: Value) -> bool:
    """Whether a section is one of a part that there is: of others, Dovecot tells that of the part around."""
    found = re.match(r"BODY\[([0-9.]*[0-9])", item)
    inner = True
    for number in map(int, found[1].split(".") if found else []):
        if not isinstance(structure, list):
            return False
        if not inner:
            if not isinstance(structure[0], bytes) or structure[:2] != [b"message", b"rfc822"]:
                return False
            structure = structure[8]
            assert isinstance(structure, list)
        if isinstance(structure[0], list):
            parts = [one for one in structure if isinstance(one, list)]
            if number > len(parts):
                return False
            structure = parts[number - 1]
            inner = isinstance(structure, list) and isinstance(structure[0], list)
        elif number != 1:
            return False
        else:
            inner = False
    return True


def _alike(item: str, value: Value) -> Value:
    """A value without what may be told in several ways."""
    if isinstance(value, list):
        # Names of types and parameters are the same in any case.
        return [_alike(item, one) for one in value]
    if item in ("BODY", "BODYSTRUCTURE"):
        return value.lower() if value is not None else None
    # What is not there is NIL with us, and empty with Dovecot.
    return value or b"" if item.startswith("BODY[") else value


class Peer:
    """A session with Dovecot."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._file = self._socket.makefile("rb")
        self._file.readline()

    def do(self, command: bytes) -> bytes:
        """The answer to a command."""
        self._socket.sendall(b"a " + command + b"\r\n")
        found = b""
        while True:
            line = self._file.readline()
            assert line, found[-200:]
            found += line
            if line.startswith(b"a "):
                return found
            literal = re.search(rb"\{([0-9]+)\}\r\n\Z", line)
            if literal is not None:
                found += self._file.read(int(literal[1]))

    def close(self) -> None:
        """End it."""
        self._file.close()
        self._socket.close()


class AnswersTests(ImapCase):
    """See the module."""

    def test_beside_dovecot(self) -> None:
        messages = list(MESSAGES.items())
        # Paths of sockets are short.
        place = tempfile.TemporaryDirectory(prefix="mta-answers-")
        self.addCleanup(place.cleanup)
        os.chmod(place.name, 0o755)
        base = Path(place.name) / "dovecot"
        dovecot = Dovecot(base)
        self.addCleanup(dovecot.stop)
        box = base / "mail" / "example.org" / "anna"
        for place in (box / "tmp", box / "new", box / "cur"):
            place.mkdir(parents=True)
        for number, (_, text) in enumerate(messages):
            name = b"%d.M1P1.host:2," % (1_600_000_000 + number)
            self.maildir.put(name, text, "cur")
            (box / "cur" / os.fsdecode(name)).write_bytes(text)
        subprocess.run(["chown", "-R", "65534:65534", str(base / "mail")], check=True)
        peer = Peer(dovecot.imap)
        self.addCleanup(peer.close)
        peer.do(b"LOGIN anna@example.org imap-secret")
        self.assertIn(b"%d EXISTS" % len(messages), peer.do(b"EXAMINE INBOX"))
        ours = self.selected(command=b"EXAMINE")
        differences = []
        for number, (name, _) in enumerate(messages, 1):
            command = b"FETCH %d (%s)" % (number, " ".join(ITEMS).encode())
            theirs = fetched(peer.do(command))
            ours.transport.clear()
            ours.protocol.dataReceived(b"a " + command + b"\r\n")
            told = fetched(ours.transport.value())
            for item, value in theirs.items():
                if re.match(OTHERWISE.get(name, ("-", ""))[0], item) or not _is_there(item, theirs["BODY"]):
                    continue
                if _alike(item, told[item]) != _alike(item, value):
                    differences.append(f"{name}: {item}\n  Dovecot {value!r}\n  we      {told[item]!r}\n")
            whole = told["BODY[]"]
            assert isinstance(whole, bytes)
            self.assertEqual(b"%d" % len(whole), told["RFC822.SIZE"], name)
        self.assertEqual([], differences, "\n" + "\n".join(differences))
