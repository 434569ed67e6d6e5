"""Two workers and other programs change a mailbox in any order: index, files and clients agree."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox import acts
from mta.mailbox.append import Append
from mta.mailbox.copying import Copying
from mta.mailbox.file_name import FLAGGED, REPLIED, SEEN, TRASHED, Flags, flags_of, info_of, split
from mta.mailbox.folders import Folders
from mta.mailbox.index import Index
from mta.mailbox.moving import move
from mta.mailbox.refusal import Refused
from mta.mailbox.schema import connect
from mta.mailbox.snapshot import take
from tests.mailbox.maildirs import Maildir

#: Content, flags, keywords.
State = tuple[bytes, int, frozenset[str]]
FOLDERS = ("INBOX", "a", "a.b", "c")
WORDS = ("work", "$Junk", "later")

folders = some.sampled_from(FOLDERS)
systems = some.sampled_from((0, SEEN, FLAGGED, SEEN | REPLIED, TRASHED))
words = some.frozensets(some.sampled_from(WORDS), max_size=2)
workers = some.integers(0, 1)
picks = some.lists(some.integers(0, 4), min_size=1, max_size=4, unique=True)


@dataclass
class Client:
    """What a client knows of a folder that asks for what has changed only (RFC 7162)."""

    validity: int = 0
    modseq: int = 0
    messages: dict[int, State] = field(default_factory=dict)


class Mailbox(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="mta-machine-"))
        self.box = Maildir(self.place / "box")
        self.root = os.fsencode(self.box.path)
        self.indexes: list[Index] = []
        self.ahead = 0.0
        self.open()
        self.folders = Folders({})
        self.model: dict[str, Counter[State]] = {"INBOX": Counter()}
        self.clients: dict[str, Client] = {}
        self.known: dict[tuple[int, int], bytes] = {}
        self.shared: list[Any] = [{}, {}]
        self.number = 0
        self.ticks = 0
        for name in ("a", "a.b"):
            self.create(0, name)
        for name in ("INBOX", "INBOX", "a", "a.b"):
            self.deliver(name)

    def open(self) -> None:
        for _ in range(2):
            connection = connect(self.place / "index.db", self.root)
            connection.execute("PRAGMA synchronous = OFF")
            self.indexes.append(Index(connection, self.root, lambda: time.time() + self.ahead))

    def teardown(self) -> None:
        for index in self.indexes:
            index.close()
        shutil.rmtree(self.place)

    # --- what there is ---------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.box.path / f".{name}" if name != "INBOX" else self.box.path

    def directory(self, name: str) -> bytes:
        return b"." + name.encode() if name != "INBOX" else b""

    def content(self, worker: int, name: str) -> dict[int, State]:
        """The messages of a folder as a worker sees them."""
        index = self.indexes[worker]
        folder = index.refresh(self.directory(name))
        found = {}
        for message in index.messages(folder):
            octets = (self.path(name) / os.fsdecode(message.place)).read_bytes()
            found[message.uid] = (octets, message.flags, frozenset(folder.named(message.keywords)))
            assert self.known.setdefault((folder.validity, message.uid), octets) == octets
            assert message.modseq <= folder.modseq and message.uid < folder.next_uid
        assert folder.messages == len(found)
        assert folder.unseen == sum(not flags & SEEN for _, flags, _ in found.values())
        return found

    def chosen(self, worker: int, name: str, pick: list[int]) -> dict[int, State]:
        there = self.content(worker, name)
        uids = list(there)
        return {uids[number]: there[uids[number]] for number in pick if number < len(uids)}

    def fresh(self) -> bytes:
        self.number += 1
        return b"%d\n" % self.number

    # --- other programs --------------------------------------------------------

    @rule(name=folders)
    def deliver(self, name: str) -> None:
        if name in self.model:
            content = self.fresh()
            Maildir.put(self.of(name), b"%s.x,S=%d" % (content[:-1], len(content)), content)
            self.model[name][content, 0, frozenset()] += 1

    def aged(self, *names: str) -> None:
        """Let other programs change a directory in another moment than we do."""
        for name in names:
            self.ticks += 1
            os.utime(self.path(name) / "cur", ns=(self.ticks, self.ticks))

    def of(self, name: str) -> Maildir:
        maildir = Maildir.__new__(Maildir)
        maildir.path = self.path(name)
        return maildir

    def files(self, name: str) -> list[Path]:
        if name not in self.model:
            return []
        return sorted(path for place in ("new", "cur") for path in (self.path(name) / place).iterdir())

    @rule(name=folders, pick=some.integers(0, 4), system=systems)
    def flag_beside(self, name: str, pick: int, system: int) -> None:
        files = self.files(name)
        if pick < len(files):
            path = files[pick]
            state = self.state_of(name, path)
            base, info = split(os.fsencode(path.name))
            flags = Flags(system, flags_of(info).keywords)
            os.rename(path, self.path(name) / "cur" / os.fsdecode(base + info_of(flags)))
            self.aged(name)
            self.model[name][state] -= 1
            self.model[name][state[0], system, state[2]] += 1

    @rule(name=folders, pick=some.integers(0, 4))
    def remove_beside(self, name: str, pick: int) -> None:
        files = self.files(name)
        if pick < len(files):
            self.model[name][self.state_of(name, files[pick])] -= 1
            files[pick].unlink()
            self.aged(name)

    def state_of(self, name: str, path: Path) -> State:
        flags = flags_of(split(os.fsencode(path.name))[1])
        lines = (self.path(name) / "dovecot-keywords").read_text().split("\n") if flags.keywords else []
        mapping = {int(line.split()[0]): line.split()[1] for line in lines if line}
        named = frozenset(word for number, word in mapping.items() if flags.keywords >> number & 1)
        return path.read_bytes(), flags.system, named

    @rule(name=folders, to=folders, pick=some.integers(0, 4))
    def move_beside(self, name: str, to: str, pick: int) -> None:
        """Keywords mean something in their folder alone, so programs that move files leave them out."""
        files = self.files(name)
        if pick < len(files) and to in self.model and to != name:
            path = files[pick]
            content, system, named = self.state_of(name, path)
            base = split(os.fsencode(path.name))[0]
            if any(split(os.fsencode(one.name))[0] == base for one in self.files(to)):
                return
            os.rename(path, self.path(to) / "cur" / os.fsdecode(base + info_of(Flags(system))))
            self.aged(name, to)
            self.model[name][content, system, named] -= 1
            self.model[to][content, system, frozenset()] += 1

    # --- ours ------------------------------------------------------------------

    @rule(worker=workers, name=folders, system=systems, named=words, count=some.integers(1, 3))
    def append(self, worker: int, name: str, system: int, named: frozenset[str], count: int) -> None:
        if name in self.model:
            append = Append(self.indexes[worker], self.directory(name))
            contents = [self.fresh() for _ in range(count)]
            for content in contents:
                append.begin(len(content), system, sorted(named))
                append.write(content)
                append.end()
            placed = append.commit(self.indexes[worker])
            for content, uid in zip(contents, placed.uids, strict=True):
                self.model[name][content, system, named] += 1
                assert self.known.setdefault((placed.validity, uid), content) == content

    @rule(worker=workers, name=folders, pick=picks, system=systems, named=words)
    def flag(self, worker: int, name: str, pick: list[int], system: int, named: frozenset[str]) -> None:
        if name in self.model:
            index, directory = self.indexes[worker], self.directory(name)
            chosen = self.chosen(worker, name, pick)
            bits = acts.keyword_bits(index, directory, sorted(named))
            assert bits is not None
            acts.change_flags(index, directory, chosen, lambda flags: Flags(system, bits or 0, flags.other))
            for state in chosen.values():
                self.model[name][state] -= 1
                self.model[name][state[0], system, named] += 1

    @rule(worker=workers, name=folders, pick=picks)
    def expunge(self, worker: int, name: str, pick: list[int]) -> None:
        if name in self.model:
            chosen = self.chosen(worker, name, pick)
            _, left = acts.expunge(self.indexes[worker], self.directory(name), list(chosen))
            assert not left
            self.model[name].subtract(chosen.values())

    @rule(worker=workers, name=folders, to=folders, pick=picks)
    def copy(self, worker: int, name: str, to: str, pick: list[int]) -> None:
        if name in self.model and to in self.model:
            index = self.indexes[worker]
            chosen = self.chosen(worker, name, pick)
            copying = Copying(index, self.directory(name), self.directory(to))
            copying.take(index, list(chosen))
            self.placed(chosen, copying.commit(index), to)

    def placed(self, chosen: dict[int, State], copied: Any, target: str) -> None:
        assert {uid for uid, _ in copied.pairs} == set(chosen)
        for uid, now in copied.pairs:
            self.model[target][chosen[uid]] += 1
            assert self.known.setdefault((copied.validity, now), chosen[uid][0]) == chosen[uid][0]

    @rule(worker=workers, name=folders, to=folders, pick=picks)
    def move(self, worker: int, name: str, to: str, pick: list[int]) -> None:
        if name in self.model and to in self.model:
            index = self.indexes[worker]
            chosen = self.chosen(worker, name, pick)
            moved = move(index, self.directory(name), list(chosen), self.directory(to))
            self.model[name].subtract(chosen.values())
            self.placed(chosen, moved, to)

    @rule(worker=workers, name=folders)
    def create(self, worker: int, name: str) -> None:
        try:
            self.folders.create(self.indexes[worker], name)
        except Refused as problem:
            assert problem.code == "ALREADYEXISTS" and name in self.model
        else:
            assert name not in self.model
            self.model[name] = Counter()

    @rule(worker=workers, name=folders)
    def delete(self, worker: int, name: str) -> None:
        try:
            self.folders.delete(self.indexes[worker], name)
        except Refused:
            assert name == "INBOX" or name not in self.model
        else:
            del self.model[name]

    @rule(worker=workers, name=folders, to=folders)
    def rename(self, worker: int, name: str, to: str) -> None:
        try:
            self.folders.rename(self.indexes[worker], name, to)
        except Refused as problem:
            assert problem.code in ("ALREADYEXISTS", "CANNOT", "NONEXISTENT")
            return
        if name == "INBOX":
            self.model[to], self.model["INBOX"] = self.model["INBOX"], Counter()
        else:
            for one in list(self.model):
                if one == name or one.startswith(name + "."):
                    self.model[to + one[len(name) :]] = self.model.pop(one)

    @precondition(lambda self: self.number > 3)
    @rule()
    def lose(self) -> None:
        """The index is lost."""
        for index in self.indexes:
            index.close()
        self.indexes.clear()
        for path in self.place.glob("index.db*"):
            path.unlink()
        # So much later that MODSEQ begins above all that was told.
        self.ahead += 1000.0
        self.shared = [{}, {}]
        self.open()

    # --- what must be ----------------------------------------------------------

    @invariant()
    def agree(self) -> None:
        """Each worker sees what there is, and so do clients that ask for changes only."""
        worker = self.number % 2
        index = self.indexes[worker]
        listed = self.folders.listed(index)
        assert {one.name for one in listed if one.exists} == set(self.model)
        for name, expected in self.model.items():
            now = self.content(worker, name)
            assert Counter(now.values()) == +expected, name
            shot = take(index, self.directory(name), self.shared[worker])
            assert list(shot.uids) == list(now)
            self.ask(index, name, now)
            assert not os.listdir(self.path(name) / "tmp")

    def ask(self, index: Index, name: str, now: dict[int, State]) -> None:
        folder = index.known(self.directory(name))
        assert folder is not None
        client = self.clients.setdefault(name, Client())
        gone = index.expunged(folder, client.modseq)
        if client.validity != folder.validity or gone is None:
            client.messages = dict(now)
        else:
            assert folder.modseq >= client.modseq
            for uid in gone:
                client.messages.pop(uid, None)
            for message in index.messages(folder, client.modseq):
                client.messages[message.uid] = now[message.uid]
        client.validity, client.modseq = folder.validity, folder.modseq
        assert client.messages == now

    @rule()
    def turn(self) -> None:
        """The other worker looks."""
        self.number += 1


class MachineTests(SynchronousTestCase):
    """The machine runs."""

    def test_machine(self) -> None:
        many = int(os.environ.get("MTA_FUZZ", "0")) // 100
        run_state_machine_as_test(
            Mailbox, settings=settings(max_examples=max(many, 20), stateful_step_count=30)
        )
