"""Rules that are looked at and changed, and disks that do not play along."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.config.problem import ConfigurationError
from mta.config.settings import RulesTable
from mta.interfaces import Route, TemporarilyUnavailable
from mta.model.event import Event
from mta.model.event_mailbox import RulesChanged
from mta.registry.database import finished
from mta.rules import rule_file
from mta.rules.desk import Desk, NoMailbox, NoRules

ANN = "ann@example.org"
LISTS = '[[rule]]\nlist = "dev"\nfile = "Lists"\n'
OTHER = '[[rule]]\nfrom = "boss"\nflags = ["flagged"]\n'


async def _now(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


class DeskTests(SynchronousTestCase):
    """One mailbox."""

    def setUp(self) -> None:
        self.maildir = Path(self.mktemp()) / "ann"
        self.events: list[Event] = []
        self.desk = Desk(
            self._mailbox, RulesTable, lambda: ["example.org"], _now, self.events.append, lambda: 17.0
        )

    async def _mailbox(self, address: str) -> Route | None:
        return Route(ANN, "maildir", f"{self.maildir}/") if address == ANN else None

    def get(self) -> str | None:
        text: str | None = finished(self.desk.get(ANN))
        return text

    def put(self, text: str | None) -> None:
        finished(self.desk.put(ANN, text, "otto"))

    def test_change(self) -> None:
        """Before any mail has come, too; who did it is told."""
        self.maildir.parent.mkdir()
        self.assertIsNone(self.get())
        self.put(LISTS)
        self.assertEqual(LISTS, self.get())
        self.put(None)
        self.assertIsNone(self.get())
        self.assertEqual(
            [
                RulesChanged(at=17.0, account=ANN, action="set", by="otto"),
                RulesChanged(at=17.0, account=ANN, action="removed", by="otto"),
            ],
            self.events,
        )

    def test_mistakes(self) -> None:
        """Those before stay, and nothing is told."""
        self.maildir.mkdir(parents=True)
        self.put(LISTS)
        self.events.clear()
        for wrong in ("[[rule]]", '[[rule]]\nforward = "x@elsewhere.test"\n'):
            self.assertRaises(ConfigurationError, self.put, wrong)
        self.assertEqual(LISTS, self.get())
        with self.assertRaises(NoMailbox):
            finished(self.desk.put("x@example.org", LISTS, "otto"))
        self.assertEqual([], self.events)

    def test_disk(self) -> None:
        """It is our trouble, told with a remedy; those before stay, and nothing else is left."""
        self.maildir.mkdir(parents=True)
        self.put(LISTS)
        self.events.clear()
        for number, remedy in (
            (errno.ENOSPC, "make room"),
            (errno.EDQUOT, "make room"),
            (errno.EROFS, "mounted read-only"),
            (errno.EIO, "look at the disk"),
        ):

            def fail(file: int, number: int = number) -> None:
                raise OSError(number, os.strerror(number))

            patched = self.patch(rule_file.os, "fsync", fail)
            try:
                error = self.assertRaises(TemporarilyUnavailable, self.put, OTHER)
            finally:
                patched.restore()
            self.assertIn(os.strerror(number), str(error))
            self.assertIn(remedy, str(error))
        self.assertEqual(LISTS, self.get())
        self.assertEqual(["rules.toml"], os.listdir(self.maildir))
        self.assertEqual([], self.events)

    def test_forbidden(self) -> None:
        """A directory where nothing can be made or taken away."""
        self.maildir.parent.write_text("in the way")
        error = self.assertRaises(TemporarilyUnavailable, self.put, LISTS)
        self.assertIn("Not a directory", str(error))
        self.maildir.parent.unlink()
        self.maildir.mkdir(parents=True)
        self.put(LISTS)
        self.maildir.chmod(0o500)
        self.addCleanup(self.maildir.chmod, 0o700)
        if os.access(self.maildir, os.W_OK):
            # The superuser may do everything.
            self.patch(rule_file.os, "unlink", _forbidden)
            self.patch(rule_file.os, "rename", _forbidden)
        for text in (None, OTHER):
            error = self.assertRaises(TemporarilyUnavailable, self.put, text)
            self.assertIn("let the server's user write there", str(error))
        self.assertEqual(LISTS, self.get())

    def test_no_file(self) -> None:
        """What the owner has put there is not our trouble, and stays."""
        path = self.maildir / "rules.toml"
        path.mkdir(parents=True)
        self.assertRaises(NoRules, self.get)
        self.assertRaises(NoRules, self.put, LISTS)
        path.rmdir()
        path.write_bytes(b"\xff")
        self.assertRaises(NoRules, self.get)
        path.unlink()
        path.symlink_to("/etc/hostname")
        self.assertRaises(NoRules, self.get)
        self.put(LISTS)
        self.assertEqual(LISTS, self.get())


def _forbidden(*arguments: Any) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
