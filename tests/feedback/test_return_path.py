"""Which reverse-path a copy gets, and where what comes back to it goes."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.feedback.bounce_addresses import BounceAddresses
from mta.feedback.keys import derived_key, read_keys
from mta.feedback.return_path import ReturnPaths
from mta.interfaces import Route, RouteError, settle
from mta.model.address import domain_of
from mta.model.event import Event, Received
from mta.model.ids import IdSource

NOW = 1_800_000_000.0
ID = IdSource(0).next(NOW)
KEYS = [b"new key" * 4, b"old key" * 4]
DAY = 86400.0
OURS = ("example.org", "news.example.org", "bounces.example.org")


class TableJournal:
    """Knows one message."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events

    async def message(self, identifier: str) -> Sequence[Event]:
        return [event for event in self.events if event.message == identifier]


class BenchTests(SynchronousTestCase):
    sender = "anna@news.example.org"

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.paths = self.paths_with(KEYS)
        self.copies = True

    def paths_with(self, keys: Sequence[bytes]) -> ReturnPaths:
        verp = {"news.example.org": "bounces.example.org"}
        return ReturnPaths(verp, "example.org", keys, OURS.__contains__, self.clock)

    def path(self, sender: str, original: str, address: str) -> str | None:
        found = self.paths.return_path(ID, sender, original, address)
        return self.successResultOf(_deferred(found))

    def route(self, address: str, sender: str = "") -> Any:
        received = Received(at=NOW, message=ID, sender=sender or self.sender, recipients=["x@example.org"])
        addresses = BounceAddresses(
            domains={"bounces.example.org", "example.org"},
            addresses=["Complaints@fbl.example.org"],
            served={"example.org"}.__contains__,
            keys=KEYS,
            expire=21 * DAY,
            copies=self.copies,
            route=lambda to: (Route(to, "relay", domain_of(to)),),
            journal=TableJournal([received]),
            clock=self.clock,
        )
        found = addresses.route(address)
        if isinstance(found, Awaitable):
            found = self.successResultOf(_deferred(found))
        return found


class ReturnPathTests(BenchTests):
    #: Sender, forward-path, final address; the beginning of the reverse-path, if it is another.
    PATHS: ClassVar = [
        ("anna@news.example.org", "a@far.test", "a@far.test", "bounce-"),
        ("anna@news.example.org", "friends@example.org", "a@far.test", "bounce-"),
        ("anna@news.example.org", "ben@example.org", "ben@example.org", ""),
        ("anna@example.org", "a@far.test", "a@far.test", ""),
        ("", "friends@example.org", "a@far.test", ""),
        ("ann@else.test", "friends@example.org", "a@far.test", "SRS0="),
        ("SRS0=abcd=AA=else.test=ann@hop.test", "friends@example.org", "a@far.test", "SRS1="),
        ("ann@else.test", "ben@example.org", "ben@example.org", ""),
        ("ann@else.test", "a@far.test", "a@far.test", ""),
        (f"{'a' * 60}@else.test", "friends@example.org", "a@far.test", "return-"),
        ('"an n"@else.test', "friends@example.org", "a@far.test", '"SRS0='),
    ]

    def test_paths(self) -> None:
        for sender, original, address, beginning in self.PATHS:
            found = self.path(sender, original, address)
            where = f"{sender} {original} {address}: {found}"
            self.assertEqual(bool(beginning), found is not None, where)
            self.assertTrue((found or "").startswith(beginning), where)

    def test_one_for_each(self) -> None:
        found = {self.path(self.sender, to, to) for to in ("a@far.test", "b@far.test")}
        self.assertEqual(2, len(found))
        # Each attempt has the same.
        self.assertIn(self.path(self.sender, "a@far.test", "a@far.test"), found)


class BounceAddressTests(BenchTests):
    def bounce(self, to: str = "a@far.test") -> str:
        found = self.path(self.sender, to, to)
        assert found is not None
        return found

    def test_token(self) -> None:
        """To the transport that reads, and to the sender unless that is off."""
        address = self.bounce()
        copy, report = self.route(address)
        self.assertEqual((self.sender, "relay"), (copy.address, copy.transport))
        self.assertEqual(
            ("feedback", ID, 1), (report.transport, report.options["about"], report.options["copied"])
        )
        self.copies = False
        [report] = self.route(address)
        self.assertEqual("feedback", report.transport)
        self.assertNotIn("copied", report.options)

    def test_srs(self) -> None:
        for sender in ("ann@else.test", '"an n"@else.test', f"{'a' * 60}@else.test"):
            path = self.path(sender, "friends@example.org", "a@far.test")
            assert path is not None
            copy, report = self.route(path, sender)
            self.assertEqual((sender, "feedback"), (copy.address, report.transport))

    def test_chain(self) -> None:
        """A bounce goes to the server that forwarded it first."""
        path = self.path("SRS0=abcd=AA=else.test=ann@hop.test", "friends@example.org", "a@far.test")
        assert path is not None
        copy, _ = self.route(path)
        self.assertEqual(("SRS0=abcd=AA=else.test=ann@hop.test", "hop.test"), (copy.address, copy.next_hop))

    def test_keys_change(self) -> None:
        """The first signs, all verify; one that was taken away verifies nothing."""
        self.paths = self.paths_with(KEYS[1:])
        self.assertEqual(2, len(self.route(self.bounce())))
        self.paths = self.paths_with([b"gone" * 8])
        self.assertRaises(RouteError, self.route, self.bounce())

    def test_refused(self) -> None:
        forged = self.bounce().replace("bounce-0", "bounce-1", 1)
        for address in (forged, "SRS0=abcd=AA=else.test=ann@example.org", "who@bounces.example.org"):
            error = self.assertRaises(RouteError, self.route, address)
            self.assertEqual(550, error.reply.code)
        address = self.bounce()
        self.clock.advance(22 * DAY)
        self.assertRaises(RouteError, self.route, address)

    def test_sender_is_forgotten(self) -> None:
        """A message that is not in the journal any more: its bounce is read all the same."""
        other = IdSource(1).next(NOW)
        found = self.successResultOf(
            _deferred(self.paths.return_path(other, self.sender, "a@far.test", "a@far.test"))
        )
        [report] = self.route(found)
        self.assertEqual("feedback", report.transport)
        long = f"{'a' * 60}@else.test"
        found = self.successResultOf(
            _deferred(self.paths.return_path(other, long, "friends@example.org", "a@far.test"))
        )
        self.assertRaises(self.failureException, self.route, found)

    def test_others(self) -> None:
        [report] = self.route("complaints@FBL.example.org")
        self.assertEqual("feedback", report.transport)
        # Of a domain that has people, those are asked next; of one that has none, the postmaster is ours.
        self.assertIsNone(self.route("anna@example.org"))
        self.assertIsNone(self.route("a@far.test"))
        [route] = self.route("Postmaster@bounces.example.org")
        self.assertEqual("postmaster", route.address)


class KeyTests(SynchronousTestCase):
    def file(self, text: str) -> Path:
        path = Path(self.mktemp())
        path.write_text(text)
        return path

    def test_file(self) -> None:
        path = self.file("# of May\n\nfirst-key-0123456789\n second-key-0123456789 \n")
        self.assertEqual([b"first-key-0123456789", b"second-key-0123456789"], read_keys(path))

    def test_mistakes(self) -> None:
        for text, word in (("", "no key"), ("# only\n", "no key"), ("short\n", "less than 16")):
            self.assertIn(word, str(self.assertRaises(ValueError, read_keys, self.file(text))))
        self.assertIn("No such file", str(self.assertRaises(ValueError, read_keys, "nowhere")))

    def test_derived(self) -> None:
        self.assertEqual(derived_key(b"x"), derived_key(b"x"))
        self.assertNotEqual(derived_key(b"x"), derived_key(b"y"))


def _deferred(answer: Any) -> Any:
    from twisted.internet.defer import Deferred

    return Deferred.fromCoroutine(settle(answer))
