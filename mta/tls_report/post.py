"""Posts a report over HTTPS (RFC 8460, 5.4).

The URL stands in the DNS of strangers.  So it is only ever asked for by addresses of the public
internet, no redirect is followed, and time and octets are bounded.

A certificate that is wrong does not keep a report back (RFC 8460, 3): it may be just what the
report is about.  It is tried with a right one first, and the answer says which it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from mta.bounded import Overdue, bounded
from mta.https.authorities import options_for
from mta.https.one_address import OneAddress, addresses_of
from mta.https.trouble import is_about_tls, words
from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.model.network import is_public

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
        try:
            return await bounded(self._reactor, self._post(url, data), self._timeout)
        except Overdue:
            raise NotTaken(f"it gave no answer in {self._timeout:g} seconds") from None

    async def _post(self, url: str, data: bytes) -> str:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        problem = "its host has no address"
        for address in await self._addresses(host):
            if not is_public(address, self._private):
                raise NotTaken(f"{host} is [{address}], which is not on the public internet")
            for verify in (True, False):
                try:
                    return await self._to(url, host, address, port, data, verify)
                except (NotTaken, CancelledError):
                    raise
                except Exception as trouble:
                    problem = words(trouble)
                    if not is_about_tls(trouble):
                        break
        raise NotTaken(problem)

    async def _addresses(self, host: str) -> Sequence[str]:
        try:
            return await addresses_of(self._resolver, host)
        except (NoSuchDomain, TemporarilyUnavailable) as trouble:
            raise NotTaken(f"{host} cannot be found: {trouble}") from None

    async def _to(self, url: str, host: str, address: str, port: int, data: bytes, verify: bool) -> str:
        options = options_for(host, self._trust) if verify else _AnyCertificate(host)
        endpoint = OneAddress(self._reactor, address, port, options)
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
