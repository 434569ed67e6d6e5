"""The records by which mail programs find our services (RFC 6186, RFC 8314)."""

from __future__ import annotations

from mta.client_setup.offer import Offer

#: Names of services by role (RFC 6186, 3; RFC 8314, 5.1).
_LABELS = {
    "imaps": "_imaps",
    "imap": "_imap",
    "pop3s": "_pop3s",
    "pop3": "_pop3",
    "submissions": "_submissions",
    "submission": "_submission",
}
_WORDS = {"imap": "read mail by IMAP", "pop3": "fetch mail by POP3", "smtp": "send mail"}


def srv_records(offer: Offer) -> list[tuple[str, str, str]]:
    """Name, data and purpose of each SRV record of a domain."""
    protocols = list(dict.fromkeys(one.protocol for one in offer.services if one.protocol != "smtp"))
    found = []
    for one in offer.services:
        # The lower number is tried first: IMAP before POP3, and of either TLS from the first octet.
        kind = protocols.index(one.protocol) * 10 if one.protocol in protocols else 0
        priority = kind + (0 if one.implicit else 5)
        tls = "TLS from the first octet" if one.implicit else "STARTTLS"
        name = f"{_LABELS[one.role]}._tcp.{offer.domain}."
        why = f"mail programs {_WORDS[one.protocol]}, {tls}"
        found.append((name, f"{priority} 1 {one.port} {offer.host}.", why))
    return found


def web_records(offer: Offer) -> list[tuple[str, str, str, str]]:
    """Name, type, data and purpose of what leads programs to our documents."""
    target = f"{offer.host}."
    return [
        (f"autoconfig.{offer.domain}.", "CNAME", target, "Thunderbird and others ask here (listen.http)"),
        (f"autodiscover.{offer.domain}.", "CNAME", target, "Outlook asks here by HTTPS (listen.http)"),
        (f"_autodiscover._tcp.{offer.domain}.", "SRV", f"0 0 443 {target}", "or it asks where this leads"),
    ]
