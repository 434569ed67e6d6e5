"""Whom an account has answered."""

from __future__ import annotations

import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.rules.memory import NAME, Memory, broken

DAY = 86400.0


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.place = Path(self.mktemp())
        self.place.mkdir()
        self.memory = self.open()

    def open(self) -> Memory:
        memory = Memory(self.place / NAME)
        self.addCleanup(memory.close)
        return memory

    def claim(
        self, whom: str, message: str, now: float = 0.0, most: int = 100, account: str = "a@b.c"
    ) -> bool:
        return self.memory.claim(account, whom, message, now, now + 7 * DAY, most, DAY)

    def test_once(self) -> None:
        """Once for each sender, unless it is the same message, which a crash has brought again."""
        self.assertTrue(self.claim("sam", "m1"))
        self.assertTrue(self.claim("sam", "m1"))
        self.assertFalse(self.claim("sam", "m2", DAY))
        self.assertTrue(self.claim("ben", "m3", DAY))
        self.assertTrue(self.claim("sam", "m4", DAY, account="other@b.c"))
        # Another process, or this one after a restart.
        self.memory.close()
        self.memory = self.open()
        self.assertFalse(self.claim("sam", "m5", 2 * DAY))
        self.assertTrue(self.claim("sam", "m6", 7 * DAY + 1))

    def test_flood(self) -> None:
        """Forged senders get so many answers a day, and no more."""
        taken = [self.claim(f"s{number}", f"m{number}", 10.0, 5) for number in range(10)]
        self.assertEqual(5, sum(taken))
        self.assertTrue(self.claim("s9", "m10", DAY + 20.0, 5))

    def test_broken(self) -> None:
        self.assertEqual([], broken(self.place))
        self.memory.break_(b"/m/a", "a@b.c")
        self.memory.break_(b"/m/a", "a@b.c")
        self.assertEqual([(b"/m/a", "a@b.c")], broken(self.place))
        self.assertEqual(0o600, stat.S_IMODE((self.place / NAME).stat().st_mode))
