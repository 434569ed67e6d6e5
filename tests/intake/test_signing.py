"""What is kept of a message is what was signed of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import maybeDeferred, succeed

from mta.config.settings import Dkim
from mta.dkim.key_store import SigningKeys
from mta.dkim.signer import Signer, manner_of
from mta.interfaces import TemporarilyUnavailable
from mta.model.authentication import AuthenticationResult
from mta.model.change import ChangeField, InsertField, ReplaceBody
from mta.model.event import Received
from mta.model.header import header_section
from mta.model.message import Message
from mta.model.verdict import Verdict
from tests.dkim.test_verification import KEYS, NOW, RECORDS, outcomes, verified
from tests.intake.test_reception import ReceptionCase, SaysOf

MAIL = b"From: Ann <ann@example.org>\r\nSubject: x\r\n\r\nhello \r\n\r\n"


def may_send_as(account: str, address: str) -> bool:
    raise TemporarilyUnavailable("the directory is down")


class SigningTests(ReceptionCase):
    """With a signer that has the keys of example.org."""

    def reception(self, *judges: Any, **options: Any) -> Any:
        signer = Signer(
            SigningKeys([("", key) for key in KEYS]),
            manner_of(Dkim()),
            may_send_as=may_send_as,
            calculate=lambda job: maybeDeferred(job),
            run_in_thread=lambda function, *args: succeed(function(*args)),
        )
        return super().reception(
            *judges,
            signer=signer,
            run_in_thread=lambda function, *args: succeed(function(*args)),
            **options,
        )

    def kept(self) -> tuple[Message, Received]:
        ((message, (event,)),) = self.spool.admitted
        assert isinstance(event, Received)
        return message, event

    def outcome(self) -> list[str]:
        """What a receiver finds of the one message that was kept."""
        message, event = self.kept()
        whole = message.trace + message.content.read()
        self.assertEqual(len(whole), event.size)
        header = header_section(whole)
        return outcomes(verified(header, whole[len(header) + 2 :], RECORDS, now=NOW))

    def test_submitted(self) -> None:
        """With what it lacked, which is signed too."""
        self.sender = "ann@example.org"
        self.send(self.reception(), "x@far.test", role="submission", data=MAIL, account="ann@example.org")
        self.assertEqual(["pass", "pass"], self.outcome())
        message, event = self.kept()
        self.assertTrue(message.trace.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;"))
        self.assertEqual({"domain": "example.org", "keys": ["r", "e"]}, event.tags["signature"])
        signature = message.trace.partition(b"Received:")[0]
        self.assertIn(b"message-id:", signature)

    def test_outsiders(self) -> None:
        """Not signed, and nothing is said of it."""
        self.send(self.reception(), "ann@local.test", data=MAIL)
        message, event = self.kept()
        self.assertNotIn(b"DKIM", message.trace)
        self.assertEqual({}, event.tags)

    def test_large(self) -> None:
        """Seen while it is written; the file is not read for it."""
        data = MAIL + b"line \r\n" * 1000
        reception = self.reception(inline=500)
        self.send(reception, "x@far.test", role="local", data=data)
        (file,) = self.spool.files
        self.assertIsNotNone(file.see)
        self.assertEqual(["pass", "pass"], self.outcome())

    def test_large_from_outside(self) -> None:
        self.send(self.reception(inline=500), "ann@local.test", data=MAIL + b"line \r\n" * 1000)
        self.assertIsNone(self.spool.files[0].see)

    def test_changed_by_judges(self) -> None:
        """What judges make of it is signed, small and large."""
        changes = (
            ChangeField("Subject", "y"),
            InsertField("Reply-To", "z@example.org"),
            ReplaceBody(b"another\r\n"),
        )
        for size in (0, 1000):
            judge = SaysOf(
                "message", Verdict(changes=changes, authentication=(AuthenticationResult("spf", "none"),))
            )
            data = MAIL + b"line \r\n" * size
            self.send(self.reception(judge, inline=500), "x@far.test", role="local", data=data)
            self.assertEqual(["pass", "pass"], self.outcome(), size)
            whole = self.kept()[0].trace + self.kept()[0].content.read()
            self.assertIn(b"Subject: y\r\n", whole)
            self.assertIn(b"Authentication-Results:", whole)
            self.assertEqual(1, whole.count(b"Reply-To:"))
            self.spool.admitted.clear()

    def test_tagged(self) -> None:
        judge = SaysOf("message", Verdict("tag", fields=(("Cc", "more@example.org"),)))
        self.send(self.reception(judge), "x@far.test", role="local", data=MAIL)
        self.assertEqual(["pass", "pass"], self.outcome())

    def test_nobody_can_tell(self) -> None:
        """Whether the account may use the address: it is put off, and nothing is kept."""
        data = MAIL.replace(b"ann@example.org", b"bob@example.com")
        for inline in (20, 5000):
            reception = self.reception(inline=inline)
            (reply,) = self.send(
                reception, "x@far.test", role="submission", data=data, account="ann@example.org"
            )
            self.assertEqual((451, "signature"), (reply.code, reply.rule))
        self.assertEqual([], self.spool.admitted)
        self.assertEqual([True], [file.aborted for file in self.spool.files])
