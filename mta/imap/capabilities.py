"""What CAPABILITY lists: what is complete, and can be used now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.visit import login

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: Before the log-in and after it.
ALWAYS = ("IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE", "IDLE")
#: Once somebody is logged in: what concerns mailboxes.
INSIDE = (
    "NAMESPACE",
    "CHILDREN",
    "UIDPLUS",
    "MOVE",
    "MULTIAPPEND",
    "UNSELECT",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "STATUS=SIZE",
    "PREVIEW",
    "SAVEDATE",
    "ESEARCH",
    "SEARCHRES",
    "WITHIN",
    "PARTIAL",
    "SORT",
    "SORT=DISPLAY",
    "ESORT",
    "CONDSTORE",
    "QRESYNC",
    "UTF8=ACCEPT",
    "APPENDLIMIT={appendlimit}",
)


def listed(session: ImapProtocol) -> list[str]:
    """The capabilities of a session."""
    found = list(ALWAYS)
    if session.is_inside():
        limit = session.terms.limits.message_size
        return found + [word.format(appendlimit=limit) for word in INSIDE]
    if login.offers_tls(session):
        found.append("STARTTLS")
    if not login.takes_passwords(session):
        found.append("LOGINDISABLED")
    return found + [f"AUTH={name}" for name in login.mechanisms(session)]


def line(session: ImapProtocol) -> bytes:
    """As a response code, or behind ``* ``."""
    return ("CAPABILITY " + " ".join(listed(session))).encode()
