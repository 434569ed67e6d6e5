"""Names of folders as a session reads and writes them: modified UTF-7, or UTF-8 once that is enabled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mta.mailbox import names
from mta.mailbox.refusal import Refused
from mta.model import utf7

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: A pattern that no name fits: none has a NUL.
NOTHING = "\0"
_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]+\Z")


def read(session: ImapProtocol, octets: bytes) -> str:
    """The name that a client wrote.

    :raise Refused: if it is none.
    """
    try:
        # Who writes other octets than ASCII means UTF-8, whether it was enabled or not.
        text = octets.decode() if session.utf8 or not octets.isascii() else utf7.decode(octets)
    except ValueError:
        raise Refused("the name of the folder is not in modified UTF-7 (RFC 3501, 5.1.3)", "CANNOT") from None
    return names.INBOX if text.upper() == names.INBOX else text


def pattern(session: ImapProtocol, octets: bytes) -> str:
    """A pattern of names; what is none in modified UTF-7 is one that no name fits."""
    try:
        return read(session, octets)
    except Refused:
        return NOTHING


def written(session: ImapProtocol, name: str) -> bytes:
    """A name for the client."""
    octets = name.encode() if session.utf8 else utf7.encode(name)
    if _ATOM.match(octets):
        return octets
    if b"\r" in octets or b"\n" in octets:
        return b"{%d}\r\n%s" % (len(octets), octets)
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
