"""What ``make`` and ``tools/set-up.sh`` say when something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("postfix", "swaks", "slapd", "dovecot-lmtpd", "unbound", "nsd")


def script(path: Path, text: str) -> None:
    """Write a shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


class SetUpTests(SynchronousTestCase):
    """In a directory of its own, with stand-ins for the commands that change a machine."""

    def setUp(self) -> None:
        if not shutil.which("make"):
            raise SkipTest("make is not installed")
        self.place = Path(self.mktemp()).resolve()
        self.tools = self.place / "tools"
        self.tools.mkdir(parents=True)
        for name in ("Makefile", "setup.cfg", "constraints.txt", "tools/set-up.sh"):
            shutil.copy(ROOT / name, self.place / name)
        self.bin = self.place / "bin"
        self.done = self.place / "done"
        self.stand_in("id", "echo 1000")
        self.stand_in("sudo", "exit 1")
        self.stand_in("dpkg-query", "exit 1")
        self.stand_in("apt-get", f"echo apt-get $* >>{self.done}")

    def stand_in(self, name: str, text: str) -> None:
        script(self.bin / name, text)

    def run_it(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{self.bin}:/usr/bin:/bin"}
        for name in ("MAKEFLAGS", "MAKELEVEL"):
            environment.pop(name, None)
        return subprocess.run(
            command, cwd=self.place, env=environment, capture_output=True, text=True, timeout=60
        )

    def no_python(self) -> None:
        """As on a machine without python3-venv."""
        text = (self.tools / "set-up.sh").read_text()
        (self.tools / "set-up.sh").write_text(text.replace("/usr/bin/python", "/nonexistent/python"))
        for name in ("python3.11", "python3"):
            self.stand_in(name, "exit 1")

    def test_venv_is_missing(self) -> None:
        self.no_python()
        done = self.run_it("make", "run")
        self.assertNotEqual(0, done.returncode)
        self.assertIn("python3-venv", done.stderr)
        self.assertIn("apt-get install", done.stderr)
        self.assertNotIn("policy-rc.d", done.stderr)
        self.assertFalse(self.done.exists())

    def test_run_beside_a_server(self) -> None:
        """Where /etc/mta/mta.toml is, ``make run`` still starts an embedded server, not that one."""
        script(self.place / ".venv" / "bin" / "twistd", "ls mta.toml")
        (self.place / ".venv" / ".set-up").write_text("")
        makefile = self.place / "Makefile"
        makefile.write_text(makefile.read_text().replace("/etc/mta/mta.toml", str(self.place / "setup.cfg")))
        done = self.run_it("make", "run")
        self.assertEqual((0, "mta.toml\n"), (done.returncode, done.stdout), done)
        self.assertEqual("", (self.place / "mta.toml").read_text())

    def test_closing_line_without_set_up(self) -> None:
        """Whoever reads the last line of standard output finds a failure."""
        self.no_python()
        done = self.run_it("make", "test")
        self.assertNotEqual(0, done.returncode)
        self.assertEqual("0 passed, 1 failed, 0 skipped", done.stdout.splitlines()[-1])

    def test_parts_need_root(self) -> None:
        """An ordinary user is told what is missing and how to get it; the other tests go on."""
        done = self.run_it("tools/set-up.sh", "parts")
        self.assertEqual(0, done.returncode, done)
        for name in PARTS:
            self.assertIn(name, done.stderr)
        self.assertIn("skipped", done.stderr)
        self.assertIn("tools/set-up.sh parts", done.stderr)
        self.assertFalse(self.done.exists())

    def test_parts_are_there(self) -> None:
        self.stand_in("dpkg-query", "echo install ok installed")
        done = self.run_it("tools/set-up.sh", "parts")
        self.assertEqual((0, "", ""), (done.returncode, done.stdout, done.stderr))

    def test_apt_fails(self) -> None:
        """Root without a network: it fails, says at what, and leaves no policy behind."""
        self.stand_in("id", "echo 0")
        policy = self.place / "policy-rc.d"
        text = (self.tools / "set-up.sh").read_text()
        (self.tools / "set-up.sh").write_text(text.replace("/usr/sbin/policy-rc.d", str(policy)))
        self.stand_in(
            "apt-get", f'cat "{policy}" >>{self.done}; echo apt-get $* >>{self.done}; [ $1 = update ]'
        )
        done = self.run_it("tools/set-up.sh", "parts")
        self.assertNotEqual(0, done.returncode)
        self.assertIn("exit 101", self.done.read_text())
        self.assertIn("--no-remove", self.done.read_text())
        self.assertIn("apt-get could not install", done.stderr)
        self.assertFalse(policy.exists())

    def test_a_venv_that_was_interrupted(self) -> None:
        """A .venv without pip is made anew."""
        script(self.place / ".venv" / "bin" / "python", "exit 1")
        self.stand_in(
            "python3.11", f'echo "$@" >>{self.done}; [ "$2" != venv ] || {self.bin}/copy "${{@: -1}}"'
        )
        self.stand_in("copy", f'printf "#!/bin/sh\\necho venv \\$* >>{self.done}\\n" >$1/bin/python')
        text = (self.tools / "set-up.sh").read_text()
        (self.tools / "set-up.sh").write_text(text.replace("/usr/bin/python", "/nonexistent/python"))
        done = self.run_it("make", "set-up")
        self.assertEqual(0, done.returncode, done)
        self.assertIn("-m venv --clear .venv", self.done.read_text())
        self.assertTrue((self.place / ".venv" / ".set-up").exists())
