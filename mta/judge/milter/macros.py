"""Macros: facts that go beside each step, under the names that Sendmail gave them.

A filter may say which it wants (SMFIM_...); without, it gets those that Postfix sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mta.judge.milter.options import Agreed
from mta.judge.milter.packets import Packet, terminated
from mta.judge.milter.steps import Step
from mta.model.address import domain_of
from mta.model.envelope import Client, Envelope, Recipient

_USUAL: dict[int, tuple[str, ...]] = {
    0: (
        *("j", "v", "_", "{daemon_name}", "{daemon_addr}", "{if_addr}"),
        *("{client_addr}", "{client_port}", "{client_name}", "{client_ptr}"),
    ),
    1: ("{tls_version}", "{cipher}"),
    2: ("i", "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_mailer}", "{mail_host}", "{mail_addr}"),
    3: ("i", "{rcpt_mailer}", "{rcpt_host}", "{rcpt_addr}"),
    4: ("i",),
    5: ("i",),
    6: ("i",),
}


def packet(step: Step, agreed: Agreed, values: Mapping[str, str]) -> bytes:
    """The macros before a step, as octets; ``b""`` if there are none.

    :param values: what is known, by the name without braces.
    """
    if step.macros < 0:
        return b""
    names: Iterable[str] = agreed.macros.get(step.macros, _USUAL[step.macros])
    pairs: list[bytes] = []
    for name in names:
        value = values.get(name.strip("{}"), "")
        if value:
            pairs += (name.encode(), value.encode("utf-8", "surrogateescape"))
    return Packet(b"D", step.command + terminated(*pairs)).encode() if pairs else b""


def of_client(client: Client, hostname: str) -> dict[str, str]:
    """What is known of a session."""
    address = client.address or "127.0.0.1"
    name = client.reverse_name or ("localhost" if not client.address else "")
    return {
        "j": hostname,
        "v": "mta",
        "daemon_name": client.role,
        "daemon_addr": client.local_address,
        "if_addr": client.local_address,
        "client_addr": address,
        "client_port": str(client.port),
        "client_name": name or "unknown",
        "client_ptr": name or "unknown",
        "_": f"{name or 'unknown'} [{address}]",
        "tls_version": client.tls_version,
        "cipher": client.tls_cipher,
        "auth_type": client.mechanism,
        "auth_authen": client.account,
    }


def of_sender(envelope: Envelope) -> dict[str, str]:
    """What is known of a transaction."""
    return {
        "mail_addr": envelope.reverse_path,
        "mail_host": domain_of(envelope.reverse_path),
        "mail_mailer": "smtp",
        "auth_author": envelope.auth,
    }


def of_recipient(one: Recipient) -> dict[str, str]:
    """What is known of a recipient."""
    return {"rcpt_addr": one.address, "rcpt_host": domain_of(one.address), "rcpt_mailer": "smtp"}
