"""What the envelope carries (RFC 5321, 2.3.1): who sends, to whom, under which terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mta.model.verdict import Stage, Verdict

BodyType = Literal["7BIT", "8BITMIME", "BINARYMIME"]
Notify = Literal["NEVER", "SUCCESS", "FAILURE", "DELAY"]


@dataclass(slots=True)
class Client:
    """The other end of a receiving session, as far as it is known.

    :ivar session: our id of the session, as it stands in replies and the journal.
    :ivar role: the listener's role: ``mx``, ``submission``, ``submissions``,
        ``lmtp``, or ``local`` for mail that did not come over a network.
    :ivar address: the peer's IP address as text; ``""`` when local.
    :ivar port: the peer's port.
    :ivar local_address: the address it reached us at.
    :ivar helo: what it said after HELO, EHLO or LHLO.
    :ivar protocol: RFC 3848 ``with`` keyword: SMTP, ESMTP, ESMTPS, ESMTPSA,
        UTF8SMTPSA, LMTP and so on; kept current by the session.
    :ivar tls_version: such as ``TLSv1.3``; ``""`` in clear text.
    :ivar tls_cipher: such as ``TLS_AES_256_GCM_SHA384``.
    :ivar account: the avatar id after AUTH; ``""`` without.
    :ivar mechanism: the SASL mechanism used.
    :ivar reverse_name: the forward-confirmed reverse DNS name, if looked up.
    :ivar user: the number of the system's user whose program it is; ``None`` if it is not local.
    :ivar judged: what judges have said of it and have not refused, by stage; not kept.
    :ivar rehearsed: it is only supposed: nothing is to be remembered of it.
    """

    session: str
    role: str = "mx"
    address: str = ""
    port: int = 0
    local_address: str = ""
    helo: str = ""
    protocol: str = "SMTP"
    tls_version: str = ""
    tls_cipher: str = ""
    account: str = ""
    mechanism: str = ""
    reverse_name: str = ""
    user: int | None = None
    judged: tuple[tuple[Stage, Verdict], ...] = ()
    rehearsed: bool = False


@dataclass(slots=True)
class Recipient:
    """One forward-path with its RFC 3461 parameters.

    :ivar address: canonical address; bare ``postmaster`` is allowed.
    :ivar notify: NOTIFY keywords; empty when the client gave none, which means
        failure and, by our choice, delay.
    :ivar orcpt: ORCPT as ``type;address`` with xtext decoded; ``""`` without.
    :ivar routes: the ways that the router found when RCPT was answered.
    """

    address: str
    notify: frozenset[str] = frozenset()
    orcpt: str = ""
    routes: tuple[Any, ...] = ()


@dataclass(slots=True)
class Envelope:
    """One mail transaction.

    :ivar reverse_path: canonical address, ``""`` for the null reverse-path.
    :ivar recipients: the accepted forward-paths, in order.
    :ivar body: the BODY parameter (RFC 6152, RFC 3030).
    :ivar smtputf8: whether SMTPUTF8 was given (RFC 6531).
    :ivar size: the SIZE parameter in octets (RFC 1870); 0 when not declared.
    :ivar ret: ``FULL``, ``HDRS`` or ``""`` (RFC 3461).
    :ivar envid: ENVID with xtext decoded; ``""`` without.
    :ivar auth: the AUTH parameter (RFC 4954, 5): an address, ``<>``, or ``""``.
    :ivar release: before when it is not to be sent on (RFC 4865), in seconds since 1970; 0: at once.
    :ivar hold: the request for that as it was made: ``for;3600``, ``until;2027-01-31T08:00:00Z``.
    :ivar priority: from -9 to 9 (RFC 6710); the higher, the sooner.
    :ivar asked: the priority that MAIL asked for; ``None``: none.
    :ivar user: the number of the system's user whose program it is; ``None`` if it is not local.
    :ivar judged: what judges have said of it and have not refused, by stage; not kept.
    """

    reverse_path: str
    recipients: list[Recipient] = field(default_factory=list)
    body: BodyType = "7BIT"
    smtputf8: bool = False
    size: int = 0
    ret: str = ""
    envid: str = ""
    auth: str = ""
    release: float = 0.0
    hold: str = ""
    priority: int = 0
    asked: int | None = None
    judged: tuple[tuple[Stage, Verdict], ...] = ()
