"""Wrong input gives clear errors; help is there."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

from mta.cli.main import COMMANDS
from mta.cli.output import Output
from tests.cli.command import CommandCase, call
from tests.journal.shard import ids


class MainTests(CommandCase):
    def test_unknown_command(self) -> None:
        result = call("qeue", "list")
        self.assertEqual(os.EX_USAGE, result.status)
        self.assertIn("did you mean `mta queue`?", result.err)
        self.assertIn("there are init", call("frobnicate").err)

    def test_help_on_nothing(self) -> None:
        self.assertIn("did you mean `mta trace`", self.mta("help", "trce", status=os.EX_USAGE).err)

    def test_unknown_action(self) -> None:
        result = call("queue", "lst")
        self.assertEqual(os.EX_USAGE, result.status)
        self.assertIn("did you mean list?", result.err)

    def test_unknown_option(self) -> None:
        self.assertEqual(os.EX_USAGE, call("explain", "--frob").status)
        self.assertEqual(os.EX_USAGE, call("--frob").status)

    def test_options_behind_any_action(self) -> None:
        """What is taken everywhere, is: also by commands that say nothing of it themselves."""
        for command in (["alert", "list"], ["ban", "list"], ["user", "list"], ["tracking", "rebuild"]):
            result = call(*command, "--state", str(self.state), "--json", "--config", str(self.state / "x"))
            self.assertNotEqual(os.EX_USAGE, result.status, result)

    def test_help(self) -> None:
        for name in COMMANDS:
            result = call(name, "--help")
            self.assertEqual(0, result.status)
            self.assertIn(f"usage: mta {name}", result.out)
        self.assertIn("queue", call("help").out)
        self.assertEqual(os.EX_USAGE, call().status)
        self.assertIn("usage: mta trace", call("help", "trace").out)

    def test_version(self) -> None:
        from mta import __version__

        self.assertEqual(f"mta {__version__}\n", call("--version").out)

    def test_missing_configuration(self) -> None:
        for command in (["check"], ["user", "list"], ["queue", "list"], ["reload"]):
            result = call("--config", str(self.state / "no.toml"), *command)
            self.assertIn(result.status, (os.EX_CONFIG, os.EX_NOINPUT), result)
            self.assertIn("no.toml", result.err)
            self.assertIn("mta init", result.err)

    def test_nothing_that_a_terminal_obeys(self) -> None:
        """Neither JSON nor a complaint moves the cursor, whatever stands in it."""
        stream, errors = io.StringIO(), io.StringIO()
        out = Output(stream, errors)
        value = {"reply": "no\x9b2J\u202ex\x1b[0m"}
        out.json(value)
        out.warn("first\x1b[2J\nsecond")
        out.error("a\x9bb")
        self.assertEqual(value, json.loads(stream.getvalue()))
        self.assertTrue(stream.getvalue().replace("\n", "").isprintable())
        self.assertEqual("mta: warning: first\\x1b[2J\nsecond\nmta: a\\x9bb\n", errors.getvalue())

    def test_no_queue(self) -> None:
        result = call("--state", str(self.state / "elsewhere"), "queue", "list")
        self.assertEqual(os.EX_NOINPUT, result.status)
        self.assertIn("--state", result.err)

    def test_state_is_a_file(self) -> None:
        """What the system says of a path is told with the path, not as a traceback."""
        file = self.state / "file"
        file.write_text("")
        for command in (("queue", "list"), ("trace", "x"), ("user", "list"), ("log",), ("status",)):
            result = call("--state", str(file), *command)
            self.assertNotEqual(os.EX_OK, result.status, command)
            self.assertIn(str(file), result.err)

    def test_bad_id(self) -> None:
        result = self.mta("queue", "show", "xyz", status=os.EX_USAGE)
        self.assertIn("13 characters", result.err)
        missing = ids(1)[0]
        self.assertIn("mta trace", self.mta("queue", "show", missing, status=os.EX_NOINPUT).err)

    def test_global_options_anywhere(self) -> None:
        state = str(self.state)
        for arguments in (
            ["--json", "--state", state, "queue", "list"],
            ["queue", "--json", "--state", state, "list"],
            ["queue", "list", "--state", state, "--json"],
        ):
            self.assertEqual([], call(*arguments).json, arguments)

    def test_server_stopped(self) -> None:
        """Acting commands say that nobody is there: 69, EX_UNAVAILABLE."""
        for command in (
            ["queue", "flush"],
            ["queue", "hold", ids(1)[0]],
            ["queue", "remove", "--all"],
            ["reload"],
            ["status"],
        ):
            result = self.mta(*command, status=os.EX_UNAVAILABLE)
            self.assertIn("the server is not running", result.err)

    def test_stale_socket(self) -> None:
        """A socket that a killed server left behind."""
        import socket

        run = self.state / "run"
        run.mkdir()
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(run / "control-0.sock"))
        left.close()
        self.assertIn("not running", self.mta("reload", status=os.EX_UNAVAILABLE).err)

    def test_closed_pipe(self) -> None:
        """`mta explain | head` ends without a traceback."""
        command = f"{sys.executable} -m mta.cli.main explain --json | head -1"
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        self.assertEqual("", done.stderr)

    def test_module(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "mta.cli.main", "explian"], capture_output=True, text=True
        )
        self.assertEqual((os.EX_USAGE, ""), (done.returncode, done.stdout))
        self.assertNotIn("Traceback", done.stderr)
