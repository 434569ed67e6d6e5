"""What people do with their mailboxes.  See :mod:`mta.model.event`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from mta.model.event import Event, lower_words


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxSession(Event):
    """A session that had a mailbox open has ended (``action`` is ``ended``), its log-in was right but it
    did not get the mailbox (``refused``), or something of ours did not work (``trouble``).

    ``reason`` is why; of an end ``quit``, ``lost``, ``timeout``, ``errors``, ``stopped``, ``inconsistent``
    (the selected folder was removed or made anew) or ``trouble``.  ``role`` is the listener's, ``program``
    what the client calls itself.  ``messages`` is how many there were (POP3), ``fetched`` and ``removed``
    what became of them, ``octets`` what was sent of them.
    """

    kind: ClassVar[str] = "mailbox-session"
    indexed: ClassVar[bool] = True

    action: str
    account: str = ""
    role: str = ""
    client: str = ""
    tls: str = ""
    reason: str = ""
    messages: int = 0
    fetched: int = 0
    removed: int = 0
    octets: int = 0
    seconds: float = 0.0
    program: str = ""

    def keys(self) -> tuple[str, ...]:
        """Account, client and session."""
        return lower_words(self.account, self.client, self.session)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderChanged(Event):
    """A folder was ``made``, ``removed`` with its messages, ``renamed`` to another name (``to``),
    ``subscribed`` to, or was that and is so no more (``unsubscribed``), by somebody in a session.

    ``messages`` is how many a folder had that was removed.
    """

    kind: ClassVar[str] = "folder-changed"
    indexed: ClassVar[bool] = True

    action: str
    account: str = ""
    folder: str = ""
    to: str = ""
    messages: int = 0
    client: str = ""
    program: str = ""

    def keys(self) -> tuple[str, ...]:
        """Account and session."""
        return lower_words(self.account, self.session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted(Event):
    """The rules of a mailbox have decided about a copy, or could not.

    ``rules`` are the names of those that fit, ``folder`` where it was put if they said so, ``dropped``
    whether it is not in the mailbox, ``forwarded`` and ``queued`` to whom it was sent on, as which messages,
    ``answered`` who got a reply of a program.  ``notes`` is what was not done, and why.
    """

    kind: ClassVar[str] = "sorted"

    account: str = ""
    rules: list[str] = field(default_factory=list)
    folder: str = ""
    flags: list[str] = field(default_factory=list)
    dropped: bool = False
    forwarded: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    answered: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesChanged(Event):
    """The rules of a mailbox were ``set`` or ``removed`` (``action``), ``by`` somebody."""

    kind: ClassVar[str] = "rules-changed"
    indexed: ClassVar[bool] = True

    account: str = ""
    action: str = ""
    by: str = ""

    def keys(self) -> tuple[str, ...]:
        """The account."""
        return lower_words(self.account)
