"""A message as the queue knows it: envelope, content, and who still waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mta.model.envelope import Client, Envelope


class Content(Protocol):
    """The octets that followed DATA or BDAT, dots undone, lines ended by CRLF."""

    @property
    def size(self) -> int:
        """Octets in all."""

    def read(self) -> bytes:
        """Everything at once.  May read a file: not in the reactor thread."""

    def blocks(self) -> Iterator[bytes]:
        """Everything, in blocks of at most 256 KiB.  Not in the reactor thread."""


@dataclass(frozen=True, slots=True)
class InlineContent:
    """Content held in memory, and in the spool's row."""

    data: bytes

    @property
    def size(self) -> int:
        """Octets in all."""
        return len(self.data)

    def read(self) -> bytes:
        """The octets."""
        return self.data

    def blocks(self) -> Iterator[bytes]:
        """The octets, as one block."""
        yield self.data


BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True)
class FileContent:
    """Content in a file of its own, fsynced before the row that names it."""

    path: Path
    size: int

    def read(self) -> bytes:
        """The whole file."""
        return self.path.read_bytes()

    def blocks(self) -> Iterator[bytes]:
        """The file in blocks."""
        with self.path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                yield block


@dataclass(slots=True)
class Addressee:
    """A recipient in the queue: where this copy goes, and how it stands.

    One envelope recipient becomes several addressees when it is an alias.

    :ivar number: position within the message, from 0; names it in the spool.
    :ivar address: the final address, after aliases.
    :ivar original: the forward-path that the client gave.
    :ivar transport: name of the transport, such as ``maildir`` or ``relay``.
    :ivar next_hop: what the transport goes by: a domain, ``host:port``, a path.
    :ivar options: further facts for the transport, as the router gave them
        (``quota`` in octets, ``detail``, ``folder``); strings and integers only.  ``sender`` is
        who is told what becomes of this copy, if it is not the message's sender, and
        ``return_path`` the reverse-path that others are told, if it is not that of the sender.
    :ivar notify: RFC 3461 NOTIFY keywords.
    :ivar orcpt: RFC 3461 ORCPT.
    :ivar attempts: attempts made.
    :ivar due: when the next attempt is due, in seconds since 1970.
    :ivar state: ``queued``, ``held``, or, once ended, ``delivered``, ``failed``,
        ``expired``, ``removed``.
    :ivar warned: whether the sender was told of the delay.
    :ivar last_reply: what the last attempt ended with, in words.
    """

    number: int
    address: str
    original: str
    transport: str
    next_hop: str
    options: dict[str, Any] = field(default_factory=dict)
    notify: frozenset[str] = frozenset()
    orcpt: str = ""
    attempts: int = 0
    due: float = 0.0
    state: str = "queued"
    warned: bool = False
    last_reply: str = ""


@dataclass(slots=True)
class Message:
    """One queued message.

    :ivar id: queue id.
    :ivar envelope: as the client gave it; its recipients are the original ones.
    :ivar client: where it came from.
    :ivar trace: header fields that we put on top (Received and what judges
        add), each ended by CRLF; every transport sends ``trace`` and then
        ``content``.
    :ivar content: what the client sent.
    :ivar addressees: who still waits.
    :ivar created: when it was accepted, in seconds since 1970.
    :ivar expires: when an undelivered copy is returned, likewise.
    :ivar attributes: further facts (tags, tenant, campaign), JSON values; ``release`` is the
        time for which it was scheduled, in seconds since 1970, ``folder`` where mail goes that a
        filter calls spam, ``held`` why a judge had it held.
    """

    id: str
    envelope: Envelope
    client: Client
    trace: bytes
    content: Content
    addressees: list[Addressee]
    created: float
    expires: float
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def starts(self) -> float:
        """When its time begins: at acceptance, or when it is to be released, in seconds since 1970."""
        release = self.attributes.get("release", 0.0) if self.attributes else 0.0
        return max(self.created, release)

    def waited(self, now: float) -> float:
        """Seconds since its time began; since acceptance, if it was released before."""
        starts = self.starts
        return now - (starts if starts <= now else self.created)

    @property
    def size(self) -> int:
        """Octets that a transport sends."""
        return len(self.trace) + self.content.size
