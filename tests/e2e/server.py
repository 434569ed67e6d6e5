"""Our server, started as an operator starts it: a configuration, and ``twistd mta``."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from mta.tracking.pages import Pages
from tests.e2e.process import Process, children
from tests.e2e.scenario import free_port, mails, wait_for
from tests.e2e.toml import dump

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]
#: Takes any certificate: it is about whether there is an answer.
_TRUSTING = ssl.create_default_context()
_TRUSTING.check_hostname, _TRUSTING.verify_mode = False, ssl.CERT_NONE
#: Roles with TLS from the first byte.
_IMPLICIT = ("submissions", "pop3s", "imaps")
#: The accounts of every server, unless a scenario names others.
USERS = {"anna@example.org": "anna-secret", "ben@example.org": "ben-secret"}


class Server:
    """One instance with its own configuration, ports and state; not started yet.

    :param base: an empty directory.
    :param users: address to password, for the file; ``None`` for no ``[[identity]]``.
    :param settings: tables of ``mta.toml``, laid over the defaults one level deep.
    :param env: added to the server's environment.
    :param options: options of twistd, before ``mta``.
    :ivar config: everything in ``mta.toml``; change it, then :meth:`write`.
    :ivar ports: the port of each role.
    """

    def __init__(
        self,
        base: Path,
        users: Mapping[str, str] | None = USERS,
        *,
        env: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
        **settings: Any,
    ) -> None:
        self.base = base
        base.mkdir(parents=True, exist_ok=True)
        self.state = base / "state"
        self.file = base / "mta.toml"
        self.ports = {role: free_port() for role in ("mx", "submission", "submissions")}
        listen = {role: [f"tcp:{port}:interface=127.0.0.1"] for role, port in self.ports.items()}
        self.config: dict[str, Any] = {
            "hostname": "mx.example.org",
            "state": str(self.state),
            "listen": {**listen, "http": []},
            "domains": {"example.org": {}},
            "dns": {"servers": ["127.0.0.1:1"]},
            "queue": {"retry": ["1s"], "jitter": 0.0, "minimum_free": "1M"},
        }
        if users is not None:
            self.write_users(users)
            self.config["identity"] = [{"kind": "file", "path": "users"}]
        self.change(**settings)
        self._env = dict(env or {})
        self._options = options
        self.process: Process | None = None
        self._before = ""
        self.write()

    # --- configuration -------------------------------------------------------

    def change(self, **settings: Any) -> None:
        """Lay tables over the configuration; needs :meth:`write`."""
        for key, value in settings.items():
            if isinstance(value, Mapping) and isinstance(self.config.get(key), dict):
                self.config[key] = {**self.config[key], **value}
            else:
                self.config[key] = value

    def write(self) -> None:
        """Write ``mta.toml``."""
        self.file.write_text(dump(self.config))

    def write_users(self, users: Mapping[str, str], name: str = "users") -> None:
        """Write the passwd-file; clear passwords, because hashing them takes its time."""
        text = "".join(f"{address}:{{PLAIN}}{password}\n" for address, password in users.items())
        draft = self.base / f"{name}.new"
        draft.write_text(text)
        draft.replace(self.base / name)

    def add_listener(self, role: str) -> int:
        """Listen on a port for one more role; needs :meth:`write`."""
        port = self.ports[role] = free_port()
        self.config["listen"][role] = [f"tcp:{port}:interface=127.0.0.1"]
        return port

    # --- life ----------------------------------------------------------------

    @property
    def command(self) -> list[str]:
        """How it is started."""
        twistd = [str(BIN / "twistd"), "--nodaemon", "--pidfile=", *self._options]
        return [*twistd, "mta", "--config", str(self.file)]

    def start(self, timeout: float = 120.0) -> Server:
        """Start it, and wait until every listener greets, and every worker is there.

        :raise AssertionError: with what it printed, if it does not.
        """
        process = self.process = Process(self.command, cwd=self.base, env=self._env)
        workers = self.config.get("workers", 1)

        def greeted() -> bool:
            if not process.running:
                process.wait()
                raise AssertionError("the server ended")
            return all(map(self._greets, self.ports)) and all(map(self._works, range(workers)))

        try:
            wait_for(greeted, "the server does not greet", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{process.output[-6000:]}") from None
        return self

    def _greets(self, role: str) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.ports[role]), 5) as clear:
                secure = _TRUSTING.wrap_socket(clear) if role in _IMPLICIT else None
                with secure or clear as connection:
                    greeting = connection.recv(512)
                    connection.sendall(b"q LOGOUT\r\n" if role.startswith("imap") else b"QUIT\r\n")
                    return greeting.startswith((b"220", b"+OK", b"* OK"))
        except OSError:
            return False

    def _works(self, shard: int) -> bool:
        """Whether a worker is there, which opens its control socket before it greets anybody."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(Path(self.config["state"]) / "run" / f"control-{shard}.sock"))
            except OSError:
                return False
            return True

    def kill(self) -> None:
        """``kill -9`` to all of its processes."""
        if self.process is not None:
            self.process.kill()
            self._collect()

    def stop(self) -> bool:
        """SIGTERM; whether it ended by itself, and well."""
        if self.process is None:
            return True
        try:
            # twistd, when all is done, ends by the signal that it was sent.
            return self.process.stop(90) in (0, -signal.SIGTERM)
        finally:
            self._collect()

    def _collect(self) -> None:
        if self.process is not None:
            self._before += self.process.output + "\n"
            self.process = None

    def reload(self) -> None:
        """SIGHUP, and wait until it says that it has reloaded, or that it could not."""
        assert self.process is not None
        start = len(self.process.lines)
        self.process.signal(signal.SIGHUP)
        process = self.process
        # Each worker has its say.
        wait_for(
            lambda: (
                sum("reloaded" in line for line in process.lines[start:]) >= self.config.get("workers", 1)
            ),
            "no word of the reload",
        )

    @property
    def output(self) -> str:
        """Everything that it printed since the scenario began."""
        return self._before + (self.process.output if self.process else "")

    @property
    def pid(self) -> int:
        """Of the main process."""
        assert self.process is not None
        return self.process.pid

    def workers(self) -> list[int]:
        """Process ids of the main process's children."""
        return children(self.pid)

    @contextmanager
    def standing_still(self, worker: int) -> Iterator[None]:
        """One worker is stopped (SIGSTOP), but not while it holds a database that the others need."""

        def stands() -> bool:
            os.kill(worker, signal.SIGSTOP)
            state = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "T" and not any(map(_locked, self.state.rglob("*.db"))):
                return True
            os.kill(worker, signal.SIGCONT)
            return False

        wait_for(stands, "the worker holds a database all the time")
        try:
            yield
        finally:
            os.kill(worker, signal.SIGCONT)

    # --- what an operator sees -------------------------------------------------

    def maildir(self, address: str) -> Path:
        """Where the mail of an address arrives."""
        local, _, domain = address.rpartition("@")
        return self.state / "mail" / domain / local

    def mails(self, address: str) -> list[Path]:
        """The messages that have arrived."""
        return mails(self.maildir(address))

    def wait_mail(self, address: str, count: int = 1, timeout: float = 60.0) -> list[bytes]:
        """Wait until an address has so many messages; their octets."""

        def arrived() -> list[bytes]:
            found = self.mails(address)
            # One that is just being marked has another name in a moment.
            with suppress(FileNotFoundError):
                return [path.read_bytes() for path in found] if len(found) >= count else []
            return []

        return wait_for(arrived, f"{address} has not {count} message(s)", timeout)

    def mta(self, *arguments: str, check: bool = True, program: str = "mta", text: str = "") -> str:
        """What a command of ours prints.

        :param check: whether it must end with status 0.
        """
        command = [str(BIN / program), "--config", str(self.file), *arguments]
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=120, env={**os.environ, **self._env}
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def wait_trace(self, what: str, *words: str, timeout: float = 60.0) -> str:
        """What ``mta trace`` tells, once it has all of these words."""
        text = ""
        journals = Pages(self.state / "spool")
        seen: tuple[float, dict[int, int]] = 0.0, {}

        def told() -> bool:
            nonlocal text, seen
            # The command takes more of the processor than the server does: it is asked when there is news.
            ends = journals.ends()
            if ends == seen[1] and time.monotonic() - seen[0] < 1.0:
                return False
            seen = time.monotonic(), ends
            text = self.mta("trace", what, check=False)
            flat = " ".join(text.split())
            return all(word in flat for word in words)

        try:
            wait_for(told, "", timeout)
        except AssertionError:
            raise AssertionError(f"`mta trace {what}` does not tell {words}:\n{text}") from None
        return text

    def memory(self, field: str = "VmRSS") -> int:
        """Octets of memory of the main process and its children (``VmHWM``: at the most)."""
        return sum(memory(pid, field) for pid in (self.pid, *self.workers()))

    def processor(self) -> float:
        """Seconds of a processor that the main process and its children have had so far."""
        ticks = 0
        for pid in (self.pid, *self.workers()):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _locked(database: Path) -> bool:
    """Whether somebody is writing into a database."""
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as base:
        try:
            base.execute("BEGIN IMMEDIATE")
            base.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
        return False


def memory(pid: int, field: str = "VmRSS") -> int:
    """Octets of memory of one process, as /proc/PID/status has them."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise KeyError(field)
