"""A file system of its own for each measurement, fresh, in a file.

ext4 gives an inode that was freed within five minutes to nobody, and searches longer the more
of them there are: whoever is measured after somebody has removed a queue or a Maildir of
thousands of files would pay for that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

#: Octets; holds a hundred messages of 10 MB three times over.
SIZE = 6 << 30
#: Seconds for which somebody may still use it.
PATIENCE = 15.0


class FreshDisk:
    """Mounts one at ``place``, and another in its place for the next measurement.

    :param image: the file to make.
    :param place: an empty directory.
    :raise OSError: if this machine does not let us; the text says why.
    """

    def __init__(self, image: Path, place: Path) -> None:
        self._image = image
        self._place = place
        self._mounted = False
        for name in ("mkfs.ext4", "mount", "umount"):
            if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
                raise OSError(f"there is no {name}")
        with image.open("wb") as file:
            # What is written to it later needs no space found for it.
            os.posix_fallocate(file.fileno(), 0, SIZE)
        self.renew()

    def renew(self) -> None:
        """Forget everything that was on it.

        :raise OSError: if it cannot be made or mounted.
        """
        self.close()
        lazy = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
        self._run("mkfs.ext4", "-q", "-F", "-E", lazy, str(self._image))
        self._run("mount", "-o", "loop", str(self._image), str(self._place))
        self._mounted = True

    def close(self) -> None:
        """Unmount it, once whoever was measured is gone altogether."""
        end = time.monotonic() + PATIENCE
        while self._mounted:
            try:
                self._run("umount", str(self._place))
                self._mounted = False
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    @staticmethod
    def _run(*command: str) -> None:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})
        if done.returncode:
            raise OSError(f"{command[0]}: {done.stderr.strip() or done.returncode}")
