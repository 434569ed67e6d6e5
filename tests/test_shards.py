"""How many workers are started, and one's part of what all may have."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.config.loading import load
from mta.queue.schema import DATABASE, open_writer
from mta.shards import part_of, workers_needed


class WorkersTests(SynchronousTestCase):
    """How many workers are started."""

    def needed(self, workers: int, mail: dict[int, int]) -> int:
        """With so many messages in shards."""
        state = Path(self.mktemp()).absolute()
        (state / "spool").mkdir(parents=True)
        for shard, messages in mail.items():
            directory = state / "spool" / str(shard)
            directory.mkdir()
            connection = open_writer(directory / DATABASE)
            connection.execute("UPDATE counters SET messages = ?", (messages,))
            connection.close()
        path = Path(self.mktemp()).absolute()
        path.write_text(f"workers = {workers}\n")
        return workers_needed(load(path, str(state)))

    def test_as_wanted(self) -> None:
        self.assertEqual([1, 3], [self.needed(1, {}), self.needed(3, {0: 1, 1: 5, 2: 0})])

    def test_a_shard_with_mail_is_never_without_an_owner(self) -> None:
        self.assertEqual(3, self.needed(1, {0: 1, 1: 0, 2: 4, 3: 0}))
        self.assertEqual(2, self.needed(2, {0: 1, 1: 0, 2: 0}))

    def test_a_shard_that_cannot_be_read(self) -> None:
        """It is told of, and keeps nobody from starting."""
        state = Path(self.mktemp()).absolute()
        (state / "spool" / "1").mkdir(parents=True)
        (state / "spool" / "1" / DATABASE).write_bytes(b"no database")
        self.assertEqual(1, workers_needed(load(None, str(state))))


class PartTests(SynchronousTestCase):
    """One worker's part."""

    def test_parts(self) -> None:
        """All together get no more than there is, but for the one that each has at least."""
        self.assertEqual([100, 33, 1, 0], [part_of(100, 1), part_of(100, 3), part_of(2, 3), part_of(0, 3)])
