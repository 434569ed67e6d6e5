"""The file with names and passwords."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.deliver.passwords import credentials_for, parse_passwords, read_passwords


class PasswordTests(SynchronousTestCase):
    def test_found(self) -> None:
        found = parse_passwords(
            "# of smarthosts\n\nAnn@here.test ann:a:b c\n@shop.test\t shop:s\n"
            "[Smart.test]:587 m:x\nwide.test w:y\n",
            "f",
        )
        for next_hop, sender, username in (
            ("[smart.test]:587", "", "m"),
            ("smart.test:587", "eve@x.test", "m"),
            ("smart.test:587", "ANN@here.test", "ann"),
            ("other.test:25", "eve@shop.test", "shop"),
            ("[wide.test]:2525", "", "w"),
            ("smart.test:25", "", None),
            ("other.test", "eve@x.test", None),
        ):
            credentials = credentials_for(found, next_hop, sender)
            self.assertEqual(username, credentials and credentials.username, (next_hop, sender))
        self.assertEqual("a:b c", found["ann@here.test"].password)

    def test_mistakes(self) -> None:
        """With their lines, and without a word of what stands there."""
        text = "a.test geheim\nb.test\nc.test :geheim\nd.test u:geheim\n[d.test] u:geheim2\n"
        error = self.assertRaises(ValueError, parse_passwords, text, "file", "relay.passwords")
        said = str(error)
        self.assertTrue(said.startswith("relay.passwords: file:1: "), said)
        for line in (2, 3, 5):
            self.assertIn(f"file:{line}: ", said)
        self.assertNotIn("geheim", said)
        self.assertNotIn("geheim", repr(parse_passwords("d.test u:geheim", "f")))

    def test_files(self) -> None:
        path = Path(self.mktemp())
        for make, words in ((lambda: None, "No such file"), (lambda: path.write_bytes(b"\xff"), "not UTF-8")):
            make()
            self.assertIn(words, str(self.assertRaises(ValueError, read_passwords, path, "relay.passwords")))
