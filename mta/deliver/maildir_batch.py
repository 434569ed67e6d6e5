"""One batch of messages that are written into Maildirs; all of it blocks, so a thread runs it.

Each step is done for the whole batch before the next, because what a disk takes time for is
the flush, and one flush serves all::

    open new and tmp of each Maildir, making what is missing
    write every message under tmp
    make all of them durable
    move each into new under its final name, never in the place of another
    make each new durable

Only then a message is delivered.  A crash before leaves a file in tmp, which the retry
replaces; a crash after the move leaves the final file, which the retry finds.  A Maildir that
makes trouble puts off its own messages and nobody else's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence

from mta.deliver.disk import Disk
from mta.deliver.local_copy import excess, has_been_at, top_fields, whole_content, with_lf
from mta.deliver.maildir_job import Job, Target
from mta.deliver.maildir_name import folder_directory, unique_part
from mta.deliver.maildir_places import MaildirPlaces
from mta.deliver.maildir_quota import MaildirQuota, folders
from mta.interfaces import ISorter
from mta.model.catalogue import REPLIES
from mta.model.message import InlineContent
from mta.model.outcome import Delivered, Failed, Postponed, RemoteReply

#: Files at once, and directories at once, from which on one sync of the file system is better.
WHOLE = 3
_DELIVERED = REPLIES.reply("delivered", place="the mailbox")
_BY_RULES = REPLIES.reply("delivered", place="the rules of the mailbox, which do not keep it")


class MaildirBatch:
    """See the module.

    :param places: knows where messages come.
    :param disk: the file system.
    :param sorter: knows the rules of mailboxes; ``None``: there are none.
    """

    def __init__(self, places: MaildirPlaces, disk: Disk, sorter: ISorter | None = None) -> None:
        self._places = places
        self._disk = disk
        self._sorter = sorter
        self._targets: dict[bytes, Target] = {}
        self._quotas: dict[tuple[bytes, int], MaildirQuota] = {}
        self._listings: dict[bytes, list[tuple[bytes, bytes]]] = {}

    def close(self) -> None:
        """Give the directories back."""
        for target in self._targets.values():
            target.close()

    def run(self, jobs: Sequence[Job]) -> None:
        """Give each job its outcome.  Raises nothing."""
        todo = self._each(jobs, self._open)
        devices: dict[int, int] = {}
        for job in todo:
            devices[job.device] = devices.get(job.device, 0) + 1
        whole = {
            device for device, count in devices.items() if count >= WHOLE and self._disk.syncs_whole(device)
        }
        written = self._each(todo, lambda job: self._write(job, job.device in whole))
        written = self._sync_files(written, whole)
        moved = self._each(written, self._move)
        self._sync_directories(moved, whole)
        for job in moved:
            if job.outcome is None:
                self._delivered(job)
                if quota := self._quota(job):
                    quota.add(job.size)
        for quota in self._quotas.values():
            quota.save()

    def _each(self, jobs: Iterable[Job], step: Callable[[Job], None]) -> list[Job]:
        """Take a step with every job; those that go on."""
        going = []
        for job in jobs:
            if job.outcome is not None:
                continue
            try:
                step(job)
            except Exception as error:
                self._trouble(job, error)
            if job.outcome is None:
                going.append(job)
        return going

    # --- steps ---------------------------------------------------------------

    def _open(self, job: Job) -> None:
        root, folder, create = self._places.place(job)
        sorter = self._sorter
        if sorter is not None:
            job.decision = sorter.decide(job.message, job.addressee, job.sender, root)
            if job.decision is not None and not job.decision.keep:
                self._pass_by(job)
                return
            if job.decision is not None and job.decision.folder:
                folder, create = folder_directory(job.decision.folder, True) or b"", True
        job.unique = unique_part(job.message.created, job.message.id, job.addressee.number)
        target = self._target(root, folder, create, job)
        decision = job.decision
        if sorter is not None and decision is not None and (decision.flags or decision.keywords):
            job.info = sorter.info(decision, root, folder)
        job.target, job.path, job.device = target, target.path, target.owner.st_dev
        content = job.message.content
        start = job.message.trace
        if isinstance(content, InlineContent):
            start = start + content.data if b"elivered-" in start else content.data
        if has_been_at(start, job.addressee.address):
            self._loops(job)
        elif job.repeat:
            self._find(job)

    def _pass_by(self, job: Job) -> None:
        """What rules do not keep has no file, but may be in a loop all the same."""
        start = job.message.trace + next(iter(job.message.content.blocks()), b"")
        if has_been_at(start, job.addressee.address):
            self._loops(job)
        elif job.decision is not None:
            reply = RemoteReply.ours(_BY_RULES)
            job.outcome = Delivered(reply, decisions=(job.decision,))

    def _target(self, root: bytes, folder: bytes, create: bool, job: Job) -> Target:
        path = root + b"/" + folder if folder else root
        target = self._targets.get(path)
        if target is not None:
            return target
        target = Target(path, root)
        try:
            self._enter(target)
        except FileNotFoundError:
            target.close()
            if not create:
                return self._target(root, b"", True, job)
            if folder:
                self._target(root, b"", True, job)
            self._places.make(root, folder, self._places.directory_mode(job))
            self._enter(target)
            if folder and job.decision is not None and self._sorter is not None:
                self._sorter.made(root, folder)
        self._targets[path] = target
        return target

    def _enter(self, target: Target) -> None:
        try:
            target.new = self._disk.open_directory(target.path + b"/new")
            target.tmp = self._disk.open_directory(target.path + b"/tmp")
            target.owner = os.fstat(target.new)
        except OSError:
            target.close()
            raise

    def _find(self, job: Job) -> None:
        """Look for the file of an earlier attempt, wherever a reader may have moved it."""
        root = job.target.root
        listing = self._listings.get(root)
        if listing is None:
            # new before cur, because that is the way that readers move a message.
            listing = [
                (folder + place, b"\n".join(self._disk.names(folder + place)))
                for folder in folders(root)
                for place in (b"/new", b"/cur")
            ]
            self._listings[root] = listing
        for directory, names in listing:
            start = names.find(job.unique)
            if start >= 0:
                # Whoever put it there may not have lived to make that durable.
                file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    self._disk.sync(file)
                finally:
                    os.close(file)
                end = names.find(b"\n", start)
                job.name = names[start : end if end >= 0 else None].partition(b":")[0]
                self._delivered(job)
                return

    def _write(self, job: Job, close: bool) -> None:
        message, content = job.message, job.message.content
        binary = message.envelope.body == "BINARYMIME"
        top = top_fields(job.sender, job.addressee.address) + message.trace
        data: bytes | None = None
        expected = len(top) + content.size
        if isinstance(content, InlineContent):
            data = top + content.data
            if not binary:
                data = data.replace(b"\r\n", b"\n")
            expected = len(data)
        quota = self._quota(job)
        if quota is not None and not quota.reserve(expected):
            job.outcome = _postponed("mailbox-over-quota", address=job.addressee.address)
            return
        job.file = -1
        try:
            disk, target = self._disk, job.target
            job.file = disk.create(job.unique, target.tmp, self._places.mode(job), target.owner)
            if data is not None:
                disk.write(job.file, data)
                size, more = expected, excess(data)
            else:
                size, more = self._copy(job, top, binary)
            job.size = size
            job.name = self._places.full_name(job, size, size + more)
        except Exception:
            self._discard(job, expected)
            raise
        if job.outcome is not None:
            self._discard(job, expected)
        elif close:
            file, job.file = job.file, -1
            os.close(file)

    def _copy(self, job: Job, top: bytes, binary: bool) -> tuple[int, int]:
        """Copy content that is in a file; its size and what line ends would add to it."""
        start = b""

        def source() -> Iterable[bytes]:
            nonlocal start
            yield top
            for block in whole_content(job.message.content):
                start = start or block
                yield block

        size = more = 0
        last = b""
        blocks = source() if binary else with_lf(source())
        for block in blocks:
            self._disk.write(job.file, block)
            size += len(block)
            more += excess(block)
            if last == b"\r" and block.startswith(b"\n"):
                more -= 1
            last = block[-1:] or last
        if has_been_at(start, job.addressee.address):
            self._loops(job)
        return size, more

    def _sync_files(self, jobs: list[Job], whole: set[int]) -> list[Job]:
        for device in whole:
            same = [job for job in jobs if job.device == device]
            if same:
                try:
                    self._disk.sync_whole(same[0].target.new)
                except OSError as error:
                    for job in same:
                        self._discard(job, job.size)
                        self._trouble(job, error)
        single = [job for job in jobs if job.file >= 0]
        if len(single) > 1:
            for job in single:
                self._disk.hint(job.file)
        for job in single:
            try:
                self._disk.sync(job.file)
            except OSError as error:
                self._discard(job, job.size)
                self._trouble(job, error)
            else:
                os.close(job.file)
                job.file = -1
        return [job for job in jobs if job.outcome is None]

    def _move(self, job: Job) -> None:
        target = job.target
        try:
            into, name = target.new, job.name
            if job.info:
                if target.cur < 0:
                    target.cur = self._disk.open_directory(target.path + b"/cur")
                into, name = target.cur, job.name + job.info
            if not self._disk.move(job.unique, target.tmp, name, into):
                # An earlier attempt got this far: the name holds id and size.
                self._disk.remove(job.unique, target.tmp)
        except OSError:
            self._discard(job, job.size)
            raise
        target.dirty = True

    def _sync_directories(self, jobs: list[Job], whole: set[int]) -> None:
        dirty = [target for target in self._targets.values() if target.dirty]
        failed: dict[Target, OSError] = {}
        for device in whole:
            same = [target for target in dirty if target.owner.st_dev == device]
            if len(same) < WHOLE:
                continue
            try:
                self._disk.sync_whole(same[0].new)
            except OSError as error:
                failed.update(dict.fromkeys(same, error))
            dirty = [target for target in dirty if target.owner.st_dev != device]
        for target in dirty:
            try:
                self._disk.sync(target.new)
                if target.cur >= 0:
                    self._disk.sync(target.cur)
            except OSError as error:
                failed[target] = error
        if failed:
            # The files stay: the retry finds them and makes the directory durable.
            for job in jobs:
                if job.target in failed:
                    self._trouble(job, failed[job.target])

    # --- outcomes ------------------------------------------------------------

    def _quota(self, job: Job) -> MaildirQuota | None:
        octets = job.addressee.options.get("quota")
        if not octets:
            return None
        key = (job.target.root, int(octets))
        quota = self._quotas.get(key)
        if quota is None:
            quota = self._quotas[key] = MaildirQuota(key[0], key[1], self._places.mode(job))
        return quota

    def _discard(self, job: Job, reserved: int) -> None:
        if job.file >= 0:
            os.close(job.file)
            job.file = -1
        self._disk.remove(job.unique, job.target.tmp)
        if quota := self._quota(job):
            quota.release(reserved)

    def _delivered(self, job: Job) -> None:
        text = f"{_DELIVERED.lines[0]} as {job.name.decode('ascii', 'replace')}"
        decisions = (job.decision,) if job.decision is not None else ()
        job.outcome = Delivered(RemoteReply(_DELIVERED.code, _DELIVERED.enhanced, text), decisions=decisions)

    @staticmethod
    def _loops(job: Job) -> None:
        reply = REPLIES.reply("delivery-loop", address=job.addressee.address)
        job.outcome = Failed(RemoteReply.ours(reply))

    @staticmethod
    def _trouble(job: Job, error: Exception) -> None:
        job.outcome = trouble(job.addressee.address, error)


def trouble(address: str, error: Exception) -> Postponed:
    """What an error of ours or of the disk means for a recipient: never more than a delay."""
    problem = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOSPC:
        return _postponed("mailbox-no-space", address=address, problem=problem)
    if number == errno.EDQUOT:
        return _postponed("mailbox-over-quota", address=address)
    return _postponed("mailbox-trouble", address=address, problem=problem)


def _postponed(name: str, **values: object) -> Postponed:
    reply = REPLIES.reply(name, **values)
    return Postponed(RemoteReply.ours(reply))
