"""The spool of one shard: what it says is kept is on disk.

This is the reactor's side of it.  :class:`~mta.queue.writer.Writer` writes in
a thread, :class:`~mta.queue.claims.Claims` reads in another, and a small pool
writes content files (:class:`~mta.queue.spoolfile.SpoolFile`), removes those
that nobody needs, and asks how much room there is.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mta.interfaces import IEventSink, ISpool, Result, SpoolFull, TemporarilyUnavailable
from mta.model.event import Event, Server
from mta.model.ids import IdSource, decode_id
from mta.model.message import Message
from mta.model.rest import Rest, Way
from mta.queue.chores import CallBack, Chore, Flush, PutOff
from mta.queue.claims import Claims
from mta.queue.schema import DATABASE, open_reader, open_writer
from mta.queue.shard import Shard
from mta.queue.spoolfile import Disk, SpoolFile
from mta.queue.work import Work, admission, notes, recording
from mta.queue.writer import Writer

T = TypeVar("T")

#: Events that may wait for the disk; beyond, they are counted, and the count is journalled.
MOST_NOTES = 20_000
#: Threads that write content files.
_FILE_THREADS = 4
#: Seconds for which those who wait for the disk are answered in one turn of the reactor.
_TURN = 0.0025
#: Content files looked at together by the sweep.
_SWEEP = 500


@implementer(ISpool)
class Spool:
    """Keeps messages and the journal of one shard in a directory of its own.

    :param directory: absolute path; made if it is not there.
    :param reactor: runs callables from other threads.
    :param shard: the number of the shard, 0 to 63; part of every queue id.
    :param inline: octets up to which content belongs in the row; who receives
        decides by it between memory and :meth:`create_file`.
    :param minimum_free: octets of the file system that stay free.
    :param keep: seconds for which events are kept.
    :param journal_size: octets that they take at the most, roughly; 0: any number.
    :param connect: opens the database for writing; another one for tests.
    :param disk: the file system under content files; another one for tests.
    """

    log = Logger()

    def __init__(
        self,
        directory: Path,
        reactor: Any,
        *,
        shard: int = 0,
        inline: int = 65536,
        minimum_free: int = 64 << 20,
        keep: float = 30 * 86400.0,
        journal_size: int = 0,
        connect: Callable[[Path], sqlite3.Connection] = open_writer,
        disk: Disk | None = None,
    ) -> None:
        self.directory = directory
        self.inline = inline
        self._reactor = reactor
        self._number = shard
        self._shard = Shard(directory, minimum_free)
        self._disk = disk or Disk()
        self._ids = IdSource(shard)
        self._writer = Writer(
            directory,
            connect=connect,
            keep=keep,
            journal_size=journal_size,
            answer=self._from_writer,
            seconds=reactor.seconds,
        )
        self._claims = Claims(directory / DATABASE, self._shard.content, open_reader)
        self._files = _Pool(0, _FILE_THREADS, "spool-files")
        self._readers = _Pool(0, 1, "spool-reader")
        self._sinks: list[Any] = []
        self._numbered: list[Callable[[int, Sequence[Event]], None]] = []
        self._starting = False
        self._running = False
        self._stopped: Deferred[None] | None = None
        self._noted = 0
        # What came in this turn of the reactor.
        self._turn: list[Work | Chore] = []
        self._dropped = 0
        #: Batches that are on disk, and not all answered yet.
        self._answers: deque[tuple[Iterator[Work | Chore], Sequence[Work | Chore], list[str]]] = deque()

    # --- starting and stopping -----------------------------------------------

    def start(self) -> Deferred[None]:
        """Take the directory, open the database; its size does not matter.

        :raise TemporarilyUnavailable: with a text for the operator.
        """
        done: Deferred[None] = Deferred()
        self._starting = True
        Thread(target=self._run, args=(done,), name="spool-writer", daemon=True).start()
        return done

    def stop(self) -> Deferred[None]:
        """Write what is under way, and close."""
        if self._stopped is not None or not (self._running or self._starting):
            return succeed(None)
        self._stopped = Deferred()
        if self._running:
            self._running = False
            self._hand_over()
            self._writer.stop()
        return self._stopped

    def _run(self, done: Deferred[None]) -> None:
        """The writer's thread."""
        later = self._reactor.callFromThread
        try:
            self._shard.acquire()
            try:
                self._shard.measure()
                self._writer.open()
            except BaseException:
                self._shard.release()
                raise
        except Exception:
            later(self._failed, done, Failure())
            return
        later(self._started, done)
        try:
            self._writer.run()
            # Joins their threads, which finish what they do; then nobody uses the directory.
            self._files.stop()
            self._readers.stop()
            self._claims.close()
        except Exception:
            self.log.failure("The spool did not close as it should")
        self._shard.release()
        later(self._ended)

    def _started(self, done: Deferred[None]) -> None:
        now = self._reactor.seconds()
        self._ids = IdSource(self._number, self._writer.last)
        self._files.start()
        self._readers.start()
        self._starting = False
        self._running = self._stopped is None
        if not self._running:
            self._writer.stop()
            done.callback(None)
            return
        # Whatever is older than this id was left by a process that is gone: we own the shard.
        oldest = decode_id(self._ids.next(now))
        self._files.callInThread(self._sweep, oldest)
        done.callback(None)

    def _failed(self, done: Deferred[None], failure: Failure) -> None:
        self._starting = False
        self._ended()
        done.errback(failure)

    def _ended(self) -> None:
        self._running = False
        self._go_on()
        if self._stopped is not None:
            self._stopped.callback(None)

    # --- keeping -------------------------------------------------------------

    def new_id(self) -> str:
        """A queue id that is not in use."""
        return self._ids.next(self._reactor.seconds())

    def skip_ids(self, identifier: str) -> None:
        """Give out only larger ids than this: it is promised to a message that is still to come."""
        self._ids.skip(identifier)

    def create_file(self, name: str) -> SpoolFile:
        """A file for content that is too large for a row.

        :param name: the queue id of its message.
        """
        return SpoolFile(
            self._shard.content / name, self._disk, self._in_thread, self._reactor.callFromThread
        )

    def admit(self, message: Message, events: Iterable[Event]) -> Deferred[None]:
        """Keep a message; fires after the commit, or fails and nothing is kept."""
        trouble = self._writer.trouble
        if trouble is not None:
            return fail(_again(trouble))
        return self._put(partial(admission, message, events))

    def record(self, result: Result) -> Deferred[None]:
        """Keep what became of an attempt; fires when it is kept, however long the disk takes."""
        return self._put(partial(recording, result))

    def _put(self, make: Callable[[], Work]) -> Deferred[None]:
        if not self._running:
            return fail(TemporarilyUnavailable(f"the spool {self.directory} is not open"))
        try:
            work = make()
        except (ValueError, KeyError, TypeError) as error:
            self.log.failure("The spool was given something that it cannot keep")
            return fail(TemporarilyUnavailable(f"it cannot be kept: {error}"))
        self._hand_over_soon(work)
        assert work.deferred is not None
        return work.deferred

    def _hand_over_soon(self, work: Work | Chore) -> None:
        """Give it to the writer at the end of this turn of the reactor, with all else of the turn.

        One by one, each would wake the writer's thread, which would take the interpreter from
        us in the midst of the turn to write a transaction of one.
        """
        if not self._turn:
            self._reactor.callLater(0, self._hand_over)
        self._turn.append(work)

    def _hand_over(self) -> None:
        turn, self._turn = self._turn, []
        if turn:
            self._writer.put(turn)

    def note(self, events: Iterable[Event]) -> None:
        """Put events into the journal with the next commit; before the start, with the first one."""
        try:
            work = notes(events)
        except (ValueError, KeyError, TypeError):
            self.log.failure("The journal was given something that it cannot keep")
            return
        count = len(work.events)
        if self._stopped is not None:
            self.log.warn("{count} events came after the spool was closed", count=count)
            return
        if self._noted + count > MOST_NOTES:
            if not self._dropped:
                self.log.warn("Too many events wait for the disk: those that follow are lost")
            self._dropped += count
            return
        self._noted += count
        self._hand_over_soon(work)

    def reschedule(self, due: float) -> Deferred[int]:
        """Make every queued addressee that is due later due then; answers how many were."""
        return self._do(Flush(due))

    def put_off(self, rests: Mapping[Way, Rest], now: float, warn_after: float) -> Deferred[int]:
        """Let what is due on these ways wait until their rest is over; answers how many it was."""
        return self._do(PutOff(rests, now, warn_after))

    def call_back(self, rests: Mapping[Way, Rest], now: float, step: float) -> Deferred[int]:
        """Make due what was put off with these words, since the rest is over; answers how many it was."""
        return self._do(CallBack(rests, now, step))

    def _do(self, chore: Chore) -> Deferred[int]:
        if not self._running:
            return fail(TemporarilyUnavailable(f"the spool {self.directory} is not open"))
        self._hand_over_soon(chore)
        return chore.deferred

    # --- asking --------------------------------------------------------------

    def claim(
        self, now: float, limit: int, octets: int, exclude: frozenset[str] | set[str]
    ) -> Deferred[list[Message]]:
        """Messages with an addressee due by ``now``, earliest first."""
        # A copy, because the set may change while the other thread goes through it.
        return self._ask(self._claims.claim, now, limit, octets, tuple(exclude))

    def next_due(self) -> Deferred[float | None]:
        """When the next addressee is due; ``None`` if nobody waits."""
        return self._ask(self._claims.next_due)

    def waiting_with(self, beginning: str) -> Deferred[list[tuple[Way, str, float]]]:
        """See :meth:`mta.interfaces.ISpool.waiting_with`; it reads all who wait."""
        return self._ask(self._claims.waiting_with, beginning)

    def get(self, identifier: str) -> Deferred[Message | None]:
        """One queued message, with all its waiting addressees."""
        return self._ask(self._claims.get, identifier)

    def count(self) -> Deferred[dict[str, int]]:
        """``messages``, ``addressees``, ``held``, ``octets`` in the queue."""
        return self._ask(self._claims.count)

    def _ask(self, question: Callable[..., T], *args: Any) -> Deferred[T]:
        if not self._running:
            return fail(TemporarilyUnavailable(f"the spool {self.directory} is not open"))
        return deferToThreadPool(self._reactor, self._readers, question, *args)

    def has_room(self, octets: int) -> bool:
        """Whether a message of this size fits, as far as was known a second ago."""
        if isinstance(self._writer.trouble, SpoolFull):
            return False
        return self._shard.has_room(octets, self._in_thread)

    # --- telling -------------------------------------------------------------

    def subscribe(self, sink: IEventSink) -> Callable[[], None]:
        """Tell a sink of every batch of events; returns how to end that."""
        self._sinks.append(sink)

        def end() -> None:
            with suppress(ValueError):
                self._sinks.remove(sink)

        return end

    def time_commits(self, took: Callable[[float], None]) -> None:
        """Tell somebody, in the writer's thread, how many seconds each commit took."""
        self._writer.took = took

    def follow(self, told: Callable[[int, Sequence[Event]], None]) -> None:
        """Tell somebody of every batch of events, with the number that the first has in the journal.

        :param told: is given 0 where the number is not known; the others follow it one by one.
        """
        self._numbered.append(told)

    def _from_writer(self, works: Sequence[Work | Chore], files: list[str]) -> None:
        self._reactor.callFromThread(self._answer, works, files)

    def _answer(self, works: Sequence[Work | Chore], files: list[str]) -> None:
        """A batch is over: tell whoever waits, then the sinks.

        Who follows the journal live is told first: what they do is little, and the answers may take long.
        """
        if self._numbered:
            for first, events in _runs(works):
                for told in self._numbered:
                    told(first, events)
        self._answers.append((iter(works), works, files))
        if len(self._answers) == 1:
            self._go_on()

    def _go_on(self) -> None:
        """Answer until the turn is over; the rest in the next, so that others have theirs between."""
        until = monotonic() + _TURN
        while self._answers:
            rest, works, files = self._answers[0]
            for work in rest:
                deferred: Deferred[Any] | None = work.deferred
                if deferred is None:
                    continue
                if work.error is None:
                    deferred.callback(None if isinstance(work, Work) else work.count)
                else:
                    deferred.errback(_again(work.error))
                if self._running and monotonic() > until:
                    self._reactor.callLater(0, self._go_on)
                    return
            self._answers.popleft()
            self._told(works, files)

    def _told(self, works: Sequence[Work | Chore], files: list[str]) -> None:
        """All of a batch are answered: now the sinks."""
        kept: list[Event] = []
        for work in works:
            if isinstance(work, Work):
                if work.deferred is None:
                    self._noted -= len(work.events)
                if work.error is None:
                    kept += work.events
        if kept:
            for sink in tuple(self._sinks):
                try:
                    sink.events(kept)
                except Exception:
                    self.log.failure("A sink of events failed")
        if files:
            self._in_thread(partial(self._remove, files))
        if self._dropped and self._noted < MOST_NOTES // 2:
            dropped, self._dropped = self._dropped, 0
            detail = f"{dropped} events were lost: too many waited for the disk"
            self.note([Server(at=self._reactor.seconds(), what="trouble", detail=detail)])

    # --- files ---------------------------------------------------------------

    def _in_thread(self, act: Callable[[], None]) -> None:
        """Run in the pool; at the end, when there is none any more, here."""
        if self._running:
            self._files.callInThread(act)
        else:
            act()

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                self._disk.remove(self._shard.content / name)
            except OSError as error:
                # The sweep of the next start finds it.
                self.log.warn(
                    "The content file {name} cannot be removed: {error}", name=name, error=str(error)
                )

    def _sweep(self, oldest: int) -> None:
        """Remove files that a crash left without a row; in a thread, beside the work.

        :param oldest: ids from here on are of this process.
        """
        claims = Claims(self.directory / DATABASE, self._shard.content, open_reader)
        try:
            names: list[str] = []
            with os.scandir(self._shard.content) as entries:
                for entry in entries:
                    if _is_older(entry.name, oldest):
                        names.append(entry.name)
            for start in range(0, len(names), _SWEEP):
                some = names[start : start + _SWEEP]
                self._remove(set(some) - claims.names_in_use(some))
        except (OSError, TemporarilyUnavailable) as error:
            self.log.warn("Content files without a message were not looked for: {error}", error=str(error))
        finally:
            claims.close()


class _Daemon(Thread):
    """A process that ends without ``stop()`` does not wait for it: nothing rests on it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, daemon=True)


class _Pool(ThreadPool):
    threadFactory = _Daemon


def _is_older(name: str, oldest: int) -> bool:
    try:
        return decode_id(name) < oldest
    except ValueError:
        return False  # not a file of ours


def _runs(works: Iterable[Work | Chore]) -> list[tuple[int, list[Event]]]:
    """The events that were kept, those with numbers one after the other together."""
    runs: list[tuple[int, list[Event]]] = []
    following = 0
    for work in works:
        if isinstance(work, Work) and work.error is None and work.events:
            if runs and work.first and work.first == following:
                runs[-1][1].extend(work.events)
            else:
                runs.append((work.first, list(work.events)))
            following = work.first + len(work.events) if work.first else 0
    return runs


def _again(trouble: Exception) -> Exception:
    """The same trouble for another one who waits: an exception that was raised keeps where."""
    return type(trouble)(str(trouble))
