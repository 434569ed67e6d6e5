"""What a mail program can be told of us: hosts, ports, and how TLS begins.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mta.config.settings import Settings

#: Roles of listeners in the order in which they are recommended (RFC 8314, 3: TLS from the first octet),
#: with the protocol and the port that the role usually has.
ROLES = (
    ("imaps", "imap", 993),
    ("imap", "imap", 143),
    ("pop3s", "pop3", 995),
    ("pop3", "pop3", 110),
    ("submissions", "smtp", 465),
    ("submission", "smtp", 587),
)
#: Roles where TLS is there from the first octet; the others begin with STARTTLS or STLS.
IMPLICIT = frozenset({"imaps", "pop3s", "submissions"})
_TCP = re.compile(r"(?:tcp6?):(?:port=)?(\d+)((?::.*)?)\Z")
_LOOPBACK = re.compile(r":interface=(?:127\.|\\?:\\?:1(?:\Z|:)|localhost)")


@dataclass(frozen=True, slots=True)
class Service:
    """One way to read or to send mail.

    :ivar role: of the listener, such as ``imaps``.
    :ivar protocol: ``imap``, ``pop3`` or ``smtp``.
    """

    role: str
    protocol: str
    port: int

    @property
    def implicit(self) -> bool:
        """Whether TLS is there from the first octet."""
        return self.role in IMPLICIT


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered to the accounts of a domain.

    :ivar host: name of the server, as its certificate has it.
    :ivar name: of whoever runs it, for people.
    :ivar services: the recommended ones first.
    """

    domain: str
    host: str
    name: str
    services: tuple[Service, ...]

    def best(self, protocol: str) -> Service | None:
        """The recommended service of a protocol."""
        return next((one for one in self.services if one.protocol == protocol), None)


def offer_of(settings: Settings, domain: str) -> Offer | None:
    """What the accounts of a domain are offered.

    :return: ``None`` if the domain has none here, or nothing is told.
    """
    domain = domain.lower()
    told = settings.client_setup
    if not told.enabled or domain not in {name.lower() for name in settings.domains}:
        return None
    host = told.host or settings.hostname
    # Whoever reaches a server that is called so is on the same machine.
    here = host == "localhost"
    services = []
    for role, protocol, usual in ROLES:
        port = told.ports.get(role) or _port(getattr(settings.listen, role), usual, here)
        if port:
            services.append(Service(role, protocol, port))
    return Offer(domain, host, told.name or domain, tuple(services))


def _port(listeners: Iterable[str], usual: int, here: bool) -> int:
    """On which others reach the first of some listeners; 0: on none."""
    for text in listeners:
        found = _TCP.match(text)
        if found is None:
            if text.startswith("systemd:"):
                # Systemd knows the port.
                return usual
        elif here or not _LOOPBACK.search(found[2]):
            return int(found[1])
    return 0


def domain_of(address: str, host: str, domains: Mapping[str, object]) -> str:
    """The domain that is asked about: that of an address, or the one below which the document is looked for.

    :param address: ``""`` if none is told.
    :param host: of the request, without a port.
    """
    if "@" in address:
        return address.rpartition("@")[2].strip().lower()
    host = host.lower().rstrip(".")
    known = {name.lower() for name in domains}
    for prefix in ("autoconfig.", "autodiscover."):
        if host.startswith(prefix):
            return host.removeprefix(prefix)
    # The name of the server itself is that of many domains; with one domain it is clear.
    return next(iter(known)) if host not in known and len(known) == 1 else host
