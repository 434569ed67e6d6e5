"""Tells sessions that a folder may have changed.

What this worker delivers, it says itself.  What others do to ``new`` and ``cur`` the kernel tells by
inotify; where it does not (network file systems; no watch left), the times of the directories are
looked at every few seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.filepath import FilePath

from mta.mailbox import listing

_PLACES = (b"/new", b"/cur")
#: Seconds in which several changes are told as one.
_TOGETHER = 0.02
#: Looks by which a folder is polled also while the kernel tells: it may be wrong about a network's disk.
_SELDOM = 6


class Watcher:
    """See the module.

    :param reactor: timers, descriptors.
    :param in_thread: runs a function in a thread.
    :param poll: seconds between looks.
    """

    log = Logger()

    def __init__(self, reactor: Any, in_thread: Callable[..., Deferred[Any]], poll: float) -> None:
        self._reactor = reactor
        self._in_thread = in_thread
        self._poll = poll
        self._told: dict[bytes, list[Callable[[], None]]] = {}
        self._marks: dict[bytes, str] = {}
        self._watched: dict[bytes, bytes] = {}
        self._notify: Any = None
        self._timer: Any = None
        self._turn = 0
        self._waking: dict[bytes, Any] = {}

    def watch(self, folder: bytes, told: Callable[[], None]) -> Callable[[], None]:
        """Have ``told`` called after changes of a folder; call the answer to end it."""
        calls = self._told.setdefault(folder, [])
        calls.append(told)
        if len(calls) == 1:
            self._add(folder)
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                calls.remove(told)
                if not calls:
                    self._remove(folder)

        return end

    def wake(self, folders: Iterable[bytes]) -> None:
        """Folders have changed."""
        for folder in folders:
            for told in tuple(self._told.get(folder, ())):
                told()

    def stop(self) -> None:
        """Watch nothing any more."""
        self._told.clear()
        for folder in list(self._waking):
            self._waking.pop(folder).cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._notify is not None:
            notify, self._notify = self._notify, None
            notify.loseConnection()
        self._watched.clear()

    # --- inotify ---------------------------------------------------------------

    def _add(self, folder: bytes) -> None:
        if self._timer is None:
            self._timer = self._reactor.callLater(self._poll, self._look)
        for place in _PLACES:
            self._kernel(folder, folder + place)

    def _kernel(self, folder: bytes, path: bytes) -> None:
        """Ask the kernel to tell of a directory; without it, the looks remain."""
        try:
            from twisted.internet import inotify

            if self._notify is None:
                notify = inotify.INotify(self._reactor)
                notify.startReading()
                self._notify = notify
            mask = (
                inotify.IN_CREATE
                | inotify.IN_MOVED_TO
                | inotify.IN_MOVED_FROM
                | inotify.IN_DELETE
                | inotify.IN_ONLYDIR
                | inotify.IN_DONT_FOLLOW
            )
            self._notify.watch(FilePath(path), mask, callbacks=[self._seen])
            self._watched[path] = folder
        except (ImportError, OSError) as error:
            self.log.debug("{path} is looked at instead: {error}", path=os.fsdecode(path), error=str(error))

    def _seen(self, ignored: object, path: Any, mask: int) -> None:
        folder = self._watched.get(os.path.dirname(os.fsencode(path.path)))
        if folder is not None and folder not in self._waking:
            self._waking[folder] = self._reactor.callLater(_TOGETHER, self._wake_one, folder)

    def _wake_one(self, folder: bytes) -> None:
        self._waking.pop(folder, None)
        self.wake((folder,))

    def _remove(self, folder: bytes) -> None:
        del self._told[folder]
        self._marks.pop(folder, None)
        for place in _PLACES:
            if self._watched.pop(folder + place, None) is not None and self._notify is not None:
                with suppress(OSError, KeyError):
                    self._notify.ignore(FilePath(folder + place))
        if not self._told and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- looking ---------------------------------------------------------------

    def _look(self) -> None:
        self._turn += 1
        folders = [
            folder
            for folder in self._told
            if not self._turn % _SELDOM or not all(folder + place in self._watched for place in _PLACES)
        ]
        self._timer = None
        looking = self._in_thread(_marks, folders)
        looking.addCallback(self._looked)
        looking.addErrback(lambda failure: self.log.failure("Folders cannot be looked at", failure))
        looking.addBoth(self._again)

    def _looked(self, marks: dict[bytes, str]) -> None:
        changed = []
        for folder, mark in marks.items():
            if folder in self._told and self._marks.get(folder, mark) != mark:
                changed.append(folder)
            self._marks[folder] = mark
        self.wake(changed)

    def _again(self, ignored: object) -> None:
        if self._told and self._timer is None:
            self._timer = self._reactor.callLater(self._poll, self._look)


def _marks(folders: Iterable[bytes]) -> dict[bytes, str]:
    found = {}
    for folder in folders:
        marks = []
        for place in _PLACES:
            try:
                marks.append(listing.look(folder + place).mark)
            except OSError:
                marks.append("")
        found[folder] = " ".join(marks)
    return found
