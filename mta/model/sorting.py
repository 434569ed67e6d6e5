"""What the rules of a mailbox decide about a message that is delivered into it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from zope.interface import Interface

from mta.model.event import Event
from mta.model.message import Addressee, Message


@dataclass(frozen=True, slots=True)
class AutomaticReply:
    """A reply to be written (RFC 3834).

    :ivar to: the reverse-path of what is answered.
    :ivar content: the letter without Date and Message-ID, lines ended by CRLF.
    """

    to: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one copy.

    :ivar account: the mailbox whose rules they are.
    :ivar rules: the names of those that fit.
    :ivar folder: its name, levels parted by dots; ``""``: the one it goes to without rules.
    :ivar flags: letters as in the names of files: ``F`` flagged, ``S`` seen.
    :ivar keywords: further flags of the message.
    :ivar keep: whether it comes into the mailbox at all.
    :ivar forwards: addresses that get a copy.
    :ivar reply: to be sent; ``None``: none.
    :ivar notes: what was not done, and why, for the journal.
    """

    account: str
    rules: tuple[str, ...] = ()
    folder: str = ""
    flags: str = ""
    keywords: tuple[str, ...] = ()
    keep: bool = True
    forwards: tuple[str, ...] = ()
    reply: AutomaticReply | None = None
    notes: tuple[str, ...] = ()


class ISorter(Interface):
    """Knows the rules of mailboxes; ``mta.rules`` provides it.  All of it blocks, and runs in threads."""

    def decide(message: Message, addressee: Addressee, sender: str, maildir: bytes) -> Decision | None:
        """What the owner's rules make of a copy; ``None``: nothing.

        Asked again for the same copy after a crash, it answers the same.

        :param sender: the reverse-path.
        :raise OSError: if the content cannot be read.
        """

    def info(decision: Decision, maildir: bytes, directory: bytes) -> bytes:
        """What stands behind the base of its name (``:2,FS``); raises nothing."""

    def made(maildir: bytes, directory: bytes) -> None:
        """A folder was made for a decision: have the owner's programs show it.  Raises nothing."""


class IFollowUps(Interface):
    """Makes what follows from decisions on delivery; ``mta.queue`` provides it."""

    def make(
        message: Message, decisions: Sequence[tuple[Addressee, Decision, str]], now: float
    ) -> Awaitable[tuple[list[Message], list[Event]]]:
        """Messages to be queued, and events, in the transaction of the delivery.

        :param decisions: each with the addressee of the copy, and its reverse-path.
        """
