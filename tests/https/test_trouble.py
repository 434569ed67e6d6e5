"""Words for what an HTTP agent wraps."""

from __future__ import annotations

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived

from mta.https.trouble import is_about_tls, reasons, words


def wrapped(trouble: Exception) -> ResponseNeverReceived:
    return ResponseNeverReceived([Failure(ResponseNeverReceived([Failure(trouble)]))])


class TroubleTests(SynchronousTestCase):
    def test_innermost(self) -> None:
        trouble = ConnectionRefusedError()
        self.assertIs(trouble, reasons(wrapped(trouble))[-1])
        self.assertIn("refused", words(wrapped(trouble)))
        self.assertFalse(is_about_tls(wrapped(trouble)))

    def test_tls(self) -> None:
        trouble = SSL.Error([("SSL routines", "", "wrong version number")])
        self.assertEqual("TLS: wrong version number", words(wrapped(trouble)))
        self.assertEqual("TLS: the handshake failed", words(SSL.Error()))
        self.assertTrue(is_about_tls(wrapped(trouble)))
        self.assertTrue(is_about_tls(wrapped(VerificationError(errors=[]))))

    def test_without_words(self) -> None:
        self.assertEqual("ValueError", words(ValueError()))
