"""From a client's response to an account, with a passwd-file."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from twisted.cred.checkers import ANONYMOUS
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet import defer, task
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from mta.identity.authenticator import Authenticator
from mta.identity.cache import CachedDirectory
from mta.identity.directories import Directories
from mta.identity.entry import parse_passwd
from mta.identity.file import AT_ONCE, MOST_WAITING, FileIdentity, FileSettings
from mta.identity.ldap import LdapSearches
from mta.identity.ldap_settings import LdapSettings, fill
from mta.identity.mechanisms import LookUp, Scram, Verify
from mta.identity.portal import make_portal
from mta.identity.schemes import SCHEMES, verifier
from mta.identity.scram import ScramKeys
from mta.interfaces import Denied, Mailbox, Success, TemporarilyUnavailable, settle
from mta.model.address import parse_address
from mta.model.envelope import Client

KEYS = ScramKeys.derive("pencil", bytes.fromhex("5b6d99689d12358eeca04b141236fa81"))
CLEAR = Client("s")
SAFE = Client("s", tls_version="TLSv1.3")


async def run(call: Any, *arguments: Any) -> Any:
    return call(*arguments)


class Down:
    credentialInterfaces = FileIdentity.credentialInterfaces

    def requestAvatarId(self, credentials: Any) -> Any:
        return defer.fail(TemporarilyUnavailable("down"))


class Broken:
    credentialInterfaces = FileIdentity.credentialInterfaces

    def __init__(self, avatar: Any) -> None:
        self.avatar = avatar

    def requestAvatarId(self, credentials: Any) -> Any:
        return self.avatar


class Members(SynchronousTestCase):
    def test_a_member_that_is_no_address(self) -> None:
        """It is the directory's trouble: an account is not told that an address is not its own."""
        entry = ("cn=all", {"mail": [b"all@example.org"], "member": [b"no address"]})

        class Pool:
            def search(self, base: str, query: str, *rest: Any) -> Any:
                return [entry] if "list" in query else []

        settings = LdapSettings(
            uri=["ldap://x"],
            base="dc=x",
            filter="(mail={address})",
            list_filter="(&(a=list)(mail={address}))",
            list_member=["member"],
        )
        searches = LdapSearches(settings, Pool())  # type: ignore[arg-type]
        self.assertRaises(TemporarilyUnavailable, searches.look_up, parse_address("all@example.org"))
        self.assertRaises(TemporarilyUnavailable, searches.account, "all@example.org")


class ScramVector(SynchronousTestCase):
    def test_rfc_7677(self) -> None:
        machine = Scram(False, False, lambda kind: None, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
        self.assertIsInstance(machine.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), LookUp)
        machine.supply(KEYS, b"")
        verify = machine.step(
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        )
        assert isinstance(verify, Verify)
        self.assertTrue(verify.credentials.check_keys(KEYS))
        self.assertEqual(machine.accepted().data, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


class Schemes(SynchronousTestCase):
    def test_dovecot(self) -> None:
        if not shutil.which("doveadm"):
            raise SkipTest("doveadm of Dovecot is not installed")
        tried = 0
        for scheme in SCHEMES:
            made = subprocess.run(
                ["doveadm", "pw", "-s", scheme, "-p", "Pa55word"], capture_output=True, text=True
            )
            if made.returncode:
                continue
            tried += 1
            check = verifier(made.stdout.strip())
            self.assertTrue(check(b"Pa55word"), scheme)
            self.assertFalse(check(b"pa55word"), scheme)
        self.assertGreater(tried, 12)

    def test_errors_name_lines(self) -> None:
        error = self.assertRaises(ValueError, parse_passwd, "# x\na@b.org:{NO}x\nb@b.org:{SSHA}!\n", "users")
        self.assertIn("users:2: ", str(error))
        self.assertIn("users:3: ", str(error))


class LogIn(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.write_text(
            f"anna@example.org:{{PLAIN}}right::::::senders=@example.net\nuser:{{SCRAM-SHA-256}}{KEYS}\n"
        )
        self.clock = task.Clock()
        settings = FileSettings(path=str(self.path))
        self.file = FileIdentity(self.path, settings, self.clock, run, "example.org")
        self.directories = Directories([self.file])

    def authenticator(self, *checkers: Any) -> Authenticator:
        checkers = checkers or (self.file,)
        return Authenticator(make_portal(checkers, self.directories), checkers, b"s" * 32)

    def answer(self, awaitable: Any) -> Any:
        async def wait() -> Any:
            return await settle(awaitable)

        return self.successResultOf(defer.Deferred.fromCoroutine(wait()))

    def plain(self, response: bytes, *checkers: Any) -> Any:
        exchange = self.authenticator(*checkers).begin("PLAIN", SAFE, lambda kind: None)
        return self.answer(exchange.step(response))

    def test_plain(self) -> None:
        self.assertIsInstance(self.plain(b"\0anna@example.org\0right"), Success)
        wrong = (
            b"\0anna@example.org\0wrong",
            b"\0nobody@example.org\0right",
            b"\0anna@example.org\0",
            b"user@example.org\0anna@example.org\0right",
        )
        for response in wrong:
            answer = self.plain(response)
            self.assertIsInstance(answer, Denied, response)
            self.assertFalse(answer.temporary)
        for response in (b"", b"x", b"\0a\0b\0c", b"\0\xff\0x"):
            self.assertTrue(self.plain(response).malformed, response)

    def test_checkers_that_are_wrong(self) -> None:
        """An avatar id that is none is no wrong password, and lets nobody in."""
        for avatar in (None, "", b"", 5):
            answer = self.plain(b"\0anna@example.org\0wrong", Broken(avatar), self.file)
            self.assertIsInstance(answer, Denied)
            self.assertTrue(answer.temporary, avatar)
        self.assertFalse(self.plain(b"\0anna@example.org\0wrong", Broken(ANONYMOUS)).temporary)

    def test_few_at_once(self) -> None:
        """Guessing passwords on many connections takes neither all threads nor all memory."""
        running: list[defer.Deferred[Any]] = []

        def start(call: Any, *arguments: Any) -> defer.Deferred[Any]:
            running.append(defer.Deferred())
            return running[-1]

        self.file._run = start
        exchanges = [
            self.authenticator().begin("PLAIN", SAFE, lambda kind: None)
            for _ in range(AT_ONCE + MOST_WAITING + 1)
        ]
        answers = [
            defer.Deferred.fromCoroutine(exchange.step(b"\0anna@example.org\0wrong"))
            for exchange in exchanges
        ]
        self.assertEqual(AT_ONCE, len(running))
        # One more than may wait is put off, and not told that the password is wrong.
        self.assertTrue(self.successResultOf(answers.pop()).temporary)
        for _ in answers:
            running.pop(0).callback((False, None))
            self.assertLessEqual(len(running), AT_ONCE)
        self.assertEqual([False] * len(answers), [self.successResultOf(one).temporary for one in answers])

    def test_no_plaintext_without_tls(self) -> None:
        self.assertEqual(self.authenticator().mechanisms(False, False), ["SCRAM-SHA-256"])
        self.assertRaises(ValueError, self.authenticator().begin, "PLAIN", CLEAR, lambda kind: None)

    def test_unavailable_is_temporary(self) -> None:
        self.assertIsInstance(self.plain(b"\0anna@example.org\0right", Down(), self.file), Success)
        self.assertTrue(self.plain(b"\0anna@example.org\0wrong", self.file, Down()).temporary)

    def test_unknown_user_has_a_steady_salt(self) -> None:
        def first(name: bytes) -> bytes:
            exchange = self.authenticator().begin("SCRAM-SHA-256", SAFE, lambda kind: None)
            data: bytes = self.answer(exchange.step(b"n,,n=" + name + b",r=abc")).data
            return data.partition(b",")[2]

        self.assertEqual(first(b"nobody"), first(b"nobody"))
        self.assertNotEqual(first(b"nobody"), first(b"other"))
        self.assertTrue(first(b"nobody").endswith(b"i=4096"))

    def test_offered_if_everybody_can(self) -> None:
        """A client takes SCRAM where it is offered: who has no keys could not log in any more."""
        self.assertIn("SCRAM-SHA-256", self.authenticator().mechanisms(True, False))
        self.assertEqual(
            ["PLAIN", "LOGIN"], self.authenticator(self.file, Broken(None)).mechanisms(True, False)
        )
        hashed = "bob@example.org:{SSHA}Yp+8bRNSVOBnhDfbZy3ts8bNYHNzYWx0\n"
        with self.path.open("a") as file:
            file.write(hashed)
        self.answer(self.file.reload())
        self.assertEqual(["PLAIN", "LOGIN"], self.authenticator().mechanisms(True, False))

    def test_downgrade_is_refused(self) -> None:
        exchange = self.authenticator().begin("SCRAM-SHA-256", SAFE, lambda kind: b"data")
        self.assertIsInstance(self.answer(exchange.step(b"y,,n=user,r=abc")), Denied)

    def test_changed_file(self) -> None:
        self.path.write_text("carl@example.org:{PLAIN}new-one\n")
        self.clock.advance(2)
        # At once: whoever asks for a new account first must not hear that there is none.
        self.assertIsNotNone(self.answer(self.file.account("carl@example.org")))
        self.path.write_text("broken\n")
        self.clock.advance(2)
        self.file.account("carl@example.org")
        self.assertIsNotNone(self.file.account("carl@example.org"))

    def test_changed_password(self) -> None:
        """A new one holds at once, and the old one does not."""
        self.path.write_text("user@example.org:{PLAIN}new-one\n")
        self.clock.advance(2)
        new = UsernamePassword(b"user@example.org", b"new-one")
        self.assertEqual("user@example.org", self.answer(self.file.requestAvatarId(new)))
        # Even in the second in which nobody looks again.
        self.path.write_text("user@example.org:{PLAIN}another-one\n")
        newest = UsernamePassword(b"user@example.org", b"another-one")
        self.assertEqual("user@example.org", self.answer(self.file.requestAvatarId(newest)))
        self.path.write_text("user@example.org:{PLAIN}one-more\n")
        self.clock.advance(2)
        self.failureResultOf(self.file.requestAvatarId(newest), UnauthorizedLogin)

    def test_senders(self) -> None:
        allowed = ("", "anna@example.org", "anna+x@example.org", "any@example.net")
        for address in allowed:
            self.assertTrue(self.answer(self.directories.may_send_as("anna@example.org", address)), address)
        self.assertFalse(self.answer(self.directories.may_send_as("anna@example.org", "user@example.org")))
        # A domain that stands for another one has the same people.
        both = Directories(
            [self.file], stands_for=lambda name: "example.org" if name == "other.test" else name
        )
        for address, may in (
            ("anna@other.test", True),
            ("anna+x@other.test", True),
            ("user@other.test", False),
        ):
            self.assertEqual(may, self.answer(both.may_send_as("anna@example.org", address)), address)


class Cache(SynchronousTestCase):
    def test_stale_and_single_flight(self) -> None:
        clock = task.Clock()
        asked: list[Any] = []

        class Slow:
            def look_up(self, address: Any) -> Any:
                asked.append(defer.Deferred())
                return asked[-1]

        cache = CachedDirectory(Slow(), clock)
        address, box = parse_address("a@example.org"), Mailbox("a@example.org")
        one, two = cache.look_up(address), cache.look_up(address)
        self.assertEqual(len(asked), 1)
        asked[0].callback(box)
        self.assertEqual((self.successResultOf(one), self.successResultOf(two)), (box, box))
        self.assertEqual(cache.look_up(address), box)
        clock.advance(61)
        stale = cache.look_up(address)
        asked[1].errback(TemporarilyUnavailable("down"))
        self.assertEqual(self.successResultOf(stale), box)
        clock.advance(600)
        late = cache.look_up(address)
        asked[2].errback(TemporarilyUnavailable("down"))
        self.failureResultOf(late, TemporarilyUnavailable)


class Escapes(SynchronousTestCase):
    def test_values_stay_values(self) -> None:
        self.assertEqual(
            fill("(mail={address})", "*)(uid=*@x.org", "filter"), "(mail=\\2a\\29\\28uid=\\2a@x.org)"
        )
        self.assertEqual(
            fill("uid={local},o={domain}", "a,b=c+{domain}@x.org", "dn"),
            "uid=a\\2cb\\3dc\\2b{domain},o=x.org",
        )
