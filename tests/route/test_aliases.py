"""Aliases files on disk: read, changed, broken, mended."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Domain
from mta.interfaces import IReloadable
from mta.route.aliases import Aliases, AliasFile
from mta.route.file_problem import FileError


class Threads:
    """Runs at once what would run in a thread, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        self.calls += 1
        try:
            return succeed(function(*arguments))
        except Exception:
            from twisted.internet.defer import fail

            return fail()


class AliasFileTests(SynchronousTestCase):
    """One file."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.path = self.base / "aliases"
        self.clock = Clock()
        self.threads = Threads()

    def write(self, text: str, name: str = "aliases") -> None:
        fresh = self.base / "fresh"
        fresh.write_text(text, "utf-8")
        os.replace(fresh, self.base / name)

    def file(self) -> AliasFile:
        return AliasFile(self.path, "here.test", self.clock, self.threads, frozenset({"filter"}))

    def targets(self, file: AliasFile, key: str = "a@here.test") -> list[str] | None:
        entry = file.find(key)
        return None if entry is None else [target.value for target in entry.targets]

    def test_finds(self) -> None:
        self.write("a: b")
        file = self.file()
        self.assertEqual(["b@here.test"], self.targets(file))
        self.assertIsNone(self.targets(file, "z@here.test"))
        self.assertTrue(IReloadable.providedBy(file))

    def test_changed(self) -> None:
        """A change is seen within a second, and looked for at most once a second."""
        self.write("a: b")
        file = self.file()
        self.write("a: other")
        self.assertEqual(["b@here.test"], self.targets(file))
        self.assertEqual(0, self.threads.calls)
        self.clock.advance(1)
        self.targets(file)
        self.assertEqual(["other@here.test"], self.targets(file))
        for _ in range(10):
            self.targets(file)
        self.assertEqual(1, self.threads.calls)

    def test_broken(self) -> None:
        """A file with an error leaves the old one in force; mended, it counts."""
        self.write("a: b")
        file = self.file()
        for broken in ("a: /dev/null", "nonsense"):
            self.write(broken)
            self.clock.advance(1)
            self.targets(file)
            self.assertEqual(["b@here.test"], self.targets(file))
        os.unlink(self.path)
        self.clock.advance(1)
        self.targets(file)
        self.assertEqual(["b@here.test"], self.targets(file))
        self.write("a: c")
        self.clock.advance(1)
        self.targets(file)
        self.assertEqual(["c@here.test"], self.targets(file))

    def test_include(self) -> None:
        """An included file is found beside the file, and watched as well."""
        self.write("ann\nbob\n", "members")
        self.write("a: :include:members")
        file = self.file()
        self.assertEqual(["ann@here.test", "bob@here.test"], self.targets(file))
        self.write("carl\n", "members")
        self.clock.advance(1)
        self.targets(file)
        self.assertEqual(["carl@here.test"], self.targets(file))

    def test_reload(self) -> None:
        """A reload reads at once, and says what is wrong."""
        self.write("a: b")
        file = self.file()
        self.write("a: c")
        self.successResultOf(Deferred.fromCoroutine(file.reload()))
        self.assertEqual(["c@here.test"], self.targets(file))
        self.write("a:")
        failure = self.failureResultOf(Deferred.fromCoroutine(file.reload()), FileError)
        self.assertIn(f"{self.path}:1: the alias leads nowhere", str(failure.value))
        self.assertEqual(["c@here.test"], self.targets(file))

    def test_unreadable(self) -> None:
        """What is no file, or not text, is an error that says so."""
        self.assertIn("cannot be read", str(self.assertRaises(FileError, self.file)))
        self.path.mkdir()
        self.assertIn("cannot be read", str(self.assertRaises(FileError, self.file)))
        self.path.rmdir()
        self.path.write_bytes(b"a: \xff\xfe")
        self.assertIn("utf-8", str(self.assertRaises(FileError, self.file)))
        self.path.unlink()
        os.mkfifo(self.path)
        self.assertIn("is no file", str(self.assertRaises(FileError, self.file)))

    def test_several(self) -> None:
        """All files of all domains are read, and all their mistakes told."""
        self.write("a: b")
        self.write("a: /dev/null", "two")
        domains = {
            "One.Test": Domain(aliases="aliases"),
            "two.test": Domain(aliases="two"),
            "three.test": Domain(aliases="three"),
            "four.test": Domain(),
        }
        error = self.assertRaises(FileError, Aliases.read, domains, self.base, self.clock, self.threads)
        self.assertEqual([1, 0], [problem.line for problem in error.problems])
        del domains["two.test"], domains["three.test"]
        aliases = Aliases.read(domains, self.base, self.clock, self.threads)
        file = aliases.of("one.test")
        assert file is not None
        self.assertEqual(["b@one.test"], self.targets(file, "a@one.test"))
        self.assertIsNone(aliases.of("four.test"))
        self.write("a: c")
        self.successResultOf(Deferred.fromCoroutine(aliases.reload()))
        self.assertEqual(["c@one.test"], self.targets(file, "a@one.test"))
