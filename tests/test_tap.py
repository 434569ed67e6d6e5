"""``twistd mta`` and what an operator types wrong."""

from __future__ import annotations

import os
import sys
from io import StringIO
from pathlib import Path

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from mta.tap import Options, makeService


class OptionsTests(SynchronousTestCase):
    """The command line."""

    def parsed(self, *words: str) -> Options:
        options = Options()
        options.parseOptions(list(words))  # type: ignore[no-untyped-call]
        return options

    def test_nothing(self) -> None:
        options = self.parsed()
        self.assertIsNone(options["config"])
        self.assertEqual([], options.worker_arguments())

    def test_no_such_file(self) -> None:
        error = self.assertRaises(usage.UsageError, self.parsed, "--config", "none.toml")
        self.assertIn("mta init", str(error))

    def test_a_directory_and_a_lone_word(self) -> None:
        error = self.assertRaises(usage.UsageError, self.parsed, "--config", ".")
        self.assertIn("directory", str(error))
        error = self.assertRaises(usage.UsageError, self.parsed, "mta.toml")
        self.assertIn("--config", str(error))

    def test_paths_become_absolute(self) -> None:
        path = Path(self.mktemp())
        path.write_text("")
        options = self.parsed("--config", str(path), "--state", "here")
        self.assertTrue(os.path.isabs(options["config"]))
        self.assertTrue(os.path.isabs(options["state"]))
        self.assertEqual(
            ["--config", options["config"], "--state", options["state"]], options.worker_arguments()
        )

    def test_auth_file(self) -> None:
        users = Path(self.mktemp())
        users.write_text("a@example.org:{PLAIN}secret\n")
        options = self.parsed("--auth", f"file:{users}")
        self.assertEqual(1, len(options["credCheckers"]))
        self.assertEqual(["--auth", f"file:{users}"], options.worker_arguments())

    def test_auth_with_mistakes(self) -> None:
        users = Path(self.mktemp())
        users.write_text("a@example.org:{NONSENSE}x\n")
        error = self.assertRaises(usage.UsageError, self.parsed, "--auth", f"file:{users}")
        self.assertIn(f"{users}:1", str(error))
        error = self.assertRaises(usage.UsageError, self.parsed, "--auth", "ldap:nowhere")
        self.assertIn("uri: a directory is ldap://HOST", str(error))
        self.assertNotIn("pydantic", str(error))

    def test_worker_is_not_for_people(self) -> None:
        self.assertRaises(usage.UsageError, self.parsed, "--worker", "x")

    def test_mistakes_in_the_file(self) -> None:
        path = Path(self.mktemp())
        path.write_text("[queue]\nretyr = []\n")
        said = StringIO()
        self.patch(sys, "stderr", said)
        end = self.assertRaises(SystemExit, makeService, self.parsed("--config", str(path)))
        self.assertEqual(os.EX_CONFIG, end.code)
        self.assertIn(":2: queue.retyr: unknown key: did you mean 'retry'?", said.getvalue())
