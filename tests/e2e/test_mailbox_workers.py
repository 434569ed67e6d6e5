"""Sessions of one mailbox are in two workers: one lock, the same UIDs, and news from one to the other."""

from __future__ import annotations

import os
import poplib
import signal
import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.e2e.imap import Imap, message, trusting
from tests.e2e.mail_place import ANNA
from tests.e2e.process import halt, lives
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

T = TypeVar("T")
PASSWORD = "anna-secret"


class MailboxWorkersTests(Scenario):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.part(Server(self.place / "server", workers=2))
        for role in ("pop3s", "imaps"):
            self.server.add_listener(role)
        self.server.write()
        self.server.start()
        wait_for(lambda: self.server.output.count("ready: ") >= 2, "a worker is not ready")
        self.first, self.second = self.server.workers()

    def on(self, worker: int, act: Callable[[], T]) -> T:
        """Connect to one worker: the other one is made to stand still meanwhile."""
        other = self.first if worker == self.second else self.second
        wait_for(lambda: stands_still(other), "it always writes")
        try:
            return act()
        finally:
            os.kill(other, signal.SIGCONT)

    def pop3(self) -> poplib.POP3:
        """A session of POP3 that has logged in."""
        session = poplib.POP3_SSL("127.0.0.1", self.server.ports["pop3s"], context=trusting(), timeout=60)
        session.user(ANNA)
        session.pass_(PASSWORD)
        return session

    def imap(self) -> Imap:
        """A session of IMAP that has selected the inbox."""
        session = Imap(self.server.ports["imaps"]).login(ANNA, PASSWORD)
        session.select()
        return session

    def put(self, *names: str) -> None:
        """Have messages delivered."""
        count = len(self.server.mails(ANNA))
        self.deliver(*names)
        self.server.wait_mail(ANNA, count + len(names))

    def deliver(self, *names: str) -> None:
        """Send messages."""
        with smtplib.SMTP("127.0.0.1", self.server.ports["mx"], timeout=60) as client:
            for name in names:
                client.sendmail("x@elsewhere.test", [ANNA], message(name))

    def test_pop3(self) -> None:
        """The mailbox is locked for both, their unique ids are the same, and a lock ends with its worker."""
        self.put("m0", "m1", "m2")
        session = self.on(self.first, self.pop3)
        ids = names(session)
        with self.assertRaisesRegex(poplib.error_proto, "IN-USE"):
            self.on(self.second, self.pop3)
        session.dele(2)
        session.quit()
        session = self.on(self.second, self.pop3)
        self.assertEqual([ids[0], ids[2]], names(session))
        session.dele(1)
        os.kill(self.second, signal.SIGKILL)
        session.close()
        wait_for(lambda: not lives(self.second), "it lives still")
        session = self.pop3()
        self.assertEqual(2, session.stat()[0])
        session.quit()

    def test_imap(self) -> None:
        """What one worker's session does is told to the other's at once, and so is a delivery by either."""
        self.put("m0", "m1", "m2")
        one, two = self.on(self.first, self.imap), self.on(self.second, self.imap)
        self.assertEqual((one.uids, one.validity), (two.uids, two.validity))
        tag = two.idle()
        one.do(b"STORE 2 +FLAGS (\\Flagged $Work)")
        while b"\\Flagged" not in two.flags[two.uids[1] or 0]:
            two.news()
        one.do(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        one.do(b"EXPUNGE")
        while len(two.uids) > 2:
            two.news()
        for worker in (self.first, self.second):
            count = len(two.uids)
            self.on(worker, lambda worker=worker: self.deliver(f"d{worker}"))  # type: ignore[misc]
            while len(two.uids) == count:
                two.news()
        two.done(tag)
        one.do(b"NOOP")
        for session in (one, two):
            session.learn()
        self.assertEqual(one.uids, two.uids)
        self.assertEqual(one.flags, two.flags)
        highest = max(uid or 0 for uid in one.uids)
        self.assertEqual(highest + 1, one.append(b"INBOX", message("a0"))[1])
        self.assertEqual(highest + 2, two.append(b"INBOX", message("a1"))[1])

    def test_full_text(self) -> None:
        """Where no index of texts is wanted its file is gone in both workers, and every message is found."""
        self.put("m0", "m1", "m2")
        one, two = self.on(self.first, self.imap), self.on(self.second, self.imap)

        def files() -> list[str]:
            return [path.name for path in (self.server.state / "mailboxes").glob("*/*.text.db*")]

        def found(session: Imap) -> list[bytes]:
            return session.do(b'UID SEARCH TEXT "hello"').words(b"SEARCH")

        wait_for(files, "there is no index")
        everything = found(one)
        self.assertEqual(3, len(everything))
        self.server.change(mailbox={"full_text": False})
        self.server.write()
        self.server.reload()
        wait_for(lambda: self.server.output.count("mailbox.full_text is false") >= 1, "nothing was removed")
        wait_for(lambda: not files(), f"there is one still: {files()}")
        for session in (one, two):
            self.assertEqual(everything, found(session))
        self.assertEqual([], files())
        self.server.change(mailbox={"full_text": True})
        self.server.write()
        self.server.reload()

        def made() -> bool:
            one.do(b"NOOP")
            self.deliver("more")
            return bool(files())

        wait_for(made, "there is no index again")


def stands_still(worker: int) -> bool:
    """Stop a worker; not while it writes into a database, for which the other one would wait in vain."""
    halt(worker)
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    if any((kind, how, owner) == ("POSIX", "WRITE", str(worker)) for _, kind, _, how, owner, *_ in locks):
        os.kill(worker, signal.SIGCONT)
        return False
    return True


def names(session: poplib.POP3) -> list[bytes]:
    """The unique ids, in their order."""
    return [line.split()[1] for line in session.uidl()[1]]
