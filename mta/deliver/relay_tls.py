"""TLS towards other servers: encrypt where possible, and record what the certificate is worth.

The handshake itself never fails over a certificate.  Afterwards
:meth:`PeerContext.judge` says whether it fits, and the session decides by
``relay.tls`` whether that is enough: unauthenticated encryption is better than
none (RFC 7435), and a reason in words is better than an alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from service_identity import (
    CertificateError,
    VerificationError,
)
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from mta.deliver.dane import fitting
from mta.model.tls_demand import HostTls
from mta.model.tls_result import ResultType
from mta.smtp.client_protocol import TlsFound


class RelayTls:
    """The context that all connections share.

    :param authorities: PEM file of the certification authorities to trust, in
        place of the system's (which ``SSL_CERT_FILE`` names, too).
    :raise ValueError: if the file cannot be read.
    """

    def __init__(self, authorities: str | Path = "") -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)
        self._context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        if authorities:
            try:
                self._context.load_verify_locations(str(authorities))
            except SSL.Error as trouble:
                raise ValueError(f"{authorities}: no PEM certificates can be read from it") from trouble
        else:
            self._context.set_default_verify_paths()

    def peer(self, name: str, demand: HostTls | None = None) -> PeerContext:
        """TLS for one connection.

        :param name: host name or IP address that the certificate must be for.
        :param demand: TLSA records, which then decide in place of authorities.
        """
        return PeerContext(self._context, name, demand)


#: X509_V_ERR_*, in the words of x509_vfy.h made shorter.
_OBJECTIONS = {
    2: "the issuer of the certificate is not known",
    9: "the certificate is not yet valid",
    10: "the certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in the chain",
    20: "the issuer of the certificate is not known",
    21: "the chain of certificates is incomplete",
    23: "the certificate is revoked",
    26: "the certificate is not for servers",
}


@implementer(IOpenSSLClientConnectionCreator)
class PeerContext:
    """TLS of one connection, before and after the handshake.

    :ivar objection: what OpenSSL has against the chain; ``""`` for nothing.
    """

    def __init__(self, context: SSL.Context, name: str, demand: HostTls | None = None) -> None:
        self.objection = ""
        self._result: ResultType = "success"
        self._demand = demand if demand is not None and demand.records else None
        self._context = context
        self._name = name.rstrip(".")
        self._connection: SSL.Connection | None = None
        try:
            ip_address(self._name)
            self._is_address = True
        except ValueError:
            self._is_address = False

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See ``IOpenSSLClientConnectionCreator``."""
        connection = self._connection = SSL.Connection(self._context, None)
        connection.set_verify(SSL.VERIFY_PEER, self._remember)
        if not self._is_address:
            name = self._demand.names[0] if self._demand is not None else self._ascii_name()
            connection.set_tlsext_host_name(name.encode())
        return connection

    def _remember(
        self, connection: SSL.Connection, certificate: Any, problem: int, depth: int, verified: int
    ) -> bool:
        """Take any certificate, and keep the first objection to it."""
        if not verified and not self.objection:
            self.objection = _OBJECTIONS.get(problem, f"the certificate is not valid (X.509 error {problem})")
            self._result = "certificate-expired" if problem == 10 else "certificate-not-trusted"
        return True

    def _ascii_name(self) -> str:
        if self._name.isascii():
            return self._name
        try:
            return self._name.encode("idna").decode()
        except UnicodeError:
            return self._name.encode("ascii", "replace").decode()

    def judge(self) -> TlsFound:
        """After the handshake: version, cipher, and whether the certificate fits."""
        connection = self._connection
        assert connection is not None
        words = f"{connection.get_protocol_version_name()} {connection.get_cipher_name()}"
        if self._demand is not None:
            problem, result, verified = self._judge_by_records(connection, self._demand)
        else:
            problem, result, verified = self.objection, self._result, f"verified as {self._name}"
            if not problem:
                problem, result = self._name_problem(connection), "certificate-host-mismatch"
        # It refers to us, too; nobody needs the circle any more.
        self._connection = None
        if problem:
            return TlsFound(f"{words}, not verified: {problem}", False, f"not verified: {problem}", result)
        return TlsFound(f"{words}, {verified}", True, "")

    def _judge_by_records(self, connection: SSL.Connection, demand: HostTls) -> tuple[str, ResultType, str]:
        """What is wrong, what TLS reports call that, and by which record it is right (RFC 7672)."""
        names: list[str] = []

        def named() -> str:
            names.append(self._names_problem(connection, demand.names))
            return names[-1]

        chain = connection.get_peer_cert_chain() or ()
        record, problem = fitting(demand.records, chain, named)
        result: ResultType = "validation-failure"
        if problem in names:
            result = "certificate-host-mismatch"
        elif "expired" in problem:
            result = "certificate-expired"
        return problem, result, f"verified by {record}"

    def _names_problem(self, connection: SSL.Connection, names: Sequence[str]) -> str:
        """What is wrong with the name of the certificate; one of several is enough (RFC 7672, 3.2.3)."""
        for name in names:
            try:
                verify_hostname(connection, name)
                return ""
            except (VerificationError, CertificateError, ValueError):
                continue
        return f"the certificate is not for {' or '.join(names)}"

    def _name_problem(self, connection: SSL.Connection) -> str:
        try:
            if self._is_address:
                verify_ip_address(connection, self._name)
            else:
                verify_hostname(connection, self._ascii_name())
        except VerificationError:
            return f"the certificate is not for {self._name}"
        except CertificateError as trouble:
            return f"the certificate names nobody: {trouble}"
        except ValueError as trouble:
            return f"the certificate cannot be compared with {self._name}: {trouble}"
        return ""
