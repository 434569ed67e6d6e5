"""How an attempt ended, for each recipient (RFC 3464 calls it the action)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mta.model.reply import Reply
from mta.model.sorting import Decision


@dataclass(frozen=True, slots=True)
class RemoteReply:
    """What the other side said, or what we say in its place when it could not.

    :ivar code: SMTP reply code; for our own findings the code that we would give.
    :ivar enhanced: enhanced status code (RFC 3463) such as ``4.4.1``.
    :ivar text: the words, lines joined by a space, without the codes.
    :ivar host: who said it: a host name and address; ``""`` when it was us.
    :ivar command: what it answered: ``RCPT TO``, ``end of data``, ``connect``.
    :ivar tls: TLS version, cipher and whether the name was verified, in words.
    :ivar source: from which source of ours the other side was spoken to, in words; ``""`` if it is
        no choice of the configuration.
    """

    code: int
    enhanced: str
    text: str
    host: str = ""
    command: str = ""
    tls: str = ""
    source: str = ""

    @classmethod
    def ours(cls, reply: Reply) -> RemoteReply:
        """What we say ourselves."""
        return cls(reply.code, reply.enhanced, reply.text)

    def __str__(self) -> str:
        words = f"{self.code} {self.enhanced} {self.text}".replace("  ", " ").strip()
        return f"{self.host} said: {words}" if self.host else words


@dataclass(frozen=True, slots=True)
class Delivered:
    """This recipient has it; the other side, or the disk, took responsibility.

    :ivar dsn: whether the next hop supports DSN (RFC 3461) and was told what the
        sender asked for, so that notifying of success is its duty, not ours.
    :ivar decisions: what rules of mailboxes have decided, of which something follows.
    """

    reply: RemoteReply
    dsn: bool = False
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True)
class Postponed:
    """Not now; try again.

    :ivar after: seconds for which the other side asks not to be tried again; 0 if it
        does not say.
    """

    reply: RemoteReply
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """Not at all; tell the sender."""

    reply: RemoteReply


Outcome = Delivered | Postponed | Failed


def sent_from(outcome: Outcome, source: str) -> Outcome:
    """The same outcome, which tells from where the other side was spoken to."""
    return replace(outcome, reply=replace(outcome.reply, source=source))
