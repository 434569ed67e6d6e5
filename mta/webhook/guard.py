"""Where posts may go: to addresses of the public internet, unless the operator says otherwise.

A tenant names the URL, so it must not lead to what only this machine can reach.  The name is resolved
with each connection, every address is checked, and the connection goes to an address that was checked:
a DNS that answers otherwise the next time (rebinding) changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from mta.https.authorities import options_for
from mta.https.one_address import addresses_of
from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.model.network import Network, is_public, is_within, parsed

#: Octets that may come as an answer to one post; we listen to far fewer.
_MOST = 64 * 1024


class NotAllowed(error.ConnectError):
    """An address may not be reached."""

    def __init__(self, words: str = "it may not be reached") -> None:
        super().__init__(None, words)  # type: ignore[no-untyped-call]
        self.words = words

    def __str__(self) -> str:
        return self.words


def problem(scheme: str, address: str, allowed: Sequence[Network] = (), own: Collection[str] = ()) -> str:
    """Why an address may not be posted to; ``""``: it may.

    :param scheme: ``https`` or ``http``.
    :param allowed: networks that the operator allows, also in clear text.
    :param own: addresses of this machine.
    """
    if is_within(address, allowed):
        return ""
    if not is_public(address):
        return f"it is [{address}], which is not on the public internet (webhook.allow)"
    if address in own:
        return f"it is [{address}], which is this server (webhook.allow)"
    if scheme != "https":
        return "it is not reached by https://"
    return ""


@implementer(IAgentEndpointFactory)
class Guard:
    """Makes connections for :class:`twisted.web.client.Agent`.

    :param reactor: makes them.
    :param resolver: finds addresses.
    :param allowed: gives networks that the operator allows.
    :param own: gives the addresses of this machine.
    :param timeout: seconds for each address.
    :param trust: Twisted's trust root; ``None``: the system's authorities.
    """

    def __init__(
        self,
        reactor: Any,
        resolver: IResolver,
        allowed: Callable[[], Sequence[Network]],
        own: Callable[[], Collection[str]],
        timeout: float = 10.0,
        trust: Any = None,
    ) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._allowed = allowed
        self._own = own
        self._timeout = timeout
        self._trust = trust

    def endpointForURI(self, uri: URI) -> _Checked:
        """See ``IAgentEndpointFactory``."""
        return _Checked(self, uri.scheme.decode(), uri.host.decode().strip("[]"), uri.port)

    def refuses(self, url: str) -> str:
        """Why nothing will ever be posted to a URL, as far as the URL itself tells; ``""``: nobody knows yet.

        What a name leads to is found out with each post.
        """
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        address = "127.0.0.1" if host == "localhost" or host.endswith(".localhost") else host
        if parsed(address) is None:
            return ""
        return problem(parts.scheme, address, self._allowed(), self._own())

    async def connect(self, factory: Any, scheme: str, host: str, port: int) -> Any:
        """Connect to an address that was checked.

        :raise NotAllowed: if one of its addresses may not be reached, or there is none.
        """
        addresses = await self._addresses(host)
        allowed, own = self._allowed(), self._own()
        for address in addresses:
            # One that may not be reached is enough: nobody mixes those up by chance.
            wrong = problem(scheme, address, allowed, own)
            if wrong:
                raise NotAllowed(f"{host} is not allowed: {wrong}")
        trouble: Exception = NotAllowed(f"{host} has no address")
        for address in addresses:
            kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            way: Any = kind(self._reactor, address, port, timeout=self._timeout)
            if scheme == "https":
                way = wrapClientTLS(options_for(host, self._trust), way)
            try:
                wrapper = await way.connect(_Bounded(factory))  # type: ignore[no-untyped-call]
                return wrapper.wrappedProtocol
            except error.ConnectError as failed:
                trouble = failed
        raise trouble

    async def _addresses(self, host: str) -> Sequence[str]:
        try:
            return await addresses_of(self._resolver, host)
        except NoSuchDomain:
            raise NotAllowed(f"there is no host {host}") from None
        except TemporarilyUnavailable as trouble:
            raise NotAllowed(f"{host} cannot be found now: {trouble}") from None


@implementer(IStreamClientEndpoint)
class _Checked:
    """One connection to be."""

    def __init__(self, guard: Guard, scheme: str, host: str, port: int) -> None:
        self._guard = guard
        self._to = (scheme, host, port)

    def connect(self, factory: Any) -> Deferred[Any]:
        """See ``IStreamClientEndpoint``."""
        return Deferred.fromCoroutine(self._guard.connect(factory, *self._to))


class _BoundedProtocol(ProtocolWrapper):
    """Ends a connection on which an answer has no end."""

    _received = 0

    def dataReceived(self, data: bytes) -> None:
        """Octets of an answer."""
        self._received += len(data)
        if self._received > _MOST:
            self.abortConnection()
            return
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    def write(self, data: bytes) -> None:
        """Octets of a post."""
        self._received = 0
        super().write(data)  # type: ignore[no-untyped-call]

    def writeSequence(self, data: Any) -> None:
        """Likewise."""
        self._received = 0
        super().writeSequence(data)  # type: ignore[no-untyped-call]

    def abortConnection(self) -> None:
        """Close it at once."""
        transport: Any = self.transport
        transport.abortConnection()


class _Bounded(WrappingFactory):
    noisy = False
    protocol = _BoundedProtocol
