"""Requests that are too long are answered."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from mta.api.v1.site import HEADER, ApiSite
from tests.api.v1.channel import Channel


class TooLongTests(SynchronousTestCase):
    def ask(self, path: str, **headers: str) -> tuple[int, str]:
        clock = Clock()
        site = ApiSite(Resource(), 2000, 30)
        site.reactor = clock
        channel = Channel(site)
        channel.protocol.callLater = clock.callLater
        getattr(channel.protocol, "_channel", channel.protocol).callLater = clock.callLater
        answer = channel.ask("GET", path, headers=headers)
        # What comes after it is no other request.
        channel.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(b"", channel.transport.value())
        clock.advance(5)
        self.assertTrue(channel.transport.disconnecting)
        self.assertEqual("application/problem+json", answer.headers["content-type"])
        return answer.status, answer.json["type"].rpartition("#problem-")[2]

    def test_query(self) -> None:
        self.assertEqual((414, "uri-too-long"), self.ask("/v1/contacts/import?columns=" + "a" * HEADER))

    def test_field(self) -> None:
        self.assertEqual((431, "header-too-large"), self.ask("/", **{"X-Long": "a" * HEADER}))
