"""Writes a batch of messages into Maildirs; all of it blocks, so a thread runs it.

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
import stat
import time
from collections.abc import Callable, Iterable, Sequence

from mta.deliver.disk import Disk
from mta.deliver.local_copy import excess, has_been_at, top_fields, whole_content, with_lf
from mta.deliver.maildir_name import folder_directory, full_name, host_part, unique_part
from mta.deliver.maildir_quota import MaildirQuota, folders
from mta.interfaces import ISorter
from mta.model.catalogue import REPLIES
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply
from mta.model.sorting import Decision

#: Files at once, and directories at once, from which on one sync of the file system is better.
WHOLE = 3
#: Seconds after which a file in tmp belongs to nobody.
ABANDONED = 36 * 3600.0
_SUBDIRECTORIES = (b"/cur", b"/new", b"/tmp")
_DELIVERED = REPLIES.reply("delivered", place="the mailbox")
_BY_RULES = REPLIES.reply("delivered", place="the rules of the mailbox, which do not keep it")


class Job:
    """One message for one addressee.

    :ivar sender: the reverse-path to use.
    :ivar repeat: whether to look for the file of an earlier attempt.
    :ivar path: of the Maildir or folder that it came to; ``b""`` if it came to none.
    :ivar decision: of the mailbox's rules, if they have made one.
    :ivar info: flags behind the name; with any it comes into ``cur``.
    :ivar outcome: set by :meth:`MaildirStore.deliver`.
    """

    __slots__ = (
        "addressee",
        "decision",
        "device",
        "file",
        "info",
        "message",
        "name",
        "outcome",
        "path",
        "repeat",
        "sender",
        "size",
        "target",
        "unique",
    )

    target: Target
    file: int
    device: int

    def __init__(self, message: Message, addressee: Addressee, sender: str, repeat: bool) -> None:
        self.message = message
        self.addressee = addressee
        self.sender = sender
        self.repeat = repeat
        self.outcome: Outcome | None = None
        self.unique = b""
        self.name = b""
        self.size = 0
        self.path = b""
        self.info = b""
        self.decision: Decision | None = None


class Target:
    """A Maildir or folder, open for one batch.

    :ivar path: the directory above ``new``.
    :ivar root: the Maildir it belongs to.
    :ivar new: descriptor, -1 if closed.
    :ivar tmp: likewise.
    :ivar cur: likewise; open only if something comes into it.
    :ivar owner: what ``fstat`` says of ``new``.
    :ivar dirty: whether ``new`` must be made durable.
    """

    __slots__ = ("cur", "dirty", "new", "owner", "path", "root", "tmp")

    owner: os.stat_result

    def __init__(self, path: bytes, root: bytes) -> None:
        self.path = path
        self.root = root
        self.new = self.tmp = self.cur = -1
        self.dirty = False

    def close(self) -> None:
        """Give the descriptors back."""
        for file in (self.new, self.tmp, self.cur):
            if file >= 0:
                os.close(file)
        self.new = self.tmp = self.cur = -1


class MaildirStore:
    """See the module.

    :param hostname: stands in file names.
    :param disk: the file system.
    :param file_mode: of messages, where the addressee's options name none.
    :param directory_mode: of Maildirs that are made, likewise.
    :param detail_folder: whether the detail of an address names a folder to deliver to.
    :param create_folder: whether such a folder is made; without, a missing one means the inbox.
    :param sorter: knows the rules of mailboxes; ``None``: there are none.
    """

    def __init__(
        self,
        hostname: str,
        disk: Disk,
        *,
        file_mode: int = 0o600,
        directory_mode: int = 0o700,
        detail_folder: bool = False,
        create_folder: bool = False,
        sorter: ISorter | None = None,
    ) -> None:
        self.sorter = sorter
        self._host = host_part(hostname)
        self._disk = disk
        self._file_mode = file_mode
        self._directory_mode = directory_mode
        self._detail_folder = detail_folder
        self._create_folder = create_folder

    def deliver(self, jobs: Sequence[Job]) -> None:
        """Give each job its outcome.  Raises nothing."""
        batch = _Batch(self, self._disk)
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

    # --- where ---------------------------------------------------------------

    def place(self, job: Job) -> tuple[bytes, bytes, bool]:
        """The Maildir, the folder below it (``b""``: the inbox), and whether to make the folder.

        :raise OSError: if the next hop is no absolute path.
        """
        next_hop, options = job.addressee.next_hop, job.addressee.options
        if not next_hop.startswith("/") or "\0" in next_hop or "/../" in next_hop + "/":
            raise OSError(errno.EINVAL, "the next hop is no absolute path")
        root = os.fsencode(next_hop.rstrip("/"))
        if not root:
            raise OSError(errno.EINVAL, "the next hop is the root directory")
        # What the way to the mailbox says of the folder counts more than what filters say of the message.
        folder = options.get("folder") if options else None
        if not folder and job.message.attributes:
            folder = job.message.attributes.get("folder")
        if folder:
            return root, folder_directory(folder, True) or b"", True
        if options and self._detail_folder and (detail := options.get("detail")):
            return root, folder_directory(detail) or b"", self._create_folder
        return root, b"", True

    def mode(self, job: Job) -> int:
        """The mode of the job's file."""
        mode: int = job.addressee.options.get("file_mode") or self._file_mode
        return mode

    def full_name(self, job: Job, octets: int, virtual: int) -> bytes:
        """The name under ``new``."""
        return full_name(job.unique, self._host, octets, virtual)

    def make(self, root: bytes, folder: bytes, mode: int) -> None:
        """Make a Maildir, or a folder of it, so that it outlives a crash.

        :raise OSError: if it cannot be made.
        """
        path = root + b"/" + folder if folder else root
        above = os.path.dirname(path)
        missing = []
        while not os.path.isdir(above):
            missing.append(above)
            above = os.path.dirname(above)
        made = [above, *reversed(missing), path]
        for directory in made[1:]:
            self._disk.make_directory(directory, mode)
        for name in _SUBDIRECTORIES:
            self._disk.make_directory(path + name, mode)
        if folder:
            # By this empty file a reader knows that it is no Maildir by itself (Maildir++).
            os.close(os.open(path + b"/maildirfolder", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for directory in made:
            file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._disk.sync(file)
            finally:
                os.close(file)

    def directory_mode(self, job: Job) -> int:
        """The mode of directories made for the job."""
        mode: int = job.addressee.options.get("directory_mode") or self._directory_mode
        return mode


class _Batch:
    """One call of :meth:`MaildirStore.deliver`."""

    def __init__(self, store: MaildirStore, disk: Disk) -> None:
        self._store = store
        self._disk = disk
        self._targets: dict[bytes, Target] = {}
        self._quotas: dict[tuple[bytes, int], MaildirQuota] = {}
        self._listings: dict[bytes, list[tuple[bytes, bytes]]] = {}

    def close(self) -> None:
        for target in self._targets.values():
            target.close()

    def run(self, jobs: Sequence[Job]) -> None:
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
        root, folder, create = self._store.place(job)
        sorter = self._store.sorter
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
            self._store.make(root, folder, self._store.directory_mode(job))
            self._enter(target)
            if folder and job.decision is not None and self._store.sorter is not None:
                self._store.sorter.made(root, folder)
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
            job.file = disk.create(job.unique, target.tmp, self._store.mode(job), target.owner)
            if data is not None:
                disk.write(job.file, data)
                size, more = expected, excess(data)
            else:
                size, more = self._copy(job, top, binary)
            job.size = size
            job.name = self._store.full_name(job, size, size + more)
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
            quota = self._quotas[key] = MaildirQuota(key[0], key[1], self._store.mode(job))
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
