"""Two processes work on one mailbox, others deliver and set flags, and one is killed all the time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox import acts
from mta.mailbox.append import Append
from mta.mailbox.copying import Copying
from mta.mailbox.file_name import FLAGGED, SEEN, Flags
from mta.mailbox.folder import Gone
from mta.mailbox.folders import Folders
from mta.mailbox.index import Index
from mta.mailbox.moving import move
from mta.mailbox.refusal import Refused
from mta.mailbox.schema import connect
from tests.mailbox.maildirs import Maildir

FOLDERS = (b"", b".a", b".b")
#: Where somebody works who is killed over and over.
OTHERS = (b".v", b".w")


class Worker:
    """One process; what it does, it writes down.

    :param number: of it, from 1.
    """

    def __init__(self, place: Path, number: int) -> None:
        maildir = os.fsencode(place / "box")
        self.index = Index(connect(place / "index.db", maildir), maildir)
        self.index.connection.execute("PRAGMA synchronous = OFF")
        self.random = random.Random(number)
        self.number = number
        self.count = 0
        self.log = (place / f"log{number}").open("w")

    def run(self, until: float) -> None:
        acts_ = (
            self.append,
            self.copy,
            self.move,
            self.move,
            self.expunge,
            self.flag,
            self.folder,
            self.look,
        )
        done = 0
        # On a machine that is busy it takes longer.
        while time.monotonic() < until or done < 30:
            done += 1
            with contextlib.suppress(Gone, Refused):
                self.random.choice(acts_)()
        self.log.close()

    def note(self, *what: object) -> None:
        self.log.write(json.dumps(what) + "\n")

    def chosen(self, directory: bytes) -> list[int]:
        """Some messages of a folder; what they are is noted."""
        folder = self.index.refresh(directory)
        uids = [message.uid for message in self.index.messages(folder)]
        found = []
        for uid in self.random.sample(uids, min(3, len(uids))):
            with contextlib.suppress(Gone):
                file, _ = acts.open_message(self.index, directory, uid)
                self.note("is", folder.validity, uid, os.read(file, 100).decode())
                os.close(file)
                found.append(uid)
        return sorted(found)

    def place(self) -> bytes:
        return self.random.choice(FOLDERS)

    def append(self) -> None:
        append = Append(self.index, self.place())
        contents = []
        for _ in range(self.random.randint(1, 3)):
            self.count += 1
            contents.append(f"{self.number}.{self.count}\n")
            append.begin(9, SEEN, [f"k{self.random.randint(0, 5)}"])
            append.write(contents[-1].encode())
            append.end()
        placed = append.commit(self.index)
        for content, uid in zip(contents, placed.uids, strict=True):
            self.note("came", placed.validity, uid, content)

    def copy(self) -> None:
        source, target = self.place(), self.place()
        uids = self.chosen(source)
        copying = Copying(self.index, source, target)
        try:
            copying.take(self.index, uids)
            copied = copying.commit(self.index)
        finally:
            copying.abandon()
        self.noted(source, copied.pairs, "copied", copied.validity)

    def move(self) -> None:
        source, target = self.place(), self.place()
        moved = move(self.index, source, self.chosen(source), target)
        assert not moved.left
        self.noted(source, moved.pairs, "moved", moved.validity)

    def noted(self, source: bytes, pairs: list[tuple[int, int]], what: str, validity: int) -> None:
        known = self.index.known(source)
        assert known is not None
        for before, now in pairs:
            self.note(what, known.validity, before, validity, now)

    def expunge(self) -> None:
        directory = self.place()
        uids = self.chosen(directory)[:1]
        folder, left = acts.expunge(self.index, directory, uids)
        assert not left
        for uid in uids:
            self.note("went", folder.validity, uid)

    def flag(self) -> None:
        directory = self.place()
        uids = self.chosen(directory)
        acts.change_flags(
            self.index, directory, uids, lambda flags: Flags(flags.system ^ FLAGGED, flags.keywords)
        )

    def look(self) -> None:
        """Where another one is killed: whoever looks puts right what he left."""
        self.chosen(self.random.choice(OTHERS))

    def folder(self) -> None:
        """Folders come and go, too."""
        folders = Folders({})
        name = f"x{self.random.randint(0, 2)}"
        if self.random.random() < 0.5:
            folders.create(self.index, name)
        else:
            folders.delete(self.index, name)


def _victim(place: Path, number: int) -> NoReturn:
    """Moves messages to and fro, and brings some, until it is killed."""
    try:
        worker = Worker(place, number)
        disk: Any = worker.index.disk
        between = disk.rename
        turn = 0
        while True:
            turn += 1
            # Every second time as if the folders were on two disks.
            disk.rename = _refuse if turn % 2 else between
            source, target = worker.random.sample(OTHERS, 2)
            with contextlib.suppress(Gone, Refused):
                move(worker.index, source, worker.chosen(source), target)
            append = Append(worker.index, b".v")
            for part in range(3):
                append.begin(9)
                append.write(f"group {number} {turn} {part}\n".encode())
                append.end()
            append.commit(worker.index)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)


def _refuse(*arguments: object) -> NoReturn:
    raise OSError(errno.EXDEV, "another file system")


def _worker(place: Path, number: int, until: float) -> NoReturn:
    status = 1
    try:
        Worker(place, number).run(until)
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


class TwoProcessTests(SynchronousTestCase):
    """For a second; with ``MTA_SOAK``, for as many as it says."""

    def events(self, place: Path) -> Iterator[list[str | int]]:
        for path in place.glob("log[12]"):
            for line in path.read_text().splitlines():
                yield json.loads(line)

    def test_together(self) -> None:
        place = Path(self.mktemp()).absolute()
        box = Maildir(place / "box")
        for name in (".a", ".b", ".v", ".w"):
            Maildir(box.path / name)
        for number in range(10):
            (box.path / ".v" / "cur" / f"{number}.v").write_text(f"v {number}\n")
        Worker(place, 0)
        until = time.monotonic() + float(os.environ.get("MTA_SOAK", "10")) / 10
        children = []
        for number in (1, 2):
            child = os.fork()
            if not child:
                _worker(place, number, until)
            children.append(child)
        delivered = victim = 0
        while time.monotonic() < until:
            delivered += 1
            box.put(b"%d.d" % delivered, b"0.%d\n" % delivered)
            self.flag_beside(box)
            if delivered % 10 == 1:
                victim = os.fork()
                if not victim:
                    _victim(place, 1000 + delivered)
            elif delivered % 10 == 0:
                os.kill(victim, signal.SIGKILL)
                self.assertTrue(os.WIFSIGNALED(os.waitpid(victim, 0)[1]))
                victim = 0
        if victim:
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
        for child in children:
            self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        self.check(place, delivered)

    def flag_beside(self, box: Maildir) -> None:
        """As mutt does."""
        time.sleep(0.002)
        with contextlib.suppress(OSError, IndexError):
            name = random.choice(os.listdir(box.path / "cur"))
            os.rename(box.path / "cur" / name, box.path / "cur" / (name.partition(":")[0] + ":2,R"))

    def check(self, place: Path, delivered: int) -> None:
        """Each message is where it must be, once; no UID has had two meanings."""
        maildir = os.fsencode(place / "box")
        index = Index(connect(place / "index.db", maildir), maildir)
        self.addCleanup(index.close)
        content: dict[tuple[int, int], str] = {}
        expected = Counter({f"0.{number}\n": 1 for number in range(1, delivered + 1)})
        found: Counter[str] = Counter()
        events = list(self.events(place))
        for what, validity, uid, *rest in events:
            if what in ("is", "came"):
                self.assertEqual(rest[0], content.setdefault((int(validity), int(uid)), str(rest[0])))
        there = set()
        for directory in (*FOLDERS, *OTHERS):
            index.refresh(directory)
        for directory in (*FOLDERS, *OTHERS):
            folder = index.refresh(directory, thorough=True)
            path = index.path(directory)
            for message in index.messages(folder):
                with open(path + b"/" + message.place, "rb") as file:
                    octets = file.read().decode()
                key = folder.validity, message.uid
                self.assertEqual(octets, content.setdefault(key, octets))
                there.add(key)
                found[octets] += 1
                self.assertEqual(directory in OTHERS, octets.startswith(("v ", "group")))
            names = os.listdir(path + b"/cur") + os.listdir(path + b"/new")
            self.assertEqual(folder.messages, len(names))
            if directory in FOLDERS:
                self.assertEqual([], os.listdir(path + b"/tmp"))
        moved = [(int(validity), int(uid)) for what, validity, uid, *_ in events if what == "moved"]
        self.assertEqual(len(moved), len(set(moved)), "a message was moved twice")
        # Whoever removes what another has just moved away removes nothing.
        went = {(int(validity), int(uid)) for what, validity, uid, *_ in events if what == "went"}
        self.assertFalse(there & {*moved, *went})
        expected.subtract(content[key] for key in went - set(moved))
        expected.update(content[int(one[1]), int(one[2])] for one in events if one[0] in ("came", "copied"))
        groups = Counter(octets.rsplit(" ", 1)[0] for octets in found if octets.startswith("group"))
        self.assertLessEqual(set(groups.values()), {3}, "a command came in part")
        moving = {f"v {number}\n" for number in range(10)}
        expected.update([*moving, *(octets for octets in found if octets.startswith("group"))])
        self.assertEqual(+expected, found)
        for table in ("doomed", "arriving", "renaming"):
            self.assertEqual([], index.connection.execute(f"SELECT * FROM {table}").fetchall())
        self.assertGreater(len(events), 10)
