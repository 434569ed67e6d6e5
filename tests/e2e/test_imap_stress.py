"""Ten clients, deliveries and another program change one mailbox at once: what each was told holds for all.

* A UID means one message for ever; APPENDUID and COPYUID tell the truth.
* No message is lost, none is there twice; what a client removed stays removed.
* No flag is lost, also where several clients set flags of one message at once.
* Sequence numbers go as :class:`~tests.e2e.imap.Imap` demands, and in the end everybody sees the same.

Our server has two workers, so sessions of one mailbox are in different processes.  ``MTA_STRESS`` is for how
many seconds; ``make soak`` makes it longer.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.e2e.imap import Imap, Refused, message
from tests.e2e.mail_place import Place, PlaceScenario
from tests.e2e.scenario import wait_for

SECONDS = float(os.environ.get("MTA_STRESS", "5"))
CLIENTS = 10
#: What is done at least, by each client and by all who send.
ACTS, DELIVERIES = 3, 20
FOLDERS = (b"INBOX", b"Work", b"Other")
#: What the owner of a message sets; everybody sets ``$Anybody``.
FLAGS = (b"\\Seen", b"\\Flagged", b"\\Answered", b"\\Draft")


class Meanings:
    """What each UID was seen to mean; a lock makes it everybody's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[bytes, int, int], bytes] = {}
        self._validity: dict[bytes, int] = {}

    def note(self, folder: bytes, validity: int, uid: int, identity: bytes) -> None:
        """A UID means a message.

        :raise AssertionError: if it meant another one before, or UIDVALIDITY was another.
        """
        with self._lock:
            known = self._validity.setdefault(folder, validity)
            assert known == validity, f"UIDVALIDITY of {folder!r} was {known}, and is {validity}"
            before = self._seen.setdefault((folder, validity, uid), identity)
            assert before == identity, f"UID {uid} of {folder!r} was {before!r}, and is {identity!r}"


class Client:
    """One of them: it does what chance says, and remembers what must be true.

    :ivar mine: flags and identity of its own messages, by folder and UID.
    """

    def __init__(self, number: int, place: Place, meanings: Meanings) -> None:
        self.number = number
        self.keyword = b"k%d" % number
        self.meanings = meanings
        self.chance = random.Random(number)
        self.mine: dict[tuple[bytes, int], tuple[bytes, set[bytes]]] = {}
        self.session: Imap = place.open()
        self.session.select()
        self._made = 0
        self.done = 0

    def act(self) -> None:
        """Do one thing."""
        acts: list[tuple[Callable[[], None], int]] = [
            (self.append, 4),
            (self.change, 5),
            (self.move, 3),
            (self.copy, 2),
            (self.remove, 2),
            (self.look, 1),
            (self.select, 1),
            (self.search, 2),
            (self.touch, 2),
            (self.wait, 1),
            (self.numbers, 2),
        ]
        (act,) = self.chance.choices([act for act, _ in acts], [weight for _, weight in acts])
        act()
        self.done += 1

    def here(self) -> list[int]:
        """UIDs of its own messages in the selected folder."""
        return sorted(uid for folder, uid in self.mine if folder == self.session.selected)

    def append(self) -> None:
        folder = self.chance.choice(FOLDERS)
        identity = f"c{self.number}.{self._made}"
        self._made += 1
        flags = set(self.chance.sample(FLAGS, 2))
        size = self.chance.choice((10, 100, 5000))
        validity, uid = self.session.append(
            folder, message(identity, "x" * 70 + "\r\n" * size), b" ".join((*flags, self.keyword))
        )
        self._own(folder, validity, uid, b"<%s@test>" % identity.encode(), flags)

    def _own(self, folder: bytes, validity: int, uid: int, identity: bytes, flags: set[bytes]) -> None:
        self.meanings.note(folder, validity, uid, identity)
        assert (folder, uid) not in self.mine, f"UID {uid} of {folder!r} is given twice"
        self.mine[folder, uid] = identity, flags

    def select(self) -> None:
        self.session.select(self.chance.choice(FOLDERS))
        self.look()
        uids = set(self.here())
        assert uids <= set(self.session.uids), f"lost: {uids - set(self.session.uids)}"

    def look(self) -> None:
        session = self.session
        for uid, identity in session.message_ids().items():
            self.meanings.note(session.selected, session.validity, uid, identity)

    def change(self) -> None:
        if not (uids := self.here()):
            return
        uid = self.chance.choice(uids)
        flags = set(self.chance.sample(FLAGS, self.chance.randrange(1, 4)))
        add = self.chance.random() < 0.6
        self.session.do(b"UID STORE %d %sFLAGS (%s)" % (uid, b"+" if add else b"-", b" ".join(flags)))
        mine = self.mine[self.session.selected, uid][1]
        mine.difference_update(flags)
        if add:
            mine.update(flags)
        if uid in self.session.flags:  # Without a change there is nothing to tell.
            seen = self.session.flags[uid] & set(FLAGS)
            assert seen == mine, f"flags of {uid} are {seen}, not {mine}"

    def move(self) -> None:
        self._carry(b"MOVE")

    def copy(self) -> None:
        self._carry(b"COPY")

    def _carry(self, command: bytes) -> None:
        if not (uids := self.here()):
            return
        chosen = sorted(self.chance.sample(uids, min(len(uids), self.chance.randrange(1, 4))))
        target = self.chance.choice([folder for folder in FOLDERS if folder != self.session.selected])
        listed = b",".join(b"%d" % uid for uid in chosen)
        answer = self.session.do(b"UID %s %s %s" % (command, listed, target))
        validity, sources, targets = copied(answer.text, [parts[0] for parts in answer.lines])
        assert sorted(sources) == chosen, f"{command!r} of {chosen} did {sources}"
        for source, uid in zip(sources, targets, strict=True):
            identity, flags = self.mine[self.session.selected, source]
            if command == b"MOVE":
                del self.mine[self.session.selected, source]
            self._own(target, validity, uid, identity, set(flags))
        if command == b"MOVE":
            assert not set(chosen) & set(self.session.uids), "what was moved is still there"

    def remove(self) -> None:
        if not (uids := self.here()):
            return
        uid = self.chance.choice(uids)
        self.session.do(b"UID STORE %d +FLAGS.SILENT (\\Deleted)" % uid)
        self.session.do(b"EXPUNGE" if self.chance.random() < 0.3 else b"UID EXPUNGE %d" % uid)
        del self.mine[self.session.selected, uid]
        assert uid not in self.session.uids, f"{uid} is still there"

    def search(self) -> None:
        answer = self.session.do(b"UID SEARCH KEYWORD " + self.keyword)
        found = sorted(map(int, answer.words(b"SEARCH")))
        assert found == self.here(), f"found {found}, not {self.here()}"

    def touch(self) -> None:
        """A flag of somebody's message, of which nobody keeps account."""
        with contextlib.suppress(IndexError):
            uid = self.chance.choice(self.session.uids)
            sign = self.chance.choice((b"+", b"-"))
            self.session.do(b"UID STORE %d %sFLAGS ($Anybody)" % (uid or 1, sign))

    def wait(self) -> None:
        tag = self.session.idle()
        time.sleep(0.02)
        self.session.done(tag)

    def numbers(self) -> None:
        """Sequence numbers mean what the server has told."""
        count = len(self.session.uids)
        if count:
            number = self.chance.randrange(1, count + 1)
            with contextlib.suppress(Refused):  # It may be gone, and not be told yet (RFC 2180, 4.1).
                self.session.do(b"FETCH %d (UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])" % number)
        else:
            self.session.do(b"NOOP")


class Neighbour:
    """Another program: it delivers, sets flags and removes by file names, and knows nothing of UIDs.

    :ivar mine: the names of its own messages, by Message-ID.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.chance = random.Random(99)
        self.mine: dict[bytes, str] = {}
        self._made = 0

    def act(self) -> None:
        """Do one thing."""
        self.chance.choice((self.deliver, self.change, self.change, self.remove))()

    def deliver(self) -> None:
        name, identity = f"1700000000.N{self._made}.neighbour", f"n{self._made}"
        self._made += 1
        path = self.place.maildir / "tmp" / name
        path.write_bytes(message(identity).replace(b"\r\n", b"\n"))
        if self.place.server is None:
            os.chown(path, 65534, 65534)
        path.rename(self.place.maildir / "new" / name)
        self.mine[b"<%s@test>" % identity.encode()] = name

    def change(self) -> None:
        if self.mine:
            identity = self.chance.choice(list(self.mine))
            path = self._find(identity)
            letters = "".join(sorted(self.chance.sample("DFRS", self.chance.randrange(5))))
            others = "".join(letter for letter in path.name.partition(":2,")[2] if letter.islower())
            with contextlib.suppress(FileNotFoundError):  # A client has set a flag in this moment.
                path.rename(self.place.maildir / "cur" / f"{self.mine[identity]}:2,{letters}{others}")

    def remove(self) -> None:
        if self.mine:
            identity = self.chance.choice(list(self.mine))
            with contextlib.suppress(FileNotFoundError):
                self._find(identity).unlink()
                del self.mine[identity]

    def _find(self, identity: bytes) -> Path:
        """The file as it is called now; clients rename it as well."""
        while True:
            for part in ("new", "cur"):
                for path in (self.place.maildir / part).glob(f"{self.mine[identity]}*"):
                    if path.name.partition(":")[0].partition(",")[0] == self.mine[identity]:
                        return path


def identity_in(text: bytes) -> bytes:
    """The Message-ID of a message."""
    at = text.index(b"Message-ID: ") + 12
    return text[at : text.index(b">", at) + 1]


def copied(text: bytes, lines: list[bytes]) -> tuple[int, list[int], list[int]]:
    """What COPYUID tells: UIDVALIDITY, and UIDs there and here (RFC 4315, 3; RFC 6851, 4.3)."""
    for line in (text, *(line.partition(b" ")[2] for line in lines if line.startswith(b"OK "))):
        if line.startswith(b"[COPYUID "):
            validity, sources, targets = line[9:].partition(b"]")[0].split()
            return int(validity), numbers(sources), numbers(targets)
    raise AssertionError(f"there is no COPYUID in {text!r} and {lines!r}")


def numbers(text: bytes) -> list[int]:
    """A sequence set, written out."""
    found = []
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        found += range(int(first), int(last or first) + 1)
    return found


class StressTests(PlaceScenario):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        self.box = self.open_place(workers=2)
        self.errors: list[str] = []
        with_folders = self.box.open()
        for folder in FOLDERS[1:]:
            with_folders.do(b"CREATE " + folder)
        with_folders.close()

    def run_all(self, works: list[Callable[[], None]]) -> None:
        """Do things at once, and wait for all."""

        def guarded(number: int, work: Callable[[], None]) -> None:
            try:
                work()
            except Exception:
                self.errors.append(f"{number}: {traceback.format_exc()}")

        threads = [threading.Thread(target=guarded, args=(number, work)) for number, work in enumerate(works)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS + 120)
        if self.errors:
            raise AssertionError("\n".join(self.errors))
        self.assertEqual([], [thread for thread in threads if thread.is_alive()])

    def test_everything(self) -> None:
        meanings = Meanings()
        clients = [Client(number, self.box, meanings) for number in range(CLIENTS)]
        end = time.monotonic() + SECONDS
        delivered: list[bytes] = []

        def acting(client: Client) -> Callable[[], None]:
            def act() -> None:
                # Not by the time alone: on a slow machine it would be over before it began.
                while (time.monotonic() < end or client.done <= ACTS) and not self.errors:
                    client.act()

            return act

        def deliver() -> None:
            while (time.monotonic() < end or len(delivered) <= DELIVERIES) and not self.errors:
                identity = f"d{len(delivered)}"
                self.box.deliver(message(identity))
                delivered.append(b"<%s@test>" % identity.encode())
                time.sleep(0.02)

        neighbour = Neighbour(self.box)

        def interfere() -> None:
            while time.monotonic() < end and not self.errors:
                neighbour.act()
                time.sleep(0.005)

        self.run_all([deliver, interfere, *map(acting, clients)])
        print(f"\n{sum(client.done for client in clients)} acts, {len(delivered)} deliveries")
        delivered += neighbour.mine
        wait_for(lambda: set(delivered) <= set(self._files(b"INBOX")), "deliveries are lost")
        self._in_the_end(clients, delivered)

    def _files(self, folder: bytes) -> list[bytes]:
        """The Message-ID of each file; those that were copied are there more than once."""
        directory = self.box.folder("" if folder == b"INBOX" else folder.decode())
        while True:
            # A file that goes from ``new`` to ``cur`` at this moment has two names, or none.
            paths = {
                path.name.partition(":")[0]: path
                for part in ("new", "cur")
                for path in (directory / part).iterdir()
            }
            with contextlib.suppress(FileNotFoundError):
                return [identity_in(path.read_bytes()) for path in paths.values()]

    def _in_the_end(self, clients: list[Client], delivered: list[bytes]) -> None:
        """All is quiet: everybody sees the same, it is what is in the files, and nothing is lost."""
        fresh = self.box.open()
        for folder in FOLDERS:
            fresh.select(folder)
            found = fresh.message_ids()
            wanted = {
                uid: identity
                for client in clients
                for (where, uid), (identity, _) in client.mine.items()
                if where == folder
            }
            extra = {uid: identity for uid, identity in found.items() if uid not in wanted}
            self.assertEqual(wanted, {uid: identity for uid, identity in found.items() if uid in wanted})
            self.assertEqual(sorted(delivered) if folder == b"INBOX" else [], sorted(extra.values()))
            self.assertEqual(sorted(self._files(folder)), sorted(found.values()))
            for client in clients:
                for (where, uid), (_, flags) in client.mine.items():
                    if where == folder:
                        self.assertEqual(
                            flags | {client.keyword}, fresh.flags[uid] - {b"\\Recent", b"$Anybody"}
                        )
            for client in clients:
                session = client.session
                if session.selected == folder:
                    session.do(b"NOOP")
                    known = [uid for uid in session.uids if uid in session.flags]
                    session.learn()
                    self.assertEqual(fresh.uids, session.uids, client.number)
                    for uid in known:
                        wanted_flags = fresh.flags[uid or 0] - {b"\\Recent"}
                        self.assertEqual(wanted_flags, session.flags[uid or 0] - {b"\\Recent"}, uid)

    def test_flags_of_one_message(self) -> None:
        """Each client sets a keyword of its own on the same messages at the same time."""
        for number in range(20):
            self.box.deliver(message(f"m{number}"))
        wait_for(lambda: len(self.box.files()) == 20, "messages are missing")
        sessions = [self.box.open() for _ in range(CLIENTS)]
        for session in sessions:
            session.select()

        def setting(number: int) -> Callable[[], None]:
            def work() -> None:
                for uid in random.Random(number).sample(sessions[number].uids, 20):
                    sessions[number].do(b"UID STORE %d +FLAGS (k%d)" % (uid or 0, number))

            return work

        self.run_all([setting(number) for number in range(CLIENTS)])
        wanted = {b"k%d" % number for number in range(CLIENTS)}
        for session in (*sessions, self.box.open()):
            if not session.selected:
                session.select()
            session.do(b"NOOP")
            for uid in session.uids:
                self.assertEqual(wanted, session.flags[uid or 0] - {b"\\Recent"})
