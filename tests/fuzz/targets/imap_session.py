"""IMAP: whole sessions, over a Maildir that stays from one to the next."""

from __future__ import annotations

import os
import re
import tempfile
from functools import cache
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from mta.imap.factory import ImapFactory
from mta.visit.premises import Home
from tests.fuzz.targets.target import Target
from tests.imap.sessions import Client, serve
from tests.visit.fakes import Direct

_MESSAGE = b"Subject: x\nContent-Type: multipart/mixed; boundary=q\n\n--q\n\none\n--q--\n"
_ANSWER = re.compile(rb"(?:\*|\+|[^ ]+ (?:OK|NO|BAD)) ")


@cache
def _server() -> ImapFactory:
    place = Path(tempfile.mkdtemp(prefix="mta-fuzz-"))
    box = place / "box"
    for directory in ("tmp", "new", "cur"):
        (box / directory).mkdir(parents=True)

    async def home(account: str) -> Home:
        return Home(os.fspath(box))

    for number in range(3):
        (box / "cur" / f"100{number}.a:2,S").write_bytes(_MESSAGE)
    clock = Clock()
    return serve(clock, Direct(clock, place / "state"), home, lambda event: None)


def imap_session(octets: bytes) -> None:
    """Whatever a client says, nothing of ours breaks: it hears OK, NO, BAD, or a goodbye for a reason."""
    client = Client(_server().buildProtocol(IPv4Address("TCP", "10.1.2.3", 1)))
    client.do(b"LOGIN anna right")
    answer = b"\r\n".join(client.say(octets + b"\r\nend NOOP\r\n"))
    if not client.protocol.lost:
        client.protocol.connectionLost()
    assert b"trouble on our side" not in answer, answer[-500:]
    last = answer.rpartition(b"\r\n")[2]
    assert not last or _ANSWER.match(last) or b"{" in answer or b'"' in answer, last


TARGETS = (
    Target(
        "imap-session",
        imap_session,
        (
            b"a SELECT INBOX\r\nb FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[1.MIME]<0.9>)\r\n",
            b"a EXAMINE INBOX (CONDSTORE)\r\nb UID FETCH 1:* FULL\r\nc UNSELECT\r\nd CHECK\r\n",
            b"a ENABLE QRESYNC UTF8=ACCEPT\r\nb SELECT INBOX (QRESYNC (1 1 1:*))\r\n",
            b'a LIST (SUBSCRIBED) "" (% *) RETURN (CHILDREN STATUS (MESSAGES SIZE))\r\nb LSUB "" %\r\n',
            b"a CREATE a.b (USE (\\Junk))\r\nb RENAME a c\r\nc DELETE c.b\r\nd SUBSCRIBE x\r\n",
            b"a APPEND INBOX (\\Seen) {5+}\r\na: b\r\n (x) {4+}\r\nabcd\r\n",
            b"a APPEND nowhere {3}\r\nabc\r\nb APPEND INBOX UTF8 (~{3+}\r\nabc)\r\n",
            b"a SELECT INBOX\r\nb STORE 1:2 +FLAGS.SILENT (\\Seen $A)\r\nc UID COPY 1:2 Archive\r\n",
            b"a SELECT Archive\r\nb UID STORE 1:* (UNCHANGEDSINCE 5) -FLAGS x\r\nc MOVE 1 INBOX\r\n",
            b"a SELECT Archive\r\nb STORE * FLAGS \\Deleted\r\nc UID EXPUNGE 1:*\r\nd CLOSE\r\n",
            b"a SELECT INBOX\r\nb SEARCH RETURN (SAVE COUNT) OR TEXT one NOT HEADER Subject {1+}\r\nx\r\n"
            b"c UID SORT RETURN (PARTIAL 1:2) (REVERSE SUBJECT DATE) UTF-8 $ ON 1-Feb-2001\r\n",
            b"a SELECT INBOX\r\nb UID SEARCH CHARSET utf-16 BODY {4+}\r\nabcd OLDER 1 MODSEQ 1 KEYWORD x\r\n",
            b"a IDLE\r\nDONE\r\nb SELECT INBOX\r\nc IDLE\r\nwhat\r\n",
            b'a GETQUOTAROOT INBOX\r\nb ID ("name" {3+}\r\nabc)\r\nc NAMESPACE\r\n',
            b"a STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE DELETED)\r\n",
            b"a LOGIN x y\r\nb AUTHENTICATE PLAIN\r\n*\r\nc STARTTLS\r\nd SETQUOTA mailbox ()\r\n",
        ),
    ),
)
