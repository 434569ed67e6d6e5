"""Rules of alerts, by table: what raises them, who is told when, and what survives a restart."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from mta.alert.letter import body, subject, text
from mta.alert.rule import Rule, Standing, Window
from mta.analytics.judging import Finding
from mta.config.settings import Alert
from mta.model.event import AuthenticationFailed, Rejected

NOW = 1_800_000_000.0


def rule(**settings: Any) -> Rule:
    return Rule(Alert(name="x", to="postmaster", **settings))


def failure(at: float = NOW, client: str = "192.0.2.1", temporary: bool = False) -> AuthenticationFailed:
    return AuthenticationFailed(at=at, account="ann", client=client, temporary=temporary, reason="wrong")


class WindowTests(SynchronousTestCase):
    def test_slides(self) -> None:
        window = Window(60.0)
        for second in range(120):
            window.add(NOW + second)
        self.assertEqual(60, window.count(NOW + 119))
        self.assertEqual(10, window.count(NOW + 169))
        self.assertEqual(0, window.count(NOW + 200))

    def test_memory(self) -> None:
        window = Window(60.0)
        for second in range(100_000):
            window.add(NOW + second)
        self.assertTrue(len(window._slots) <= 121)


class EventTests(SynchronousTestCase):
    def test_raised_and_over(self) -> None:
        guesses = rule(event="authentication-failed", count=3, within="1m")
        for number in range(3):
            self.assertIsNone(guesses.judge(NOW, {}))
            guesses.saw(failure(NOW + number, f"192.0.2.{number}"))
        change = guesses.judge(NOW + 3, {})
        assert change is not None
        self.assertEqual(("raised", True), (change.action, change.tell))
        self.assertEqual(3, len(guesses.evidence["most"]))
        self.assertIn("authentication of ann failed", guesses.evidence["last"])
        self.assertIsNone(guesses.judge(NOW + 4, {}))
        change = guesses.judge(NOW + 70, {})
        assert change is not None
        self.assertEqual(("recovered", True), (change.action, change.tell))

    def test_which(self) -> None:
        relay = rule(event="rejected", rule="relay")
        relay.saw(Rejected(at=NOW, stage="recipient", code=550, reply="x", rule="route"))
        relay.saw(failure())
        self.assertIsNone(relay.judge(NOW, {}))
        relay.saw(Rejected(at=NOW, stage="recipient", code=550, reply="x", rule="relay"))
        self.assertIsNotNone(relay.judge(NOW, {}))

    def test_trouble_of_ours_is_no_attack(self) -> None:
        guesses = rule(event="authentication-failed")
        guesses.saw(failure(temporary=True))
        self.assertIsNone(guesses.judge(NOW, {}))

    def test_clients_are_bounded(self) -> None:
        guesses = rule(event="authentication-failed", count=1)
        for number in range(5000):
            guesses.saw(failure(client=f"2001:db8::{number:x}"))
        self.assertEqual(1000, len(guesses._clients))
        guesses.judge(NOW, {})
        self.assertEqual(5000, guesses.value)


class ValueTests(SynchronousTestCase):
    def check(self, settings: dict[str, Any], calm: dict[str, float], over: dict[str, float]) -> None:
        one = rule(**settings)
        self.assertIsNone(one.judge(NOW, {}))
        self.assertIsNone(one.judge(NOW, calm))
        change = one.judge(NOW, over)
        assert change is not None, settings
        self.assertEqual("raised", change.action)
        self.assertTrue(one.found and one.threshold)
        change = one.judge(NOW + 1, calm)
        assert change is not None
        self.assertEqual("recovered", change.action)

    def test_all(self) -> None:
        day = 86400.0
        self.check({"certificate": "14d"}, {"certificate": 15 * day}, {"certificate": 13 * day})
        self.check({"certificate": "14d"}, {"certificate": 15 * day}, {"certificate": -1})
        self.check({"disk": "1K"}, {"disk": 1024}, {"disk": 1023})
        self.check({"disk": "5%"}, {"disk": 5, "disk_size": 100}, {"disk": 4, "disk_size": 100})
        self.check({"queue_age": "4h"}, {"queue_age": 3599 * 4}, {"queue_age": 3600 * 4})
        self.check({"queue_size": 10}, {"queue_size": 9}, {"queue_size": 10})


class StandingTests(SynchronousTestCase):
    """Who is told when."""

    def test_flapping(self) -> None:
        """Events tell of each change; a person is told once in the time, and of the end of what was told."""
        standing = Standing(3600)
        seen = []
        for minute in range(0, 60, 10):
            for over in (True, False):
                change = standing.judge(over, NOW + minute * 60 + (not over))
                assert change is not None
                seen.append((change.action, change.tell))
        self.assertEqual([("raised", True), ("recovered", True)], seen[:2])
        self.assertEqual([("raised", False), ("recovered", False)] * 5, seen[2:])

    def test_reminded(self) -> None:
        standing = Standing(3600)
        self.assertEqual("raised", getattr(standing.judge(True, NOW), "action", ""))
        self.assertIsNone(standing.judge(True, NOW + 3599))
        self.assertEqual("reminded", getattr(standing.judge(True, NOW + 3600), "action", ""))

    def test_restart(self) -> None:
        """Nobody is told again by a server that was started again; but of the end they are."""
        standing = Standing(3600)
        standing.replay("raised", NOW, True)
        self.assertIsNone(standing.judge(True, NOW + 60))
        change = standing.judge(False, NOW + 120)
        assert change is not None
        self.assertEqual(("recovered", True), (change.action, change.tell))

    def test_restart_after_the_end(self) -> None:
        standing = Standing(3600)
        standing.replay("raised", NOW, True)
        standing.replay("recovered", NOW + 60, True)
        self.assertFalse(standing.is_raised)
        change = standing.judge(True, NOW + 120)
        assert change is not None
        self.assertFalse(change.tell)

    def test_reload(self) -> None:
        before, after = rule(event="authentication-failed"), rule(event="authentication-failed")
        before.saw(failure())
        before.judge(NOW, {})
        after.take_over(before)
        self.assertIsNone(after.judge(NOW + 1, {}))
        self.assertTrue(after.standing.is_raised)


class SettingsTests(SynchronousTestCase):
    def test_mistakes(self) -> None:
        for settings, words in (
            ({}, "exactly one of"),
            ({"disk": "5%", "queue_size": 3}, "exactly one of"),
            ({"disk": "0%"}, "percentage"),
            ({"queue_size": 3, "rule": "relay"}, "goes with"),
            ({"event": "authentification-failed"}, "no such kind of event"),
            ({"queue_size": 3, "to": "nobody"}, "is no address"),
            ({"queue_size": 3, "to": []}, "at least 1"),
            ({"queue_size": 3, "to": "http://example.org/x", "secret": "s"}, "https://"),
            ({"queue_size": 3, "to": "https://a:b@example.org/x", "secret": "s"}, "without a password"),
            ({"queue_size": 3, "to": "https://example.org/x"}, "signed"),
            ({"queue_size": 3, "repeat": "1s"}, "once a minute"),
            ({"event": "rejected", "within": "30d"}, "7 days"),
        ):
            with self.assertRaises(ValidationError) as caught:
                Alert(**{"name": "x", "to": "postmaster", **settings})
            self.assertIn(words, str(caught.exception), settings)
            self.assertNotIn("a:b@", str(caught.exception.errors()[0]["msg"]))


class LetterTests(SynchronousTestCase):
    def test_words(self) -> None:
        one = rule(event="authentication-failed", count=1)
        one.saw(failure())
        one.judge(NOW, {})
        self.assertEqual("[ALERT] x: once within 10 m (mx.test)", subject(one, "raised", "mx.test"))
        for action in ("raised", "reminded", "recovered", "tested"):
            said = text(one, action, "mx.test", NOW)
            self.assertIn("most: 192.0.2.1 (1)", said)
            self.assertIn("mta log --kind authentication-failed", said)
        self.assertIn(b'"type": "alert.raised"', body(one, "raised", "mx.test", NOW))


class NumberTests(SynchronousTestCase):
    """Rules about numbers."""

    def finding(self, over: bool, calm: bool) -> Finding:
        return Finding(0.12, over, calm, "bounce_rate is 12 %", {"class": ["x: 1"]}, "mostly x", "Do y.")

    def test_hysteresis(self) -> None:
        """Raised when it is over, and over when it is calm; in between it stays."""
        one = rule(statistic="bounce_rate", above="5%", by="provider")
        self.assertIsNone(one.judge(NOW, {}))
        seen = []
        for number, (over, calm) in enumerate(
            [(False, False), (True, False), (False, False), (True, False), (False, True), (False, False)]
        ):
            change = one.judge(NOW + number, {}, {"x": self.finding(over, calm)})
            seen.append(change.action if change else "")
        self.assertEqual(["", "raised", "", "", "recovered", ""], seen)

    def test_words(self) -> None:
        """What changed, evidence, probable cause, and what to do."""
        one = rule(statistic="bounce_rate", above="5%", change=3, by="provider")
        one.judge(NOW, {}, {"x": self.finding(True, False)})
        self.assertEqual(
            "bounce_rate of provider each within 10 m: above 5 %, or 3 times what is usual at this time",
            one.threshold,
        )
        told = text(one, "raised", "mx.example.org", NOW)
        for words in ("bounce_rate is 12 %", "x: 1", "mostly x", "Do y.", "mta stats --since 7d --plot"):
            self.assertIn(words, told)
        self.assertIn("mostly x", body(one, "raised", "mx.example.org", NOW).decode())

    def test_mistakes(self) -> None:
        """What makes no sense is told."""
        for settings, words in (
            ({"statistic": "bounce_rate"}, "too much"),
            ({"statistic": "nonsense", "above": 1}, "there are delivery_rate"),
            ({"statistic": "bounce_rate", "above": 5}, "a share"),
            ({"statistic": "bounce_rate", "above": "x"}, "a share"),
            ({"statistic": "bounced", "change": 1}, "a factor"),
            ({"statistic": "bounced", "above": 1, "value": "x"}, '"by"'),
            ({"statistic": "bounced", "above": 1, "by": "nonsense"}, "there are tenant"),
            ({"queue_size": 1, "above": 1}, 'goes with "statistic"'),
        ):
            error = self.assertRaises(ValidationError, rule, **settings)
            self.assertIn(words, str(error), settings)
