"""Mail of the server's own."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import SMTP
from typing import Any

from twisted.internet.defer import fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import Route, TemporarilyUnavailable
from mta.model.ids import IdSource
from mta.queue.letters import Letters
from mta.queue.rerouting import REROUTE

NOW = 1.8e9


class Spool:
    """Keeps messages, or does not."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.trouble: Exception | None = None
        self._ids = IdSource()

    def new_id(self) -> str:
        return self._ids.next(NOW)

    def admit(self, message: Any, events: Any) -> Any:
        if self.trouble is not None:
            return fail(self.trouble)
        self.kept.append((message, *events))
        return succeed(None)


class LetterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.spool = Spool()
        self.admitted: list[Any] = []
        self.routes: Any = [Route("pat@example.org", "maildir", "")]

    def send(self, to: str = "postmaster", subject: str = "An account", text: str = "Look.\n") -> None:
        def route(address: str) -> Any:
            if isinstance(self.routes, Exception):
                raise self.routes
            return self.routes

        letters = Letters(
            spool=self.spool,  # type: ignore[arg-type]
            admitted=self.admitted.append,
            route=route,
            hostname="mx.example.org",
            seconds=lambda: NOW,
        )
        letters.send(to, subject, text)

    def test_letter(self) -> None:
        line = "    a command that is " + "long " * 30
        self.send(text=f"{line}\n", subject="Two\r\nlines")
        [(message, event)] = self.spool.kept
        self.assertEqual([message], self.admitted)
        self.assertEqual(
            ("", ["pat@example.org"]),
            (message.envelope.reverse_path, [a.address for a in message.addressees]),
        )
        letter = message_from_bytes(message.content.data, policy=SMTP)
        self.assertEqual("postmaster@mx.example.org", letter["To"])
        self.assertEqual("Two lines", letter["Subject"])
        self.assertEqual("auto-generated", letter["Auto-Submitted"])
        self.assertIn(line.encode(), message.content.data)
        self.assertEqual((message.id, ["postmaster"]), (event.message, event.recipients))

    def test_no_way_now(self) -> None:
        """It waits in the queue, and is asked again."""
        self.routes = TemporarilyUnavailable("the directory is down")
        self.send("pat@example.org")
        [(message, _)] = self.spool.kept
        self.assertEqual([REROUTE], [addressee.transport for addressee in message.addressees])

    def test_no_room(self) -> None:
        """That nobody could be told stands in the log, and hurts nobody."""
        self.spool.trouble = TemporarilyUnavailable("the disk is full")
        self.send()
        self.assertEqual([], self.admitted)
