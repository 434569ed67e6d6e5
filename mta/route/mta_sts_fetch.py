"""Fetches the policy of a domain over HTTPS (RFC 8461, 3.3).

The certificate must be of a trusted authority and for ``mta-sts.DOMAIN``; service-identity
compares.  No redirect is followed, no answer but 200 counts, and time and octets are
bounded, because every domain that anybody sends mail to may be asked.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from mta.bounded import Overdue, bounded
from mta.https.authorities import options_for
from mta.https.one_address import OneAddress, addresses_of
from mta.https.trouble import is_about_tls, words
from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.model.mta_sts import MAX_POLICY, BadPolicy, StsPolicy
from mta.model.tls_result import ResultType

#: Addresses of a host that are tried.
_ADDRESSES = 3
#: Seconds for each of them to take a connection.
_CONNECT = 20


class NoPolicy(Exception):
    """There is none to be had, for a reason in words.

    :ivar result: how TLS reports call it (RFC 8460, 4.3.2.2).
    """

    def __init__(self, reason: str, result: ResultType = "sts-policy-fetch-error") -> None:
        super().__init__(reason)
        self.result: ResultType = result


class PolicyFetcher:
    """See the module.

    :param reactor: makes connections and keeps time.
    :param resolver: finds the host's addresses.
    :param trust: Twisted's trust root; ``None``: the system's authorities.
    :param timeout: seconds for everything.
    :param port: of the host; for tests.
    """

    def __init__(
        self, reactor: Any, resolver: IResolver, trust: Any = None, timeout: float = 60.0, port: int = 443
    ) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._trust = trust
        self._timeout = timeout
        self._port = port

    async def fetch(self, domain: str) -> StsPolicy:
        """The policy that a domain publishes now.

        :param domain: in its ASCII form.
        :raise NoPolicy: if there is none.
        """
        host = f"mta-sts.{domain}"
        try:
            return await bounded(self._reactor, self._fetch(host), self._timeout)
        except Overdue:
            raise NoPolicy(f"{host} did not answer in {self._timeout:g} seconds") from None

    async def _fetch(self, host: str) -> StsPolicy:
        try:
            addresses = await addresses_of(self._resolver, host)
        except (NoSuchDomain, TemporarilyUnavailable) as trouble:
            raise NoPolicy(f"{host} cannot be found: {trouble}") from None
        problem = "it has no address"
        result: ResultType = "sts-policy-fetch-error"
        for address in addresses:
            try:
                return StsPolicy.parse(await self._get(host, address))
            except BadPolicy as bad:
                raise NoPolicy(f"the policy of {host} is not valid: {bad}", "sts-policy-invalid") from None
            except (NoPolicy, CancelledError):
                raise
            except Exception as trouble:
                problem = words(trouble)
                result = "sts-webpki-invalid" if is_about_tls(trouble) else "sts-policy-fetch-error"
        raise NoPolicy(f"{host} gives no policy: {problem}", result)

    async def _get(self, host: str, address: str) -> bytes:
        endpoint = OneAddress(self._reactor, address, self._port, options_for(host, self._trust))
        agent = Agent.usingEndpointFactory(self._reactor, endpoint)
        url = f"https://{host}/.well-known/mta-sts.txt".encode("ascii")
        try:
            response = await agent.request(b"GET", url, Headers({"User-Agent": ["mta"]}))
            if response.code != 200:
                raise NoPolicy(f"{host} answered {response.code} in place of a policy")
            kind = (response.headers.getRawHeaders(b"content-type") or [b""])[-1]
            if kind.partition(b";")[0].strip().lower() != b"text/plain":
                raise NoPolicy(f"{host} gives something that is not text/plain")
            body = _Body()
            response.deliverBody(body)
            return await body.done
        finally:
            # Whoever has more to say than we wanted to know is not listened to.
            endpoint.abort()


class _Body(Protocol):
    """Takes the whole of an answer, or so much that it is known to be no policy."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred()
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        if not self.done.called:
            self._data += data
            if len(self._data) > MAX_POLICY:
                self.done.callback(self._data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        # Without a length only a whole last line tells that the policy was not cut off: half a
        # number of max_age would be one, too.
        if reason.check(ResponseDone) or (reason.check(PotentialDataLoss) and self._data.endswith(b"\n")):
            self.done.callback(self._data)
        else:
            self.done.errback(reason)
