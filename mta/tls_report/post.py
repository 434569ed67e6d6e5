"""Posts a report over HTTPS (RFC 8460, 5.4).

The URL stands in the DNS of strangers.  So it is only ever asked for by addresses of the public
internet, no redirect is followed, and time and octets are bounded.

A certificate that is wrong does not keep a report back (RFC 8460, 3): it may be just what the
report is about.  It is tried with a right one first, and the answer says which it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable

#: Addresses of a host that are tried, and seconds for each to take a connection.
_ADDRESSES, _CONNECT = 3, 20.0


class NotTaken(Exception):
    """Nobody took the report, for a reason in words."""


class ReportPoster:
    """See the module.

    :param reactor: makes connections and keeps time.
    :param resolver: finds addresses.
    :param trust: Twisted's trust root; ``None``: the system's authorities.
    :param private: networks besides the public internet to which reports may go.
    :param timeout: seconds for everything.
    """

    def __init__(
        self,
        reactor: Any,
        resolver: IResolver,
        trust: Any = None,
        private: Sequence[IPv4Network | IPv6Network] = (),
        timeout: float = 60.0,
    ) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._trust = trust
        self._private = tuple(private)
        self._timeout = timeout

    async def post(self, url: str, data: bytes) -> str:
        """Post a report; answers what the other side said.

        :param data: compressed with gzip.
        :raise NotTaken: if nobody took it.
        """
        work = Deferred.fromCoroutine(self._post(url, data))
        overdue = False

        def expire() -> None:
            nonlocal overdue
            overdue = True
            work.cancel()

        timer = self._reactor.callLater(self._timeout, expire)
        try:
            return await work
        except (CancelledError, NotTaken):
            # The agent wraps the end that it was made to come to.
            if not overdue:
                raise
            raise NotTaken(f"it gave no answer in {self._timeout:g} seconds") from None
        finally:
            if timer.active():
                timer.cancel()

    async def _post(self, url: str, data: bytes) -> str:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        problem = "its host has no address"
        for address in (await self._addresses(host))[:_ADDRESSES]:
            if not self._may(address):
                raise NotTaken(f"{host} is [{address}], which is not on the public internet")
            for verify in (True, False):
                try:
                    return await self._to(url, host, address, port, data, verify)
                except (NotTaken, CancelledError):
                    raise
                except Exception as trouble:
                    problem = _words(trouble)
                    if not _is_about_trust(trouble):
                        break
        raise NotTaken(problem)

    async def _addresses(self, host: str) -> Sequence[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        try:
            found: Sequence[str] = await self._resolver.addresses(host)
        except (NoSuchDomain, TemporarilyUnavailable) as trouble:
            raise NotTaken(f"{host} cannot be found: {trouble}") from None
        return found

    def _may(self, address: str) -> bool:
        found = ip_address(address)
        # What leads to an IPv4 address is as private as that.
        if isinstance(found, IPv6Address):
            found = found.ipv4_mapped or found.sixtofour or found
        return found.is_global or any(found in network for network in self._private)

    async def _to(self, url: str, host: str, address: str, port: int, data: bytes, verify: bool) -> str:
        endpoint = _OneAddress(self._reactor, address, port, _tls(host, verify, self._trust))
        agent = Agent.usingEndpointFactory(self._reactor, endpoint)
        headers = Headers({"User-Agent": ["mta"], "Content-Type": ["application/tlsrpt+gzip"]})
        try:
            response = await agent.request(b"POST", url.encode("ascii"), headers, _Body(data))
            phrase = response.phrase.decode("latin-1")[:100]
            said = f"{response.code} {phrase if phrase.isprintable() else ''}".strip()
            if not 200 <= response.code < 300:
                more = "; redirects are not followed" if 300 <= response.code < 400 else ""
                raise NotTaken(f"it answered {said}{more}")
            return said if verify else f"{said} (its certificate is not valid)"
        finally:
            # Whatever it has to say besides is not listened to.
            endpoint.abort()


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _OneAddress:
    """Connects to one address, whatever the URL says."""

    def __init__(self, reactor: Any, address: str, port: int, options: Any) -> None:
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        self._endpoint = wrapClientTLS(options, kind(reactor, address, port, timeout=_CONNECT))
        self._connected: Any = None

    def endpointForURI(self, uri: URI) -> _OneAddress:
        """See ``IAgentEndpointFactory``."""
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        """See ``IStreamClientEndpoint``."""

        def remember(protocol: Any) -> Any:
            self._connected = protocol
            return protocol

        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addCallback(remember)

    def abort(self) -> None:
        """Close the connection at once, if there is one."""
        if self._connected is not None and self._connected.transport is not None:
            self._connected.transport.abortConnection()


@implementer(IBodyProducer)
class _Body:
    """The octets of a report."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """See ``IBodyProducer``."""
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """See ``IPushProducer``: all of it is written."""

    def resumeProducing(self) -> None:
        """See ``IPushProducer``."""

    def stopProducing(self) -> None:
        """See ``IProducer``."""


@implementer(IOpenSSLClientConnectionCreator)
class _AnyCertificate:
    """TLS with whoever is there."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See ``IOpenSSLClientConnectionCreator``."""
        connection = SSL.Connection(self._context, None)
        try:
            ip_address(self._host)
        except ValueError:
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        return connection


def _tls(host: str, verify: bool, trust: Any) -> Any:
    if not verify:
        return _AnyCertificate(host)
    return optionsForClientTLS(host) if trust is None else optionsForClientTLS(host, trust)


def _reasons(trouble: BaseException) -> list[BaseException]:
    found = [trouble]
    for failure in getattr(trouble, "reasons", None) or ():
        value = failure.value if isinstance(failure, Failure) else failure
        if isinstance(value, BaseException):
            found += _reasons(value)
    return found


def _is_about_trust(trouble: BaseException) -> bool:
    return any(
        isinstance(reason, SSL.Error | VerificationError | CertificateError) for reason in _reasons(trouble)
    )


def _words(trouble: BaseException) -> str:
    last = _reasons(trouble)[-1]
    if isinstance(last, SSL.Error):
        said = "; ".join(str(part[-1]) for part in last.args[0]) if last.args else ""
        return f"TLS: {said or 'the handshake failed'}"
    return Failure(last).getErrorMessage().rstrip(".") or type(last).__name__


def trust_of(path: str | Path) -> Any:
    """The authorities in a PEM file, as a trust root.

    :raise ValueError: if it cannot be read.
    """
    try:
        found = x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{path}: no PEM certificates can be read from it") from None
    return trustRootFromCertificates([Certificate.loadPEM(one.public_bytes(Encoding.PEM)) for one in found])
