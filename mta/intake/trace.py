"""The Received field (RFC 5321, 4.4) that we put on every message."""

from __future__ import annotations

from email.utils import formatdate

from mta.model.envelope import Client


class DateField:
    """Dates as RFC 5322 (3.3) writes them, made once a second, in local time."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def at(self, now: float) -> str:
        """The date.

        :param now: seconds since 1970.
        """
        second = int(now)
        if second != self._second:
            self._second = second
            self._text = formatdate(second, localtime=True)
        return self._text


def received_field(
    client: Client, hostname: str, queue_id: str, date: str, recipient: str = "", priority: int | None = None
) -> bytes:
    """One Received field, folded, ended by CRLF.

    :param client: where the message came from.
    :param hostname: our name; never a version.
    :param queue_id: the message's id.
    :param date: when, as RFC 5322 writes it.
    :param recipient: the forward-path, if there is only one; with more, naming
        them would tell one recipient of another.
    :param priority: what MT-PRIORITY asked for (RFC 6710, 4.1 and 7).
    """
    # Where an application runs is nobody's business; the journal knows.
    if client.address and client.role != "api":
        literal = f"IPv6:{client.address}" if ":" in client.address else client.address
        origin = f"{client.reverse_name} [{literal}]" if client.reverse_name else f"[{literal}]"
        source = f"from {_word(client.helo) or literal} ({origin})\r\n\t"
    else:
        source = ""
    tls = f"\r\n\t({client.tls_version} {client.tls_cipher})" if client.tls_version else ""
    target = f"\r\n\tfor <{recipient}>" if recipient else ""
    urgency = "" if priority is None else f" PRIORITY {priority}"
    protocol = client.protocol or "SMTP"
    return (
        f"Received: {source}by {hostname} with {protocol}{tls} id {queue_id}{target}{urgency};"
        f"\r\n\t{date}\r\n"
    ).encode("utf-8", "surrogateescape")


def _word(text: str) -> str:
    """``text`` as it may stand after ``from``: no space, no control, no parenthesis."""
    return "".join(c for c in text[:255] if c > " " and c not in "()<>\\\x7f;")
