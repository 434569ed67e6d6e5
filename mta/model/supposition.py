"""A message that somebody might send, for ``mta test``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Supposition:
    """Who would send what to whom; nothing of it happens.

    :ivar address: the recipient.
    :ivar sender: the reverse-path; ``""`` is the null one.
    :ivar client_ip: where it would come from; ``""``: from this machine, so that relaying is not
        in question.
    :ivar helo: what the client would say after EHLO.
    :ivar account: who would send it, after AUTH: for the way that its mail leaves.
    :ivar tenant: whose it would be; ``""``: as the account has it.
    """

    address: str
    sender: str = ""
    client_ip: str = ""
    helo: str = ""
    account: str = ""
    tenant: str = ""
