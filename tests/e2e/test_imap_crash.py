"""``kill -9`` during APPEND, MOVE, EXPUNGE and deliveries: nothing is lost, nothing is twice.

What was acknowledged holds; what was not has happened, or it has not.  No UID means another message than
before, and in the end index and files say the same.  ``MTA_CRASHES`` is how often it is killed; ``make
crash`` makes it more.
"""

from __future__ import annotations

import json
import os
import random
import smtplib
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable

from tests.e2e.imap import Imap, Refused, message
from tests.e2e.mail_place import PlaceScenario
from tests.e2e.scenario import wait_for
from tests.e2e.test_imap_stress import Meanings

CRASHES = int(os.environ.get("MTA_CRASHES", "3"))
FOLDERS = (b"INBOX", b"Moved", b"Appended", b"Doomed")
#: Messages that are there to be moved, and others to be removed.
POOL = 150 * min(CRASHES, 20)


class CrashTests(PlaceScenario):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        self.box = self.open_place(workers=2)
        assert self.box.server is not None, "the reference is not killed"
        self.server = self.box.server
        session = self.box.open()
        for folder in FOLDERS[1:]:
            session.do(b"CREATE " + folder)
        session.close()
        self.box.put(POOL)
        self.box.put(POOL, "Doomed", first=100_000)
        self.meanings = Meanings()
        self.stop = threading.Event()
        self.errors: list[str] = []
        #: Identities by what was heard of them: ``appended``, ``maybe appended``, …
        self.told: dict[str, set[bytes]] = {
            word: set() for word in ("appended", "moved", "removed", "maybe removed", "delivered", "sent")
        }
        self.acts: Counter[str] = Counter()

    # --- what goes on ------------------------------------------------------------

    def working(self, name: str, work: Callable[[Imap], None]) -> threading.Thread:
        """Work by IMAP until all stops, with a new connection when one is lost."""

        def run() -> None:
            while not self.stop.is_set():
                session = None
                try:
                    session = self.box.open()
                    while not self.stop.is_set():
                        work(session)
                        self.acts[name] += 1
                except OSError:  # It is killed, or not up again.
                    self.stop.wait(0.05)
                except Exception:
                    self.errors.append(f"{name}: {traceback.format_exc()}")
                    return
                finally:
                    if session is not None:
                        session.close()

        return threading.Thread(target=run, name=name)

    def append(self, session: Imap) -> None:
        identity = f"a{self.acts['append']}.{random.getrandbits(40)}"
        # Some come in several packets.
        text = message(identity, ("x" * 70 + "\r\n") * random.choice((1, 1, 1000)))
        validity, uid = session.append(b"Appended", text, b"\\Flagged $Important")
        self.meanings.note(b"Appended", validity, uid, b"<%s@test>" % identity.encode())
        self.told["appended"].add(b"<%s@test>" % identity.encode())

    def move(self, session: Imap) -> None:
        chosen = self.some_of(session, b"INBOX", b"<p")
        if chosen:
            session.do(b"UID MOVE %s Moved" % b",".join(b"%d" % uid for uid in chosen))
            self.told["moved"].update(chosen.values())

    def remove(self, session: Imap) -> None:
        chosen = self.some_of(session, b"Doomed", b"<p")
        if chosen:
            listed = b",".join(b"%d" % uid for uid in chosen)
            self.told["maybe removed"].update(chosen.values())
            session.do(b"UID STORE %s +FLAGS.SILENT (\\Deleted)" % listed)
            session.do(b"UID EXPUNGE " + listed if self.acts["remove"] % 2 else b"EXPUNGE")
            self.told["removed"].update(chosen.values())

    def some_of(self, session: Imap, folder: bytes, prefix: bytes) -> dict[int, bytes]:
        """Some messages of a folder; what they are is asked when it is selected."""
        if session.selected != folder:
            session.select(folder)
            self.pool = getattr(self, "pool", {})
            self.pool[folder] = session.message_ids()
            for uid, identity in self.pool[folder].items():
                self.meanings.note(folder, session.validity, uid, identity)
        pool = self.pool[folder]
        chosen = [uid for uid, identity in pool.items() if identity.startswith(prefix)][:3]
        if not chosen:
            time.sleep(0.02)
        return {uid: pool.pop(uid) for uid in chosen}

    def deliver(self) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            identity = b"<d%d@test>" % number
            try:
                with smtplib.SMTP("127.0.0.1", self.box.door, timeout=60) as client:
                    self.told["sent"].add(identity)
                    client.sendmail("x@elsewhere.test", [self.box.user], message(f"d{number}"))
                    self.told["delivered"].add(identity)
                    self.acts["deliver"] += 1
            except (OSError, smtplib.SMTPException):
                self.stop.wait(0.05)

    # --- and what must be true of it -----------------------------------------------

    def test_killed(self) -> None:
        threads = [
            self.working("append", self.append),
            self.working("move", self.move),
            self.working("remove", self.remove),
            threading.Thread(target=self.deliver),
        ]
        for thread in threads:
            thread.start()
        chance = random.Random(7)
        try:
            for _ in range(CRASHES):
                before = self.acts.copy()

                def gone_on(before: Counter[str] = before) -> bool:
                    names = ("append", "move", "remove", "deliver")
                    return bool(self.errors) or all(self.acts[name] > before[name] + 3 for name in names)

                wait_for(gone_on, f"nothing goes on: {self.acts}", 120)
                time.sleep(chance.random() * 0.05)
                self.server.kill()
                self.server.start()
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(60)
        self.assertEqual("", "\n".join(self.errors))
        print(f"\n{dict(self.acts)} in {CRASHES} crashes")
        wait_for(lambda: self.told["delivered"] <= set(self.box.files()), "deliveries are lost")
        # What was taken, but its sender not told so, comes too.
        wait_for(lambda: not json.loads(self.server.mta("queue", "list", "--json")), "it is not delivered")
        self._nothing_lost()
        self._index_is_true()

    def _nothing_lost(self) -> None:
        # ``files`` fails where a message is twice in one folder.
        inbox, moved = set(self.box.files()), set(self.box.files("Moved"))
        pool = {b"<p%d@test>" % number for number in range(POOL)}
        self.assertEqual(set(), inbox & moved, "moved, and still there")
        self.assertEqual(pool, {one for one in inbox | moved if one.startswith(b"<p")})
        self.assertEqual(set(), self.told["moved"] - moved)
        self.assertEqual(set(), inbox - pool - self.told["sent"])
        appended = self.box.files("Appended")
        self.assertEqual(set(), self.told["appended"] - set(appended))
        self.assertLessEqual(len(appended), len(self.told["appended"]) + CRASHES)
        self.assertEqual({"F"}, {flags[:1] for flags in appended.values()})
        doomed = set(self.box.files("Doomed"))
        self.assertEqual(set(), doomed & self.told["removed"])
        wanted = {b"<p%d@test>" % number for number in range(100_000, 100_000 + POOL)}
        self.assertEqual(set(), wanted - self.told["maybe removed"] - doomed)
        for folder in ("", *(name.decode() for name in FOLDERS[1:])):
            self.assertEqual([], list((self.box.folder(folder) / "tmp").glob("*mta*.moving*")))

    def _index_is_true(self) -> None:
        session = self.box.open()
        letters = {b"\\Seen": "S", b"\\Flagged": "F", b"\\Deleted": "T", b"\\Answered": "R", b"\\Draft": "D"}
        for folder in FOLDERS:
            session.select(folder)
            found = session.message_ids()
            for uid, identity in found.items():
                self.meanings.note(folder, session.validity, uid, identity)
            files = self.box.files("" if folder == b"INBOX" else folder.decode())
            self.assertEqual(sorted(files), sorted(found.values()))
            for uid, identity in found.items():
                shown = {letters[flag] for flag in session.flags[uid] if flag in letters}
                self.assertEqual({letter for letter in files[identity] if letter.isupper()}, shown)
            try:
                status = session.do(b"STATUS %s (MESSAGES)" % folder)
            except Refused:  # Of the selected folder a server need not tell.
                continue
            self.assertIn(b"MESSAGES %d" % len(files), b"".join(b"".join(parts) for parts in status.lines))
