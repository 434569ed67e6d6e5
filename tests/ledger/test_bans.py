"""Who is not let in, for how long, and why."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Ban
from mta.ledger.bans import Bans, normal
from mta.model.event import AuthenticationFailed, Event, Rejected
from mta.model.network import NetworkTable, block, client_of, network_of
from tests.ledger.memory import MemoryLedger


class NetworkTests(SynchronousTestCase):
    """Which addresses are one."""

    def test_blocks(self) -> None:
        self.assertEqual("192.0.2.1", client_of("192.0.2.1"))
        self.assertEqual("192.0.2.1", client_of("::ffff:192.0.2.1"))
        self.assertEqual("2001:db8::/64", client_of("2001:db8::1%eth0"))
        self.assertEqual(
            ("192.0.2.0/24", "2001:db8::/48"), (network_of("192.0.2.1"), network_of("2001:db8::1"))
        )
        self.assertEqual("", block("", 24, 64))

    def test_table(self) -> None:
        table = NetworkTable(
            (ip_network(text), text) for text in ("192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "10.0.0.0/8")
        )
        for address, found in (
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.8", "192.0.2.0/24"),
            ("2001:db8:1::1", "2001:db8::/32"),
            ("10.9.9.9", "10.0.0.0/8"),
            ("203.0.113.1", None),
            ("nonsense", None),
        ):
            self.assertEqual(found, table.find(address), address)


class BanTests(SynchronousTestCase):
    """``[ban]``."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1.8e9)
        self.ledger = MemoryLedger(self.clock)
        self.noted: list[Any] = []
        self.bans = self.make()

    def make(self, **settings: Any) -> Bans:
        made = Ban.model_validate({"failures": "3/h", "network_failures": "6/h", **settings})
        return Bans(
            self.ledger,  # type: ignore[arg-type]
            made,
            (ip_network("192.0.9.0/24"),),
            hostname="mx.example.org",
            contact="postmaster@mx.example.org",
            seconds=self.clock.seconds,
            note=self.noted.extend,
        )

    def fail(self, address: str, times: int = 1, **more: Any) -> None:  # type: ignore[override]
        event: Event = AuthenticationFailed(at=0.0, account="ann", client=address, **more)
        self.bans.events([event] * times)

    def test_failures(self) -> None:
        self.fail("192.0.2.1", 3)
        self.assertIsNone(self.bans.refusal("192.0.2.1"))
        self.fail("192.0.2.1")
        reply = self.bans.refusal("192.0.2.1")
        assert reply is not None
        self.assertEqual(
            "421 4.7.0 mx.example.org takes nothing from 192.0.2.1 for 60 minutes: "
            "more than 3 failed log-ins in 60 minutes; if this is wrong, write to postmaster@mx.example.org",
            str(reply),
        )
        self.assertIsNone(self.bans.refusal("192.0.2.2"))
        [event] = self.noted
        self.assertEqual(("192.0.2.1", "banned", "ban"), (event.network, event.action, event.by))
        self.clock.advance(3601)
        self.assertIsNone(self.bans.refusal("192.0.2.1"))

    def test_longer_each_time(self) -> None:
        spans = []
        for _ in range(7):
            self.fail("192.0.2.1", 4)
            spans.append(self.noted[-1].until - self.clock.seconds())
            self.clock.advance(spans[-1] + 1)
        self.assertEqual([1, 2, 4, 8, 16, 24, 24], [round(span / 3600) for span in spans])

    def test_network(self) -> None:
        """Many clients of one network, with little each."""
        for number in range(7):
            self.fail(f"192.0.2.{number}")
        self.assertIsNotNone(self.bans.refusal("192.0.2.200"))
        self.assertIsNone(self.bans.refusal("192.0.3.1"))

    def test_owners_are_spared(self) -> None:
        """A client at which people log in is banned neither by itself nor with its network."""
        self.ledger.book.put("known-client", "192.0.2.1", 1, 1000.0)
        self.fail("192.0.2.1", 10)
        self.assertIsNone(self.bans.refusal("192.0.2.1"))
        for number in range(2, 10):
            self.fail(f"192.0.2.{number}")
        self.assertIsNotNone(self.bans.refusal("192.0.2.9"))
        self.assertIsNone(self.bans.refusal("192.0.2.1"))

    def test_never(self) -> None:
        for address in ("127.0.0.1", "::1", "192.0.9.1", ""):
            self.fail(address, 20)
            self.assertIsNone(self.bans.refusal(address))
        self.assertEqual([], self.noted)

    def test_our_trouble(self) -> None:
        """A directory that is down bans nobody, nor does a ledger."""
        self.fail("192.0.2.1", 20, temporary=True)
        self.ledger.down = True
        self.fail("192.0.2.1", 20)
        self.assertEqual([], self.noted)

    def refuse(self, times: int, **more: Any) -> None:
        about: dict[str, Any] = {
            "stage": "recipient",
            "code": 550,
            "reply": "550 no",
            "client": "192.0.2.1",
            **more,
        }
        self.bans.events([Rejected(at=0.0, **about)] * times)

    def test_refusals(self) -> None:
        self.refuse(20)
        self.assertEqual([], self.noted)
        self.bans = self.make(refusals="5/h")
        self.refuse(20, code=450)
        self.refuse(20, account="ann@example.org")
        self.refuse(20, name="auth-required")
        self.assertEqual([], self.noted)
        self.ledger.book.put("known-client", "192.0.2.1", 1, 60.0)
        self.refuse(20)
        self.assertEqual([], self.noted)
        self.clock.advance(61)
        self.refuse(6)
        self.assertIn("more than 5 refusals", self.noted[0].reason)

    def test_by_hand(self) -> None:
        add = ensureDeferred(self.bans.add("2001:db8::1/64", "root", "scanners", 60.0))
        self.assertEqual("2001:db8::/64", self.successResultOf(add))
        self.assertIn("scanners", str(self.bans.refusal("2001:db8::99")))
        self.successResultOf(ensureDeferred(self.bans.add("127.0.0.9", "root")))
        self.assertIn("until somebody lifts it", str(self.bans.refusal("127.0.0.9")))
        self.clock.advance(1e8)
        self.assertIsNotNone(self.bans.refusal("127.0.0.9"))
        self.assertIsNone(self.bans.refusal("2001:db8::99"))
        gone = self.successResultOf(ensureDeferred(self.bans.lift("127.0.0.9", "root")))
        self.assertEqual(["127.0.0.9"], gone)
        self.assertIsNone(self.bans.refusal("127.0.0.9"))
        self.assertEqual(["banned", "banned", "lifted"], [event.action for event in self.noted])
        self.failureResultOf(ensureDeferred(self.bans.add("nonsense", "root")), ValueError)

    def test_narrow_and_wide(self) -> None:
        """A ban that is over does not hide a wider one."""
        self.successResultOf(ensureDeferred(self.bans.add("192.0.2.7", "root", "", 60.0)))
        self.successResultOf(ensureDeferred(self.bans.add("192.0.2.0/24", "root", "wide", 600.0)))
        self.clock.advance(61)
        self.assertIn("wide", str(self.bans.refusal("192.0.2.7")))

    def test_lift_what_keeps_an_address_out(self) -> None:
        self.successResultOf(ensureDeferred(self.bans.add("192.0.2.0/24", "root")))
        gone = self.successResultOf(ensureDeferred(self.bans.lift("192.0.2.7", "root")))
        self.assertEqual(["192.0.2.0/24"], gone)
        self.assertEqual([], self.successResultOf(ensureDeferred(self.bans.lift("192.0.2.7", "root"))))

    def test_names(self) -> None:
        for text, found in ((" [192.0.2.1] ", "192.0.2.1"), ("192.0.2.9/24", "192.0.2.0/24"), ("::1", "::1")):
            self.assertEqual(found, normal(text))
