"""Somebody guesses passwords, from a thousand addresses; and an account that was guessed."""

from __future__ import annotations

import base64
import json
import ssl
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server
from tests.e2e.test_access import TEXT, Stranger

_TLS = ssl.create_default_context()
_TLS.check_hostname, _TLS.verify_mode = False, ssl.CERT_NONE
ANNA = "anna@example.org"


class Guesser(Stranger):
    """A client of the submission port, inside TLS."""

    def __init__(self, port: int, address: str) -> None:
        super().__init__(port, address)
        self.greeting = self.reply()
        if self.greeting.startswith(b"220"):
            self.say(b"EHLO client.test", b"STARTTLS"[:0] or b"NOOP")
            self.say(b"STARTTLS")
            self.socket = _TLS.wrap_socket(self.socket)
            self._file = self.socket.makefile("rb")
            self.say(b"EHLO client.test")

    def log_in(self, account: str, password: str) -> bytes:
        """What a log-in is answered."""
        secret = base64.b64encode(f"\0{account}\0{password}".encode())
        return self.say(b"AUTH PLAIN " + secret)[0]


def guess(port: int, address: str, account: str, password: str) -> bytes:
    """One attempt in a connection of its own."""
    try:
        guesser = Guesser(port, address)
    except OSError as error:
        return repr(error).encode()
    try:
        return guesser.log_in(account, password) if guesser.greeting.startswith(b"220") else guesser.greeting
    except OSError as error:
        return repr(error).encode()
    finally:
        guesser.close()


class BruteForceScenario(Scenario):
    def start(self, **settings: object) -> Server:
        """A server that bans loopback, too."""
        self.server = self.part(Server(self.place / "server", **settings)).start()  # type: ignore[arg-type]
        return self.server

    def test_a_thousand_addresses(self) -> None:
        """None gets in, each is in the journal, the network is banned; the owner logs in all the while."""
        server = self.start(
            ban={"never": [], "failures": "5/h", "network_failures": "30/h"},
            authentication={"wait": "1s", "delay": "1s"},
            limits={"connections_per_client": 1000},
        )
        port = server.ports["submission"]
        self.assertIn(b"235", guess(port, "127.9.9.9", ANNA, "anna-secret"))
        addresses = [f"127.{1 + number // 250}.0.{1 + number % 250}" for number in range(1000)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda address: guess(port, address, ANNA, "guess"), addresses))
        self.assertEqual([], [answer for answer in answers if answer.startswith(b"235")])
        kinds = {answer[:9] for answer in answers}
        self.assertLessEqual(kinds, {b"535 5.7.8", b"454 4.7.0", b"421 4.7.0"}, kinds)
        self.assertIn(b"235", guess(port, "127.9.9.9", ANNA, "anna-secret"))
        self.assertIn(b"235", guess(port, "127.9.9.10", ANNA, "anna-secret"))
        # It may be the first one's turn just now; then it is nobody's for long.
        late = [guess(port, address, ANNA, "anna-secret") for address in ("127.200.0.1", "127.201.0.1")]
        self.assertTrue(any(b"454 4.7.0 Too many failed log-ins" in answer for answer in late), late)
        heard = {address for address, answer in zip(addresses, answers, strict=True) if answer[:3] != b"421"}
        self.told(server, "client", heard)

    def test_a_thousand_accounts(self) -> None:
        """Few clients, one password, many names: none fits, and the clients are banned."""
        server = self.start(
            ban={"never": [], "failures": "8/h", "network_failures": "100/h"},
            authentication={"wait": "1s", "delay": "1s"},
            limits={"connections_per_client": 1000},
        )
        port = server.ports["submission"]

        def attempt(number: int) -> tuple[str, bytes]:
            account = f"user{number:04}@example.org"
            return account, guess(port, f"127.0.{number % 20}.9", account, "anna-secret")

        with ThreadPoolExecutor(8) as pool:
            answers = dict(pool.map(attempt, range(1000)))
        self.assertEqual([], [account for account, answer in answers.items() if answer.startswith(b"235")])
        heard = {account for account, answer in answers.items() if answer[:3] in (b"535", b"454")}
        self.told(server, "account", heard)
        banned = json.loads(server.mta("ban", "list", "--json"))
        self.assertEqual(20, sum(one["network"].endswith(".9") for one in banned), banned)
        [status] = json.loads(server.mta("--json", "status"))
        self.assertEqual(len(banned), status["access"]["banned"])

    def told(self, server: Server, what: str, heard: set[str]) -> None:
        """Wait until the journal has a failed log-in of each client or account that was answered."""

        def told() -> bool:
            found = json.loads(server.mta("--json", "trace", "--rejected", "--limit", "5000"))
            return heard <= {event[what] for event in found if event["kind"] == "authentication-failed"}

        wait_for(told, f"not every {what} is in the journal")

    def test_bans(self) -> None:
        """Clients that fail often are banned, then their network; the bans outlive `kill -9`."""
        server = self.start(
            ban={"never": [], "failures": "5/h", "network_failures": "30/h"},
            authentication={"free": 1000},
        )
        port = server.ports["submission"]
        for number in range(8):
            for _ in range(6):
                guess(port, f"127.0.7.{number + 1}", f"user{number}@example.org", "guess")
        wait_for(lambda: "127.0.7.0/24" in server.mta("ban", "list"), "the network is not banned")
        self.assertIn("127.0.7.1 ", server.mta("ban", "list"))
        wait_for(
            lambda: (
                b"421 4.7.0 mx.example.org takes nothing from 127.0.7.0/24"
                in guess(port, "127.0.7.200", ANNA, "x")
            ),
            "the network is let in",
        )
        server.kill()
        server.start()
        self.assertIn(b"421 4.7.0", guess(port, "127.0.7.200", ANNA, "anna-secret"))
        why = server.mta("why", "127.0.7.200")
        self.assertIn("mta ban lift 127.0.7.0/24", why)
        server.mta("ban", "lift", "127.0.7.0/24")
        wait_for(lambda: b"235" in guess(port, "127.0.7.200", ANNA, "anna-secret"), "it is not let in again")
        server.wait_trace("127.0.7.200", "takes nothing from 127.0.7.0/24")

    def test_queue_of_a_stolen_account(self) -> None:
        """What was taken before it was noticed, and is not delivered yet, is held in both workers."""
        server = self.start(abuse={"action": "reject", "volume": 4}, workers=2, queue={"retry": ["1h"]})
        wait_for(lambda: server.output.count("ready: submission ") >= 2, "a worker is not ready")
        port = server.ports["submission"]
        guessers = [Guesser(port, "127.0.0.1") for _ in range(4)]
        for guesser in guessers:
            self.addCleanup(guesser.close)
            self.assertIn(b"235", guesser.log_in(ANNA, "anna-secret"))
            # The DNS of this server does not answer, so it waits.
            self.assertIn(b"250 2", guesser.send(ANNA, ["x@far.test"], TEXT))
        self.assertIn(b"550 5.7.13", guesser.send(ANNA, ["x@far.test"], TEXT))

        def held() -> bool:
            found = json.loads(server.mta("--json", "queue", "list", "--held", "--from", ANNA))
            return len(found) == 4

        wait_for(held, "it is not held")
        [message, *_] = json.loads(server.mta("--json", "queue", "list", "--held"))
        server.wait_trace(message["id"], "hold by abuse", "is suspended because of 5 recipients")
        server.mta("queue", "release", message["id"])
        for guesser in guessers:
            # One that is in the midst of a transaction would be waited for.
            guesser.close()
        self.assertTrue(server.stop())
        server.start()
        found = json.loads(server.mta("--json", "queue", "list", "--held", "--from", ANNA))
        self.assertNotIn(message["id"], [one["id"] for one in found])
        self.assertEqual(3, len(found))

    def test_stolen_account(self) -> None:
        """What is too much is held, postmaster gets a mail, and a person has it go on."""
        server = self.start(abuse={"action": "hold", "volume": 5})
        port = server.ports["submission"]
        guesser = Guesser(port, "127.0.0.1")
        self.addCleanup(guesser.close)
        self.assertIn(b"235", guesser.log_in(ANNA, "anna-secret"))
        for _ in range(5):
            self.assertIn(b"250 2", guesser.send(ANNA, ["ben@example.org"], TEXT))
        server.wait_mail("ben@example.org", 5)
        for _ in range(2):
            self.assertIn(b"250 2", guesser.send(ANNA, ["ben@example.org"], TEXT))
        held = json.loads(server.mta("--json", "queue", "list", "--held", "--from", ANNA))
        self.assertEqual(2, len(held))
        self.assertIn(ANNA, server.mta("account", "list"))
        why = server.mta("why", ANNA)
        self.assertIn(f"the account {ANNA} is suspended by abuse", why)
        self.assertIn("6 recipients in one hour", why)
        server.wait_trace("postmaster", f"The account {ANNA} is suspended")
        [letter] = server.wait_mail("postmaster@example.org")
        self.assertIn(f"mta account resume {ANNA}".encode(), letter)
        server.mta("account", "resume", ANNA, "--reason", "new password")
        wait_for(lambda: "No account is suspended" in server.mta("account", "list"), "it is suspended still")

        def goes_on() -> bool:
            self.assertIn(b"250 2", guesser.send(ANNA, ["ben@example.org"], TEXT))
            return len(server.mails("ben@example.org")) > 5

        wait_for(goes_on, "it is held still")
        server.mta("queue", "release", *(one["id"] for one in held))
        server.wait_mail("ben@example.org", 8)
