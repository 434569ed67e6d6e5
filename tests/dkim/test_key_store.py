"""Keys on disk, from the day they are made to the day they go."""

from __future__ import annotations

import json
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.trial.unittest import SynchronousTestCase

from mta.dkim.key_record import parse_key
from mta.dkim.key_store import KeyStore, KeyTrouble, SigningKeys, import_key, new_selectors
from tests.dkim.test_verification import ED25519, RSA


class KeyStoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.store = KeyStore(self.state)

    def add(self, domain: str = "example.org", day: str = "20260131", tenant: str = "") -> list[str]:
        keys = [(f"r{day}", RSA), (f"e{day}", ED25519)]
        return [key.selector for key in self.store.add(domain, keys, tenant, 1.0)]

    def states(self) -> dict[str, str]:
        return {key.selector: key.state for key in self.store.stored()}

    def signing(self, domain: str, tenant: str = "") -> list[str]:
        return [key.selector for key in SigningKeys.read(self.store).find(domain, tenant)]

    def test_life(self) -> None:
        self.assertEqual([], self.store.stored())
        self.add()
        self.assertEqual({"r20260131": "waiting", "e20260131": "waiting"}, self.states())
        self.assertEqual([], self.signing("example.org"))
        begun, ended = self.store.rotate("example.org", "", 2.0)
        self.assertEqual(([2.0, 2.0], []), ([key.since for key in begun], ended))
        self.assertEqual(["r20260131", "e20260131"], self.signing("example.org"))
        self.add(day="20260301")
        self.assertEqual(["r20260131", "e20260131"], self.signing("example.org"))
        begun, ended = self.store.rotate("example.org", "", 3.0)
        self.assertEqual(["r20260131", "e20260131"], [key.selector for key in ended])
        self.assertEqual(["r20260301", "e20260301"], self.signing("example.org"))
        self.assertRaises(KeyTrouble, self.store.rotate, "example.org", "", 4.0)
        self.assertRaises(KeyTrouble, self.store.remove, "example.org", "r20260301")
        self.store.remove("example.org", "r20260131")
        self.assertFalse((self.state / "dkim" / "example.org.r20260131.pem").exists())
        self.assertRaises(KeyTrouble, self.store.remove, "example.org", "r20260131")
        self.assertEqual({"r20260301", "e20260301", "e20260131"}, set(self.states()))

    def test_modes(self) -> None:
        """Nobody else reads a key."""
        self.add()
        self.assertEqual(0o700, (self.state / "dkim").stat().st_mode & 0o777)
        for path in (self.state / "dkim").iterdir():
            self.assertEqual(0o600, path.stat().st_mode & 0o777, path)
            self.assertEqual(os.geteuid(), path.stat().st_uid)

    def test_records(self) -> None:
        """What is to be published is read by whoever verifies."""
        self.add()
        for key, kind, bits in zip(self.store.stored(), ("rsa", "ed25519"), (2048, 256), strict=True):
            record = parse_key(key.record.encode())
            self.assertEqual((kind, bits), (record.type, record.bits))
            self.assertTrue(key.name.endswith("._domainkey.example.org"))

    def test_in_dns(self) -> None:
        self.add()
        rsa, ed25519 = self.store.stored()
        for records, words in (
            ([], "no"),
            ([rsa.record], "yes"),
            ([f"p={rsa.public[:9]} {rsa.public[9:]}; v=1"], "yes"),
            ([ed25519.record], "another record is there"),
            (["\udc80"], "another record is there"),
            ([rsa.record, "v=DKIM1; p="], "yes, but beside another record, which must go"),
        ):
            octets = [record.encode("utf-8", "surrogateescape") for record in records]
            self.assertEqual(words, rsa.in_dns(octets), records)

    def test_domains_and_tenants(self) -> None:
        self.add("example.org", "1")
        self.add("example.org", "2", "shop")
        self.add("news.example.org", "3")
        for domain, tenant in (("example.org", ""), ("example.org", "shop"), ("news.example.org", "")):
            self.store.rotate(domain, tenant, 2.0)
        for domain, tenant, selector in (
            ("example.org", "", "r1"),
            ("example.org", "shop", "r2"),
            ("example.org", "other", "r1"),
            ("deep.below.example.org", "shop", "r2"),
            ("news.example.org", "shop", "r3"),
            ("x.news.example.org", "", "r3"),
        ):
            self.assertEqual(selector, self.signing(domain, tenant)[0], (domain, tenant))
        for domain in ("org", "notexample.org", "example.com", ""):
            self.assertEqual([], self.signing(domain), domain)

    def test_refused(self) -> None:
        """Names that are none, or taken; then nothing is kept."""
        self.add()
        before = sorted((self.state / "dkim").iterdir())
        for domain, selector in (
            ("example.org", "r20260131"),
            ("example.org", "../x"),
            ("example.org", "a b"),
            ("exa/mple.org", "x"),
            ("", "x"),
            ("example.org", "x" * 64),
        ):
            self.assertRaises(KeyTrouble, self.store.add, domain, [("new", RSA), (selector, RSA)], "", 1.0)
        self.assertEqual(before, sorted((self.state / "dkim").iterdir()))

    def test_damaged(self) -> None:
        """What is wrong is said, with the file."""
        self.add()
        self.store.rotate("example.org", "", 2.0)
        key = self.state / "dkim" / "example.org.r20260131.pem"
        index = self.state / "dkim" / "keys.json"
        whole, listed = key.read_bytes(), index.read_text()
        for octets in (b"", b"rubbish", (self.state / "dkim" / "example.org.e20260131.pem").read_bytes()):
            key.write_bytes(octets)
            self.assertIn(key.name, str(self.assertRaises(KeyTrouble, SigningKeys.read, self.store)))
        key.unlink()
        self.assertIn("No such file", str(self.assertRaises(KeyTrouble, SigningKeys.read, self.store)))
        key.write_bytes(whole)
        self.assertTrue(SigningKeys.read(self.store))
        evil = json.loads(listed)
        evil["keys"][0]["selector"] = "../../etc/x"
        for text in ("", "[]", '{"keys": [1]}', '{"keys": [{"domain": "x"}]}', json.dumps(evil)):
            index.write_text(text)
            self.assertIn("keys.json", str(self.assertRaises(KeyTrouble, self.store.stored)))

    def test_newer_list(self) -> None:
        """What a later version has written besides is passed over."""
        self.add()
        index = self.state / "dkim" / "keys.json"
        listed = json.loads(index.read_text())
        listed["keys"][0]["later"] = 1
        index.write_text(json.dumps(listed))
        self.assertEqual(2, len(self.store.stored()))

    def test_fresh_selectors(self) -> None:
        """No selector is used twice, not even on the same day."""
        seen = set()
        for _ in range(3):
            made = new_selectors("example.org", self.store.stored(), "20260131", ("rsa", "ed25519"), 1024)
            names = [name for name, _ in made]
            self.assertEqual(["r", "e"], [name[0] for name in names])
            self.assertFalse(seen & set(names))
            seen.update(names)
            self.store.add("example.org", made, "", 1.0)

    def test_import(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        self.assertEqual(RSA.private_numbers(), import_key(path).private_numbers())  # type: ignore[union-attr]
        curve = ec.generate_private_key(ec.SECP256R1())
        for octets in (b"", curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())):
            path.write_bytes(octets)
            self.assertRaises(KeyTrouble, import_key, path)
        self.assertRaises(KeyTrouble, import_key, Path("nowhere.pem"))
