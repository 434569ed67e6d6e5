"""What two clients believe of a folder, whatever both of them and other programs do to it in any order."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.imap.factory import ImapFactory
from mta.imap.sequence_set import SequenceSet
from mta.visit.premises import Home
from tests.imap.sessions import Client, serve
from tests.mailbox.maildirs import Maildir
from tests.visit.fakes import Direct

_FETCH = re.compile(rb"\* (\d+) FETCH \((.*)\)\Z", re.DOTALL)
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
_FLAG = (b"\\Seen", b"\\Deleted", b"\\Flagged", b"word")


class Viewer:
    """A strict client: it counts messages as it is told, and complains of what cannot be."""

    def __init__(self, factory: ImapFactory, vanished: bool) -> None:
        self.client = Client(factory.buildProtocol(IPv4Address("TCP", "10.1.2.3", 1)))
        self.uids: list[int] = []
        self.flags: dict[int, frozenset[bytes]] = {}
        self.idle = False
        self.vanished = vanished
        self.do(b"LOGIN anna right")
        if vanished:
            self.do(b"ENABLE QRESYNC")
        self.do(b"SELECT INBOX")
        self.do(b"UID FETCH 1:* FLAGS")

    def do(self, command: bytes) -> None:
        """A command."""
        if self.idle:
            self.idle = False
            self.hear(self.client.say(b"DONE\r\n"), True)
        name = command.split(b" ")[0]
        lines = self.client.do(command)
        self.hear(lines, name not in (b"FETCH", b"STORE", b"SEARCH"))
        if name == b"IDLE":
            self.idle = True
            return
        assert re.match(rb"a (OK|NO)", lines[-1]), (command, lines)
        if 0 in self.uids and self.vanished:
            # Only who knows UIDs knows what has vanished.
            self.do(b"UID FETCH 1:* FLAGS")

    def hear(self, lines: Sequence[bytes], removals: bool) -> None:
        # What stands behind a literal belongs to the line before.
        for line in re.split(rb"\r\n(?=\* |\+ |a )", b"\r\n".join(lines)):
            words = line.split(b" ")
            if words[2:3] == [b"EXISTS"]:
                count = int(words[1])
                assert count >= len(self.uids), ("messages went without a word", line)
                self.uids += [0] * (count - len(self.uids))
            elif words[2:3] == [b"EXPUNGE"]:
                assert removals, ("numbers changed on their way", line)
                self.flags.pop(self.uids.pop(int(words[1]) - 1), None)
            elif words[1:2] == [b"VANISHED"]:
                assert removals, ("numbers changed on their way", line)
                for low, high in SequenceSet.parse(words[-1]).bounds(0):
                    for uid in range(low, high + 1):
                        self.flags.pop(uid, None)
                        if uid in self.uids:
                            self.uids.remove(uid)
            elif (fetched := _FETCH.match(line)) is not None:
                self._fetched(int(fetched[1]) - 1, fetched[2])

    def _fetched(self, place: int, items: bytes) -> None:
        assert place < len(self.uids), "a message that nobody told of"
        told = re.search(rb"\bUID (\d+)", items)
        flags = _FLAGS.search(items)
        if told is not None:
            uid = int(told[1])
            assert self.uids[place] in (0, uid), ("another message has this number", self.uids, place, uid)
            self.uids[place] = uid
        if flags is not None and self.uids[place]:
            self.flags[self.uids[place]] = frozenset(flags[1].split()) - {b"\\Recent"}

    def check(self, files: int) -> None:
        """What it believes is true."""
        # Twice: files that were changed in the same instant are looked at again.
        self.do(b"NOOP")
        self.do(b"NOOP")
        assert len(self.uids) == files, (self.uids, files)
        believed = dict(self.flags)
        self.do(b"UID FETCH 1:* FLAGS")
        assert self.uids == sorted(set(self.uids)), self.uids
        assert believed.items() <= self.flags.items(), (believed, self.flags)


_STEP = st.tuples(
    st.sampled_from(
        (
            "deliver",
            "remove",
            "flag",
            "NOOP",
            "IDLE",
            "EXPUNGE",
            "UID EXPUNGE 1:*",
            "FETCH {number} (UID FLAGS)",
            "FETCH {number} BODY[]",
            "UID FETCH 1:* FLAGS",
            "STORE {number} +FLAGS ({flag})",
            "STORE {number} -FLAGS ({flag})",
            "STORE 1:{number} FLAGS ({flag})",
            "STORE {number} +FLAGS (\\Deleted)",
            "UID STORE 1:* FLAGS ({flag})",
            "UID STORE {number} (UNCHANGEDSINCE 3) +FLAGS ({flag})",
            "COPY {number} INBOX",
            "MOVE {number} Trash",
            "UID MOVE {number} Trash",
            "APPEND INBOX ({flag}) {{5+}}\r\na: b\n",
            "SEARCH ALL",
        )
    ),
    st.booleans(),
    st.integers(0, 5),
    st.sampled_from(_FLAG),
)


class ViewTests(SynchronousTestCase):
    """See the module."""

    @settings(max_examples=60)
    @given(st.lists(_STEP, max_size=25), st.booleans())
    def test_any_order(self, steps: list[tuple[str, bool, int, bytes]], vanished: bool) -> None:
        with tempfile.TemporaryDirectory() as place:
            self.play(Path(place), steps, vanished)

    def play(self, place: Path, steps: list[tuple[str, bool, int, bytes]], vanished: bool) -> None:
        maildir = Maildir(place / "box")
        for number in range(3):
            maildir.put(b"1.%d" % number)

        async def home(account: str) -> Home:
            return Home(str(maildir.path))

        clock = Clock()
        room = Direct(clock, place / "state")
        factory = serve(clock, room, home, lambda event: None)
        viewers = [Viewer(factory, False), Viewer(factory, vanished)]
        try:
            for turn, (what, who, number, flag) in enumerate(steps):
                viewer = viewers[who]
                if what == "deliver":
                    maildir.put(b"2.%d" % turn)
                    room.delivered([str(maildir.path).encode()])
                elif what in ("remove", "flag"):
                    self.beside(maildir, what, number)
                else:
                    # Only what the client believes to be there.
                    number = min(number, len(viewer.uids)) or 1
                    if viewer.uids or "{number}" not in what:
                        viewer.do(what.format(number=number, flag=flag.decode()).encode())
                for one in viewers:
                    one.hear(one.client.heard(), True)
                    if 0 in one.uids and one.vanished:
                        one.do(b"NOOP")
            for viewer in viewers:
                viewer.check(len(maildir.names("new")) + len(maildir.names("cur")))
        finally:
            for viewer in viewers:
                viewer.client.protocol.connectionLost()
            room.watcher.stop()
            clock.advance(100)

    def beside(self, maildir: Maildir, what: str, number: int) -> None:
        """Another program does something to a message."""
        names = [(place, name) for place in ("new", "cur") for name in sorted(maildir.names(place))]
        if not names:
            return
        place, name = names[number % len(names)]
        if what == "remove":
            maildir.remove(name, place)
        else:
            base = name.partition(b":")[0]
            maildir.move(name, base + (b":2,S", b":2,T", b":2,")[number % 3], place)
