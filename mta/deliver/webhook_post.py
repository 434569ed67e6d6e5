"""Posts one body over HTTP and reads the start of the answer.

``twisted.web.client.Agent`` keeps the connections; TLS is verified with service-identity,
and a redirect is an answer like any other: nobody is led to another host with a message.
A connection that the application closed just as it was used again is not its refusal, so
the post is repeated once, at once, over a fresh one; ``webhook-id`` is the same.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from OpenSSL import SSL
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from mta.deliver.webhook_body import Body
from mta.https.authorities import trust_of
from mta.https.trouble import handshake_words, is_wrong_name, reasons

_CONNECT = (error.ConnectError, error.DNSLookupError, error.ConnectionAborted)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the application said.

    :ivar status: of HTTP.
    :ivar phrase: the words behind it.
    :ivar fields: the header, names in lower case.
    :ivar said: the start of the body.
    """

    status: int
    phrase: str
    fields: Mapping[str, str] = field(default_factory=dict)
    said: bytes = b""


class NoAnswer(Exception):
    """There is none, for a reason in words.

    :ivar kind: ``connect``, ``tls``, ``lost``, ``overdue``, ``protocol`` or ``ours``.
    """

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


class Poster:
    """See the module.

    :param reactor: makes connections and keeps time.
    :param run_in_thread: reads bodies that are in files.
    :param connections: kept open to the application.
    :param connect_timeout: seconds.
    :param timeout: seconds without a sign of life: octets taken, or the answer.
    :param idle: seconds for which an idle connection is kept.
    :param authorities: PEM file of those to trust in place of the system's.
    :param most: octets of an answer that are kept.
    :param ways: makes the connections (``IAgentEndpointFactory``) in place of Twisted.
    :raise ValueError: if ``authorities`` cannot be read.
    """

    def __init__(
        self,
        reactor: Any,
        run_in_thread: Callable[..., Awaitable[Any]],
        *,
        connections: int,
        connect_timeout: float,
        timeout: float,
        idle: float,
        authorities: str = "",
        most: int = 512,
        ways: Any = None,
    ) -> None:
        self._reactor = reactor
        self._run = run_in_thread
        self._patience = (connect_timeout, timeout)
        self._most = most
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = connections
        self._pool.cachedConnectionTimeout = int(idle)
        self._pool.retryAutomatically = False
        if ways is not None:
            self._kept = Agent.usingEndpointFactory(reactor, ways, pool=self._pool)
            self._fresh = Agent.usingEndpointFactory(reactor, ways)
            return
        trust = trust_of(authorities) if authorities else None
        policy = BrowserLikePolicyForHTTPS(trust)
        self._kept = Agent(reactor, policy, connectTimeout=connect_timeout, pool=self._pool)
        self._fresh = Agent(reactor, policy, connectTimeout=connect_timeout)

    async def post(self, url: str, fields: Mapping[str, str], body: Body) -> Answer:
        """Post.

        :param fields: header fields, besides Content-Length.
        :raise NoAnswer: if there is none.
        """
        headers = Headers({name: [value] for name, value in fields.items()})
        try:
            return await self._once(self._kept, url, headers, body)
        except NoAnswer as trouble:
            if trouble.kind != "lost":
                raise
        return await self._once(self._fresh, url, headers, body)

    def close(self) -> Deferred[Any]:
        """Close what is idle."""
        closed: Deferred[Any] = self._pool.closeCachedConnections()
        return closed

    async def _once(self, agent: Agent, url: str, headers: Headers, body: Body) -> Answer:
        connect_timeout, timeout = self._patience
        overdue = False
        under_way: Deferred[Any]

        def expire() -> None:
            nonlocal overdue
            overdue = True
            under_way.cancel()

        timer = self._reactor.callLater(connect_timeout + timeout, expire)
        producer = _Producer(body, self._run, lambda: timer.active() and timer.reset(timeout))
        start = _Start(self._most)
        try:
            under_way = agent.request(b"POST", url.encode("ascii"), headers, producer)
            response = await under_way
            under_way = start.done
            response.deliverBody(start)
            said = await start.done
        except CancelledError:
            if not overdue:
                raise
            raise NoAnswer("overdue", f"it gave no sign of life for {timeout:g} seconds") from None
        except Exception as trouble:
            if overdue:
                raise NoAnswer("overdue", f"it gave no sign of life for {timeout:g} seconds") from None
            raise _no_answer(trouble) from None
        finally:
            producer.stopProducing()
            if timer.active():
                timer.cancel()
        found = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        return Answer(response.code, response.phrase.decode("latin-1"), found, said)


@implementer(IBodyProducer)
class _Producer:
    """Sends a body, no faster than it is taken.

    :param run: reads in a thread.
    :param progress: called whenever some of it was taken.
    """

    def __init__(self, body: Body, run: Callable[..., Awaitable[Any]], progress: Callable[[], Any]) -> None:
        self.length = body.length
        self._body = body
        self._run = run
        self._progress = progress
        self._stopped = False
        self._taken: Deferred[None] | None = None

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """See ``IBodyProducer``."""
        if not self._body.inline:
            return Deferred.fromCoroutine(self._feed(consumer, self._body.blocks()))
        for block in self._body.blocks():
            consumer.write(block)
        return succeed(None)

    async def _feed(self, consumer: Any, blocks: Iterator[bytes]) -> None:
        try:
            while not self._stopped:
                block = await self._run(next, blocks, None)
                if block is None:
                    return
                self._write(consumer, block)
                if self._taken is not None:
                    await self._taken
                self._progress()
        except (OSError, ValueError):
            # Reading what was closed behind a post that has ended.
            if not self._stopped:
                raise
        # Nobody is told any more (see ``IBodyProducer.stopProducing``).
        never: Deferred[None] = Deferred()
        await never

    def _write(self, consumer: Any, block: bytes) -> None:
        if not self._stopped:
            consumer.write(block)

    def pauseProducing(self) -> None:
        """See ``IPushProducer``."""
        if self._taken is None:
            self._taken = Deferred()

    def resumeProducing(self) -> None:
        """See ``IPushProducer``."""
        taken, self._taken = self._taken, None
        if taken is not None:
            taken.callback(None)

    def stopProducing(self) -> None:
        """See ``IProducer``."""
        self._stopped = True
        self.resumeProducing()


class _Start(Protocol):
    """Keeps the start of an answer, and waits for no more of it.

    The status has been read when this begins: whatever breaks now, it counts.
    """

    def __init__(self, most: int) -> None:
        self.done: Deferred[bytes] = Deferred(lambda done: self._end())
        self._most = most
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        self._data += data[: self._most - len(self._data)]
        if len(self._data) >= self._most:
            self._end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.done.called:
            self.done.callback(self._data)

    def _end(self) -> None:
        if not self.done.called:
            self.done.callback(self._data)
        if self.transport is not None:
            self.transport.loseConnection()


def _no_answer(trouble: BaseException) -> NoAnswer:
    """What a failure of the agent means; its own words name URLs, and tracebacks."""
    if isinstance(trouble, _CONNECT):
        return NoAnswer("connect", _words(trouble))
    inner = reasons(trouble)
    for reason in inner:
        if is_wrong_name(reason):
            return NoAnswer("tls", "its certificate is not for this name")
        if isinstance(reason, SSL.Error):
            return NoAnswer("tls", handshake_words(reason) or "the TLS handshake failed")
    for reason in inner:
        if isinstance(reason, OSError):
            return NoAnswer("ours", reason.strerror or type(reason).__name__)
        if isinstance(reason, error.ConnectionLost | error.ConnectionDone | error.ConnectionClosed):
            return NoAnswer("lost", "it closed the connection without an answer")
    if isinstance(trouble, RequestGenerationFailed):
        return NoAnswer("ours", "the message cannot be read")
    if isinstance(trouble, ResponseFailed | RequestTransmissionFailed):
        return NoAnswer("protocol", "what it answers is not HTTP")
    return NoAnswer("ours", type(trouble).__name__)


def _words(trouble: BaseException) -> str:
    if isinstance(trouble, error.DNSLookupError):
        return "its name cannot be found"
    if isinstance(trouble, error.TimeoutError):
        return "it does not answer in time"
    number = getattr(trouble, "osError", None)
    if isinstance(number, int):
        return os.strerror(number)
    return Failure(trouble).getErrorMessage().rstrip(".")
