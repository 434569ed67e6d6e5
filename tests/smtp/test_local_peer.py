"""Who is at the other end of a UNIX socket."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from mta.smtp.local_peer import user_of


class UserTests(SynchronousTestCase):
    def test_unix(self) -> None:
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.assertEqual(os.geteuid(), user_of(SimpleNamespace(socket=ours)))

    def test_others(self) -> None:
        """Nobody knows whose program it is."""
        with socket.socket(socket.AF_INET) as place:
            self.assertIsNone(user_of(SimpleNamespace(socket=place)))
        self.assertIsNone(user_of(SimpleNamespace()))

    def test_closed(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.close()
        ours.close()
        self.assertIsNone(user_of(SimpleNamespace(socket=ours)))
