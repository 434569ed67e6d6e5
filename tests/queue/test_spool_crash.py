"""A process that is killed while it admits: whatever it acknowledged is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from mta.model.ids import decode_id
from mta.queue.reader import QueueReader
from tests.queue.spooling import NOW, SpoolCase

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
from pathlib import Path
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from mta.queue.spool import Spool
from tests.queue.spooling import message, received, delivered

async def send(spool, number):
    while True:
        name = spool.new_id()
        content = None
        if number == 0:
            file = spool.create_file(name)
            file.write(b"x" * 70000)
            content = await file.finish()
        sent = message(name, data=b"y" * 2000, content=content)
        await spool.admit(sent, (received(sent),))
        sys.stdout.write(f"+{name}\\n")
        sys.stdout.flush()
        if number == 1:
            await spool.record(delivered(sent))
            sys.stdout.write(f"-{name}\\n")
            sys.stdout.flush()

async def main():
    spool = Spool(Path(sys.argv[1]), reactor)
    await spool.start()
    for number in range(20):
        ensureDeferred(send(spool, number))

ensureDeferred(main()).addErrback(lambda failure: failure.printTraceback())
reactor.run()
"""


def killed_after(lines: int, directory: Path) -> list[bytes]:
    """What the program says until it is killed, after so many lines."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(directory)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        return told + process.stdout.readlines()


class CrashTests(SpoolCase):
    """SIGKILL, again and again, on the same directory."""

    async def test_killed(self) -> None:
        admitted: set[str] = set()
        gone: set[str] = set()
        for lines in (50, 300, 1000):
            told = killed_after(lines, self.directory)
            for line in told:
                if line.endswith(b"\n"):
                    (admitted if line[:1] == b"+" else gone).add(line[1:-1].decode())
        self.assertGreater(len(admitted), 1000)
        self.assertGreater(len(gone), 10)
        spool = await self.open()
        found = {each.id: each for each in await spool.claim(NOW, 10**6, 10**9, set())}
        # Acknowledged outcomes stay; one that was not may have been kept too.
        self.assertEqual(set(), gone & set(found))
        missing = admitted - gone - set(found)
        journal = {number for (number,) in self.rows("SELECT message FROM events WHERE kind = 'completed'")}
        self.assertEqual(set(), {name for name in missing if decode_id(name) not in journal})
        for each in found.values():
            self.assertIn(each.content.size, (2000, 70000))
            self.assertEqual(each.content.size, len(each.content.read()))
        count = await spool.count()
        self.assertEqual((len(found), len(found)), (count["messages"], count["addressees"]))
        self.assertEqual(sum(each.size for each in found.values()), count["octets"])
        with QueueReader(self.directory) as reader:
            self.assertEqual(sorted(found), [each.id for each in reader.page(limit=10**6)])
