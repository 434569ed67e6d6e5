"""What ``make test`` shows again at its end."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

RULE, LINE = "=" * 79, "-" * 79
BLOCK = "[{kind}]\nTraceback (most recent call last):\nan.error: what went wrong\n\ntests.some.Tests.{name}\n"


class FailuresTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(sys, "path", [str(ROOT), *sys.path])
        from tools import run_tests

        self.run_tests = run_tests

    def test_each(self) -> None:
        one, other = BLOCK.format(kind="FAIL", name="test_one"), BLOCK.format(kind="ERROR", name="test_other")
        output = f"tests.some\n  test_one ... [FAIL]\n\n{RULE}\n{one}{RULE}\n{other}{LINE}\nRan 2 tests\n"
        self.assertEqual([one, other], self.run_tests.failures(output))

    def test_without_trial(self) -> None:
        said = "a.py:1:1: E501 Line too long\n"
        self.assertEqual([said], self.run_tests.failures(said))

    def test_long(self) -> None:
        [shown] = self.run_tests.failures("x" * 100_000)
        self.assertLess(len(shown), 10_000)

    def test_counted(self) -> None:
        part = self.run_tests.Part("tests.some", (), True, 1.0)
        block = BLOCK.format(kind="FAIL", name="test_one")
        counts = self.run_tests.Counts()
        counts.add(part, 1, f"{RULE}\n{block}{LINE}\nRan 2 tests in 3s\n\nFAILED (failures=1, successes=1)\n")
        self.assertEqual((1, 1, 0), (counts.passed, counts.failed, counts.skipped))
        self.assertEqual([f"==> tests.some\n{block}"], counts.failures)
        counts.add(part, 0, f"{LINE}\nRan 1 tests in 3s\n\nPASSED (successes=1)\n")
        self.assertEqual(1, len(counts.failures))
