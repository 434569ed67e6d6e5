"""Calls commands as a person would."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from mta.cli.main import main
from tests.journal.shard import Shard


class Result:
    """What a command did.

    :ivar status: its exit status.
    :ivar out: what it printed.
    :ivar err: what it complained of.
    """

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"<{self.status}\n{self.out}\n{self.err}>"


def call(*arguments: str, stdin: str = "", tty: bool = False) -> Result:
    """Run ``mta`` in this process."""
    out, err, source = io.StringIO(), io.StringIO(), io.StringIO(stdin)
    source.isatty = lambda: tty  # type: ignore[method-assign]
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("sys.stdin", source),
        # This machine may run a server of its own.
        mock.patch("mta.config.loading.DEFAULT_FILES", ("mta.toml",)),
    ):
        status = main(list(arguments))
    return Result(status, out.getvalue(), err.getvalue())


class CommandCase(SynchronousTestCase):
    """A state directory with two shards, and nobody running."""

    def setUp(self) -> None:
        # Short: a UNIX socket's path has at most 107 octets.
        self.state = Path(tempfile.mkdtemp(prefix="mta"))
        self.addCleanup(shutil.rmtree, self.state)
        self.patch(os, "environ", {k: v for k, v in os.environ.items() if not k.startswith("MTA_")})
        self.shards = [Shard(self.state / "spool" / str(number)) for number in range(2)]
        for shard in self.shards:
            self.addCleanup(shard.close)

    def mta(self, *arguments: str, status: int = os.EX_OK, **options: Any) -> Result:
        """Run a command on this state."""
        result = call("--state", str(self.state), *arguments, **options)
        self.assertEqual(status, result.status, result)
        return result
