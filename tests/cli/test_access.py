"""Why somebody was refused, who is banned, which accounts are suspended; without a server."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any

from mta.ledger.book import FOREVER, Book, open_book
from mta.model.event import AuthenticationFailed, Received, Rejected
from mta.model.event_access import Banned, Suspended
from tests.cli.command import CommandCase
from tests.journal.shard import NOON, ids

ANN = "ann@example.org"


def refused(at: float, **more: Any) -> Rejected:
    about: dict[str, Any] = {
        "rule": "reputation.reject",
        "name": "reputation-denied",
        "session": f"s{at:.0f}",
        "stage": "recipient",
        "code": 550,
        "reply": "550 5.7.1 192.0.2.9 is refused: it is on bl.test",
        "client": "192.0.2.9",
        "sender": "x@far.test",
        "recipient": ANN,
        "evidence": {"score": "13, reject from 10", "finding": ["+10: it is on bl.test", "+3: no name"]},
    }
    return Rejected(at=at, **{**about, **more})


class AccessTests(CommandCase):
    def book(self) -> Book:
        connection = open_book(self.state / "shared.db")
        self.addCleanup(connection.close)
        return Book(connection, time.time())

    def test_ban_list(self) -> None:
        self.assertIn("Nobody is banned", self.mta("ban", "list").out)
        book = self.book()
        book.put("ban", "192.0.2.0/24", {"reason": "too much", "by": "ban", "since": NOON}, 3000.0)
        book.put("ban", "198.51.100.1", {"reason": "", "by": "root", "since": NOON - 5}, FOREVER)
        out = self.mta("ban", "list").out
        self.assertIn("too much", out)
        self.assertIn("when lifted", out)
        found = self.mta("ban", "list", "--json").json
        self.assertEqual([None], [one["until"] for one in found if one["network"] == "198.51.100.1"])
        self.assertIn("is not running", self.mta("ban", "lift", "192.0.2.1", status=os.EX_UNAVAILABLE).err)
        self.mta("ban", "add", "192.0.2.1", "--for", "soon", status=os.EX_USAGE)

    def test_account_list(self) -> None:
        self.assertIn("No account is suspended", self.mta("account", "list").out)
        value = {
            "reason": "50 recipients",
            "by": "abuse",
            "since": NOON,
            "action": "hold",
            "facts": {"n": 50},
        }
        self.book().put("suspended", ANN, value)
        out = self.mta("account", "list").out
        for words in (ANN, "50 recipients", "hold", "n: 50"):
            self.assertIn(words, out)

    def test_why_client(self) -> None:
        """The ban, then refusals by rule, and the newest with its facts and the way out; in one screen."""
        self.shards[0].write([refused(NOON + number) for number in range(30)])
        failed = AuthenticationFailed(
            at=NOON + 50,
            session="s9",
            account=ANN,
            client="192.0.2.9",
            reason="wrong password",
            code=535,
            reply="535 5.7.8 no",
            name="auth-failed",
        )
        self.shards[1].write([failed] * 12)
        self.book().put("ban", "192.0.2.0/24", {"reason": "12 failed log-ins", "by": "ban"}, 3000.0)
        out = self.mta("why", "192.0.2.9").out
        for words in (
            "192.0.2.9 is not let in: 192.0.2.0/24 is banned by ban",
            "12 failed log-ins",
            "`mta ban lift 192.0.2.0/24`",
            "30  reputation.reject (at recipient)",
            "12  auth-failed (at auth)",
            "because  finding: +10: it is on bl.test",
            "remedy",
        ):
            self.assertIn(words, out)
        self.assertLess(len(out.splitlines()), 40)
        found = self.mta("why", "192.0.2.9", "--json").json
        self.assertEqual([12, 30], sorted(group["count"] for group in found["refused"]))

    def test_why_spared(self) -> None:
        value = {"reason": "x", "by": "ban", "spared": ["192.0.2.9"]}
        self.book().put("ban", "192.0.2.0/24", value, 3000.0)
        self.assertIn("nothing speaks against", self.mta("why", "192.0.2.9", status=os.EX_NOINPUT).err)

    def test_why_address(self) -> None:
        """Of a sender, a recipient or an account: refusals, and messages that were held or marked."""
        one, two, three = ids(3)
        about: dict[str, Any] = {"sender": "x@far.test", "recipients": [ANN], "client": "192.0.2.9"}
        self.shards[0].write(
            [
                Received(
                    at=NOON, message=one, held="access.who: odd", tags={"access": {"who": "hold"}}, **about
                ),
                Received(at=NOON + 1, message=two, tags={"reputation": {"score": 6}}, **about),
                Received(at=NOON + 2, message=three, **about),
                refused(NOON + 3),
            ]
        )
        self.book().put("suspended", ANN, {"reason": "50 recipients", "by": "abuse", "facts": {"n": 50}})
        out = self.mta("why", ANN).out
        for words in (
            f"the account {ANN} is suspended by abuse",
            f"mta account resume {ANN}",
            f"message {one}: held",
            f"mta queue release {one}",
            f"message {two}: taken and marked",
            "reputation score: 6",
            "rule     reputation.reject",
        ):
            self.assertIn(words, out)
        self.assertNotIn(three, out)
        self.assertIn(f"message {one}: held", self.mta("why", one).out)
        self.assertIn("reputation.reject", self.mta("why", f"[s{NOON + 3:.0f}]").out)

    def test_why_nothing(self) -> None:
        self.assertIn("nothing speaks against", self.mta("why", "nobody@far.test", status=os.EX_NOINPUT).err)

    def test_controls_do_nothing(self) -> None:
        """What strangers said is shown, not obeyed."""
        self.shards[0].write([refused(NOON, reply="550 \x1b[2J", helo="\x1b]0;x\x07")])
        self.assertNotIn("\x1b", self.mta("why", "192.0.2.9").out)

    def test_trace(self) -> None:
        """Bans and suspensions stand in the journal, under network, client and account."""
        self.shards[0].write(
            [
                Banned(
                    at=NOON,
                    network="192.0.2.0/24",
                    client="192.0.2.9",
                    until=NOON + 60,
                    by="ban",
                    reason="much",
                ),
                Banned(at=NOON + 1, network="192.0.2.0/24", action="lifted", by="root"),
                Suspended(at=NOON, account=ANN, by="abuse", reason="50 recipients", evidence={"n": 50}),
            ]
        )
        out = self.mta("trace", "192.0.2.0/24").out
        self.assertIn("banned 192.0.2.0/24 by ban until", out)
        self.assertIn("ban of 192.0.2.0/24 lifted by root", out)
        self.assertIn("much", self.mta("trace", "192.0.2.9").out)
        self.assertIn(f"account {ANN} suspended by abuse: 50 recipients (n: 50)", self.mta("trace", ANN).out)

    def test_damaged(self) -> None:
        (self.state / "shared.db").write_bytes(b"nonsense" * 1000)
        self.assertIn("cannot be read", self.mta("ban", "list", status=os.EX_IOERR).err)
        self.assertRaises(sqlite3.DatabaseError, open_book, self.state / "shared.db")
