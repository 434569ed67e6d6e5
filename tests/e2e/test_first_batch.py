"""The guide ``first-batch``, pasted into a shell: a thousand messages from an empty directory."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import textwrap

from tests.e2e.process import Process
from tests.e2e.scenario import Scenario, need_root, program
from tests.e2e.server import BIN, ROOT

GUIDE = ROOT / "docs" / "guides" / "first-batch.rst"


def blocks() -> list[str]:
    """What the guide has to paste."""
    found = re.findall(r"::\n\n((?:    .*\n|\n)+)", GUIDE.read_text("utf-8"))
    return [textwrap.dedent(block).strip() + "\n" for block in found]


class FirstBatchScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        need_root("makes a network namespace")
        program("curl")
        program("ip")
        (self.place / ".venv").symlink_to(BIN.parent)

    def start(self) -> Process:
        """What ``make run`` does here, with loopback of its own: the guide has ports that others use."""
        twistd = shlex.join([str(BIN / "twistd"), "--nodaemon", "--pidfile=", "mta"])
        command = [program("unshare"), "--net", "sh", "-c", f"ip link set lo up && exec {twistd}"]
        process: Process = self.part(Process(command, cwd=self.place))
        process.wait_line("Make a key to send by HTTP", 120)
        return process

    def paste(self, *lines: str, process: Process | None = None) -> str:
        """Paste into a terminal; what it showed."""
        enter = [program("nsenter"), "--net", "--target", str(process.pid)] if process else []
        file = self.place / "pasted.sh"
        file.write_text("set -m\n" + "".join(lines))
        done = subprocess.run(
            [*enter, program("bash"), str(file)],
            cwd=self.place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
        )
        # The shell may tell of the job that the guide ends, or have no time left to.
        said = re.sub(r"(?m)^\[\d+\]. +Terminated .*\n", "", done.stderr)
        self.assertEqual("", said, done.stdout)
        return done.stdout

    def test_whole_guide(self) -> None:
        configure, run, *rest = blocks()
        self.assertEqual("make run\n", run)
        self.paste(configure)
        process = self.start()
        *rest, end = rest
        marked = [f"echo '=== {number}'\n{block}" for number, block in enumerate(rest)]
        said = self.paste(*marked, end, process=process)
        parts = re.split(r"=== \d+\n", said)[1:]
        tenant, template, _, _, status, _, bounced, unsubscribed, counted = parts
        self.assertIn('"tenant":"default"', tenant)
        self.assertEqual(["name"], json.loads(template)["variables"])
        self.assertEqual(1000, json.loads(status)["recipients"])
        listed, refused = (json.loads(line) for line in bounced.splitlines() if line)
        self.assertEqual(
            [("nobody@nowhere.invalid", "bad-domain")],
            [(one["address"], one["evidence"]["class"]) for one in listed["suppressions"]],
        )
        self.assertIn("suppressed", json.dumps(refused))
        [left] = json.loads(unsubscribed.strip().splitlines()[-1])["suppressions"]
        self.assertRegex(left["address"], r"user\+\d+@localhost")
        self.assertEqual("news", left["list"])
        answer, *numbers = [line for line in counted.splitlines() if line][:5]
        self.assertEqual(["999", "999", "999", "1"], numbers)
        states, reached = json.loads(answer)["states"], json.loads(answer)["reached"]
        self.assertEqual({"delivered": 998, "unsubscribed": 1, "bounced": 1}, states)
        self.assertEqual(
            (999, 1, 1), (reached["delivered"], reached["bounced"], reached["unsubscribed"]), reached
        )
        self.assertIn("The domain nowhere.invalid does not exist", " ".join(counted.split()))
