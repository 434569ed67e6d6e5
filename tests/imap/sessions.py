"""IMAP sessions in memory, over a Maildir on disk."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from mta.config.mailbox_settings import UsualFolders
from mta.config.settings import Imap
from mta.imap.factory import ImapFactory
from mta.imap.protocol import ImapProtocol
from mta.interfaces import TemporarilyUnavailable
from mta.mailbox.folders import Folders
from mta.mailbox.mailroom import Mailroom
from mta.model.event import Event
from mta.smtp.connections import Connections
from mta.visit.premises import Home, Terms
from tests.mailbox.maildirs import Maildir
from tests.smtp.server_fakes import limits
from tests.visit.fakes import Direct, Passwords


class Client:
    """A client; what it reads is what came since it last wrote."""

    def __init__(self, protocol: ImapProtocol) -> None:
        self.protocol = protocol
        self.transport = StringTransport()
        protocol.makeConnection(self.transport)

    def heard(self) -> list[bytes]:
        """The lines that have come."""
        found = self.transport.value()
        self.transport.clear()
        return found.split(b"\r\n")[:-1]

    def say(self, octets: bytes) -> list[bytes]:
        """Write, and hear the answer."""
        self.transport.clear()
        self.protocol.dataReceived(octets)
        return self.heard()

    def do(self, command: bytes) -> list[bytes]:
        """A command with the tag ``a``."""
        return self.say(b"a " + command + b"\r\n")


def serve(
    clock: Clock, room: Mailroom, home: Any, note: Any, settings: Imap | None = None, **bounds: Any
) -> ImapFactory:
    """A server for accounts whose homes ``home`` tells."""
    terms = Terms(
        role="imap",
        hostname="mx.example.org",
        settings=settings or Imap(clear_from=["10.0.0.0/8"]),  # type: ignore[call-arg,list-item]
        limits=limits(**bounds),
        authenticator=Passwords("right"),
        tls=None,
        home=home,
        folders=Folders(UsualFolders().by_use()),
    )
    # What the kernel tells comes through a reactor.
    room.watcher._kernel = lambda folder, path: None  # type: ignore[method-assign]
    numbers = count()
    return ImapFactory(clock, terms, room, Connections(terms.limits), lambda: f"s{next(numbers)}", note)


class ImapCase(SynchronousTestCase):
    """A server with one mailbox."""

    def setUp(self) -> None:
        self.place = Path(self.mktemp()).absolute()
        self.maildir = Maildir(self.place / "box")
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.events: list[Event] = []
        self.trouble = ""
        self.quota = 0
        self.make()

    def make(self, settings: Imap | None = None, **bounds: Any) -> None:
        """Make the server."""

        async def home(account: str) -> Home:
            if self.trouble:
                raise TemporarilyUnavailable(self.trouble)
            return Home(str(self.maildir.path), self.quota)

        self.room = Direct(self.clock, self.place / "state")
        self.addCleanup(self.room.watcher.stop)
        self.factory = serve(self.clock, self.room, home, self.events.append, settings, **bounds)

    def connect(self, address: str = "10.1.2.3") -> Client:
        """A client that has connected."""
        return Client(self.factory.buildProtocol(IPv4Address("TCP", address, 1)))

    def logged_in(self) -> Client:
        """A client that has logged in."""
        client = self.connect()
        answer = client.do(b"LOGIN anna right")
        self.assertIn(b"a OK [CAPABILITY", answer[-1])
        return client

    def selected(self, name: bytes = b"INBOX", command: bytes = b"SELECT") -> Client:
        """A client that has selected a folder."""
        client = self.logged_in()
        answer = client.do(command + b" " + name)
        self.assertIn(b"a OK", answer[-1])
        return client
