"""One message on its way into a Maildir."""

from __future__ import annotations

import os

from mta.model.message import Addressee, Message
from mta.model.outcome import Outcome
from mta.model.sorting import Decision


class Job:
    """One message for one addressee.

    :ivar sender: the reverse-path to use.
    :ivar repeat: whether to look for the file of an earlier attempt.
    :ivar path: of the Maildir or folder that it came to; ``b""`` if it came to none.
    :ivar decision: of the mailbox's rules, if they have made one.
    :ivar info: flags behind the name; with any it comes into ``cur``.
    :ivar outcome: set by :meth:`~mta.deliver.maildir_store.MaildirStore.deliver`.
    """

    __slots__ = (
        "addressee",
        "decision",
        "device",
        "file",
        "info",
        "message",
        "name",
        "outcome",
        "path",
        "repeat",
        "sender",
        "size",
        "target",
        "unique",
    )

    target: Target
    file: int
    device: int

    def __init__(self, message: Message, addressee: Addressee, sender: str, repeat: bool) -> None:
        self.message = message
        self.addressee = addressee
        self.sender = sender
        self.repeat = repeat
        self.outcome: Outcome | None = None
        self.unique = b""
        self.name = b""
        self.size = 0
        self.path = b""
        self.info = b""
        self.decision: Decision | None = None


class Target:
    """A Maildir or folder, open for one batch.

    :ivar path: the directory above ``new``.
    :ivar root: the Maildir it belongs to.
    :ivar new: descriptor, -1 if closed.
    :ivar tmp: likewise.
    :ivar cur: likewise; open only if something comes into it.
    :ivar owner: what ``fstat`` says of ``new``.
    :ivar dirty: whether ``new`` must be made durable.
    """

    __slots__ = ("cur", "dirty", "new", "owner", "path", "root", "tmp")

    owner: os.stat_result

    def __init__(self, path: bytes, root: bytes) -> None:
        self.path = path
        self.root = root
        self.new = self.tmp = self.cur = -1
        self.dirty = False

    def close(self) -> None:
        """Give the descriptors back."""
        for file in (self.new, self.tmp, self.cur):
            if file >= 0:
                os.close(file)
        self.new = self.tmp = self.cur = -1
