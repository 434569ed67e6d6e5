"""A connection to one address, whatever the URL and the DNS say meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from mta.interfaces import IResolver

#: Addresses of a host that are tried, and seconds for each to take a connection.
MOST_ADDRESSES, CONNECT = 3, 20.0


async def addresses_of(resolver: IResolver, host: str) -> Sequence[str]:
    """The addresses of a host that are tried; its own where it is one.

    :raise NoSuchDomain: if there is no such host.
    :raise TemporarilyUnavailable: if nobody can tell now.
    """
    try:
        return [str(ip_address(host))]
    except ValueError:
        found: Sequence[str] = await resolver.addresses(host)
    return found[:MOST_ADDRESSES]


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class OneAddress:
    """See the module; for ``Agent.usingEndpointFactory``.

    :param reactor: makes the connection.
    :param options: of TLS, as ``optionsForClientTLS`` gives them.
    """

    def __init__(self, reactor: Any, address: str, port: int, options: Any) -> None:
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        self._endpoint = wrapClientTLS(options, kind(reactor, address, port, timeout=CONNECT))
        self._connected: Any = None

    def endpointForURI(self, uri: URI) -> OneAddress:
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
        """Close the connection at once, if there is one: whatever else it says is not listened to."""
        if self._connected is not None and self._connected.transport is not None:
            self._connected.transport.abortConnection()
