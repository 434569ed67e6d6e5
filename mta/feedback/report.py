"""What a message that came back says, whatever the format that it says it in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from mta.model.dmarc_report import DmarcReport
from mta.model.outcome import RemoteReply
from mta.model.tls_report import TlsReport

_CODES = re.compile(r"(?:([45]\d\d)[ -]?)?(?:#?[45]\.\d{1,3}\.\d{1,3} ?)?")

#: What became of a recipient (RFC 3464, 2.3.3).
Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]


#: Who said it where the report does not tell; it was not us.
_SOMEBODY = "somebody"


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """One recipient of a bounce.

    :ivar recipient: for whom it failed, as the other side calls them.
    :ivar original: whom the sender wrote to, if the other side says so.
    :ivar action: what became of it.
    :ivar status: enhanced status code (RFC 3463); ``""`` if there is none.
    :ivar diagnostic: the words of whoever refused it.
    :ivar host: who refused it, or who reports it.
    """

    recipient: str
    original: str = ""
    action: Action = "failed"
    status: str = ""
    diagnostic: str = ""
    host: str = ""

    @property
    def reply(self) -> RemoteReply:
        """What was said to whoever reports it, as if to us: never our own words."""
        match = _CODES.match(self.diagnostic)
        code = int(match[1]) if match and match[1] else 450 if self.action == "delayed" else 550
        return RemoteReply(
            code, self.status, self.diagnostic[match.end() if match else 0 :], self.host or _SOMEBODY
        )


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a recipient thinks of a message, as a mailbox provider reports it (RFC 5965).

    :ivar type: ``abuse``, ``fraud``, ``virus``, ``not-spam``, ``other`` and what else is registered.
    :ivar recipients: who complains, where the provider tells.
    :ivar reporter: which program or provider reports it.
    :ivar source: the IP address that the message came from.
    """

    type: str
    recipients: tuple[str, ...] = ()
    reporter: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Traces:
    """By what the message that it is about can be found, the likeliest first.

    :ivar message_ids: with their angle brackets.
    :ivar queue_ids: what has the form of a queue id of ours.
    :ivar recipients: whom the returned message names as its recipients.
    """

    message_ids: tuple[str, ...] = ()
    queue_ids: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that was found.

    :ivar format: ``rfc3464``, ``rfc5965``, ``rfc8460``, ``rfc9990``, or ``text`` for one of the many others;
        ``""`` if it says nothing that can be understood.
    :ivar problem: why a TLS or a DMARC report cannot be read.
    """

    format: Literal["rfc3464", "rfc5965", "rfc8460", "rfc9990", "text", ""] = ""
    recipients: list[RecipientReport] = field(default_factory=list)
    complaint: Complaint | None = None
    traces: Traces = field(default_factory=Traces)
    tls: TlsReport | None = None
    dmarc: DmarcReport | None = None
    problem: str = ""
