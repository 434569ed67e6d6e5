"""What a process gives up, tried in a process of its own; and that nobody starts a shell."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "etc" / "systemd" / "mta.service"
TELL = """
import os, resource, subprocess, sys
from pathlib import Path
from mta.hardening import harden
harden()
text = Path("/proc/self/status").read_text()
lines = dict(line.split(":\\t", 1) for line in text.splitlines() if ":\\t" in line)
print(lines["NoNewPrivs"].strip(), oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_CORE),
      Path("/proc/self/mem").stat().st_uid)
command = ["cat", "/proc/self/status", "/proc/self/limits"]
child = subprocess.run(command, capture_output=True, text=True).stdout
print(*(line for line in child.splitlines() if "NoNewPrivs" in line or "core file" in line))
import ctypes
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


class ProcessTests(SynchronousTestCase):
    def test_given_up(self) -> None:
        if not sys.platform.startswith("linux"):
            raise SkipTest("prctl is of Linux")
        done = subprocess.run(
            [sys.executable, "-c", TELL], capture_output=True, text=True, cwd=ROOT, check=True
        )
        own, child, dumpable = done.stdout.splitlines()
        self.assertEqual("1 0o27 (0, 0) 0", own)
        self.assertRegex(child, r"NoNewPrivs:\s+1 Max core file size\s+0\s+0")
        self.assertEqual("0", dumpable)


class UnitTests(SynchronousTestCase):
    """etc/systemd/mta.service."""

    def test_exposure(self) -> None:
        """As systemd rates it: 1.5 of 10 at the most, where the network itself is 0.8 of it."""
        program = shutil.which("systemd-analyze")
        if program is None:
            raise SkipTest("systemd-analyze is not installed")
        command = [program, "security", "--offline=true", "--threshold=15", "--no-pager", str(UNIT)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "Unknown" in done.stderr or "unrecognized" in done.stderr:
            raise SkipTest("this systemd-analyze cannot rate a file")
        self.assertEqual(0, done.returncode, done.stdout[-200:] + done.stderr)

    def test_what_must_stay(self) -> None:
        lines = UNIT.read_text().splitlines()
        for wanted in (
            "NoNewPrivileges=yes",
            "User=mta",
            "LimitCORE=0",
            "UMask=0077",
            "ProtectSystem=strict",
        ):
            self.assertIn(wanted, lines)


class ShellTests(SynchronousTestCase):
    """Nowhere in the program."""

    def test_no_shell(self) -> None:
        found = []
        for path in (ROOT / "mta").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.keyword) and node.arg == "shell":
                    found.append(f"{path}:{node.value.lineno}: shell=")
                if isinstance(node, ast.Attribute | ast.Name):
                    name = ast.unparse(node)
                    if name in (
                        "os.system",
                        "os.popen",
                        "subprocess.getoutput",
                        "subprocess.getstatusoutput",
                    ):
                        found.append(f"{path}:{node.lineno}: {name}")
                if isinstance(node, ast.Constant) and node.value in ("/bin/sh", "/bin/bash", "sh -c"):
                    found.append(f"{path}:{node.lineno}: {node.value}")
        self.assertEqual([], found)
