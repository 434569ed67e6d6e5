"""What a notification says to people and to programs."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.model.catalogue import REPLIES
from mta.model.delivery_replies import DELIVERY
from mta.model.envelope import Client, Envelope
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import RemoteReply
from mta.queue.dsn import Notice, compose, decoded
from mta.queue.dsn_text import meaning, own_entry
from mta.queue.settlement import Report, expiry, span

NOW = 1.8e9
ORIGINAL = b"From: <a@home.test>\r\nSubject: Lunch on Friday\r\nMessage-ID: <m1@home.test>\r\n\r\nHello\r\n"
UNKNOWN = RemoteReply(550, "5.1.1", "No such user here", "mx.far.test [192.0.2.1]", "RCPT TO")


def addressee(address: str = "x@far.test", **facts: Any) -> Addressee:
    return Addressee(
        **{
            "number": 0,
            "address": address,
            "original": address,
            "transport": "relay",
            "next_hop": "far.test",
            **facts,
        }
    )


def message(**facts: Any) -> Message:
    envelope = Envelope("a@home.test", **facts)
    client = Client("s1")
    return Message(
        "0a1b2c3d4e5f6", envelope, client, b"", InlineContent(ORIGINAL), [], NOW - 600, NOW + 86400
    )


def notice(*reports: Report, about: Message | None = None, **facts: Any) -> Notice:
    if not reports:
        reports = (Report("failed", addressee(), UNKNOWN, NOW, "a@home.test"),)
    return Notice(
        **{
            "identifier": "0n1b2c3d4e5f6",
            "hostname": "mx.home.test",
            "to": "a@home.test",
            "now": NOW,
            "message": about or message(),
            "reports": reports,
            "original": ORIGINAL,
            "whole": True,
            **facts,
        }
    )


def parsed(data: bytes) -> EmailMessage:
    found = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert isinstance(found, EmailMessage)
    return found


def words(data: bytes) -> str:
    part = next(iter(parsed(data).iter_parts()))
    assert isinstance(part, EmailMessage)
    return " ".join(str(part.get_content()).split())


def fields(data: bytes, number: int = 1) -> Any:
    """The fields of one recipient; 0 for those of the message."""
    return list(parsed(data).iter_parts())[1].get_payload()[number]  # type: ignore[union-attr,index]


class FormTests(SynchronousTestCase):
    def test_header(self) -> None:
        mail = parsed(compose(notice()))
        self.assertEqual("Mail Delivery System <MAILER-DAEMON@mx.home.test>", mail["From"])
        self.assertEqual("a@home.test", mail["To"])
        self.assertEqual("Your message could not be delivered to x@far.test", mail["Subject"])
        self.assertEqual("auto-replied", mail["Auto-Submitted"])
        self.assertEqual("<0n1b2c3d4e5f6@mx.home.test>", mail["Message-ID"])
        self.assertEqual("<m1@home.test>", mail["In-Reply-To"])
        self.assertEqual("multipart/report", mail.get_content_type())
        self.assertEqual("delivery-status", mail.get_param("report-type"))
        self.assertEqual("1.0", mail["MIME-Version"])
        self.assertIsNotNone(mail["Date"].datetime)

    def test_parts(self) -> None:
        mail = parsed(compose(notice()))
        self.assertEqual(
            ["text/plain", "message/delivery-status", "message/rfc822"],
            [part.get_content_type() for part in mail.iter_parts()],
        )
        self.assertEqual([], mail.defects)

    def test_headers_only(self) -> None:
        mail = parsed(compose(notice(whole=False)))
        part = list(mail.iter_parts())[2]
        self.assertEqual("text/rfc822-headers", part.get_content_type())
        self.assertIn("Lunch", str(part.get_payload()))

    def test_line_ends(self) -> None:
        data = compose(notice())
        self.assertEqual(data.count(b"\n"), data.count(b"\r\n"))
        self.assertEqual(data.count(b"\r"), data.count(b"\r\n"))

    def test_the_original_is_whole(self) -> None:
        data = compose(notice(original=ORIGINAL + b"\r\n\r\nend"))
        self.assertIn(ORIGINAL + b"\r\n\r\nend\r\n", data)

    def test_seven_bit(self) -> None:
        reply = RemoteReply(550, "5.1.1", "Kein Postfach für Jörg", "mx.far.test", "RCPT TO")
        data = compose(notice(Report("failed", addressee(), reply, NOW, "a@home.test")))
        self.assertTrue(data.isascii())
        self.assertIn("Kein Postfach für Jörg", words(data))

    def test_eight_bit_header_is_encoded(self) -> None:
        original = "Subject: grün\r\nX: \0\r\n\r\nbody".encode()
        data = compose(notice(original=original, whole=False))
        self.assertTrue(data.isascii())

    def test_eight_bit_original(self) -> None:
        mail = parsed(compose(notice(original=ORIGINAL + "grün\r\n".encode())))
        self.assertEqual("8bit", mail["Content-Transfer-Encoding"])
        self.assertEqual("8bit", list(mail.iter_parts())[2]["Content-Transfer-Encoding"])

    def test_a_boundary_that_is_in_the_original(self) -> None:
        data = compose(notice(original=ORIGINAL + b"--=0n1b2c3d4e5f6\r\n"))
        self.assertEqual(3, len(list(parsed(data).iter_parts())))


class FieldsTests(SynchronousTestCase):
    """RFC 3464, 2."""

    def test_of_the_message(self) -> None:
        found = fields(compose(notice(about=message(envid="QQ314159"))), 0)
        self.assertEqual("dns; mx.home.test", found["Reporting-MTA"])
        self.assertEqual("QQ314159", found["Original-Envelope-Id"])
        self.assertIsNotNone(found["Arrival-Date"])
        self.assertIsNone(found["Future-Release-Request"])

    def test_of_one_that_was_held_for_later(self) -> None:
        """RFC 4865, 5.1.2: the request as it was made."""
        about = message()
        about.attributes["hold"] = "until;2027-01-31T08:00:00Z"
        found = fields(compose(notice(about=about)), 0)
        self.assertEqual("until;2027-01-31T08:00:00Z", found["Future-Release-Request"])
        self.assertIsNotNone(found["Arrival-Date"])

    def test_of_a_recipient(self) -> None:
        report = Report("failed", addressee(orcpt="rfc822;list@home.test"), UNKNOWN, NOW, "a@home.test")
        found = fields(compose(notice(report)))
        self.assertEqual("rfc822; x@far.test", found["Final-Recipient"])
        self.assertEqual("rfc822; list@home.test", found["Original-Recipient"])
        self.assertEqual("failed", found["Action"])
        self.assertEqual("5.1.1", found["Status"])
        self.assertEqual("dns; mx.far.test", found["Remote-MTA"])
        self.assertEqual("smtp; 550 5.1.1 No such user here", found["Diagnostic-Code"])
        self.assertIsNotNone(found["Last-Attempt-Date"])
        self.assertIsNone(found["Will-Retry-Until"])

    def test_an_alias(self) -> None:
        report = Report("failed", addressee(original="list@home.test"), UNKNOWN, NOW, "a@home.test")
        data = compose(notice(report))
        self.assertEqual("rfc822; list@home.test", fields(data)["Original-Recipient"])
        self.assertIn("<x@far.test> for which you wrote to <list@home.test>", words(data))

    def test_our_own_finding(self) -> None:
        reply = RemoteReply(550, "5.1.2", "The domain far.test does not exist")
        found = fields(compose(notice(Report("failed", addressee(), reply, NOW, "a@home.test"))))
        self.assertIsNone(found["Remote-MTA"])
        self.assertTrue(found["Diagnostic-Code"].startswith("x-mta; 550"))

    def test_status_follows_the_action(self) -> None:
        for code, enhanced, status in ((550, "", "5.0.0"), (550, "4.7.1", "5.7.1"), (550, "bogus", "5.0.0")):
            reply = RemoteReply(code, enhanced, "no", "mx.far.test")
            found = fields(compose(notice(Report("failed", addressee(), reply, NOW, "a@home.test"))))
            self.assertEqual(status, found["Status"])

    def test_expired(self) -> None:
        last = RemoteReply(451, "4.7.1", "Greylisted", "mx.far.test", "RCPT TO")
        data = compose(notice(expiry(message(), addressee(), last, NOW, "a@home.test")))
        found = fields(data)
        self.assertEqual(("failed", "4.4.7"), (found["Action"], found["Status"]))
        self.assertEqual("smtp; 451 4.7.1 Greylisted", found["Diagnostic-Code"])
        self.assertIn("It was tried for 10 minutes, without success", words(data))
        self.assertIn("The last answer: mx.far.test answered to RCPT TO: 451 4.7.1 Greylisted", words(data))

    def test_expired_is_not_tried_again(self) -> None:
        last = RemoteReply(451, "4.4.1", "No mail server of far.test answers: refused")
        text = words(compose(notice(expiry(message(), addressee(), last, NOW, "a@home.test"))))
        self.assertNotIn("tried again", text)

    def test_delayed(self) -> None:
        reply = RemoteReply(451, "4.4.1", "No mail server of far.test answers: refused")
        data = compose(notice(Report("delayed", addressee(), reply, NOW, "a@home.test"), whole=False))
        found = fields(data)
        self.assertEqual(("delayed", "4.4.1"), (found["Action"], found["Status"]))
        self.assertIsNotNone(found["Will-Retry-Until"])
        self.assertIn("You need not do anything", words(data))
        self.assertIn("is delayed", parsed(data)["Subject"])

    def test_several_recipients(self) -> None:
        reports = [
            Report("failed", addressee(f"u{number}@far.test"), UNKNOWN, NOW, "a@home.test")
            for number in range(70)
        ]
        data = compose(notice(*reports))
        self.assertEqual("rfc822; u69@far.test", fields(data, 70)["Final-Recipient"])
        self.assertIn("And 20 more", words(data))
        self.assertIn("70 recipients", parsed(data)["Subject"])


class InternationalTests(SynchronousTestCase):
    """RFC 6533."""

    def test_parts(self) -> None:
        about = message(smtputf8=True)
        report = Report("failed", addressee("jörg@far.test"), UNKNOWN, NOW, "ü@home.test")
        data = compose(notice(report, about=about, to="ü@home.test"))
        self.assertIn(b"message/global-delivery-status", data)
        self.assertIn(b"Content-Type: message/global\r\n", data)
        self.assertIn("Final-Recipient: utf-8; jörg@far.test\r\n".encode(), data)
        self.assertIn("To: <ü@home.test>\r\n".encode(), data)

    def test_header_is_ascii_for_an_ascii_sender(self) -> None:
        report = Report("failed", addressee("jörg@far.test"), UNKNOWN, NOW, "a@home.test")
        data = compose(notice(report, about=message(smtputf8=True)))
        self.assertTrue(data.partition(b"\r\n\r\n")[0].isascii())

    def test_headers_only(self) -> None:
        data = compose(notice(about=message(smtputf8=True), whole=False))
        self.assertIn(b"Content-Type: message/global-headers\r\n", data)


class HostileTests(SynchronousTestCase):
    """Nothing that others wrote becomes a line, a header or a part of its own."""

    def test_reply(self) -> None:
        reply = RemoteReply(
            550, "5.1.1", "no\r\nAction: delivered\r\n\r\n\x1b[2J\u202eevil", "h\r\nX: y", "RCPT\nTO"
        )
        data = compose(notice(Report("failed", addressee(), reply, NOW, "a@home.test")))
        self.assertEqual("failed", fields(data)["Action"])
        self.assertEqual(1, data.count(b"\r\nAction:"))
        self.assertNotIn(b"\x1b", data)
        self.assertNotIn("\u202e", words(data))
        self.assertNotIn(b"\nX: y", data)

    def test_endless_reply(self) -> None:
        reply = RemoteReply(550, "5.1.1", "x" * 100_000, "mx.far.test", "RCPT TO")
        data = compose(notice(Report("failed", addressee(), reply, NOW, "a@home.test")))
        self.assertLess(max(map(len, data.split(b"\r\n"))), 998)
        self.assertLess(len(data), 10_000)

    def test_original(self) -> None:
        for value in (
            b"a\x00b",
            b"=?utf-8?q?=0d=0aX:_y?=",
            b"=?nonsense?b?####?=",
            b"\xff\xfe",
            b"=?utf-8?b?!?=",
        ):
            original = b"Subject: " + value + b"\r\nMessage-ID: <a\x01b>\r\n\r\n"
            data = compose(notice(original=original, whole=False))
            self.assertEqual(3, len(list(parsed(data).iter_parts())))
            self.assertNotIn(b"\r\nX: y", data.partition(b"\r\n\r\n")[2].partition(b"rfc822-headers")[0])

    def test_long_lines(self) -> None:
        """A server that took the message's lines may give them to one that would not."""
        for value in (b"x" * 5000, b"word " * 1000, "ä".encode() * 3000):
            original = b"Subject: " + value + b"\r\nMessage-ID: <m1@home.test>\r\n\r\n"
            data = compose(notice(original=original, whole=False))
            self.assertLessEqual(max(map(len, data.split(b"\r\n"))), 998)
            header = list(parsed(data).iter_parts())[2].get_content()
            self.assertIn("m1@home.test", header)

    def test_bare_line_ends(self) -> None:
        """What BINARYMIME may hold cannot end a notification on its way."""
        original = b"Subject: a\n.\nMAIL FROM:<x>\r.\r\nX: b\r.\n\r\n\r\n"
        for facts in ({}, {"smtputf8": True}):
            about = message(body="BINARYMIME", **facts)
            for header in (original, original.replace(b"Subject: a", "Subject: ä".encode())):
                data = compose(notice(about=about, original=header, whole=False))
                self.assertNotRegex(data, rb"\r(?!\n)|(?<!\r)\n")
                self.assertIn(b"MAIL FROM:", data)

    def test_decoded(self) -> None:
        self.assertEqual("Grüße aus Köln", decoded(b"=?utf-8?b?R3LDvMOfZQ==?= aus =?iso-8859-1?q?K=F6ln?="))
        self.assertEqual(200, len(decoded(b"x" * 5000)))


class WordsTests(SynchronousTestCase):
    def test_what_it_means(self) -> None:
        text = words(compose(notice()))
        self.assertIn('with the subject "Lunch on Friday" could not be delivered to: <x@far.test>', text)
        self.assertIn("mx.far.test [192.0.2.1] answered to RCPT TO: 550 5.1.1 No such user here", text)
        self.assertIn("There is no such mailbox", text)
        self.assertIn("What to do: Check the address", text)
        self.assertIn("0a1b2c3d4e5f6", text)

    def test_our_own_have_the_catalogues_words(self) -> None:
        for entry in DELIVERY:
            values = dict.fromkeys(re.findall(r"\{(\w+)\}", entry.text), "a.test")
            said = REPLIES.reply(entry.name, **values)
            found = own_entry(RemoteReply(said.code, said.enhanced, said.text))
            self.assertEqual(entry.name, None if found is None else found.name)

    def test_others(self) -> None:
        for code, enhanced, word in (
            (552, "5.2.2", "full"),
            (550, "5.7.26", "SPF"),
            (550, "", "address"),
            (554, "", "words are all that is known"),
            (451, "", "put the message off"),
            (550, "5.7.999", "rules"),
            (550, "5.99.99", "address"),
            (550, "nonsense", "address"),
            (451, "4.7.1", "greylisting"),
        ):
            means, remedy = meaning(RemoteReply(code, enhanced, "said so", "mx.far.test"))
            self.assertIn(word, means, (code, enhanced))
            self.assertTrue(remedy)

    def test_time(self) -> None:
        self.assertEqual(
            [
                "less than a second",
                "1 second",
                "3 seconds",
                "1 minute",
                "5 minutes",
                "4 hours",
                "1 day",
                "5 days",
            ],
            [span(seconds) for seconds in (0.2, 1, 3, 58, 300, 14400, 86400, 432000)],
        )
