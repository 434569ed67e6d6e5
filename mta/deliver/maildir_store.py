"""Maildirs that messages are delivered to: a batch at a time, and swept now and then.

How a batch is written is :mod:`mta.deliver.maildir_batch`'s affair, where each message comes
:mod:`mta.deliver.maildir_places`'s.  All of it blocks, so a thread runs it.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence

from mta.deliver.disk import Disk
from mta.deliver.maildir_batch import MaildirBatch
from mta.deliver.maildir_job import Job
from mta.deliver.maildir_places import MaildirPlaces
from mta.interfaces import ISorter

#: Seconds after which a file in tmp belongs to nobody.
ABANDONED = 36 * 3600.0


class MaildirStore:
    """See the module.

    :param places: knows where each message comes.
    :param disk: the file system.
    :param sorter: knows the rules of mailboxes; ``None``: there are none.
    """

    def __init__(self, places: MaildirPlaces, disk: Disk, sorter: ISorter | None = None) -> None:
        self.sorter = sorter
        self._places = places
        self._disk = disk

    def deliver(self, jobs: Sequence[Job]) -> None:
        """Give each job its outcome.  Raises nothing."""
        batch = MaildirBatch(self._places, self._disk, self.sorter)
        try:
            batch.run(jobs)
        finally:
            batch.close()

    def sweep(self, path: bytes) -> None:
        """Remove from tmp what was abandoned (36 hours, as the Maildir convention says)."""
        limit = time.time() - ABANDONED
        try:
            tmp = self._disk.open_directory(path + b"/tmp")
        except OSError:
            return
        try:
            for name in os.listdir(tmp):
                facts = os.stat(name, dir_fd=tmp, follow_symlinks=False)
                if facts.st_mtime < limit and stat.S_ISREG(facts.st_mode):
                    os.unlink(name, dir_fd=tmp)
        except OSError:
            pass  # Another sweeper was there, or it is not ours to remove.
        finally:
            os.close(tmp)
