"""Our certificate: made, loaded, refused with the remedy, changed while running."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.certificate import CertificateError, ServerContext, self_signed

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
