"""What ``mta test`` would say, with policies and routers of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import TlsPolicy
from mta.intake.reception import Reception
from mta.intake.rehearsal import rehearse
from mta.intake.tls_sentences import tls_sentences
from mta.interfaces import Exchanger, Route, RouteError, TemporarilyUnavailable
from mta.judge.pipeline import Pipeline
from mta.model.authentication import AuthenticationResult
from mta.model.catalogue import REPLIES
from mta.model.supposition import Supposition
from mta.model.tls_demand import TlsDemand
from mta.model.verdict import PASS, Verdict
from mta.route.tls_demands import TlsDemands


class Router:
    """Knows a@here.test; the rest is elsewhere."""

    def route(self, address: str) -> Sequence[Route] | None:
        if address == "a@here.test":
            return [Route(address, "maildir", "/mail/a")]
        if address.endswith("@here.test"):
            return None
        if address == "list@far.test":
            return [Route(address, "relay", "far.test", sender="owner@here.test")]
        return [Route(address, "relay", address.partition("@")[2])]

    def is_local(self, domain: str) -> bool:
        return domain == "here.test"


class Exchangers:
    """One host for every domain, but for two."""

    async def find(self, next_hop: str) -> list[Exchanger]:
        if next_hop == "null.test":
            raise RouteError(REPLIES.reply("null-mx", domain=next_hop))
        if next_hop == "slow.test":
            raise TemporarilyUnavailable("timeout")
        return [Exchanger(f"mx.{next_hop}", ("192.0.2.1",), 25, 10)]


class Judge:
    """Refuses one sender."""

    def judge(self, stage: str, facts: Any) -> Verdict:
        if stage == "mail" and facts.envelope.reverse_path == "bad@there.test":
            return Verdict("reject", "senders", "We know you", {"sender": facts.envelope.reverse_path})
        if stage == "mail" and facts.envelope.reverse_path == "good@there.test":
            result = AuthenticationResult(
                "spf", "softfail", (("smtp.mailfrom", "good@there.test"),), "not quite"
            )
            return Verdict(evidence={"record": "v=spf1 -all"}, authentication=(result,))
        return PASS


class RehearsalTests(SynchronousTestCase):
    """Nothing is sent, everything is said."""

    demands: Any = TlsDemands()
    shaped: TlsDemand | None = None

    def rehearse(self, address: str, **options: str) -> dict[str, Any]:
        reception = Reception(
            reactor=Clock(),
            hostname="mx.here.test",
            spool=None,  # type: ignore[arg-type]
            router=Router(),  # type: ignore[arg-type]
            pipeline=Pipeline([("judge", Judge())]),  # type: ignore[list-item]
            relay_from=[ip_network("10.0.0.0/8")],
            return_path=self.return_path,
        )

        async def trace(wanted: str) -> list[str]:
            return [f"looked up {wanted}"]

        exchangers: Any = Exchangers()
        return self.successResultOf(
            Deferred.fromCoroutine(
                rehearse(
                    reception,
                    exchangers,
                    trace,
                    Supposition(address, **options),
                    ["A note."],
                    tls=lambda route, hosts, tenant: tls_sentences(
                        route.next_hop, hosts, self.demands, self.shaped
                    ),
                )
            )
        )

    @staticmethod
    def return_path(message: str, sender: str, original: str, address: str) -> str | None:
        if address.endswith("@far.test") and sender:
            return f"token-{message}@bounces.here.test"
        if address.endswith("@dark.test"):
            raise TemporarilyUnavailable("no directory")
        return None

    def test_return_path(self) -> None:
        """What MAIL FROM would say on the way out; of a list it is the owner."""
        found = self.rehearse("x@far.test", sender="ann@here.test")
        self.assertEqual("token-0000000000000@bounces.here.test", found["routes"][0]["return_path"])
        self.assertIn("reverse-path is <token-0000000000000@bounces.here.test>", found["steps"][-2])
        self.assertEqual("A note.", found["steps"][-1])
        for address, sender, path in (
            ("x@far.test", "<>", ""),
            ("a@here.test", "ann@here.test", "ann@here.test"),
            ("list@far.test", "ann@here.test", "owner@here.test"),
        ):
            found = self.rehearse(address, sender=sender)
            self.assertEqual(path, found["routes"][0]["return_path"], address)
            self.assertNotIn("A note.", found["steps"])
        self.assertIn("<owner@here.test>, the owner of the list", found["steps"][-1])
        found = self.rehearse("x@dark.test")
        self.assertIn("no directory", found["steps"][-1])

    def test_mailbox(self) -> None:
        found = self.rehearse("A@here.test".lower(), client_ip="192.0.2.9")
        self.assertTrue(found["accepted"])
        self.assertIn("looked up a@here.test", found["steps"])
        self.assertEqual("<a@here.test> goes by maildir to /mail/a.", found["steps"][-1])

    def test_unknown(self) -> None:
        found = self.rehearse("b@here.test", client_ip="192.0.2.9")
        self.assertFalse(found["accepted"])
        self.assertEqual("mailbox-unknown", found["name"])
        self.assertEqual([], found["routes"])

    def test_relaying(self) -> None:
        self.assertEqual("relay-denied", self.rehearse("x@far.test", client_ip="192.0.2.9")["name"])
        self.assertTrue(self.rehearse("x@far.test", client_ip="10.1.2.3")["accepted"])
        found = self.rehearse("x@far.test")
        self.assertEqual(["mx.far.test [192.0.2.1]:25"], found["routes"][0]["hosts"])

    def test_tls(self) -> None:
        """Which TLS is demanded, and where the demand is from."""
        self.assertIn("is that of relay.tls", self.rehearse("x@far.test")["steps"][-1])
        self.shaped = TlsDemand("encrypt", "shape for *.test")
        self.assertIn("to be: encrypt by shape for *.test.", self.rehearse("x@far.test")["steps"][-1])
        own = {"domain": ["far.test"], "demand": "verify", "mx": ["mx.other.test"]}
        table: list[tuple[dict[str, Any], str]] = [
            (
                {**own, "mx": []},
                "The TLS to mx.far.test is demanded to be: verify by tls_policy",
            ),
            (
                own,
                "would not be used, demanded is verify by tls_policy for far.test: the host is",
            ),
            ({**own, "demand": "dane", "mx": []}, "demanded is dane by tls_policy for far.test: nobody can"),
        ]
        for policy, words in table:
            self.demands = TlsDemands([TlsPolicy(**policy)])
            self.assertIn(words, self.rehearse("x@far.test")["steps"][-1])

    def test_no_way(self) -> None:
        self.assertIn("takes no mail", self.rehearse("x@null.test")["steps"][-1])
        self.assertIn("does not answer", self.rehearse("x@slow.test")["steps"][-1])

    def test_judged(self) -> None:
        found = self.rehearse("a@here.test", sender="bad@there.test", client_ip="192.0.2.9")
        self.assertFalse(found["accepted"])
        self.assertEqual(("senders", {"sender": "bad@there.test"}), (found["rule"], found["evidence"]))

    def test_what_was_found_out(self) -> None:
        """Of a message that would be taken, too."""
        found = self.rehearse("a@here.test", sender="good@there.test", client_ip="192.0.2.9")
        self.assertTrue(found["accepted"])
        self.assertEqual({"judge": {"record": "v=spf1 -all"}}, found["evidence"])
        self.assertIn("SPF of smtp.mailfrom=good@there.test is softfail: not quite.", found["steps"])
        self.assertEqual("softfail", found["authentication"][0]["result"])

    def test_no_address(self) -> None:
        found = self.rehearse("nobody")
        self.assertFalse(found["accepted"])
        self.assertIn("local-part@domain", found["steps"][0])
