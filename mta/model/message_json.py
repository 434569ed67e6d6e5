"""A queued message as JSON values, without its content: what the commands and the API show."""

from __future__ import annotations

from typing import Any

from mta.model.message import Addressee, Message


def message_json(message: Message) -> dict[str, Any]:
    """The envelope, where it came from, and everybody who waits for it."""
    client, envelope = message.client, message.envelope
    return {
        "id": message.id,
        "state": state_of(message),
        "sender": envelope.reverse_path,
        "recipients": [recipient.address for recipient in envelope.recipients],
        "size": message.size,
        "created": message.created,
        "expires": message.expires,
        "scheduled": message.attributes.get("release"),
        "client": {
            "session": client.session,
            "role": client.role,
            "address": client.address,
            "helo": client.helo,
            "protocol": client.protocol,
            "tls": f"{client.tls_version} {client.tls_cipher}".strip(),
            "account": client.account,
        },
        "body": envelope.body,
        "smtputf8": envelope.smtputf8,
        "envid": envelope.envid,
        "attributes": message.attributes,
        "addressees": [addressee_json(addressee) for addressee in message.addressees],
    }


def addressee_json(addressee: Addressee) -> dict[str, Any]:
    """One who waits."""
    return {
        "number": addressee.number,
        "address": addressee.address,
        "original": addressee.original,
        "state": addressee.state,
        "transport": addressee.transport,
        "next_hop": addressee.next_hop,
        "options": addressee.options,
        "notify": sorted(addressee.notify),
        "orcpt": addressee.orcpt,
        "attempts": addressee.attempts,
        "due": addressee.due,
        "warned": addressee.warned,
        "last_reply": addressee.last_reply,
    }


def state_of(message: Message) -> str:
    """``held``, ``deferred``, ``scheduled`` or ``queued``: that of the addressee who is worst off."""
    if any(addressee.state == "held" for addressee in message.addressees):
        return "held"
    # What was tried before, and then given another time, waits for that.
    if any(addressee.attempts and addressee.due != message.starts for addressee in message.addressees):
        return "deferred"
    if any(addressee.due >= message.starts > message.created for addressee in message.addressees):
        return "scheduled"
    return "queued"
