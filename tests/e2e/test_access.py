"""Rules, lists, greylist and limits, with a real server, real workers, and a DNS."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.e2e.client import Speaker
from tests.e2e.dns import Dns
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

TEXT = b"Subject: x\r\n\r\nHello.\r\n"
BEN = "ben@example.org"


class Stranger(Speaker):
    """A client from another address of loopback.

    :param address: such as 127.0.0.7.
    """

    def __init__(self, port: int, address: str) -> None:
        import socket

        self.socket = socket.create_connection(("127.0.0.1", port), 60, (address, 0))
        self._file = self.socket.makefile("rb")


def greeting(port: int, address: str) -> bytes:
    """What a client hears first."""
    stranger = Stranger(port, address)
    try:
        return stranger.reply()
    finally:
        stranger.close()


def sent(port: int, address: str, sender: str = "ann@far.test", to: str = BEN) -> bytes:
    """What a message from an address is answered."""
    with Stranger(port, address) as stranger:
        return stranger.send(sender, [to], TEXT)


class AccessScenario(Scenario):
    """One server, its rules in a file."""

    def setUp(self) -> None:
        super().setUp()
        self.dns = self.part(Dns())
        self.server = Server(self.place / "server", dns={"servers": [self.dns.address], "timeout": 4})

    def start(self, **settings: Any) -> Server:
        self.server.change(**settings)
        self.server.write()
        self.part(self.server).start()
        return self.server

    def test_rules(self) -> None:
        """A client is refused at once; another's mail is held; a reload has new rules."""
        (self.place / "server" / "clients").write_text("127.0.0.7 reject 554 Not you\n127.0.0.8 hold\n")
        server = self.start(access={"rule": [{"name": "who", "file": "clients", "of": "client"}]})
        port = server.ports["mx"]
        self.assertIn(
            b"554 5.7.1 Not you (rule who:127.0.0.7); if this is wrong, write to", greeting(port, "127.0.0.7")
        )
        told = server.wait_trace("127.0.0.7", "refused at connect", "access.who:127.0.0.7")
        self.assertIn("remedy", told)
        self.assertIn(b"250 2", sent(port, "127.0.0.8"))
        why = server.mta("why", "127.0.0.8")
        self.assertIn("held", why)
        self.assertIn("mta queue release", why)
        self.assertIn(b"250 2", sent(port, "127.0.0.9"))
        (self.place / "server" / "clients").write_text("127.0.0.9\n")
        server.reload()
        self.assertIn(b"554 5.7.1 You are refused (rule who:127.0.0.9)", greeting(port, "127.0.0.9"))
        self.assertIn(b"220", greeting(port, "127.0.0.7"))
        (self.place / "server" / "clients").write_text("127.0.0.9 fly\n")
        server.reload()
        self.assertIn("no action", server.output)
        self.assertIn(b"554", greeting(port, "127.0.0.9"))

    def test_lists(self) -> None:
        """A listed client is refused with what the list says; `mta why` and `mta test` tell the facts."""
        self.dns.records["7.0.0.127.bl.test", "A"] = ["127.0.0.2"]
        self.dns.records["7.0.0.127.bl.test", "TXT"] = ['"Sent spam"']
        self.dns.records["8.0.0.127.in-addr.arpa", "PTR"] = ["mx.far.test."]
        self.dns.records["mx.far.test", "A"] = ["127.0.0.8"]
        self.dns.trouble["slow.test"] = "silent"
        lists = [{"zone": "bl.test", "weight": 10}, {"zone": "slow.test", "weight": 10}]
        server = self.start(
            judge=[{"kind": "reputation", "lists": lists, "no_reverse_name": 3, "timeout": "5s", "tag": 3}],
            dns={"timeout": 20},
        )
        port = server.ports["mx"]
        reply = sent(port, "127.0.0.7")
        self.assertIn(b"550 5.7.1 127.0.0.7 is refused: ", reply)
        self.assertIn(b"127.0.0.7 is on bl.test (Sent spam)", reply)
        server.wait_trace("127.0.0.7", "reputation.reject")
        why = server.mta("why", "127.0.0.7")
        for words in ("+10: 127.0.0.7 is on bl.test", "+3: its address has no name", "remedy", "slow.test"):
            self.assertIn(words, why)
        # The others need not wait for a list that says nothing.
        self.dns.trouble["slow.test"] = "SERVFAIL"
        self.assertIn(b"250 2", sent(port, "127.0.0.8"))
        self.assertIn(b"250 2", sent(port, "127.0.0.9"))
        [_mail] = [
            mail
            for mail in server.wait_mail(BEN, 2)
            if b"X-Mta-Reputation: 3 (its address has no name)" in mail
        ]
        told = server.mta(
            "test", BEN, "--client-ip", "127.0.0.7", "--helo", "x.test", "--from", "a@b.test", check=False
        )
        self.assertIn("is on bl.test", told)

    def test_limit_survives(self) -> None:
        """What was used up before `kill -9` is used up after it."""
        server = self.start(limit=[{"name": "few", "by": "client", "messages": "3/d"}])
        port = server.ports["mx"]
        for _ in range(3):
            self.assertIn(b"250 2", sent(port, "127.0.0.7"))
        self.assertIn(b"450 4.7.1 3 messages in 24 hours by client 127.0.0.7", sent(port, "127.0.0.7"))
        server.kill()
        server.start()
        self.assertIn(b"450 4.7.1", sent(port, "127.0.0.7"))
        self.assertIn(b"250 2", sent(port, "127.0.0.8"))
        server.wait_trace("127.0.0.7", "limit.few", "more in")

    def test_damaged(self) -> None:
        """A ledger that is damaged is put aside, and mail goes on."""
        server = self.start(judge=[{"kind": "greylist", "delay": "1h"}])
        port = server.ports["mx"]
        self.assertIn(b"451 4.7.1", sent(port, "127.0.0.7"))
        self.assertTrue(server.stop())
        (server.state / "shared.db").write_bytes(b"damaged" * 10_000)
        server.start()
        self.assertIn(b"451 4.7.1", sent(port, "127.0.0.7"))
        wait_for(lambda: "was damaged" in server.output, "the log does not tell it")
        self.assertEqual(1, len(list(server.state.glob("shared.db.damaged-*[0-9]"))))
        self.assertTrue(server.stop())
        for path in server.state.glob("shared.db*"):
            path.unlink()
        (server.state / "shared.db").mkdir()
        server.start()
        self.assertIn(b"250 2", sent(port, "127.0.0.7"))
        wait_for(lambda: "Mail goes on without greylist" in server.output, "the log does not tell it")

    def test_unconfigured(self) -> None:
        """Without rules nothing is asked, and nothing is made."""
        server = self.start()
        self.assertIn(b"250 2", sent(server.ports["mx"], "127.0.0.7"))
        self.assertEqual([], self.dns.asked)
        self.assertEqual([], list(server.state.glob("shared.db*")))


class WorkersScenario(Scenario):
    """Two workers, one memory."""

    def setUp(self) -> None:
        super().setUp()
        self.server = Server(
            self.place / "server",
            workers=2,
            judge=[{"kind": "greylist", "delay": "1s"}],
            limit=[{"name": "five", "by": "sender", "match": ["eve@far.test"], "messages": "5/d"}],
        )
        self.part(self.server).start()
        wait_for(lambda: len(self.server.workers()) == 2, "there are not two workers")
        wait_for(lambda: self.server.output.count("ready: mx") >= 2, "a worker is not ready")

    def through(self, number: int, sender: str, to: str = BEN) -> bytes:
        """A message that one of the workers takes, because the other is stopped."""
        other = self.server.workers()[1 - number]
        os.kill(other, signal.SIGSTOP)
        try:
            return sent(self.server.ports["mx"], "127.0.0.7", sender, to)
        finally:
            os.kill(other, signal.SIGCONT)

    def test_greylist(self) -> None:
        """Put off by one worker, let in by the other."""
        self.assertIn(b"451 4.7.1 We do not know you yet", self.through(0, "ann@far.test"))
        wait_for(lambda: b"250 2" in self.through(1, "ann@far.test"), "it is never let in")
        self.assertIn(b"250 2", self.through(0, "ann@far.test"))
        self.server.wait_trace("ann@far.test", "greylist", "network: 127.0.0.0/24", "passes in")

    def test_limit(self) -> None:
        """Five in all, whoever takes them."""
        answers = [self.through(number % 2, "eve@far.test", f"{BEN[:3]}@example.org") for number in range(8)]
        # The greylist puts the first off; MAIL has counted all the same.
        self.assertEqual(3, sum(b"450 4.7.1 5 messages" in answer for answer in answers), answers)

    def test_limit_at_once(self) -> None:
        """Whoever knocks at both workers at the same time gets no more."""
        port = self.server.ports["mx"]
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda number: sent(port, "127.0.0.7", "eve@far.test"), range(60)))
        self.assertEqual(55, sum(b"450 4.7.1 5 messages" in answer for answer in answers), answers)

    def test_ban(self) -> None:
        """One worker is told of a ban; the other knows it within a second."""
        port = self.server.ports["mx"]
        self.server.mta("ban", "add", "127.0.0.66", "--reason", "scanner", "--for", "1h")
        listed = json.loads(self.server.mta("--json", "ban", "list"))
        self.assertEqual(["127.0.0.66"], [one["network"] for one in listed])

        def refused(number: int) -> bool:
            other = self.server.workers()[1 - number]
            os.kill(other, signal.SIGSTOP)
            try:
                return b"421 4.7.0 mx.example.org takes nothing from 127.0.0.66" in greeting(
                    port, "127.0.0.66"
                )
            finally:
                os.kill(other, signal.SIGCONT)

        for number in (0, 1):
            wait_for(lambda number=number: refused(number), f"worker {number} lets it in")  # type: ignore[misc]
        why = self.server.mta("why", "127.0.0.66")
        self.assertIn("127.0.0.66 is not let in", why)
        self.assertIn("mta ban lift 127.0.0.66", why)
        told = self.server.mta("test", BEN, "--client-ip", "127.0.0.66", check=False)
        self.assertIn("It would be refused: 421 4.7.0", told)
        self.server.mta("ban", "lift", "127.0.0.66")
        for number in (0, 1):
            wait_for(lambda number=number: not refused(number), f"worker {number} does not let it in")  # type: ignore[misc]
        with sqlite3.connect(self.server.state / "shared.db") as base:
            self.assertEqual([], base.execute("SELECT key FROM entries WHERE kind = 'ban'").fetchall())
