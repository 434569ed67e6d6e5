"""Certificates against TLSA records (RFC 6698, RFC 7672)."""

from __future__ import annotations

from hashlib import sha256, sha512

from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from mta.deliver.dane import fitting
from mta.model.tlsa import Tlsa
from tests.deliver.certificates import Made, make


class FittingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = make("Root", authority=True)
        self.middle = make("Middle", by=self.root, authority=True)
        self.leaf = make("mx.far.test", by=self.middle)
        self.other = make("mx.far.test")
        self.chain = [self.leaf, self.middle]

    def fits(self, record: Tlsa, chain: list[Made] | None = None, name: str = "") -> bool:
        certificates = [crypto.X509.from_cryptography(made.certificate) for made in chain or self.chain]
        found, problem = fitting([record], certificates, lambda: name)
        self.assertEqual(found is None, bool(problem))
        return found is not None

    def test_every_selector_and_matching_type(self) -> None:
        for usage, made in ((3, self.leaf), (2, self.middle)):
            for selector, octets in enumerate((made.der, made.spki)):
                for matching, data in enumerate((octets, sha256(octets).digest(), sha512(octets).digest())):
                    record = Tlsa(usage, selector, matching, data)
                    self.assertTrue(record.usable)
                    self.assertTrue(self.fits(record), record)
                    self.assertFalse(self.fits(record, [self.other]) and usage == 3, record)
                    wrong = Tlsa(usage, selector, matching, bytes(len(data)))
                    self.assertFalse(self.fits(wrong), wrong)

    def test_end_entity_needs_no_name_and_no_date(self) -> None:
        old = make("elsewhere.test", days=-1)
        record = Tlsa(3, 1, 1, sha256(old.spki).digest())
        self.assertTrue(self.fits(record, [old], name="the certificate is not for mx.far.test"))

    def test_authority_needs_name_and_date(self) -> None:
        record = Tlsa(2, 1, 1, sha256(self.middle.spki).digest())
        self.assertFalse(self.fits(record, name="the certificate is not for mx.far.test"))
        old = make("mx.far.test", by=self.middle, days=-1)
        self.assertFalse(self.fits(record, [old, self.middle]))

    def test_authority_must_have_signed(self) -> None:
        """To show an authority's certificate beside one's own proves nothing."""
        record = Tlsa(2, 0, 1, sha256(self.root.der).digest())
        self.assertTrue(self.fits(record, [self.leaf, self.middle, self.root]))
        self.assertFalse(self.fits(record, [self.other, self.middle, self.root]))
        self.assertFalse(self.fits(record, [self.leaf, self.root]))

    def test_whole_authority_in_the_record(self) -> None:
        """``2 0 0`` holds the certificate, so the server need not send it."""
        self.assertTrue(self.fits(Tlsa(2, 0, 0, self.root.der)))
        self.assertFalse(self.fits(Tlsa(2, 0, 0, self.root.der), [self.other]))
        self.assertFalse(self.fits(Tlsa(2, 0, 0, b"rubbish")))

    def test_usable(self) -> None:
        digest = b"d" * 32
        table = [(0, 1, 1, digest), (1, 1, 1, digest), (4, 1, 1, digest), (3, 2, 1, digest)]
        table += [(3, 1, 3, digest), (3, 1, 2, digest), (3, 1, 1, b"d"), (3, 0, 0, b"")]
        for values in table:
            self.assertFalse(Tlsa(*values).usable, values)
