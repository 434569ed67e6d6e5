"""A program that runs beside the test, with everything that it prints."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Process:
    """One program in a process group of its own.

    :param command: the program and its arguments.
    :param cwd: where it runs.
    :param env: added to our environment.
    :param before: run in the child before the program.
    :ivar lines: what it printed so far, on either stream.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=before,
        )
        self.pid = self._process.pid
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "\n".join(self.lines)

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def wait_line(self, words: str, timeout: float = 60.0, start: int = 0) -> str:
        """Wait until it has printed a line with these words.

        :param start: how many of ``lines`` are not looked at.
        :return: the line.
        :raise AssertionError: if it ends before, or takes longer than ``timeout`` seconds.
        """

        def found() -> str | None:
            return next((line for line in self.lines[start:] if words in line), None)

        with self._news:
            self._news.wait_for(lambda: found() is not None or self._ended, timeout)
            line = found()
        if line is None:
            raise AssertionError(f"it never printed {words!r}, but:\n{self.output[-4000:]}")
        return line

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for its end; its exit status."""
        code = self._process.wait(timeout)
        self._reader.join(20)
        return code

    def signal(self, number: int) -> None:
        """Send a signal to the program itself."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it and its children at once, as a loss of power would."""
        # Who starts a worker again that has died must not do so now: it would keep the ports.
        if self.running:
            halt(self.pid)
        killed: set[int] = set()
        while fresh := set(children(self.pid)) - killed:  # Workers have groups of their own.
            for child in fresh:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            killed |= fresh
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def stop(self, timeout: float = 60.0) -> int | None:
        """Ask it to end; kill it if it does not.

        :return: its exit status, ``None`` if it had to be killed.
        """
        if self.running:
            self._process.terminate()
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        finally:
            # Whatever it started goes with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Process ids of the living children of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def lives(pid: int) -> bool:
    """Whether a process runs still; one that has ended and is not waited for does not."""
    return _state(Path(f"/proc/{pid}")) not in ("", "Z")


def halt(pid: int, timeout: float = 60.0) -> None:
    """Have a process stand still until SIGCONT, and wait until all of its threads do, which takes a moment.

    :raise ProcessLookupError: if there is none.
    """
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + timeout
    while {_state(task) for task in Path(f"/proc/{pid}/task").glob("*")} - {"T", "Z", ""}:
        if time.monotonic() > end:
            return
        time.sleep(0.001)


def _state(process: Path) -> str:
    """The letter of a process or thread, by its directory in /proc; ``""`` if it is no more."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
