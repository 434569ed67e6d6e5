"""Who is asked to come again, and who is not."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import Facts
from mta.judge.greylist import GreylistJudge, GreylistSettings, plain
from mta.judge.reverse_name import ReverseNames
from mta.model.authentication import AuthenticationResult
from mta.model.envelope import Recipient
from mta.model.verdict import Verdict
from tests.judge.facts import Names, facts, verdict
from tests.ledger.memory import MemoryLedger

DAY = 86400.0
BEN = "ben@example.org"


class GreylistTests(SynchronousTestCase):
    """RFC 6647."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1.8e9)
        self.ledger = MemoryLedger(self.clock)
        self.names = Names({("192.0.2.1", "PTR"): ["mx.far.test"], ("mx.far.test", "A"): ["192.0.2.1"]})

    def ask(self, settings: dict[str, Any] | None = None, **options: Any) -> Verdict:
        made = GreylistSettings.model_validate(settings or {})
        judge = GreylistJudge(made, self.ledger, ReverseNames(self.names), self.clock.seconds)  # type: ignore[arg-type]
        return verdict(judge.judge("recipient", facts(**options)))

    def test_comes_again(self) -> None:
        first = self.ask()
        self.assertEqual(
            "451 4.7.1 We do not know you yet, so please send this again in 5 minutes: "
            "your mail server does so by itself [s1]",
            str(first.reply),
        )
        self.assertEqual("greylist", first.rule)
        self.clock.advance(60)
        again = self.ask()
        self.assertIn("in 4 minutes", str(again.reply))
        self.assertEqual(2, again.evidence["attempt"])
        self.clock.advance(240)
        self.assertEqual("pass", self.ask().action)
        self.assertEqual("pass", self.ask().action)

    def test_remembered(self) -> None:
        """Each message of one that is known makes it known for longer."""
        self.ask()
        self.clock.advance(300)
        self.ask()
        for _ in range(3):
            self.clock.advance(35 * DAY)
            self.assertEqual("pass", self.ask().action)
        self.clock.advance(37 * DAY)
        self.assertEqual("defer", self.ask().action)

    def test_window(self) -> None:
        """Who tries often, and too late, begins anew."""
        self.ask()
        self.clock.advance(DAY - 10)
        self.clock.advance(DAY + 20)
        self.assertEqual(1, self.ask().evidence["attempt"])

    def test_impatient(self) -> None:
        """Whoever tries again and again at once is not put off for longer, nor let in sooner."""
        for _ in range(10):
            self.assertEqual("defer", self.ask().action)
            self.clock.advance(29)
        self.clock.advance(11)
        self.assertEqual("pass", self.ask().action)

    def test_network(self) -> None:
        """Another server of the same network may come again; another network may not."""
        self.ask()
        self.clock.advance(300)
        self.assertEqual("pass", self.ask(address="192.0.2.200").action)
        self.assertEqual("defer", self.ask(address="192.0.3.1").action)
        self.ask(address="2001:db8::1")
        self.clock.advance(300)
        self.assertEqual("pass", self.ask(address="2001:db8::2:1").action)
        self.assertEqual("defer", self.ask(address="2001:db8:0:1::1").action)

    def test_known_as_a_whole(self) -> None:
        for number in range(5):
            self.ask(sender=f"{'abcde'[number]}x@far.test")
            self.clock.advance(300)
            self.ask(sender=f"{'abcde'[number]}x@far.test")
        self.assertEqual("pass", self.ask(sender="never-seen@far.test").action)
        self.assertEqual("defer", self.ask(sender="never-seen@far.test", address="198.51.100.1").action)

    def test_vouched(self) -> None:
        spf = AuthenticationResult("spf", "pass", (("smtp.mailfrom", "ann@far.test"),))
        helo = AuthenticationResult("spf", "pass", (("smtp.helo", "mx.far.test"),))
        failed = AuthenticationResult("spf", "fail", (("smtp.mailfrom", "ann@far.test"),))
        listed = AuthenticationResult("dnswl", "pass", (("dns.zone", "good.test"),))
        for result, action in ((spf, "pass"), (helo, "defer"), (failed, "defer"), (listed, "pass")):
            self.assertEqual(action, self.ask(authentication=[result]).action, result)
        self.assertEqual("defer", self.ask({"spf_pass": False}, authentication=[spf]).action)
        self.assertEqual("defer", self.ask({"allow_lists": False}, authentication=[listed]).action)

    def test_known(self) -> None:
        self.assertEqual("pass", self.ask({"known": [ip_network("192.0.2.0/25")]}).action)
        self.assertEqual("pass", self.ask({"known_names": [".far.test"]}).action)
        self.names.records["192.0.2.1", "PTR"] = ["liar.far.test"]
        self.assertEqual("defer", self.ask({"known_names": [".far.test"]}).action)

    def test_not_asked(self) -> None:
        """Submission, trusted networks, accepted clients and other stages cost no question."""
        for options in (
            {"role": "submission"},
            {"role": "lmtp"},
            {"trusted": True},
            {"results": {"access": "x"}},
        ):
            self.assertEqual("pass", self.ask(**options).action)
        self.assertEqual(0, self.ledger.asked)

    def test_ledger_is_down(self) -> None:
        """Then nobody is put off, and the journal says so."""
        self.ledger.down = True
        said = self.ask()
        self.assertEqual(("pass", {"not asked": "the disk is gone"}), (said.action, said.evidence))

    def test_rehearsed(self) -> None:
        """Asking what would happen changes nothing."""
        judge = GreylistJudge(GreylistSettings(), self.ledger, ReverseNames(self.names), self.clock.seconds)  # type: ignore[arg-type,call-arg]
        for _ in range(2):
            supposed = facts()
            supposed.client.rehearsed = True
            said = verdict(judge.judge("recipient", supposed))
            self.assertEqual(("defer", 1), (said.action, said.evidence["attempt"]))
            self.clock.advance(300)

    def test_senders(self) -> None:
        """What changes from message to message is not looked at."""
        for sender, seen in (
            ("list+ben=example.org@far.test", "list@far.test"),
            ("bounce-12345-ab9@far.test", "bounce-#-#@far.test"),
            ("Ann@Far.test", "ann@far.test"),
            ("", ""),
        ):
            self.assertEqual(seen, plain(sender))

    def write(
        self, *recipients: str, sender: str = "ben@example.org", account: str = "ben@example.org"
    ) -> None:
        judge = GreylistJudge(GreylistSettings(), self.ledger, ReverseNames(self.names), self.clock.seconds)  # type: ignore[arg-type,call-arg]
        found = facts(role="submission", account=account, sender=sender, recipient=None)
        assert found.envelope is not None
        found.envelope.recipients = [Recipient(address) for address in recipients]
        self.assertEqual(not account, judge.passes("message", found))
        verdict(judge.judge("message", found))

    def test_answers(self) -> None:
        """Whoever is written to may answer at once, to whom has written, from wherever."""
        self.write("Ann@far.test")
        self.assertEqual("pass", self.ask().action)
        self.assertEqual("defer", self.ask(recipient="anna@example.org").action)
        self.assertEqual("defer", self.ask(sender="eve@far.test").action)
        self.assertEqual("defer", self.ask({"answers": False}).action)
        self.clock.advance(37 * DAY)
        self.assertEqual("defer", self.ask().action)

    def test_no_correspondence(self) -> None:
        """Mailings to many, bounces, and mail of nobody count for nothing."""
        self.write("ann@far.test", *(f"{number}@far.test" for number in range(50)))
        self.write("ann@far.test", sender="")
        self.write("ann@far.test", account="")
        self.assertEqual("defer", self.ask().action)

    def test_null_sender(self) -> None:
        self.assertEqual("defer", self.ask(sender="").action)
        self.clock.advance(300)
        self.assertEqual("pass", self.ask(sender="").action)

    def test_each_recipient(self) -> None:
        found = facts()
        assert isinstance(found, Facts)
        self.ask()
        self.clock.advance(300)
        self.assertEqual("pass", self.ask().action)
        self.assertEqual("defer", self.ask(recipient="anna@example.org").action)
