"""What every file of the repository keeps to."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("feature", "bugfix", "doc", "removal", "misc")
FRAGMENT = re.compile(rf"(\d+|\+[a-z0-9-]+)\.({'|'.join(KINDS)})(\.\d+)?\.rst")
# A path of somebody's machine has no place in a file that others read.  Written in
# pieces, so that this file passes its own test.
MACHINE = re.compile(
    "(?<![\\w/.])/(?:" + "|".join(("wo" + "rk", "ro" + "ot", "ho" + "me/[a-z]+", "tm" + "p/venv")) + ")/"
)


def tracked() -> list[Path]:
    """The files that git keeps.

    :raise SkipTest: outside a checkout.
    """
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        raise SkipTest("not a git checkout, so there is no list of the project's own files")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


class HygieneTests(SynchronousTestCase):
    """Text that we publish."""

    def test_fragments(self) -> None:
        """News fragments have a name that towncrier takes, and say something."""
        fragments = [p for p in (ROOT / "changes.d").iterdir() if not p.name.startswith(".")]
        self.assertEqual([], [p.name for p in fragments if not FRAGMENT.fullmatch(p.name)])
        self.assertEqual([], [p.name for p in fragments if not p.read_text("utf-8").strip()])

    def test_no_machine_paths(self) -> None:
        """No file names a place that exists on one machine only."""
        found = []
        for path in tracked():
            for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
                if MACHINE.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
        self.assertEqual([], found)

    def test_nothing_that_tests_leave(self) -> None:
        """What tests write is nobody's to keep: it would go into every clone."""
        left = {path.relative_to(ROOT).parts[0] for path in tracked()}
        self.assertEqual([], sorted(name for name in left if name.startswith(("_t", ".trial"))))

    def test_line_ends(self) -> None:
        """Text ends with a newline and has no carriage returns, unless it is a sample of mail."""
        wrong = []
        for path in tracked():
            data = path.read_bytes()
            if path.suffix in {".eml", ".bin", ".pem"} or b"\0" in data or not data:
                continue
            if b"\r" in data or not data.endswith(b"\n"):
                wrong.append(str(path.relative_to(ROOT)))
        self.assertEqual([], wrong)

    def test_no_database_loses_its_locks(self) -> None:
        """Whoever opens and closes its file loses SQLite's locks on it; mta.private_file does not."""
        wrong = [
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / "mta").rglob("*.py")
            if "sqlite3.connect" in (text := path.read_text("utf-8")) and "os.close(os.open(" in text
        ]
        self.assertEqual([], wrong)
