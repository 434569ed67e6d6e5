"""Mistakes in rules and limits, as ``mta check`` tells them; and what a reload keeps."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.config.loading import parse
from mta.environment import Environment
from mta.examination import problems_of
from mta.plugins import Plugin
from mta.protection import access_judges

BASE = 'hostname = "mx.example.org"\nstate = "state"\n[domains."example.org"]\n'


class MistakeTests(SynchronousTestCase):
    """Each with its file and line."""

    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)

    def problems(self, text: str) -> list[tuple[str, int, str]]:
        loaded = parse(BASE + text, self.place / "mta.toml")
        return [
            (Path(one.file).name, one.line, one.key) for one in problems_of(loaded) if "listen" not in one.key
        ]

    def test_pattern(self) -> None:
        rules = '[[access.rule]]\nsender = ["x"]\n[[access.rule]]\nsender = ["/(/"]\n'
        self.assertEqual([("mta.toml", 6, "access.rule")], self.problems(rules))

    def test_file(self) -> None:
        (self.place / "clients").write_text("192.0.2.1\n192.0.2.2 fly\n")
        rule = '[[access.rule]]\nfile = "clients"\nof = "client"\n'
        self.assertEqual([("clients", 2, "")], self.problems(rule))
        self.assertEqual([("absent", 0, "")], self.problems(rule.replace("clients", "absent")))

    def test_limit(self) -> None:
        limit = '[[limit]]\nby = "client"\nmessages = "5/m"\nmatch = ["x"]\n'
        self.assertEqual([("mta.toml", 7, "limit.match")], self.problems(limit))

    def test_kept(self) -> None:
        """What a reload does not change stays, with what it remembers; the rest is made anew."""
        rule = '[[access.rule]]\nsender = ["x"]\n'
        limit = '[[limit]]\nby = "client"\nmessages = "5/m"\n'
        before = self.judges(rule + limit, [])
        self.assertEqual(["access", "limit"], [plugin.name for plugin in before])
        same = self.judges(rule + limit, before)
        self.assertEqual([id(one.instance) for one in before], [id(one.instance) for one in same])
        other = self.judges(rule + limit.replace("5", "6"), before)
        self.assertIs(before[0].instance, other[0].instance)
        self.assertIsNot(before[1].instance, other[1].instance)
        self.assertEqual([], self.judges("", before))

    def judges(self, text: str, kept: list[Plugin]) -> list[Plugin]:
        from twisted.internet import reactor

        loaded = parse(BASE + text, self.place / "mta.toml")
        problems: list[object] = []
        made = access_judges(loaded, Environment(reactor, loaded, False).context, kept, problems)  # type: ignore[arg-type]
        self.assertEqual([], problems)
        return made
