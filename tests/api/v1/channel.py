"""Requests in memory: octets into the site's channel, and the answer out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPResponse
from io import BytesIO
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.web.server import Site


class Answer:
    """What came back.

    :ivar status: 0: nothing did.
    """

    def __init__(self, octets: bytes, method: str = "GET") -> None:
        self.octets = octets
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.content = b""
        if octets:
            response = HTTPResponse(_Socket(octets), method=method)  # type: ignore[arg-type]
            response.begin()
            self.status = response.status
            self.headers = {name.lower(): value for name, value in response.getheaders()}
            self.content = response.read()

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.content)

    def __repr__(self) -> str:
        return f"{self.status} {self.content[:2000]!r}"


class Channel:
    """One connection.

    :param site: of the API.
    """

    def __init__(self, site: Site, address: str = "192.0.2.7") -> None:
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", address, 4321))
        self.protocol = site.buildProtocol(self.transport.getPeer())
        self.protocol.makeConnection(self.transport)
        self._method = "GET"

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = "",
        media: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a request.

        :param body: JSON values, or octets.
        """
        self._method = method
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: mta"]
        if key:
            lines.append(f"Authorization: Bearer {key}")
        if body is not None:
            lines += [f"Content-Type: {media}", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.protocol.dataReceived("\r\n".join([*lines, "", ""]).encode() + content)

    def answer(self) -> Answer:
        """What came so far."""
        octets = self.transport.value()
        self.transport.clear()
        return Answer(octets, self._method)

    def ask(self, *what: Any, **how: Any) -> Answer:
        """Send a request, and get the answer that came at once."""
        self.send(*what, **how)
        return self.answer()


class _Socket:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def makefile(self, mode: str) -> BytesIO:
        return BytesIO(self._octets)
