"""Kills a process before each of its calls of the operating system and the database, one after the other.

Or has each of these calls fail, once.
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from mta.mailbox.folder import Gone
from mta.mailbox.index import Index
from mta.mailbox.refusal import Refused
from mta.mailbox.schema import connect

#: Calls that change what is on disk, or tell of it.
_CALLS = ("link", "mkdir", "open", "rename", "rmdir", "unlink", "utime", "write", "fsync")

Act = Callable[[Index], object]


#: What a process says at its end that was refused something, or that has made fewer calls.
_REFUSED, _FEWER = 3, 4


class Killer:
    """Kills this process before the call with a number, or has that call fail.

    :param at: the number, from 1.
    """

    def __init__(self, at: int, fails: bool = False) -> None:
        self.left = at
        self.fails = fails

    def tick(self, error: Exception) -> None:
        """A call is about to be made."""
        self.left -= 1
        if self.left:
            return
        if self.fails:
            raise error
        os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any], error: Exception | None = None) -> Callable[..., Any]:
        """A call that ticks.

        :param error: that it fails with; ``EIO`` if there is none.
        """
        failure = error or OSError(errno.EIO, "the disk fails")

        def ticking(*arguments: Any, **named: Any) -> Any:
            self.tick(failure)
            return call(*arguments, **named)

        return ticking


class _Connection:
    """A connection each of whose statements ticks."""

    def __init__(self, connection: sqlite3.Connection, killer: Killer) -> None:
        self._connection = connection
        error = sqlite3.OperationalError("disk I/O error")
        self.execute = killer.around(connection.execute, error)
        self.executemany = killer.around(connection.executemany, error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def killed(at: int, database: Path, maildir: bytes, act: Act, other_disk: bool = False) -> bool:
    """Have a process of its own act, and be killed before the call number ``at``.

    :param other_disk: whether no file can be renamed or linked from one folder to another.
    :return: whether it was killed; else it has come to its end.
    :raise AssertionError: if it ended with an error.
    """
    child = os.fork()
    if not child:
        _act(Killer(at), database, maildir, act, other_disk)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return True
    assert os.waitstatus_to_exitcode(status) == 0, status
    return False


def refused(at: int, database: Path, maildir: bytes, act: Act, other_disk: bool = False) -> bool | None:
    """Have a process of its own act while the call number ``at`` fails.

    :return: whether it says that it could not do what it should; ``None`` if it makes fewer calls.
    :raise AssertionError: if it ended with another error.
    """
    child = os.fork()
    if not child:
        _act(Killer(at, fails=True), database, maildir, act, other_disk)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, _REFUSED, _FEWER), code
    return None if code == _FEWER else code == _REFUSED


def _act(killer: Killer, database: Path, maildir: bytes, act: Act, other_disk: bool) -> NoReturn:
    status = 1
    try:
        index = Index(connect(database, maildir), maildir)
        # It is the process that dies, not the power: nothing has to be durable.
        index.connection.execute("PRAGMA synchronous = OFF")
        os.fsync = lambda file: None
        disk: Any = index.disk
        if other_disk:
            disk.rename = _refuse
            os.link = _refuse
        for name in _CALLS:
            setattr(os, name, killer.around(getattr(os, name)))
        for name in ("move", "rename"):
            setattr(disk, name, killer.around(getattr(disk, name)))
        index.connection = _Connection(index.connection, killer)  # type: ignore[assignment]
        act(index)
        status = _FEWER if killer.fails and killer.left > 0 else 0
    except (OSError, sqlite3.Error, Refused, Gone):
        status = _REFUSED
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _refuse(*arguments: Any, **named: Any) -> NoReturn:
    raise OSError(errno.EXDEV, "another file system")


def numbers(name: str, limit: int = 600) -> Iterator[int]:
    """Numbers of calls: each fifth one, or each if ``MTA_CRASHES`` is set, as ``make crash`` does.

    :param name: of the test: which ones these are depends on it.
    :raise AssertionError: if there is no end.
    """
    step = 1 if "MTA_CRASHES" in os.environ else 5
    yield from range(1 + len(name) % step, limit, step)
    raise AssertionError("it does not come to its end")
