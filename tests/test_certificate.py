"""Our certificate: made, loaded, refused with the remedy, changed while running."""

from __future__ import annotations

import os
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
