"""Where in which Maildir a message comes, with which modes; and Maildirs that are made."""

from __future__ import annotations

import errno
import os

from mta.deliver.disk import Disk
from mta.deliver.maildir_job import Job
from mta.deliver.maildir_name import folder_directory, full_name, host_part

_SUBDIRECTORIES = (b"/cur", b"/new", b"/tmp")


class MaildirPlaces:
    """See the module.

    :param hostname: stands in file names.
    :param disk: the file system.
    :param file_mode: of messages, where the addressee's options name none.
    :param directory_mode: of Maildirs that are made, likewise.
    :param detail_folder: whether the detail of an address names a folder to deliver to.
    :param create_folder: whether such a folder is made; without, a missing one means the inbox.
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
    ) -> None:
        self._host = host_part(hostname)
        self._disk = disk
        self._file_mode = file_mode
        self._directory_mode = directory_mode
        self._detail_folder = detail_folder
        self._create_folder = create_folder

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
