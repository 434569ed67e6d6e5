"""An account that seems to be stolen."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Abuse
from mta.judge.abuse import AbuseGuard
from mta.model.envelope import Recipient
from mta.model.event import Authenticated, Bounced, Event, FailedTo, Received, Rejected
from mta.model.verdict import PASS, Verdict
from tests.judge.facts import facts, verdict
from tests.ledger.memory import MemoryLedger

ANN = "ann@example.org"
DAY = 86400.0


class AbuseTests(SynchronousTestCase):
    """``[abuse]``."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(20_000 * DAY)
        self.ledger = MemoryLedger(self.clock)
        self.noted: list[Any] = []
        self.alerts: list[tuple[str, str]] = []
        self.history: dict[str, list[Event]] = {}
        self.guard = self.make()

    def make(self, **settings: Any) -> AbuseGuard:
        made = Abuse.model_validate(
            {
                "action": "hold",
                "volume": 10,
                "unknown": "3/h",
                "bounces": "3/h",
                "networks": "3/h",
                **settings,
            }
        )
        return AbuseGuard(
            self.ledger,  # type: ignore[arg-type]
            made,
            "postmaster@mx.example.org",
            seconds=self.clock.seconds,
            note=self.noted.extend,
            alert=lambda subject, text: self.alerts.append((subject, text)),
            history=lambda message: succeed(self.history.get(message, [])),
        )

    def send(self, recipients: int = 1, account: str = ANN) -> Verdict:
        found = facts(account=account, role="submission", recipient=None)
        assert found.envelope is not None
        found.envelope.recipients = [Recipient(f"{number}@far.test") for number in range(recipients)]
        said = verdict(self.guard.judge("mail", found))
        return said if said is not PASS else verdict(self.guard.judge("message", found))

    def test_volume(self) -> None:
        """More than is allowed anybody: this message and the next are held, a person is told."""
        self.assertEqual("pass", self.send(10).action)
        said = self.send()
        self.assertEqual(("hold", "abuse.suspended"), (said.action, said.rule))
        self.assertEqual({"recipients this hour": 11, "usual at the most": 10}, said.evidence)
        self.assertEqual("hold", self.send().action)
        self.assertEqual("pass", self.send(account="ben@example.org").action)
        self.assertEqual([(ANN, "suspended")], [(event.account, event.action) for event in self.noted])
        [(subject, text)] = self.alerts
        self.assertEqual(f"The account {ANN} is suspended", subject)
        self.assertIn(f"mta account resume {ANN}", text)

    def test_each_hour(self) -> None:
        for _ in range(30):
            self.assertEqual("pass", self.send(10).action)
            self.clock.advance(3600)

    def test_own_history(self) -> None:
        """Who always sends much may send more."""
        self.guard = self.make(volume=1000)
        self.send(100)
        self.guard = self.make(volume=10)
        self.clock.advance(DAY)
        self.assertEqual("pass", self.send(500).action)
        self.assertEqual("hold", self.send(1).action)

    def test_history_of_today_counts_for_nothing(self) -> None:
        for _ in range(5):
            self.send(10)
            self.clock.advance(3600)
        self.assertEqual("hold", self.send(11).action)

    def test_history_ends(self) -> None:
        self.guard = self.make(volume=1000)
        self.send(100)
        self.guard = self.make()
        self.clock.advance(31 * DAY)
        self.assertEqual("hold", self.send(11).action)

    def test_unknown_recipients(self) -> None:
        event = Rejected(
            at=0.0,
            stage="recipient",
            code=550,
            reply="550",
            name="mailbox-unknown",
            account=ANN,
            client="192.0.2.1",
        )
        self.guard.events([event] * 3)
        self.assertEqual("pass", self.send().action)
        self.guard.events([event])
        self.assertEqual("hold", self.send().action)
        self.assertIn("recipients that do not exist", self.noted[0].reason)

    def test_bounces(self) -> None:
        events: list[Event] = []
        for number in range(4):
            about: dict[str, Any] = {"at": 0.0, "message": f"m{number}"}
            events.append(Received(sender=ANN, recipients=["x@far.test"], account=ANN, **about))
            events.append(
                FailedTo(recipient="x@far.test", **about)
                if number % 2
                else Bounced(recipient="x@far.test", **about)
            )
        events += [FailedTo(at=0.0, message="other", recipient="x@far.test")] * 10
        self.guard.events(events)
        self.assertEqual("hold", self.send().action)
        self.assertIn("messages that came back", self.noted[0].reason)

    def test_bounces_of_long_ago(self) -> None:
        """Whose a message was stands in the journal, also after a restart."""
        about: dict[str, Any] = {"at": 0.0, "message": "old"}
        self.history["old"] = [Received(sender=ANN, recipients=["x@far.test"], account=ANN, **about)]
        self.history["ours"] = [Received(at=0.0, message="ours", sender="", recipients=["x@far.test"])]
        for message in ("ours", "old"):
            self.guard.events([FailedTo(at=0.0, message=message, recipient="x@far.test")] * 4)
        self.assertEqual([ANN], [event.account for event in self.noted])

    def test_networks(self) -> None:
        """Many new networks at once; those that are known for long do not count."""

        def log_in(number: int) -> None:
            self.guard.events([Authenticated(at=0.0, account=ANN, client=f"192.0.{number}.1")])

        for number in range(3):
            log_in(number)
        self.clock.advance(2 * DAY)
        for number in range(6):
            log_in(number)
        self.assertEqual("pass", self.send().action)
        log_in(6)
        self.assertEqual("hold", self.send().action)
        self.assertEqual(
            [f"192.0.{number}.0/24" for number in (3, 4, 5, 6)], self.noted[0].evidence["networks"]
        )

    def test_actions(self) -> None:
        for action, code in (("defer", 450), ("reject", 550)):
            self.guard = self.make(action=action)
            account = f"{action}@example.org"
            said = self.send(11, account)
            assert said.reply is not None
            self.assertEqual(code, said.reply.code)
            self.assertEqual(code, (self.send(1, account).reply or said.reply).code)
            self.assertIn(
                f"The account {account} is suspended because of 11 recipients in one hour", str(said.reply)
            )

    def test_not_too_much_is_held(self) -> None:
        self.guard = self.make(held=3)
        found = [self.send(11).action for _ in range(5)]
        self.assertEqual(["hold", "hold", "hold", "defer", "defer"], found)

    def test_resume(self) -> None:
        """Then everything counts anew, so that it is not suspended again at once."""
        self.send(11)
        self.assertTrue(self.successResultOf(ensureDeferred(self.guard.resume(ANN, "root", "new password"))))
        self.assertFalse(self.successResultOf(ensureDeferred(self.guard.resume(ANN, "root"))))
        self.assertEqual("pass", self.send().action)
        self.assertEqual(["suspended", "resumed"], [event.action for event in self.noted])

    def test_by_hand(self) -> None:
        self.guard = self.make(action="off")
        self.assertTrue(self.successResultOf(ensureDeferred(self.guard.suspend("Ann@Example.org", "root"))))
        self.assertEqual("hold", self.send().action)

    def test_off(self) -> None:
        """It costs no question."""
        self.guard = self.make(action="off")
        self.assertEqual("pass", self.send(100).action)
        self.guard.events([Authenticated(at=0.0, account=ANN, client="192.0.2.1")])
        self.assertEqual(0, self.ledger.asked)

    def test_exempt(self) -> None:
        for exempt in (ANN, "@example.org", "*"):
            self.guard = self.make(exempt=[exempt])
            self.assertEqual("pass", self.send(100).action)

    def test_others(self) -> None:
        """Mail without an account is none of its business."""
        found = facts(recipient=None)
        self.assertIs(PASS, self.guard.judge("message", found))

    def test_ledger_is_down(self) -> None:
        self.ledger.down = True
        said = self.send(100)
        self.assertEqual(("pass", {"not asked": "the disk is gone"}), (said.action, said.evidence))
