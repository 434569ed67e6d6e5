"""Mail that leaves from several addresses of this machine, and what the other side sees of them."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from tests.e2e.dns import Dns
from tests.e2e.relaying import RelayScenario
from tests.e2e.remote import Remote
from tests.e2e.scenario import free_port, within_a_day
from tests.e2e.server import Server
from tests.e2e.sink import Sink

SOURCES = [
    {"name": "a", "ipv4": "127.0.0.11", "helo": "mail-a.example.org"},
    {"name": "b", "ipv4": "127.0.0.12", "helo": "mail-b.example.org"},
    {"name": "c", "ipv4": "127.0.0.13"},
]
SEEN = {("127.0.0.11", "mail-a.example.org"), ("127.0.0.12", "mail-b.example.org")}


def _field(mail: bytes, name: str) -> str:
    """A field that smtp-sink puts before a message."""
    found = re.search(rf"(?m)^{name}: (\S+)".encode(), mail)
    return found[1].decode() if found else ""


class EgressTests(RelayScenario):
    def begin(self, *remotes: str, **settings: Any) -> Remote:
        """A server whose mail leaves from a pool of a and b; news of Anna's from c."""
        names = self.part(Dns())
        self.remote = self.part(Remote(host="127.0.0.2"))
        for domain in remotes or ("far.test",):
            names.add_mx(domain, f"mx.{domain}", "127.0.0.2")
        self.start(
            **{
                "dns": {"servers": [names.address]},
                "relay": {"port": self.remote.port, "idle": "10m"},
                "egress": SOURCES,
                "egress_pool": [
                    {"name": "bulk", "sources": {"a": 1, "b": 1}, "sender": ["anna@example.org"]}
                ],
                **settings,
            }
        )
        return self.remote

    def test_address_and_name(self) -> None:
        """Each message comes from a source of the pool, under the source's name, and the trace tells."""
        remote = self.begin()
        for number in range(24):
            self.send(f"u{number}@far.test")
        mails = remote.wait(24)
        self.assertEqual(SEEN, set(remote.callers))
        self.assertEqual({"127.0.0.11", "127.0.0.12"}, {mail.peer for mail in mails})
        peer = next(mail.peer for mail in mails if "u3@" in mail.recipients[0])
        name = "a" if peer == "127.0.0.11" else "b"
        self.server.wait_trace("u3@far.test", "delivered", f"from {name} (mail-{name}.example.org [{peer}])")
        told = self.server.mta("test", "u3@far.test", "--from", "anna@example.org")
        self.assertIn("from the pool bulk, by sender anna@example.org: a (mail-a.example.org", told)

    def test_sinks(self) -> None:
        """Two of Postfix's sinks see the addresses and the names of the sources, by the weights."""
        names = self.part(Dns())
        port = free_port()
        sinks = []
        for number, domain in enumerate(("far.test", "near.test"), 2):
            names.add_mx(domain, f"mx.{domain}", f"127.0.0.{number}")
            sink = Sink(self.place / f"sink{number}", port=port, host=f"127.0.0.{number}")
            sinks.append(self.part(sink))
        self.start(
            dns={"servers": [names.address]},
            relay={"port": port},
            egress=SOURCES,
            egress_pool=[{"name": "bulk", "sources": {"a": 2, "b": 1}, "sender": ["anna@example.org"]}],
        )
        for number in range(80):
            self.send(f"u{number}@{'far' if number % 2 else 'near'}.test")
        counts: Counter[tuple[str, str]] = Counter()
        for sink in sinks:
            found = [(_field(mail, "X-Client-Addr"), _field(mail, "X-Helo-Args")) for mail in sink.wait(40)]
            self.assertEqual(SEEN, set(found))
            counts.update(found)
        self.assertGreater(counts["127.0.0.11", "mail-a.example.org"], 35)

    def test_the_same_at_each_attempt(self) -> None:
        """Over a restart, too: a server that greylists sees the same address again."""
        remote = self.begin()
        remote.at["RCPT"] = b"451 4.3.0 try again"
        for number in range(6):
            self.send(f"u{number}@far.test")
        for number in range(6):
            self.server.wait_trace(f"u{number}@far.test", "deferred")
        self.server.stop()
        self.server.start()
        del remote.at["RCPT"]
        self.server.mta("queue", "flush")
        taken = {mail.recipients[0]: mail.peer for mail in remote.wait(6)}
        for number in range(6):
            text = self.server.wait_trace(f"u{number}@far.test", "delivered")
            self.assertEqual({taken[f"RCPT TO:<u{number}@far.test>"]}, self.addresses(text), text)

    def addresses(self, text: str) -> set[str]:
        return {address for address in ("127.0.0.11", "127.0.0.12") if f"[{address}]" in text}

    def test_by_site(self) -> None:
        """A table picks the pool by the names of the hosts."""
        remote = self.begin(
            "far.test",
            "near.test",
            egress_pool=[{"name": "own", "sources": {"c": 1}}],
            shape=[{"mx": ["mx.far.*"], "egress": "own"}],
        )
        self.send("u@far.test")
        self.send("u@near.test")
        mails = {mail.recipients[0]: mail.peer for mail in remote.wait(2)}
        self.assertEqual("127.0.0.13", mails["RCPT TO:<u@far.test>"])
        self.assertNotEqual("127.0.0.13", mails["RCPT TO:<u@near.test>"])
        self.assertIn(("127.0.0.13", "mx.example.org"), remote.callers)

    def test_connections_of_each(self) -> None:
        """A site's limit holds for each source."""
        remote = self.begin(shape=[{"mx": ["*"], "connections": 1}])
        for number in range(20):
            self.send(f"u{number}@far.test")
        remote.wait(20)
        self.assertEqual(dict.fromkeys(SEEN, 1), Counter(remote.callers))

    def test_rule(self) -> None:
        """A reply makes the site rest for the source that heard it; trace and status say by which rule."""
        remote = self.begin(
            egress_pool=[{"name": "one", "sources": {"a": 1}, "sender": ["*"]}],
            automation=[
                {"name": "enough", "text": ["enough for today"], "action": "suspend", "duration": "1h"},
            ],
        )
        remote.at["RCPT"] = [b"451 4.7.1 enough for today"]
        self.send("u1@far.test")
        rule = "suspend mx.far.test from a by rule enough: nothing goes there until"
        self.server.wait_trace("u1@far.test", rule, "said: 451 4.7.1 enough for today")
        self.send("u2@far.test")
        self.server.wait_trace("u2@far.test", "Not tried, since this site took nothing from here just before")
        self.assertIn("suspend by rule enough", self.server.mta("status"))
        self.assertEqual([], remote.mails)
        self.server.mta("queue", "flush")
        self.assertEqual(2, len(remote.wait(2)))

    def test_warm_up(self) -> None:
        """What a new source may not send today waits, over a restart, and nobody is told of a failure."""
        within_a_day()
        remote = self.begin(
            egress=[{**SOURCES[0], "warm_up": {"start": str(datetime.now(UTC).date()), "total": [3]}}],
            egress_pool=[{"name": "new", "sources": {"a": 1}, "sender": ["*"]}],
        )
        for number in range(6):
            self.send(f"u{number}@far.test")
        remote.wait(3)
        self.server.stop()
        self.server.start()
        self.send("u6@far.test")
        self.server.wait_trace(
            "u6@far.test", "the source a is being warmed up and has sent its messages of today"
        )
        self.assertEqual(3, len(remote.mails))
        self.assertIn("mx.far.test from a", self.server.mta("status"))

    def test_doctor(self) -> None:
        """What the DNS says of each source, and what to do."""
        names = self.part(Dns())
        names.records["44.33.22.11.in-addr.arpa", "PTR"] = ["mail-a.example.org."]
        names.records["mail-a.example.org", "A"] = ["11.22.33.44"]
        server = Server(
            self.place / "server",
            dns={"servers": [names.address]},
            egress=[
                {"name": "a", "ipv4": "11.22.33.44", "helo": "mail-a.example.org"},
                {"name": "b", "ipv4": "11.22.33.45"},
            ],
        )
        told = server.mta("doctor", check=False)
        self.assertIn("[[egress]] a: 11.22.33.44 is called mail-a.example.org, which leads back to it", told)
        self.assertIn("[[egress]] b: 11.22.33.45 has no name in the DNS", told)
        self.assertIn("set its PTR record to mx.example.org", told)
        self.assertRegex(told, r"good +python: 3\.")
        self.assertRegex(told, r"(good|bad) +disk: ")

    def test_check(self) -> None:
        """An address that is not here is told before mail depends on it."""
        self.begin()
        self.server.change(egress=[*SOURCES[:2], {"name": "c", "ipv4": "192.0.2.77"}])
        self.server.write()
        told = self.server.mta("check")
        self.assertIn("192.0.2.77 is no address of this machine", told)
        self.server.change(egress=SOURCES[1:])
        self.server.write()
        told = self.server.mta("check", check=False)
        self.assertIn("there is no [[egress]] a", told)
