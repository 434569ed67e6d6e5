"""The file: mistakes are told with their lines, and it is replaced in one step."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.config.problem import ConfigurationError
from mta.rules.rule_file import LARGEST, load, parse, write


class RuleFileTests(SynchronousTestCase):
    def wrong(self, text: str) -> str:
        return str(self.assertRaises(ConfigurationError, parse, text))

    def test_mistakes(self) -> None:
        """Where, what, and what to do."""
        for text, *words in (
            ("[[rule]]\nfrom = 3\nstop = true", "rules.toml:2", "from"),
            ("[[rule]]\nfrm = 'x'\nstop = true", "rules.toml:2", "did you mean 'from'"),
            ("[[rule]\n", "rules.toml:1", "no TOML"),
            ("[[rule]]\nfrom = 'x'", "does nothing"),
            ("[[rule]]\ndiscard = true", "all mail would be thrown away"),
            ("[[rule]]\nfile = 'a/b'", "rules.toml:2", "slash"),
            ("[[rule]]\nfile = 'a..b'", "dot"),
            ("[[rule]]\nforward = 'nobody'", "rules.toml:2", "domain"),
            ("[[rule]]\nkeep = false\nstop = true", "keep = false goes with forward"),
            ("[[rule]]\nflags = ['red']", "rules.toml:2", "flags"),
            ("[[rule]]\nkeywords = ['a b']", "keyword"),
            ("[vacation]\ntext = ''", "rules.toml:2", "text"),
            ("[vacation]\ntext = 'x'\ndays = 0", "rules.toml:3", "at least 1"),
            ("x" * (LARGEST + 1), "more than"),
        ):
            said = self.wrong(text)
            for word in words:
                self.assertIn(word, said)

    def test_good(self) -> None:
        found = parse(
            "[[rule]]\nfrom = 'a@b.test'\nfile = 'Filed.Größe'\n[vacation]\ntext = 'x'\nsince = 2026-01-31\n"
        )
        self.assertEqual(("a@b.test",), found.rule[0].sender)
        self.assertEqual("rule 1", found.name_of(0))
        self.assertEqual([], parse("").rule)

    def test_written(self) -> None:
        place = Path(self.mktemp())
        place.mkdir()
        maildir = os.fsencode(place)
        self.assertIsNone(load(maildir))
        write(maildir, "[vacation]\ntext = 'x'\n")
        found = load(maildir)
        assert found is not None and found.vacation is not None
        self.assertEqual("x", found.vacation.text)
        self.assertEqual(["rules.toml"], os.listdir(place))
        write(maildir, None)
        write(maildir, None)
        self.assertEqual([], os.listdir(place))

    def test_no_file(self) -> None:
        """A link leads nowhere, and neither a pipe nor a directory is waited for."""
        place = Path(self.mktemp())
        place.mkdir()
        path = place / "rules.toml"
        for make in (lambda: path.symlink_to("/etc/passwd"), lambda: os.mkfifo(path), lambda: path.mkdir()):
            make()
            error = self.assertRaises(ConfigurationError, load, os.fsencode(place))
            self.assertIn("cannot be read", str(error))
            path.rmdir() if path.is_dir() else path.unlink()
