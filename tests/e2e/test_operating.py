"""Messages that a person holds, moves, returns and removes; the journal says who and why."""

from __future__ import annotations

import getpass
import time

from tests.e2e.client import Speaker
from tests.e2e.dns import Dns
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

SENDER = "anna@example.org"
TEXT = b"From: Anna <anna@example.org>\r\nSubject: x\r\n\r\nHello.\r\n"


class OperatingScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        self.busy: Remote = self.part(Remote())
        self.busy.at["RCPT"] = b"450 4.2.1 Come back in a while"
        self.server: Server = self.part(
            Server(
                self.place / "server",
                access={"relay_from": ["127.0.0.0/8"]},
                relay={"smarthost": f"127.0.0.1:{self.busy.port}"},
                queue={"retry": ["1h"]},
            )
        )
        self.server.start()

    def send(self, recipient: str) -> bytes:
        """Send a message; the answer."""
        with Speaker(self.server.ports["mx"]) as speaker:
            answer = speaker.send(SENDER, [recipient], TEXT)
        self.assertEqual(b"250", answer[:3], answer)
        return answer

    def deferred(self, recipient: str) -> str:
        """Send a message, and wait until it was tried; its queue id."""
        answer = self.send(recipient).decode()
        identifier = next(word for word in answer.replace(".", " ").split() if len(word) == 13)
        self.server.wait_trace(identifier, "Come back in a while")
        return identifier

    def test_moved_returned_removed(self) -> None:
        who = getpass.getuser()
        moved, returned, removed = (self.deferred(f"{name}@far.test") for name in ("m", "r", "x"))
        other: Remote = self.part(Remote())
        hop = f"127.0.0.1:{other.port}"
        self.server.mta("queue", "move", moved, "--next-hop", hop, "--reason", "they are slow")
        other.wait(1)
        self.server.wait_trace(moved, f"move by {who}", "they are slow", hop, "delivered")
        choice = ("--to", "r@far.test", "--last-reply", "come back")
        self.server.mta("queue", "bounce", *choice, "--reason", "R has left")
        (notice,) = self.server.wait_mail(SENDER)
        self.assertIn(b"Returned by the operator: R has left", b" ".join(notice.split()))
        self.server.wait_trace(returned, f"bounce by {who}", "R has left", "failed")
        self.server.mta("queue", "remove", removed, "--reason", "a mistake")
        self.server.wait_trace(removed, f"remove by {who}", "a mistake", "removed")
        # The notice has arrived, but it may not be written down yet.
        wait_for(lambda: "The queue is empty" in self.server.mta("queue", "list"), "the queue is not empty")
        self.assertEqual([], self.busy.mails)

    def test_held(self) -> None:
        """It stays through everything but a release."""
        held = self.deferred("h@far.test")
        other = self.deferred("o@far.test")
        self.server.mta("queue", "hold", held, "--reason", "odd")
        del self.busy.at["RCPT"]
        self.server.kill()
        self.server.start()
        self.server.mta("queue", "flush")
        self.server.mta("queue", "retry", held, check=False)
        self.busy.wait(1)
        self.server.wait_trace(other, "delivered")
        self.assertTrue(self.server.stop())
        self.server.start()
        self.send("n@far.test")
        # What had been before it in the queue would have gone first.
        self.assertIn("n@far.test", self.busy.wait(2)[1].recipients[0])
        self.assertIn(held, self.server.mta("queue", "list", "--held"))
        self.server.mta("queue", "release", held, "--reason", "it was not")
        self.busy.wait(3)
        self.server.wait_trace(held, "release by", "it was not", "delivered")

    def test_rescheduled(self) -> None:
        """It waits for its new time, over a restart and a flush; who gave it, and why, is told."""
        who = getpass.getuser()
        name = self.deferred("p@far.test")
        del self.busy.at["RCPT"]
        said = self.server.mta("queue", "reschedule", name, "--at", "1h", "--reason", "they are closed")
        self.assertIn("1 message to be sent on", said)
        self.assertTrue(self.server.stop())
        self.server.start()
        self.server.mta("queue", "flush")
        self.server.mta("queue", "retry", "--all")
        self.assertIn(name, self.server.mta("queue", "list", "--scheduled"))
        self.assertEqual([], self.busy.mails)
        self.server.mta("queue", "reschedule", "--scheduled", "--at", "1s", "--reason", "they are open")
        self.busy.wait(1)
        self.server.wait_trace(
            name, f"reschedule by {who} to ", "they are closed", "they are open", "delivered"
        )

    def test_suspended_until(self) -> None:
        """It ends by itself, also after a restart, and what waited goes."""
        del self.busy.at["RCPT"]
        hop = f"127.0.0.1:{self.busy.port}"
        self.server.mta("queue", "suspend", hop, "--for", "1h", "--reason", "a while")
        self.send("s@far.test")
        self.server.wait_trace("s@far.test", "has suspended this destination: a while")
        # It is made shorter only now: the message has to meet it, however slow the machine is.
        until = time.time() + 4
        self.server.mta("queue", "suspend", hop, "--for", "4s", "--reason", "a moment")
        self.assertTrue(self.server.stop())
        self.server.start()
        self.busy.wait(1, 60)
        self.assertGreaterEqual(time.time(), until - 0.5)
        self.assertNotIn("a moment", self.server.mta("status"))

    def test_by_site(self) -> None:
        """Two domains with the same host: what waits for it is chosen by its name."""
        names: Dns = self.part(Dns())
        for domain in ("one.test", "two.test"):
            names.add_mx(domain, "mx.big.test")
        names.add_mx("three.test")
        self.server.change(dns={"servers": [names.address]}, relay={"port": self.busy.port, "smarthost": ""})
        self.server.write()
        self.assertTrue(self.server.stop())
        self.server.start()
        for domain in ("one.test", "two.test", "three.test"):
            self.send(f"x@{domain}")
            self.server.wait_trace(f"x@{domain}", "deferred")
        self.assertRegex(self.server.mta("queue", "summary", "--by", "site"), r"(?m)^mx\.big\.test +2 +2 ")
        listed = self.server.mta("queue", "list", "--mx", "*.big.test")
        self.assertIn("x@one.test", listed)
        self.assertIn("x@two.test", listed)
        self.assertNotIn("x@three.test", listed)
        self.server.mta("queue", "hold", "--site", "mx.big.test", "--reason", "all of them")
        self.assertNotIn("x@three.test", self.server.mta("queue", "list", "--held"))
        self.server.wait_trace("x@two.test", "all of them")

    def test_suspended(self) -> None:
        """Over a restart, until it is resumed; who and why is in the status."""
        who = getpass.getuser()
        del self.busy.at["RCPT"]
        hop = f"127.0.0.1:{self.busy.port}"
        self.server.mta("queue", "suspend", f"relay:{hop}", "--reason", "they asked")
        self.assertTrue(self.server.stop())
        self.server.start()
        self.send("s@far.test")
        self.server.wait_trace("s@far.test", "has suspended this destination: they asked")
        self.assertRegex(self.server.mta("status"), rf"relay:{hop} +{who} .* they asked")
        self.server.mta("queue", "retry", "--destination", hop)
        self.assertEqual(0, self.busy.connections)
        self.server.mta("queue", "resume", f"relay:{hop}")
        self.server.mta("queue", "retry", "--destination", hop)
        self.busy.wait(1)
        self.assertNotIn("they asked", self.server.mta("status"))
