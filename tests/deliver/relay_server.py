"""Servers on the loopback interface for the tests of relay and LMTP."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.ssl import PrivateCertificate

from mta.interfaces import Delivery, Exchanger
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.message import Addressee, Content, InlineContent, Message
from tests.smtp.client_script import MAIL, TRACE, ScriptedServer


class ServerProtocol(Protocol):
    """Puts a :class:`ScriptedServer` on the network."""

    factory: Servers
    transport: Any

    def connectionMade(self) -> None:
        self.server = self.factory.make()
        self.server.start_tls = self._start_tls
        self.factory.servers.append(self.server)
        self.factory.live.add(self)
        self.factory.peak = max(self.factory.peak, len(self.factory.live))
        if self.factory.implicit:
            self.transport.startTLS(self.factory.certificate.options())
        self._send(self.server.greet())

    def dataReceived(self, data: bytes) -> None:
        if self.secured and self.factory.swallow_tls:
            return
        if self.secured and self.factory.break_tls:
            # Clear text where the handshake should be.
            self.transport.write(b"what?\r\n")
            self.transport.loseConnection()
            return
        self._send(self.server.receive(data))
        if self.server.tls and not self.secured:
            self.secured = True
            if not (self.factory.break_tls or self.factory.swallow_tls):
                self.transport.startTLS(self.factory.certificate.options())

    secured = False

    def _start_tls(self) -> None:
        self.server.tls = True

    def _send(self, data: bytes) -> None:
        if data:
            self.transport.write(data)
        if self.server.closed:
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.live.discard(self)
        if not self.factory.live and self.factory.emptied is not None:
            emptied, self.factory.emptied = self.factory.emptied, None
            emptied()


class Servers(ServerFactory):
    """Makes a scripted server for each connection.

    :ivar servers: all that were made.
    :ivar peak: how many connections were open at once.
    """

    noisy = False
    protocol = ServerProtocol
    certificate: PrivateCertificate
    implicit = False
    break_tls = False
    swallow_tls = False

    def __init__(self, make: Callable[[], ScriptedServer] = ScriptedServer) -> None:
        self.make = make
        self.servers: list[ScriptedServer] = []
        self.live: set[ServerProtocol] = set()
        self.peak = 0
        self.emptied: Callable[[], None] | None = None

    @property
    def messages(self) -> list[tuple[list[str], bytes]]:
        return [message for server in self.servers for message in server.messages]

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        protocol = ServerProtocol()
        protocol.factory = self
        return protocol


class TableExchangers:
    """Answers from a table; an exception in it is raised."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table
        self.asked: list[str] = []

    async def find(self, next_hop: str) -> list[Exchanger]:
        self.asked.append(next_hop)
        found = self.table[next_hop]
        if isinstance(found, Exception):
            raise found
        return list(found)


def delivery(
    *recipients: str, next_hop: str = "far.test", content: Content | bytes = MAIL, **envelope: Any
) -> Delivery:
    """A message to some recipients behind one next hop."""
    if isinstance(content, bytes):
        content = InlineContent(content)
    addresses = recipients or ("u@far.test",)
    addressees = [
        Addressee(number, address, address, "relay", next_hop) for number, address in enumerate(addresses)
    ]
    given = Envelope("a@b.test", [Recipient(address) for address in addresses], **envelope)
    message = Message("m1", given, Client("s1"), TRACE, content, addressees, 0.0, 0.0)
    return Delivery(message, addressees, "a@b.test")


class Authority:
    """A certification authority made on the fly.

    :param directory: where its certificate goes, as ``ca.pem``.
    """

    def __init__(self, directory: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        certificate = self._sign(self._name, self._key, None)
        self.path = directory / "ca.pem"
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject: x509.Name, key: Any, name: x509.GeneralName | None, days: int = 2) -> Any:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=name is None, path_length=None), critical=True)
        )
        if name is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, host: str, days: int = 2) -> PrivateCertificate:
        """A certificate for a host name or IP address.

        :param days: for which it is still valid; negative if it has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._sign(subject, key, name, days)
        return PrivateCertificate.loadPEM(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
