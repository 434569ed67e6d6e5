"""Passwords are tried slowly, and nobody locks out others."""

from __future__ import annotations

from typing import Any

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Authentication
from mta.identity.authenticator import Authenticator
from mta.identity.throttle import Throttle, delay
from mta.interfaces import Denied, Success
from mta.model.envelope import Client
from tests.ledger.memory import MemoryLedger

ANN = "ann@example.org"


class Portal:
    """Knows one password."""

    def __init__(self) -> None:
        self.asked = 0

    async def login(self, credentials: Any, mind: Any, interface: Any) -> Any:
        self.asked += 1
        if credentials.password != b"right":
            raise UnauthorizedLogin("wrong password")

        class Account:
            name = credentials.username.decode()

        return interface, Account(), None


class Checker:
    """Takes passwords."""

    def __init__(self) -> None:
        from twisted.cred.credentials import IUsernamePassword

        self.credentialInterfaces = (IUsernamePassword,)


class ThrottleTests(SynchronousTestCase):
    """With the authenticator around it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1.8e9)
        self.ledger = MemoryLedger(self.clock)
        self.settings = Authentication.model_validate({})
        self.struck: list[str] = []
        self.portal = Portal()
        throttle = Throttle(self.ledger, self.settings, self.clock, self.struck.append)  # type: ignore[arg-type]
        self.authenticator = Authenticator(self.portal, (Checker(),), b"s" * 32, throttle)  # type: ignore[arg-type]

    def try_in(self, password: str, address: str, account: str = ANN) -> Deferred[Any]:
        client = Client("s1", "submission", address, tls_version="TLSv1.3")
        exchange = self.authenticator.begin("PLAIN", client, lambda kind: None)
        return ensureDeferred(exchange.step(f"\0{account}\0{password}".encode()))

    def log_in(self, password: str, address: str, account: str = ANN) -> tuple[Any, float]:
        """What came of it, and how long it took."""
        answer, took = self.try_in(password, address, account), 0.0
        while not answer.called:
            self.clock.advance(0.5)
            took += 0.5
        return self.successResultOf(answer), took

    def test_delays(self) -> None:
        found = [delay(number, self.settings) for number in (0, 2, 3, 4, 5, 20, 2000)]
        self.assertEqual([0.0, 0.0, 2.0, 4.0, 8.0, 900.0, 900.0], found)

    def test_grows(self) -> None:
        """After three free ones each takes longer; then it is not even looked at."""
        waits = [self.log_in("wrong", "192.0.2.1")[1] for _ in range(6)]
        self.assertEqual([0.0, 0.0, 0.0, 2.0, 4.0, 8.0], waits)
        seen = self.portal.asked
        denied, _ = self.log_in("right", "192.0.2.1")
        self.assertEqual((True, 16.0), (denied.temporary, denied.wait))
        self.assertEqual(seen, self.portal.asked)
        self.assertEqual(["192.0.2.1"], self.struck)
        self.clock.advance(16)
        self.assertIsInstance(self.log_in("right", "192.0.2.1")[0], Success)

    def test_many_at_once(self) -> None:
        """Connections at the same time get their turns one after the other, or none."""
        for _ in range(4):
            self.log_in("wrong", "192.0.2.1")
        self.clock.advance(10)
        seen = self.portal.asked
        answers = [self.try_in("wrong", "192.0.2.1") for _ in range(50)]
        self.clock.pump([0.5] * 40)
        self.assertLessEqual(self.portal.asked - seen, 4)
        refused = [found for found in map(self.successResultOf, answers) if found.wait]
        self.assertGreaterEqual(len(refused), 46)

    def test_many_addresses(self) -> None:
        """A thousand clients that guess one password are slowed down together."""
        tried = 0
        for number in range(1000):
            answer = self.try_in("wrong", f"198.{18 + number // 65536}.{number // 256}.{number % 256}")
            self.clock.advance(1)
            tried += isinstance(answer.result if answer.called else None, Denied) and not answer.result.wait
        self.assertLess(self.portal.asked, 20)
        self.assertLess(tried, 20)

    def test_owner_is_not_locked_out(self) -> None:
        """Where the account has logged in before, what strangers do costs nothing."""
        self.assertIsInstance(self.log_in("right", "192.0.2.1")[0], Success)
        for number in range(100):
            self.try_in("wrong", f"203.0.113.{number}")
            self.clock.advance(1)
        for address in ("192.0.2.1", "192.0.2.99"):
            found, took = self.log_in("right", address)
            self.assertIsInstance(found, Success)
            self.assertEqual(0.0, took)
        stranger, _ = self.log_in("right", "198.51.100.1")
        self.assertTrue(stranger.wait)

    def test_from_the_owner_s_client(self) -> None:
        """Whoever guesses from there is slowed down; its owner waits a few seconds, and gets in."""
        self.log_in("right", "192.0.2.1")
        for _ in range(30):
            found, took = self.log_in("wrong", "192.0.2.1")
            self.assertFalse(found.wait)
            self.assertLessEqual(took, 10.0)
        found, took = self.log_in("right", "192.0.2.1")
        self.assertIsInstance(found, Success)
        self.assertEqual(10.0, took)

    def test_forgotten(self) -> None:
        for _ in range(4):
            self.log_in("wrong", "192.0.2.1")
        self.clock.advance(3610)
        self.assertEqual(0.0, self.log_in("wrong", "192.0.2.1")[1])

    def test_other_accounts(self) -> None:
        """A client that fails for many accounts is slowed down for all of them."""
        for number in range(4):
            self.log_in("wrong", "192.0.2.1", f"user{number}@example.org")
        self.assertEqual(4.0, self.log_in("right", "192.0.2.1")[1])
        self.assertEqual(0.0, self.log_in("right", "198.51.100.1")[1])

    def test_webmail(self) -> None:
        """From where many people log in, what one of them does wrong holds up nobody else."""
        throttle = Throttle(self.ledger, self.settings, self.clock, self.struck.append, "127.0.0.1".__eq__)  # type: ignore[arg-type]
        self.authenticator.throttle = throttle
        for number in range(20):
            self.log_in("wrong", "127.0.0.1", f"user{number}@example.org")
        self.assertEqual(0.0, self.log_in("right", "127.0.0.1")[1])
        for _ in range(5):
            self.log_in("wrong", "127.0.0.1", "eve@example.org")
        self.assertEqual(8.0, self.log_in("wrong", "127.0.0.1", "eve@example.org")[1])
        self.assertEqual([], self.struck)

    def test_ledger_is_down(self) -> None:
        """Then nobody is held up."""
        self.ledger.down = True
        for _ in range(10):
            found, took = self.log_in("wrong", "192.0.2.1")
            self.assertEqual((False, 0.0), (found.temporary, took))
        self.assertIsInstance(self.log_in("right", "192.0.2.1")[0], Success)

    def test_malformed(self) -> None:
        """What is no password counts for nothing."""
        client = Client("s1", "submission", "192.0.2.1", tls_version="TLSv1.3")
        exchange = self.authenticator.begin("PLAIN", client, lambda kind: None)
        self.assertTrue(self.successResultOf(ensureDeferred(exchange.step(b"x"))).malformed)
        self.assertEqual(0, self.ledger.asked)
