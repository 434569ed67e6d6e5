"""Our certificate: made, loaded, refused with the remedy, changed while running."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import sys
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.certificate import CertificateError, ServerContext, self_signed
from mta.certificate_watch import LOOK, CertificateWatch
from mta.model.event import Event

NOW = 1_800_000_000.0


class CertificateTests(SynchronousTestCase):
    """What an operator meets."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())

    def test_self_signed_is_made_once(self) -> None:
        first = self_signed(self.directory, "mx.example.org", NOW)
        key = first[1].read_bytes()
        self.assertEqual(first, self_signed(self.directory, "mx.example.org", NOW))
        self.assertEqual(key, first[1].read_bytes())
        self.assertEqual(0o600, os.stat(first[1]).st_mode & 0o777)

    def test_made_by_several_at_once(self) -> None:
        """Workers that start together agree on one pair."""
        program = (
            "import sys; from pathlib import Path; from mta.certificate import *\n"
            "print('ready', flush=True); sys.stdin.read()\n"
            f"pair = self_signed(Path({str(self.directory.absolute())!r}), 'mx.example.org', {NOW})\n"
            "ServerContext(*pair); print(pair[1].read_text())"
        )
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(6)
        ]
        for worker in workers:
            assert worker.stdout is not None
            self.assertEqual("ready\n", worker.stdout.readline())
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.close()
        keys = set()
        for worker in workers:
            with worker:
                assert worker.stdout is not None
                keys.add(worker.stdout.read())
        self.assertEqual([0] * 6, [worker.returncode for worker in workers])
        self.assertEqual(1, len(keys))

    def test_loads(self) -> None:
        context = ServerContext(*self_signed(self.directory, "mx.example.org", NOW))
        self.assertAlmostEqual(NOW + 3650 * 86400, context.expires, delta=1)

    def test_another_key(self) -> None:
        certificate, _ = self_signed(self.directory, "a.example.org", NOW)
        _, key = self_signed(self.directory / "other", "b.example.org", NOW)
        error = self.assertRaises(CertificateError, ServerContext, certificate, key)
        self.assertIn("this is not the key of", str(error))

    def test_not_pem(self) -> None:
        certificate, key = self_signed(self.directory, "a.example.org", NOW)
        certificate.write_text("hello")
        error = self.assertRaises(CertificateError, ServerContext, certificate, key)
        self.assertIn("no PEM certificate", str(error))

    def test_missing(self) -> None:
        missing = self.directory / "none.pem"
        error = self.assertRaises(CertificateError, ServerContext, missing, missing)
        self.assertIn("none.pem", str(error))

    def test_reload(self) -> None:
        certificate, key = self_signed(self.directory, "a.example.org", NOW)
        context = ServerContext(certificate, key)
        before = context.getContext()
        certificate.unlink()
        self.assertRaises(CertificateError, context.reload)
        self.assertIs(before, context.getContext())
        self_signed(self.directory, "a.example.org", NOW + 86400)
        context.reload()
        self.assertIsNot(before, context.getContext())
        self.assertAlmostEqual(NOW + 3651 * 86400, context.expires, delta=1)


class TermsTests(SynchronousTestCase):
    """What a client may agree on with us."""

    def setUp(self) -> None:
        self.context = ServerContext(*self_signed(Path(self.mktemp()), "mx.example.org", NOW))
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def shake(self, **client: object) -> ssl.SSLObject:
        """A whole handshake in memory, and what the client knows then."""
        terms, session = self.client, client.pop("session", None)
        terms.check_hostname, terms.verify_mode = False, ssl.CERT_NONE
        terms.set_ciphers("ALL:@SECLEVEL=0")
        for name, value in client.items():
            if callable(getattr(terms, name)):
                getattr(terms, name)(value)
            else:
                setattr(terms, name, value)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = SSL.Connection(self.context.getContext(), None)
        ours.set_accept_state()
        theirs = terms.wrap_bio(incoming, outgoing)
        if isinstance(session, ssl.SSLSession):
            theirs.session = session
        for _ in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                theirs.do_handshake()
            if data := outgoing.read():
                ours.bio_write(data)
            with contextlib.suppress(SSL.WantReadError):
                ours.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                incoming.write(ours.bio_read(65536))
        with_data = ours.send(b"x")
        self.assertEqual(1, with_data)
        incoming.write(ours.bio_read(65536))
        self.assertEqual(b"x", theirs.read(1))
        return theirs

    def test_newest(self) -> None:
        self.assertEqual("TLSv1.3", self.shake().version())

    def test_forward_secrecy_and_authenticated_encryption(self) -> None:
        for cipher in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"):
            found = self.shake(maximum_version=ssl.TLSVersion.TLSv1_2, set_ciphers=cipher).cipher()
            self.assertEqual(cipher, (found or ("",))[0])

    def test_weak(self) -> None:
        """Neither old versions, nor ciphers without forward secrecy, with CBC, or without a certificate."""
        for weak in (
            {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1},
            {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1},
            *(
                {"maximum_version": ssl.TLSVersion.TLSv1_2, "set_ciphers": f"{cipher}:@SECLEVEL=0"}
                for cipher in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "aNULL", "kRSA", "SHA1")
            ),
        ):
            self.assertRaises((ssl.SSLError, SSL.Error), self.shake, **weak)

    def test_minimum(self) -> None:
        self.context.use(self.context.certificate, self.context.certificate.with_name("key.pem"), "1.3")
        old = {"maximum_version": ssl.TLSVersion.TLSv1_2}
        self.assertRaises((ssl.SSLError, SSL.Error), self.shake, **old)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.shake()

    def test_nothing_is_resumed(self) -> None:
        """Nothing that the client keeps opens another session, and no key of ours opens what was recorded."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            first = self.shake(maximum_version=version)
            again = self.shake(maximum_version=version, session=first.session)
            self.assertEqual(
                (False, version.name), (again.session_reused, (again.version() or "").replace(".", "_"))
            )


class WatchTests(SynchronousTestCase):
    """It is renewed while we run, or not."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.pair = self_signed(self.directory, "mx.example.org", NOW)
        self.context = ServerContext(*self.pair)
        self.clock = Clock()
        self.events: list[Event] = []

    def watch(self, left: float) -> CertificateWatch:
        """One that begins so many days before the end."""
        self.clock.rightNow = self.context.expires - left * 86400
        made = CertificateWatch(self.clock, self.context, self.events.extend, True)
        self.at_once(made.start())
        return made

    def at_once(self, coroutine: object) -> None:
        self.assertRaises(StopIteration, coroutine.send, None)  # type: ignore[attr-defined]

    def told(self) -> list[tuple[str, int]]:
        found = [(event.what, event.days) for event in self.events]  # type: ignore[attr-defined]
        self.events.clear()
        return found

    def test_renewed(self) -> None:
        self.watch(100)
        before = self.context.getContext()
        self.clock.advance(LOOK)
        self.assertEqual([], self.told())
        self.pair[0].unlink()
        self_signed(self.directory, "mx.example.org", NOW + 86400)
        self.clock.advance(LOOK)
        self.assertEqual([("loaded", 0)], self.told())
        self.assertIsNot(before, self.context.getContext())
        self.clock.advance(LOOK)
        self.assertEqual([], self.told())

    def test_halfway(self) -> None:
        """Of two files one is new: that is no trouble, if the other follows; if not, it is said once."""
        self.watch(100)
        before = self.context.getContext()
        _, other = self_signed(self.directory / "other", "mx.example.org", NOW)
        key = self.pair[1].read_bytes()
        self.pair[1].write_bytes(other.read_bytes())
        self.clock.advance(LOOK)
        self.assertEqual([], self.told())
        self.clock.advance(LOOK)
        self.assertEqual([("unusable", 0)], self.told())
        self.clock.advance(LOOK)
        self.assertEqual([], self.told())
        self.assertIs(before, self.context.getContext())
        self.pair[1].write_bytes(key)
        self.clock.advance(LOOK)
        self.assertEqual([("loaded", 0)], self.told())

    def test_expires(self) -> None:
        """Once at 30, 14, 7 and 1 days, and when it has."""
        self.watch(31)
        self.assertEqual([], self.told())
        seen = []
        for _ in range(33):
            for _ in range(4):
                self.clock.pump([21600 / 4] * 4)
            seen += self.told()
        self.assertEqual(["expires"] * 4 + ["expired"], [what for what, _ in seen])
        for days, wanted in zip([days for _, days in seen], (30, 14, 7, 1, 0), strict=True):
            self.assertTrue(wanted - 1 <= days <= wanted, seen)

    def test_at_the_start(self) -> None:
        self.watch(10)
        self.assertEqual([("expires", 10)], self.told())

    def test_stops(self) -> None:
        watch = self.watch(100)
        self.at_once(watch.stop())
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_other_workers_are_silent(self) -> None:
        self.clock.rightNow = self.context.expires + 1
        made = CertificateWatch(self.clock, self.context, self.events.extend, False)
        self.at_once(made.start())
        self.assertEqual([], self.told())
