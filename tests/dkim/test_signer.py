"""Whose mail is signed, by whom, and that what was accepted is what was signed."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mta.config.settings import Dkim
from mta.dkim.key_store import SigningKeys
from mta.dkim.signer import Signer, manner_of
from mta.dkim.signing import SigningKey
from mta.dkim.signing_thread import SigningThread
from mta.interfaces import Facts, TemporarilyUnavailable
from mta.model.envelope import Client, Envelope
from mta.model.header import header_section
from mta.model.message import InlineContent
from mta.model.signed import UNSIGNED, Signed
from tests.dkim.test_verification import ED25519, KEYS, NOW, RECORDS, RSA, ed25519_record, outcomes, verified

BODY = b"Hello \r\n\r\n"


def may_send_as(account: str, address: str) -> bool:
    if address.startswith("down@"):
        raise TemporarilyUnavailable("the directory is down")
    return address == "ann@example.com"


class Stored:
    """Content that is not in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.reads = 0

    def read(self) -> bytes:
        raise AssertionError("it is read in blocks")

    def blocks(self) -> Any:
        self.reads += 1
        for start in range(0, self.size, 7):
            yield self.data[start : start + 7]


class SignerTests(SynchronousTestCase):
    def setUp(self) -> None:
        keys = [("", key) for key in KEYS]
        keys += [
            ("shop", SigningKey("example.org", "shop", ED25519)),
            ("", SigningKey("example.com", "c", RSA)),
        ]
        self.signer = self.make(SigningKeys(keys))

    def make(
        self, keys: SigningKeys, settings: Dkim | None = None, local_users: frozenset[int] | None = None
    ) -> Signer:
        return Signer(
            keys,
            manner_of(settings or Dkim()),
            may_send_as=may_send_as,
            calculate=lambda job: maybeDeferred(job),
            run_in_thread=lambda function, *args: succeed(function(*args)),
            local_users=local_users,
        )

    def sign(
        self,
        author: str = "Ann <ann@example.org>",
        *,
        account: str = "ann@example.org",
        sender: str = "ann@example.org",
        content: Any = None,
        above: bytes = b"",
        tenant: str = "",
        trusted: bool = True,
        watched: Any = None,
        client: Client | None = None,
    ) -> tuple[Signed, bytes]:
        header = f"From: {author}\r\nSubject: x\r\n".encode()
        content = content or InlineContent(header + b"\r\n" + BODY)
        client = client or Client("s1", "submission", account=account)
        facts = Facts(client, Envelope(sender), None, header, content, trusted=trusted)
        answer = self.signer.sign(facts, above, content, tenant, watched, NOW)
        if isinstance(answer, Signed):
            return answer, above + header
        return self.successResultOf(ensureDeferred(answer)), above + header  # type: ignore[arg-type]

    def test_ours(self) -> None:
        signed, header = self.sign()
        self.assertEqual({"domain": "example.org", "keys": ["r", "e"]}, signed.evidence)
        self.assertEqual(["pass", "pass"], outcomes(verified(signed.fields + header, BODY)))

    def test_local_users(self) -> None:
        """Programs of this machine, if their user may."""
        for allowed, user, signs in (
            (None, 1000, True),
            (None, None, True),
            (frozenset({0, 1000}), 1000, True),
            (frozenset({0, 1000}), 1001, False),
            (frozenset({0}), None, False),
            (frozenset(), 0, False),
        ):
            self.signer = self.make(SigningKeys([("", key) for key in KEYS]), local_users=allowed)
            signed, _ = self.sign(client=Client("s1", "local", user=user))
            self.assertEqual(signs, bool(signed.fields), (allowed, user))
            if not signs:
                self.assertIn("dkim.sign_local", signed.evidence["none"])
            # It is about programs of this machine alone.
            self.assertTrue(self.sign()[0].fields)

    def test_strangers(self) -> None:
        """Mail that comes from outside is nobody's to sign, whatever it says."""
        self.assertIs(UNSIGNED, self.sign(trusted=False, account="")[0])
        self.assertIsNone(self.signer.watch(False))
        self.assertIsNone(self.make(SigningKeys()).watch(True))
        self.assertEqual((True, False), (bool(self.signer), bool(self.make(SigningKeys()))))

    def test_whose_name(self) -> None:
        """An account signs for what belongs to it; a trusted network for what has keys."""
        for author, account, sender, domain in (
            ("ann@example.org", "ann@example.org", "ann@example.org", "example.org"),
            ("bob@EXAMPLE.org", "ann@example.org", "ann@example.org", "example.org"),
            ("ann@news.example.org", "ann@example.org", "ann@news.example.org", "example.org"),
            ("ann@example.com", "ann@example.org", "ann@example.org", "example.com"),
            ("boss@example.com", "ann@example.org", "ann@example.org", "example.org"),
            ("boss@example.com", "", "ann@example.org", "example.com"),
            ("boss@example.com", "ann@example.org", "", ""),
            ("ann@example.com", "ann@example.org", "", "example.com"),
            ("nobody", "ann@example.org", "ann@example.org", "example.org"),
            ("ann@other.test", "", "ann@other.test", ""),
            ("ann@other.test, ann@example.org", "", "", ""),
        ):
            signed, _ = self.sign(author, account=account, sender=sender)
            self.assertEqual(domain, signed.evidence.get("domain", ""), (author, account, sender))
            self.assertEqual(bool(domain), bool(signed.fields))
            self.assertEqual(bool(domain), "none" not in signed.evidence)

    def test_nobody_can_tell(self) -> None:
        facts = Facts(Client("s1", "submission", account="ann@example.org"), Envelope("ann@example.org"))
        facts.header, facts.trusted = b"From: down@example.com\r\n", True
        answer = self.signer.sign(facts, b"", InlineContent(b""), "", None, NOW)
        self.failureResultOf(ensureDeferred(answer), TemporarilyUnavailable)  # type: ignore[arg-type]

    def test_tenant(self) -> None:
        self.assertEqual(["shop"], self.sign(tenant="shop")[0].evidence["keys"])
        self.assertEqual(["r", "e"], self.sign(tenant="other")[0].evidence["keys"])

    def test_international(self) -> None:
        """The domain of a key is in its ASCII form; From may have the other."""
        self.signer = self.make(SigningKeys([("", SigningKey("xn--exmple-cua.org", "u", ED25519))]))
        signed, header = self.sign("änn@exämple.org", sender="änn@exämple.org")
        self.assertIn(b"d=xn--exmple-cua.org;", signed.fields)
        records = {"u._domainkey.xn--exmple-cua.org": ed25519_record(ED25519)}
        self.assertEqual(["pass"], outcomes(verified(signed.fields + header, BODY, records)))

    def test_above(self) -> None:
        """Fields that were put on top are there when it is signed."""
        signed, header = self.sign(above=b"Reply-To: list@example.org\r\n")
        self.assertEqual(["pass", "pass"], outcomes(verified(signed.fields + header, BODY)))
        lacking = header.removeprefix(b"Reply-To: list@example.org\r\n")
        self.assertEqual(["fail", "fail"], outcomes(verified(signed.fields + lacking, BODY)))

    def test_from_a_file(self) -> None:
        """What was seen while it was written is not read again; what was not is read once."""
        whole = b"From: Ann <ann@example.org>\r\nSubject: x\r\n\r\n" + BODY
        first, second = Stored(whole), Stored(whole)
        watched = self.signer.watch(True)
        assert watched is not None
        for start in range(0, len(whole), 5):
            watched.update(whole[start : start + 5])
        for content, seen, reads in ((first, watched, 0), (second, None, 1)):
            signed, header = self.sign(content=content, watched=seen)
            self.assertEqual(["pass", "pass"], outcomes(verified(signed.fields + header, BODY)))
            self.assertEqual(reads, content.reads)

    def test_own(self) -> None:
        """Bounces are signed by the domain above our name that has keys."""
        data = b"From: Mail <MAILER-DAEMON@mx.example.org>\r\nSubject: x\r\n\r\n" + BODY
        fields = self.successResultOf(self.signer.own(data, NOW))  # type: ignore[arg-type]
        self.assertEqual(["pass", "pass"], outcomes(verified(fields + header_section(data), BODY, RECORDS)))
        self.assertEqual(b"", self.signer.own(data.replace(b"example.org", b"other.test"), NOW))
        self.assertEqual(b"", self.make(SigningKeys()).own(data, NOW))

    def test_settings(self) -> None:
        how = manner_of(
            Dkim(canonicalization="simple/relaxed", headers=["From", "X-Y"], oversign=["To"], expire=864000)
        )
        self.assertEqual(("simple", "relaxed", 864000), (how.header_way, how.body_way, how.expire))
        self.assertEqual((frozenset({"from", "x-y"}), ("to",)), (how.headers, how.oversign))
        for wrong in (
            {"headers": ["To"]},
            {"headers": ["From", "Received"]},
            {"oversign": ["a b"]},
            {"expire": 60},
        ):
            self.assertRaises(ValueError, lambda wrong=wrong: Dkim(**wrong))  # type: ignore[misc]


class SigningThreadTests(TestCase):
    """One thread, which comes and goes."""

    async def test_answers(self) -> None:
        thread = SigningThread(reactor, idle=0.05)
        names: set[str] = set()

        def job(number: int) -> int:
            names.add(threading.current_thread().name)
            if number == 13:
                raise ValueError("thirteen")
            return number

        jobs: list[Deferred[Any]] = [thread.run(lambda number=number: job(number)) for number in range(100)]  # type: ignore[misc]
        jobs[13] = jobs[13].addErrback(lambda failure: failure.trap(ValueError) and -1)
        found = await gatherResults(jobs)
        self.assertEqual([-1 if number == 13 else number for number in range(100)], found)
        self.assertEqual({"dkim-signing"}, names)
        running = [one for one in threading.enumerate() if one.name == "dkim-signing"]
        for one in running:
            one.join(60)
        self.assertEqual([], [one for one in threading.enumerate() if one.name == "dkim-signing"])
        self.assertEqual(7, await thread.run(lambda: job(7)))
