"""AUTH: with an authenticator that answers by the book, and with the real one."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.identity.authenticator import Authenticator
from mta.identity.directories import Directories
from mta.identity.file import FileIdentity, FileSettings
from mta.identity.portal import make_portal
from mta.model.event import Authenticated, AuthenticationFailed
from tests.smtp.server_fakes import Dialogue, FakeAuthenticator, codes, limits


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class OfferTests(SynchronousTestCase):
    """Which mechanisms are offered, and when mail is taken."""

    def test_before_tls(self) -> None:
        """No password in clear text; no mail without TLS."""
        d = Dialogue("submission", authenticator=FakeAuthenticator(), tls=object())
        text = d.say("EHLO x.test")
        self.assertIn("250-AUTH X-SAFE\r\n", text)
        self.assertIn("250-STARTTLS\r\n", text)
        self.assertEqual("538", d.say(f"AUTH PLAIN {b64(b'right')}")[:3])
        self.assertEqual("504 5.5.4", d.say("AUTH BOGUS")[:9])
        self.assertEqual("530 5.7.0 Must issue STARTTLS", d.say("MAIL FROM:<a@b>")[:29])
        # Whoever tries is in the journal.
        self.assertEqual(["auth-needs-tls", "auth-mechanism", "tls-required"], [one.name for one in d.events])
        nowhere = Dialogue().hello()
        nowhere.say(f"AUTH PLAIN {b64(b'right')}")
        self.assertEqual(["not-implemented"], [one.name for one in nowhere.events])
        self.assertNotIn(b64(b"right"), str(nowhere.events))

    def test_inside_tls(self) -> None:
        """Mail needs AUTH; STARTTLS is not offered again."""
        d = Dialogue("submission", authenticator=FakeAuthenticator(), tls=object()).secure()
        text = d.say("EHLO x.test")
        self.assertIn("250-AUTH X-SAFE PLAIN\r\n", text)
        self.assertNotIn("STARTTLS", text)
        self.assertEqual("503", d.say("STARTTLS")[:3])
        self.assertEqual("530 5.7.0 Authentication required", d.say("MAIL FROM:<a@b>")[:33])
        self.assertEqual(["mail"], [event.stage for event in d.events])

    def test_trouble(self) -> None:
        """An authenticator that cannot say what it offers makes no dead session."""
        authenticator = FakeAuthenticator()
        authenticator.mechanisms = lambda tls, binding_available: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        d = Dialogue("submission", authenticator=authenticator, tls=object()).hello()
        self.assertEqual(["504", "250"], codes(d.say("AUTH PLAIN", "NOOP")))
        self.assertEqual(3, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_roles_without(self) -> None:
        """mx, lmtp and local have no AUTH, whatever they are given."""
        for role in ("mx", "lmtp", "local"):
            d = Dialogue(role, authenticator=FakeAuthenticator()).secure().hello()
            self.assertEqual(["502"], codes(d.say("AUTH PLAIN")))


class ExchangeTests(SynchronousTestCase):
    """The lines of an exchange."""

    def setUp(self) -> None:
        self.authenticator = FakeAuthenticator()
        self.d = Dialogue("submission", authenticator=self.authenticator, tls=object()).secure().hello()

    def test_too_often(self) -> None:
        """What is not looked at is put off, with the time to wait, and stands in the journal."""
        said = self.d.say(f"AUTH PLAIN {b64(b'often')}")
        self.assertEqual(
            "454 4.7.0 Too many failed log-ins, try again in 61 seconds", said.partition(" [")[0]
        )
        (event,) = self.d.events
        self.assertEqual(("auth-throttled", True), (event.name, event.temporary))

    def test_initial_response(self) -> None:
        self.assertEqual("235 2.7.0 Authentication succeeded\r\n", self.d.say(f"AUTH plain {b64(b'right')}"))
        client = self.d.protocol.session.client
        self.assertEqual(
            ("ann@local.test", "PLAIN", "ESMTPSA"), (client.account, client.mechanism, client.protocol)
        )
        (event,) = self.d.events
        self.assertIsInstance(event, Authenticated)
        self.assertEqual(
            ("ann@local.test", "PLAIN", "192.0.2.7", "TLSv1.3 TLS_AES_256_GCM_SHA384"),
            (event.account, event.mechanism, event.client, event.tls),
        )
        self.assertEqual(["503"], codes(self.d.say("AUTH PLAIN")))
        self.d.begin()
        self.assertEqual(["ESMTPSA"], self.d.reception.protocols)
        self.assertNotIn("AUTH", self.d.say("EHLO again.test"))

    def test_challenge(self) -> None:
        self.assertEqual(f"334 {b64(b'who?')}\r\n", self.d.say("AUTH PLAIN"))
        self.assertEqual("235", self.d.say(b64(b"right"))[:3])
        self.assertEqual([None, b"right"], self.authenticator.responses)

    def test_empty_responses(self) -> None:
        """``=`` is an empty initial response; an empty line an empty answer."""
        self.d.say("AUTH PLAIN =")
        self.d.say("AUTH PLAIN", "")
        self.assertEqual([b"", None, b""], self.authenticator.responses)

    def test_cancel(self) -> None:
        self.assertEqual(["334", "501", "250"], codes(self.d.say("AUTH PLAIN", "*", "NOOP")))

    def test_not_base64(self) -> None:
        """Refused, and the exchange is over."""
        for text in ("a", "%%%%", "AAA=AAA=", "AA A", "=="):
            self.assertEqual(["334", "501", "250"], codes(self.d.say("AUTH PLAIN", text, "NOOP")), text)
        self.assertEqual(["501", "250"], codes(self.d.say("AUTH PLAIN ??", "NOOP")))
        self.assertEqual([None] * 5, self.authenticator.responses)

    def test_denied(self) -> None:
        """What the client hears, and what the journal tells."""
        for response, code, temporary in (
            (b"wrong", "535 5.7.8", False),
            (b"down", "454 4.7.0", True),
            (b"odd", "501 5.5.2", False),
            (b"explode", "454 4.7.0", True),
        ):
            self.assertEqual(code, self.d.say(f"AUTH PLAIN {b64(response)}")[:9])
            event = self.d.events[-1]
            self.assertIsInstance(event, AuthenticationFailed)
            self.assertEqual((temporary, "PLAIN"), (event.temporary, event.mechanism))
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        self.assertEqual("wrong password", self.d.events[0].reason)

    def test_guessing_has_an_end(self) -> None:
        d = (
            Dialogue("submissions", authenticator=self.authenticator, limits=limits(errors=3))
            .secure()
            .hello()
        )
        lines = [f"AUTH PLAIN {b64(b'guess')}"] * 9
        self.assertEqual(["535", "535", "535", "535", "421"], codes(d.say(*lines)))

    def test_no_secret_anywhere(self) -> None:
        """Whatever is sent in the wrong place stays out of replies and journal."""
        secret = b64(b"\0ann\0hunter2hunter2")
        text = self.d.say(f"AUTH PLAIN {secret}x", secret, f"AUTH BOGUS {secret}", f"AUTH {secret}")
        self.assertEqual([], [e for e in [text, *map(repr, self.d.events)] if secret in e])

    def test_not_within_a_transaction(self) -> None:
        self.d.say(f"AUTH PLAIN {b64(b'right')}")
        self.d.begin()
        self.assertEqual(["503"], codes(self.d.say("AUTH PLAIN")))

    def test_long_line(self) -> None:
        """A line of an exchange may be longer than a command (RFC 4954, 4)."""
        self.assertEqual(["334", "535"], codes(self.d.say("AUTH PLAIN", b64(b"x" * 6000))))
        self.assertEqual(["334", "500", "250"], codes(self.d.say("AUTH PLAIN", "A" * 12300, "NOOP")))

    def test_auth_parameter(self) -> None:
        """RFC 4954, 5: only who is authenticated may name somebody in AUTH=."""
        self.d.say(f"AUTH PLAIN {b64(b'right')}", "MAIL FROM:<a@b> AUTH=c@d")
        envelope = self.d.protocol.session.envelope
        self.assertEqual("c@d", envelope and envelope.auth)
        d = Dialogue().hello()
        d.say("MAIL FROM:<a@b> AUTH=c@d")
        envelope = d.protocol.session.envelope
        self.assertEqual("<>", envelope and envelope.auth)


class RealAuthenticatorTests(SynchronousTestCase):
    """PLAIN and LOGIN against a passwd-file."""

    def setUp(self) -> None:
        path = Path(self.mktemp())
        path.write_text("ann@local.test:{PLAIN}right\n")

        async def run(call: Any, *arguments: Any) -> Any:
            return call(*arguments)

        identity = FileIdentity(path, FileSettings(path=str(path)), Clock(), run, "local.test")
        portal = make_portal((identity,), Directories([identity]))
        self.d = Dialogue("submissions", authenticator=Authenticator(portal, (identity,), b"s" * 32))
        self.d.secure().hello()
        self.d.protocol.channel_binding = lambda kind: None  # type: ignore[method-assign]

    def test_plain(self) -> None:
        text = self.d.say(f"AUTH PLAIN {b64(b'?ann@local.test?wrong'.replace(b'?', bytes(1)))}")
        self.assertEqual("535", text[:3])
        text = self.d.say(f"AUTH PLAIN {b64(b'?ann@local.test?right'.replace(b'?', bytes(1)))}")
        self.assertEqual("235", text[:3])
        self.assertEqual("ann@local.test", self.d.protocol.session.client.account)

    def test_login(self) -> None:
        text = self.d.say("AUTH LOGIN", b64(b"ann@local.test"), b64(b"right"))
        self.assertEqual(["334", "334", "235"], codes(text))
