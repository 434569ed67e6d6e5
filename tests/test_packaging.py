"""What a distribution of the source contains."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.test_hygiene import ROOT, tracked

BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


class PackagingTests(SynchronousTestCase):
    """A packager starts from the sdist and needs what a checkout has."""

    def test_sdist_is_whole(self) -> None:
        """Configuration, unit, schema, documentation, tests and tools are in it."""
        if importlib.util.find_spec("setuptools") is None:
            raise SkipTest("setuptools is not installed beside us")
        names = {str(path.relative_to(ROOT)) for path in tracked()}
        # In a copy, because setuptools writes into the tree that it packs.
        copy = Path(self.mktemp()).resolve()
        for name in names:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        # What others leave in a tree stays out.
        for name in ("docs/_build/index.html", "twisted/plugins/dropin.cache", "etc/__pycache__/a.pyc"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_text("left")
        done = subprocess.run(
            [sys.executable, "-c", BUILD, "dist"], cwd=copy, capture_output=True, text=True, check=False
        )
        self.assertEqual(0, done.returncode, done.stderr)
        [path] = (copy / "dist").iterdir()
        with tarfile.open(path) as archive:
            packed = {name.partition("/")[2] for name in archive.getnames()}
        self.assertEqual(set(), names - packed - {".gitignore"})
        left = [name for name in packed if "_build" in name or name.endswith((".pyc", "dropin.cache"))]
        self.assertEqual([], left)
