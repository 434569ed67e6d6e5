"""What is offered to those who submit: FUTURERELEASE (RFC 4865), MT-PRIORITY (RFC 6710)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Submission
from mta.model.envelope import Envelope
from mta.smtp.grammar import SyntaxProblem, UnknownParameter
from mta.smtp.parameters import mail_parameters
from tests.smtp.server_fakes import Dialogue, FakeAuthenticator

NOW = 1.8e9
DAY = 86400.0


def read(parameters: str, **offered: Any) -> Envelope:
    """The envelope of MAIL with these parameters."""
    envelope = Envelope("a@b.test")
    mail_parameters(parameters.encode(), envelope, Submission(**offered), NOW)
    return envelope


class PriorityTests(SynchronousTestCase):
    """MT-PRIORITY (RFC 6710)."""

    def test_values(self) -> None:
        for text, priority in (("MT-PRIORITY=9", 9), ("mt-priority=-9", -9), ("MT-PRIORITY=0", 0)):
            self.assertEqual(priority, read(text).priority)

    def test_mistakes(self) -> None:
        for value in ("", "=", "=10", "=-0", "=+1", "=01", "=x", "=-10"):
            self.assertRaises(SyntaxProblem, read, f"MT-PRIORITY{value}")

    def test_not_offered(self) -> None:
        self.assertRaises(UnknownParameter, read, "MT-PRIORITY=1", priorities=False)
        self.assertRaises(UnknownParameter, mail_parameters, b"MT-PRIORITY=1", Envelope(""))


class FutureReleaseTests(SynchronousTestCase):
    def test_values(self) -> None:
        for text, release in (
            ("HOLDFOR=1", NOW + 1),
            ("HOLDFOR=864000 SIZE=5", NOW + 10 * DAY),
            ("holduntil=2027-01-15T09:00:00Z", 1800003600.0),
            ("HOLDUNTIL=2027-01-15T10:00:00.5+01:00", 1800003600.5),
            # The longest of the two that are offered.
            ("HOLDFOR=2592000", NOW + 30 * DAY),
            ("HOLDUNTIL=2027-02-14T08:00:00Z", NOW + 30 * DAY),
            # A clock may be a minute behind.
            ("HOLDUNTIL=2027-01-15T07:59:30z", NOW - 30),
        ):
            self.assertEqual(release, read(text).release, text)

    def test_mistakes(self) -> None:
        for text in (
            "HOLDFOR",
            "HOLDFOR=",
            "HOLDFOR=0",
            "HOLDFOR=-5",
            "HOLDFOR=1234567890",
            "HOLDFOR=\u0661",
            "HOLDFOR=2592001",
            "HOLDFOR=01",
            "HOLDUNTIL",
            "HOLDUNTIL=2027-01-15",
            "HOLDUNTIL=2027-01-15T09:00:00",
            "HOLDUNTIL=2027-02-30T09:00:00Z",
            "HOLDUNTIL=2028-01-15T09:00:00Z",
            "HOLDUNTIL=2027-02-14T08:00:01Z",
            "HOLDUNTIL=2026-01-15T09:00:00Z",
            "HOLDUNTIL=9999-12-31T23:59:59-23:59",
            "HOLDFOR=5 HOLDUNTIL=2027-01-15T09:00:00Z",
            "HOLDUNTIL=2027-01-15T09:00:00Z HOLDFOR=5",
            "HOLDFOR=5 HOLDFOR=5",
        ):
            self.assertRaises(SyntaxProblem, read, text)

    def test_request_is_kept(self) -> None:
        """As RFC 4865 (5.1.2) has it in a notification."""
        self.assertEqual("for;5", read("HOLDFOR=5").hold)
        self.assertEqual("until;2027-01-15T09:00:00Z", read("holduntil=2027-01-15T09:00:00Z").hold)

    def test_replies(self) -> None:
        """RFC 4865, 4.2 (10, 11) and RFC 6710, 4.1 (1): 501, with the enhanced codes that they name."""
        d = self.dialogue()
        d.say("EHLO c.test")
        d.protocol.session.account = object()
        for parameters, reply in (
            ("HOLDFOR=99999999", "501 5.5.4"),
            ("HOLDUNTIL=2099-01-01T00:00:00Z", "501 5.5.4"),
            ("HOLDUNTIL=tomorrow", "501 5.5.4"),
            ("HOLDFOR=5 HOLDUNTIL=2027-01-15T09:00:00Z", "501 5.5.4"),
            ("MT-PRIORITY=10", "501 5.5.2"),
            ("MT-PRIORITY", "501 5.5.2"),
            ("MT-PRIORITY=1 MT-PRIORITY=1", "501 5.5"),
        ):
            self.assertIn(reply, d.say(f"MAIL FROM:<a@far.test> {parameters}"), parameters)

    def test_not_offered(self) -> None:
        self.assertRaises(UnknownParameter, read, "HOLDFOR=5", future_release=0)
        self.assertRaises(UnknownParameter, mail_parameters, b"HOLDFOR=5", Envelope(""))

    def dialogue(self, role: str = "submission", **offered: Any) -> Dialogue:
        options = {"authenticator": FakeAuthenticator(), "submission": Submission(**offered)}
        return Dialogue(role, **options).secure()

    def test_offer(self) -> None:
        """How far ahead, from now, whenever that is."""
        d = self.dialogue(future_release="1d")
        self.assertIn("FUTURERELEASE 86400 2027-01-16T08:00:00Z", d.say("EHLO c.test"))
        d.clock.advance(3600)
        self.assertIn("FUTURERELEASE 86400 2027-01-16T09:00:00Z", self.dialogue_again(d))
        for other in (self.dialogue("mx"), self.dialogue(future_release=0)):
            self.assertNotIn("FUTURERELEASE", other.say("EHLO c.test"))

    def test_offer_of_priorities(self) -> None:
        self.assertIn("MT-PRIORITY", self.dialogue().say("EHLO c.test"))
        for other in (self.dialogue("mx"), self.dialogue(priorities=False)):
            self.assertNotIn("MT-PRIORITY", other.say("EHLO c.test"))

    def dialogue_again(self, d: Dialogue) -> str:
        d.connect()
        return d.secure().say("EHLO c.test")

    def test_memory(self) -> None:
        """However many minutes go by, few replies are kept."""
        d = self.dialogue()
        terms = d.protocol.premises.terms
        for _ in range(500):
            d.clock.advance(60)
            terms.ehlo(True, ())
        self.assertLessEqual(len(terms._ehlo), 101)

    def test_mail(self) -> None:
        d = self.dialogue()
        d.say("EHLO c.test")
        d.protocol.session.account = object()
        self.assertIn("501 5.5.4", d.say("MAIL FROM:<a@far.test> HOLDFOR=99999999"))
        self.assertIn("250", d.say("MAIL FROM:<a@far.test> HOLDFOR=60"))
        self.assertEqual(1.8e9 + 60, d.protocol.session.envelope.release)

    def test_not_from_outside(self) -> None:
        d = Dialogue("mx", submission=Submission()).hello()
        self.assertIn("555", d.say("MAIL FROM:<a@far.test> HOLDFOR=60"))
