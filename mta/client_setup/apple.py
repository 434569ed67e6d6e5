"""A profile that sets up Mail on iPhone, iPad and Mac, as a property list."""

from __future__ import annotations

import plistlib
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mta.client_setup.offer import Offer


def profile(offer: Offer, address: str) -> bytes | None:
    """The profile of an account, XML; ``None`` if it could not read, or could not send."""
    incoming = offer.best("imap") or offer.best("pop3")
    outgoing = offer.best("smtp")
    if incoming is None or outgoing is None:
        return None
    identifier = ".".join(["mta", *reversed(offer.host.split(".")), "mail"])
    # The same account gets the same profile again: it is replaced, and not there twice.
    unique = uuid5(NAMESPACE_URL, f"mailto:{address}?{offer.host}")
    account = {
        "PayloadType": "com.apple.mail.managed",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{identifier}.account",
        "PayloadUUID": str(uuid5(unique, "account")).upper(),
        "PayloadDisplayName": address,
        "EmailAccountType": "EmailTypeIMAP" if incoming.protocol == "imap" else "EmailTypePOP",
        "EmailAccountDescription": address,
        "EmailAddress": address,
        **_server("Incoming", offer.host, incoming.port, address),
        **_server("Outgoing", offer.host, outgoing.port, address),
        "OutgoingPasswordSameAsIncomingPassword": True,
    }
    return plistlib.dumps(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": identifier,
            "PayloadUUID": str(unique).upper(),
            "PayloadDisplayName": f"Mail of {address}",
            "PayloadOrganization": offer.name,
            "PayloadRemovalDisallowed": False,
            "PayloadContent": [account],
        }
    )


def _server(way: str, host: str, port: int, address: str) -> dict[str, Any]:
    return {
        f"{way}MailServerHostName": host,
        f"{way}MailServerPortNumber": port,
        f"{way}MailServerUseSSL": True,
        f"{way}MailServerUsername": address,
        f"{way}MailServerAuthentication": "EmailAuthPassword",
    }
