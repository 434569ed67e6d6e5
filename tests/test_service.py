"""Joining the parts: what is wrong with a configuration comes with its file and line."""

from __future__ import annotations

import os
import sys
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.service import check
from mta.tap import Options, makeService


class MistakeTests(SynchronousTestCase):
    """Mistakes that only the parts themselves find."""

    def file(self, text: str) -> Path:
        path = Path(self.mktemp()).absolute()
        path.write_text(text)
        return path

    def found(self, text: str) -> list[tuple[int, str]]:
        return [(problem.line, problem.key) for problem in check(self.file(text))]

    def test_domains(self) -> None:
        """Every domain is told of, each at its own line."""
        text = """[queue]
postmaster = "a b@c"
[domains."one.test"]
maildir = "/var/mail/all"
[domains."two.test"]
separator = "--"
[domains."three.test"]
catch_all = "*"
[domains."four.test"]
maildir = "{home}/{local}"
"""
        expected = [
            (2, "queue.postmaster"),
            (4, 'domains."one.test".maildir'),
            (6, 'domains."two.test".separator'),
            (8, 'domains."three.test".catch_all'),
            (10, 'domains."four.test".maildir'),
        ]
        self.assertEqual(expected, self.found(text))

    def test_dns_servers(self) -> None:
        self.assertEqual([(2, "dns.servers")], self.found('[dns]\nservers = ["ns.example.org"]\n'))

    def test_said_when_started(self) -> None:
        """twistd names file and line, and shows no traceback."""
        path = self.file('[domains."one.test"]\nmaildir = "/var/mail/all"\n')
        said = StringIO()
        self.patch(sys, "stderr", said)
        options = Options()
        options.parseOptions(["--config", str(path), "--state", self.mktemp()])  # type: ignore[no-untyped-call]
        end = self.assertRaises(SystemExit, makeService, options)
        self.assertEqual(os.EX_CONFIG, end.code)
        self.assertIn(f'{path}:2: domains."one.test".maildir: ', said.getvalue())
