"""The first minute of a stranger: start it in an empty directory, and paste the lines that it prints."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

from tests.e2e.process import Process
from tests.e2e.scenario import Scenario, need_root, program, wait_for
from tests.e2e.server import BIN


class FirstRunScenario(Scenario):
    """In a network of its own, because an embedded server has the same ports everywhere."""

    def setUp(self) -> None:
        super().setUp()
        need_root("makes a network namespace")
        self.enter = [program("nsenter"), "--net", "--target"]
        program("ip")

    def start(self, *arguments: str) -> Process:
        twistd = shlex.join([str(BIN / "twistd"), "--nodaemon", "--pidfile=", "mta", *arguments])
        if Path("/etc/mta/mta.toml").exists():
            # This machine's own server is none of ours; `make run` does the same.
            (self.place / "mta.toml").touch()
        command = [program("unshare"), "--net", "sh", "-c", f"ip link set lo up && exec {twistd}"]
        process: Process = self.part(Process(command, cwd=self.place))
        process.wait_line("Make a key to send by HTTP", 120)
        # The line behind it is the one to paste.
        wait_for(lambda: len(self.pasted(process)) == 3, "there are no three lines to paste")
        return process

    @staticmethod
    def pasted(process: Process) -> list[str]:
        """The lines that are indented further than what explains them."""
        return [line.strip() for line in process.lines if line.startswith("    ") and line.strip()]

    def shell(self, process: Process, line: str) -> subprocess.CompletedProcess[str]:
        """Paste a line into another terminal, which need not be in the server's directory."""
        return subprocess.run(
            [*self.enter, str(process.pid), "sh", "-c", line],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "COLUMNS": "200"},
        )

    def told(self, process: Process, line: str, *words: str) -> str:
        """What a line shows, once it has all of these words."""

        def shown() -> str:
            done = self.shell(process, line)
            self.assertEqual(0, done.returncode, done)
            return done.stdout if all(word in done.stdout for word in words) else ""

        return wait_for(shown, f"{line} does not show {words}")

    def test_two_lines(self) -> None:
        process = self.start()
        password = re.search(r"password (\S+)", process.output)
        assert password is not None
        send, see, _ = self.pasted(process)
        done = self.shell(process, send)
        self.assertEqual(0, done.returncode, done)
        new = self.place / "var" / "mail" / "localhost" / "user" / "new"
        wait_for(lambda: new.is_dir() and list(new.iterdir()), "the message does not arrive")
        # That it is delivered is written when it is there.
        told = self.told(process, see, "delivered", "user@localhost", "It works.")
        self.assertNotIn(password[1], told)
        users = (self.place / "var" / "users").read_text()
        self.assertIn("user@localhost:{ARGON2ID}", users)
        self.assertIn(process.stop(), (0, -15))

    def test_file_with_another_name(self) -> None:
        """The lines name a configuration that the commands do not find by themselves."""
        (self.place / "a b.toml").write_text('state = "elsewhere"\n')
        process = self.start("--config", "a b.toml")
        send, see, _ = self.pasted(process)
        self.assertEqual(0, self.shell(process, send).returncode)
        new = self.place / "elsewhere" / "mail" / "localhost" / "user" / "new"
        wait_for(lambda: new.is_dir() and list(new.iterdir()), "the message does not arrive")
        done = self.shell(process, see)
        self.assertEqual(0, done.returncode, done)
        self.assertIn("It works.", done.stdout)

    def test_key(self) -> None:
        """The third line makes a key, with which a message is sent by HTTP."""
        process = self.start()
        done = self.shell(process, self.pasted(process)[2])
        self.assertEqual(0, done.returncode, done)
        key = re.search(r"mk_\w+", done.stdout)
        assert key is not None, done
        body = {"from": "user@localhost", "to": ["user@localhost"], "subject": "Hello", "text": "By HTTP."}
        post = (
            "import httpx, sys; print(httpx.post('http://127.0.0.1:8025/v1/messages', content=sys.argv[2],"
            " timeout=60,"
            " headers={'Authorization': 'Bearer ' + sys.argv[1], 'Content-Type': 'application/json'}).text)"
        )
        call = shlex.join([str(BIN / "python"), "-c", post, key[0], json.dumps(body)])
        done = self.shell(process, call)
        self.assertIn('"id"', done.stdout, done)
        new = self.place / "var" / "mail" / "localhost" / "user" / "new"
        wait_for(lambda: new.is_dir() and list(new.iterdir()), "the message does not arrive")

    def test_dashboard(self) -> None:
        """The address that is shown leads to a page where the one account signs in, as administrator."""
        process = self.start()
        shown = re.search(r"(http://\S+/dashboard/) \(sign in as (\S+)\)", process.output)
        password = re.search(r"password (\S+)", process.output)
        assert shown is not None and password is not None
        script = (
            "import httpx, re, sys; base, account, password = sys.argv[1:];"
            " client = httpx.Client(follow_redirects=True, timeout=60);"
            " client.headers['sec-fetch-site'] = 'same-origin';"
            " page = client.get(base).text; proof = re.search(r'csrf\" value=\"(\\w+)', page)[1];"
            " print(page); print(client.post(base + 'sign-in',"
            " data={'csrf': proof, 'account': account, 'password': password}).text)"
        )
        call = shlex.join([str(BIN / "python"), "-c", script, shown[1], shown[2], password[1]])
        done = self.shell(process, call)
        for words in (
            "its password was shown when the server started",
            "Begin here",
            'title="administrator"',
        ):
            self.assertIn(words, done.stdout, done)

    def test_second_run(self) -> None:
        """It starts again on what is there, shows no password, and has lost nothing."""
        first = self.start()
        self.assertEqual(0, self.shell(first, self.pasted(first)[0]).returncode)
        new = self.place / "var" / "mail" / "localhost" / "user" / "new"
        wait_for(lambda: new.is_dir() and list(new.iterdir()), "the message does not arrive")
        self.assertIn(first.stop(), (0, -15))
        second = self.start()
        self.assertNotIn("shown only now", second.output)
        send, see, _ = self.pasted(second)
        self.assertIn("It works.", self.shell(second, see).stdout)
        # Who has forgotten the password is told how to have another, which the line then takes.
        remedy = re.search(r"`(.* user password \S+)`", second.output)
        assert remedy is not None
        done = self.shell(second, remedy[1] + " --generate --json")
        self.assertEqual(0, done.returncode, done)
        password = json.loads(done.stdout)["password"]
        done = self.shell(second, send.replace("=PASSWORD", f"={password}"))
        self.assertEqual(0, done.returncode, done)

    def test_wrong_password(self) -> None:
        """It is tried once, refused with a remedy, and told by ``mta trace``."""
        process = self.start()
        send, see, _ = self.pasted(process)
        done = self.shell(process, re.sub(r"MTA_PASSWORD=\S+", "MTA_PASSWORD=wrong", send))
        self.assertEqual(os.EX_NOPERM, done.returncode, done)
        self.assertIn("535 5.7.8", done.stderr)
        self.assertIn("remedy", done.stderr)
        told = self.told(process, see.rpartition(" && ")[0] + " --rejected", "wrong password")
        self.assertEqual(1, told.count("wrong password"), told)

    def test_two_workers(self) -> None:
        """Password and lines are shown once, whoever serves."""
        (self.place / "mta.toml").write_text("workers = 2\n")
        process = self.start()
        wait_for(lambda: process.output.count("server started: worker") == 2, "there are no two workers")
        self.assertEqual(1, process.output.count("(shown only now)"))
        self.assertEqual(1, process.output.count("The server is ready."))

    def test_only_loopback(self) -> None:
        process = self.start()
        listening = self.shell(process, "cat /proc/net/tcp /proc/net/tcp6").stdout
        places = [line.split()[1] for line in listening.splitlines() if " 0A " in line]
        self.assertNotEqual([], places)
        self.assertEqual([], [place for place in places if not place.startswith("0100007F:")])
