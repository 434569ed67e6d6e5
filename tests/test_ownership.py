"""What root made is given to the server's user, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from mta.ownership import foreign, give_away

OWNER = (4242, 4243)


class OwnershipTests(SynchronousTestCase):
    """With a state directory as an intruder may have left it."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can give files away")
        self.base = Path(self.mktemp()).absolute()
        self.state = self.base / "state"
        for directory in ("state/spool/0", "state/run", "elsewhere"):
            (self.base / directory).mkdir(parents=True)
        (self.state / "users").write_text("")
        (self.base / "elsewhere" / "shadow").write_text("")

    def owners(self, *names: str) -> set[tuple[int, int]]:
        facts = [(self.base / name).lstat() for name in names]
        return {(fact.st_uid, fact.st_gid) for fact in facts}

    def test_given(self) -> None:
        give_away(self.state, OWNER)
        names = ("state", "state/users", "state/run", "state/spool", "state/spool/0")
        self.assertEqual({OWNER}, self.owners(*names))

    def test_links_are_not_followed(self) -> None:
        """Neither one to a file, nor one in place of a directory that is gone through."""
        (self.state / "link").symlink_to(self.base / "elsewhere" / "shadow")
        (self.state / "tls").symlink_to(self.base / "elsewhere")
        give_away(self.state, OWNER)
        self.assertEqual({OWNER}, self.owners("state/link", "state/tls"))
        self.assertEqual({(0, 0)}, self.owners("elsewhere", "elsewhere/shadow"))

    def test_the_state_may_be_a_link(self) -> None:
        """That one is the operator's."""
        (self.base / "link").symlink_to(self.state)
        give_away(self.base / "link", OWNER)
        self.assertEqual({OWNER}, self.owners("state", "state/users"))

    def test_foreign(self) -> None:
        """What a server has left that ran as root is found, however deep it must be to hurt."""
        self.assertIsNone(foreign(self.state, 0))
        self.assertEqual(self.state, foreign(self.state, OWNER[0]))
        give_away(self.state, OWNER)
        self.assertIsNone(foreign(self.state, OWNER[0]))
        (self.state / "spool" / "0" / "queue.db").write_text("")
        self.assertEqual(self.state / "spool" / "0" / "queue.db", foreign(self.state, OWNER[0]))
        # What belongs to a third may be shared by a group.
        os.chown(self.state / "spool" / "0" / "queue.db", 4244, OWNER[1])
        self.assertIsNone(foreign(self.state, OWNER[0]))
