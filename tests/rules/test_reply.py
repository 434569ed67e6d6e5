"""Who is answered by a program, and with what."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

from twisted.trial.unittest import SynchronousTestCase

from mta.rules.letter import Letter
from mta.rules.reply import why_not, written
from mta.rules.rule import Vacation

OWN = {"ann@example.org", "info@example.org"}


def letter(*fields: str, to: str = "ann@example.org", junk: bool = False) -> Letter:
    lines = ["From: sam@far.test", f"To: {to}", "Subject: =?utf-8?q?=C3=9C?= ber", "Message-ID: <1@far.test>"]
    return Letter("\r\n".join([*lines, *fields, "", ""]).encode(), 100, (), junk)


class ReplyTests(SynchronousTestCase):
    """RFC 3834, 2, and RFC 5230, 4.5 and 4.6."""

    def test_answered(self) -> None:
        for one in (letter(), letter("Auto-Submitted: no"), letter(to="x@y.test, Info <INFO@example.org>")):
            self.assertEqual("", why_not(one, "sam@far.test", OWN))
        self.assertEqual("", why_not(letter(), "bouncer@far.test", OWN))

    def test_not_answered(self) -> None:
        for sender in (
            "",
            "ann@example.org",
            "MAILER-DAEMON@far.test",
            "owner-l@far.test",
            "l-request@far.test",
            "noreply@far.test",
            "no-reply+1@far.test",
            "bounces+ann=x@far.test",
            "shop-noreply@far.test",
        ):
            self.assertNotEqual("", why_not(letter(), sender, OWN), sender)
        for fields in (
            "Auto-Submitted: auto-replied (vacation)",
            "List-Id: <x.far.test>",
            "List-Post: <x>",
            "Precedence: Bulk",
            "X-Auto-Response-Suppress: DR, OOF",
        ):
            self.assertNotEqual("", why_not(letter(fields), "sam@far.test", OWN), fields)
        self.assertNotEqual("", why_not(letter(to="list@far.test"), "sam@far.test", OWN))
        self.assertNotEqual("", why_not(letter(junk=True), "sam@far.test", OWN))

    def test_written(self) -> None:
        raw = written(
            Vacation(text="Später.\nAnn"), letter("References: <0@far.test>"), "ann@example.org", "s@f.test"
        )
        self.assertNotIn(b"\n", raw.replace(b"\r\n", b""))
        mail = message_from_bytes(raw, policy=default)
        self.assertEqual("Auto: Ü ber", mail["Subject"])
        self.assertEqual("<0@far.test> <1@far.test>", mail["References"])
        self.assertEqual("auto-replied (vacation)", mail["Auto-Submitted"])
        self.assertEqual("Später.\nAnn\n", mail.get_content().replace("\r\n", "\n"))
        # No field of a stranger's gets into ours.
        hostile = Letter(b"Subject: =?utf-8?q?a=0D=0ABcc:_x?=\r\nMessage-ID: <a b>\r\n\r\n", 1)
        raw = written(Vacation(text="x"), hostile, "ann@example.org", "s@f.test")
        self.assertNotIn(b"\r\nBcc", raw)
        self.assertNotIn(b"In-Reply-To", raw)
