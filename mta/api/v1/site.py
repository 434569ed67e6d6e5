"""The HTTP listener's site: what a request may take of memory, disk and time."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.web.http import parse_qs
from twisted.web.resource import IResource
from twisted.web.server import Request, Site
from zope.interface import implementer

from mta.api.v1.refusal import KINDS, Refusal

#: Octets of a request's header section.
HEADER = 64 * 1024
#: Seconds for which the rest of a request is read that is refused before it has ended.
_DRAIN = 2.0


class BoundedRequest(Request):
    """A request whose body is bounded in size, and in the time that it takes to arrive.

    The header has :data:`HEADER` octets and 500 lines at the most.
    """

    _received = 0
    _refused = False
    _late: Any = None

    def gotLength(self, length: int | None) -> None:
        """The header is complete, and says how long the body is; ``None``: in chunks."""
        site = self._bounds()
        if length is not None and length > site.most_octets:
            self._refuse(site.most_octets)
            return
        if length != 0:
            self._late = self.channel.callLater(site.most_seconds, self._too_late)
        super().gotLength(length)  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:
        """Octets of the body."""
        site = self._bounds()
        self._received += len(data)
        if self._refused:
            return
        if self._received > site.most_octets:
            self._refuse(site.most_octets)
            return
        super().handleContentChunk(data)  # type: ignore[no-untyped-call]

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is complete."""
        self._in_time()
        if self._refused:
            return
        # As Twisted does it, but for forms: those are parsed at great length, and are nothing here.
        content: Any = self.content
        content.seek(0)
        self.method, self.uri, self.clientproto = command, path, version
        self.path, _, query = path.partition(b"?")
        self.args = parse_qs(query, True) if query else {}
        self.process()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Any) -> None:
        """The client is gone."""
        self._in_time()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def _bounds(self) -> ApiSite:
        channel: Any = self.channel
        site: ApiSite = channel.site
        return site

    def _in_time(self) -> None:
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()

    def _too_late(self) -> None:
        self._late = None
        self.channel.forceAbortClient()

    def _refuse(self, most: int) -> None:
        self._in_time()
        self._refused = True
        document = Refusal("too-large", f"at most {most} octets").encode()
        transport: Any = self.channel.transport
        transport.write(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/problem+json\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(document), document)
        )
        self.channel.loseConnection()


def _too_long(channel: Any, line: bytes) -> None:
    """Answer a line of a header that is too long, where Twisted would only close the connection."""
    # Before a request line nothing is known of a request.
    first = not channel.requests
    kind, status = ("uri-too-long", 414) if first else ("header-too-large", 431)
    document = Refusal(kind, f"at most {HEADER} octets").encode()
    reason = KINDS[kind].title.encode()
    channel.transport.write(
        b"HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (status, reason, len(document), document)
    )
    # What still comes is read, and is nothing: who is cut off while writing does not see the answer.
    channel.dataReceived = lambda data: None
    channel.callLater(_DRAIN, channel.loseConnection)


@implementer(IResource)
class Late:
    """A resource that is made for the first request.

    :param make: makes it.
    """

    isLeaf = True

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._resource: Any = None

    def render(self, request: Any) -> Any:
        """See ``IResource``."""
        if self._resource is None:
            self._resource = self._make()
            # What was imported for it stays, as all that was there from the start.
            gc.collect()
            gc.freeze()
        return self._resource.render(request)

    def getChildWithDefault(self, name: bytes, request: Any) -> Any:
        """See ``IResource``; nobody asks a leaf."""
        raise NotImplementedError

    def putChild(self, path: bytes, child: Any) -> None:
        """See ``IResource``; likewise."""
        raise NotImplementedError


class ApiSite(Site):
    """The site.

    :param resource: answers.
    :param most_octets: of a body.
    :param most_seconds: for a body to arrive; and for an idle connection to stay.
    """

    noisy = False
    displayTracebacks = False

    def __init__(self, resource: Any, most_octets: int, most_seconds: float) -> None:
        super().__init__(resource, requestFactory=BoundedRequest, timeout=most_seconds)  # type: ignore[no-untyped-call]
        self.most_octets = most_octets
        self.most_seconds = most_seconds

    def buildProtocol(self, addr: Any) -> Any:
        """A connection: addresses in a query, escaped, need more room than Twisted gives."""
        protocol = super().buildProtocol(addr)  # type: ignore[no-untyped-call]
        channel = getattr(protocol, "_channel", protocol)
        channel.MAX_LENGTH = channel.totalHeadersSize = HEADER
        if hasattr(channel, "lineLengthExceeded"):
            channel.lineLengthExceeded = lambda line: _too_long(channel, line)
        return protocol

    def log(self, request: Any) -> None:
        """Write no access lines: what was done is in the journal."""
