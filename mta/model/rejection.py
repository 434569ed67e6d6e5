"""The event about a refusal, from what is known of the session when it is made."""

from __future__ import annotations

from mta.model.envelope import Client, Envelope
from mta.model.event import Rejected
from mta.model.reply import Reply


def rejection(
    at: float, client: Client, envelope: Envelope | None, stage: str, reply: Reply, recipient: str = ""
) -> Rejected:
    """The event.

    :param stage: the command that was refused.
    :param recipient: whom it was about, where that is one.
    """
    return Rejected(
        at=at,
        session=client.session,
        stage=stage,
        code=reply.code,
        reply=str(reply),
        name=reply.name,
        rule=reply.rule or reply.name,
        evidence=dict(reply.evidence),
        authentication=[one.told() for one in reply.authentication],
        role=client.role,
        client=client.address,
        helo=client.helo,
        tls=f"{client.tls_version} {client.tls_cipher}".strip(),
        account=client.account,
        sender=envelope.reverse_path if envelope is not None else "",
        recipient=recipient,
    )
