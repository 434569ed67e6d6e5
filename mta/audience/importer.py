"""Reads files of contacts into the database, piece by piece, and goes on after a crash.

The file is on disk before anybody is told that it was taken.  What a piece has, how far it was read and
what was wrong in it are one transaction: a worker that is killed in between reads the piece once more, as
if it never had.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mta.audience import confirmations, contacts, imports, lists, memberships
from mta.audience.audience import Audience
from mta.audience.contact_file import FileError, Plan, Reading, Row
from mta.audience.contacts import Erased
from mta.audience.imports import COUNTS, Import
from mta.audience.joining import Joining
from mta.interfaces import Answer, settle
from mta.model.event import Event
from mta.model.event_audience import AudienceChanged
from mta.registry.suppressions import Suppression

#: Records of one piece.
PIECE = 500
#: Seconds until it is tried again after trouble.
_AGAIN = 10.0


class Finding(Protocol):
    """See :meth:`mta.registry.suppressions.Suppressions.find`."""

    def find(
        self, tenant: str, addresses: Iterable[str], mailing: str = ""
    ) -> Answer[Mapping[str, Suppression]]:
        """Who of these gets nothing, and why."""


class Importer:
    """See the module.

    :param reactor: delayed calls.
    :param audience: the stores.
    :param directory: where files are.
    :param shard: which worker this is.
    :param workers: how many there are.
    :param suppressions: who gets nothing, which is told.
    :param joining: asks whom it must.
    :param note: puts an event into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        audience: Audience,
        directory: Path,
        shard: int,
        workers: int,
        *,
        suppressions: Finding,
        joining: Joining,
        note: Callable[[Event], None],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._reactor = reactor
        self._audience = audience
        self.directory = directory
        self.shard = shard
        self._workers = workers
        self._suppressions = suppressions
        self._joining = joining
        self._note = note
        self._run = run_in_thread
        self._stopped = True
        self._busy: Deferred[None] | None = None
        self._more = False
        self._later: Any = None

    def file(self, identifier: str) -> Path:
        """Where the file of an import is."""
        return self.directory / identifier

    async def start(self) -> None:
        """Go on with what an earlier worker has left."""
        self._stopped = False
        if self._audience.used:
            self.wake()

    async def stop(self) -> None:
        """End; the piece that is under way is finished."""
        self._stopped = True
        if self._later is not None and self._later.active():
            self._later.cancel()
        if self._busy is not None:
            await self._busy

    def wake(self) -> None:
        """There is something to be read."""
        self._more = True
        if self._busy is None and not self._stopped:
            done: Deferred[None] = Deferred()
            self._busy = done
            Deferred.fromCoroutine(self._all()).addErrback(self._failed).addCallback(self._over, done)

    def _failed(self, failure: Any) -> None:
        self.log.error(
            "Imports of contacts wait: {why}; tried again in {seconds:.0f} s",
            why=failure.getErrorMessage(),
            seconds=_AGAIN,
        )
        if not self._stopped:
            self._later = self._reactor.callLater(_AGAIN, self.wake)

    def _over(self, result: Any, done: Deferred[None]) -> None:
        self._busy = None
        if self._more and not self._stopped and not (self._later and self._later.active()):
            self.wake()
        done.callback(None)

    async def _all(self) -> None:
        while self._more and not self._stopped:
            self._more = False
            for one in await self._audience.imports.running():
                # The first worker has also those of workers that are no more.
                mine = one.shard == self.shard or (self.shard == 0 and one.shard >= self._workers)
                if mine and not self._stopped:
                    await self._one(one)

    async def _one(self, one: Import) -> None:
        try:
            reading: Reading = await self._run(self._opened, one)
        except (OSError, FileError) as error:
            await self._end(one, "failed", f"{error}")
            return
        try:
            await self._read(one, reading)
        finally:
            reading.close()

    async def _read(self, one: Import, reading: Reading) -> None:
        counts = {**dict.fromkeys(COUNTS, 0), **one.counts}
        while not self._stopped:
            rows: list[Row] = await self._run(_piece, reading)
            if not rows:
                await self._end(one, "done", "")
                return
            counts = await self._keep(one, rows, reading.line, counts)
            if not counts:
                await self._run(self.file(one.id).unlink, True)
                return

    def _opened(self, one: Import) -> Reading:
        plan = Plan(**one.options["plan"])
        return Reading(self.file(one.id).open("rb"), plan, one.line)

    async def _keep(
        self, one: Import, rows: list[Row], line: int, before: Mapping[str, int]
    ) -> dict[str, int]:
        """Keep a piece; answers with the counts, none if somebody has stopped the import."""
        people = [row.contact.address for row in rows if row.contact is not None]
        barred = await settle(self._suppressions.find(one.tenant, people))
        now = self._reactor.seconds()

        def work(base: sqlite3.Connection) -> dict[str, int]:
            if imports.get(base, one.tenant, one.id).state != "running":
                return {}
            counts = {**before, "suppressed": before["suppressed"] + len(barred)}
            problems = _kept(base, one, rows, counts, now)
            counts["wrong"] += len(problems)
            imports.advance(base, one.id, line, counts, problems)
            return counts

        counts = await self._audience.database.change(imports.TABLES.noun, work)
        if one.options.get("lists") and one.options.get("confirm") == "send":
            self._joining.soon()
        return counts

    async def _end(self, one: Import, state: str, trouble: str) -> None:
        now = self._reactor.seconds()
        await self._audience.imports.end(one.tenant, one.id, state, now, trouble)
        await self._run(self.file(one.id).unlink, True)
        found = await self._audience.imports.get(one.tenant, one.id)
        count = sum(found.counts.get(name, 0) for name in ("created", "changed", "unchanged"))
        self._note(
            AudienceChanged(
                at=now,
                action="imported",
                tenant=one.tenant,
                target=one.id,
                count=count,
                by=one.who,
                reason=trouble
                or (f"{found.counts['wrong']} lines are wrong" if found.counts.get("wrong") else ""),
                evidence={name: value for name, value in found.counts.items() if value},
            )
        )


def _piece(reading: Reading) -> list[Row]:
    """Some rows; in a thread."""
    found: list[Row] = []
    for row in reading:
        found.append(row)
        if len(found) >= PIECE:
            break
    return found


def _kept(
    base: sqlite3.Connection, one: Import, rows: list[Row], counts: dict[str, int], now: float
) -> list[tuple[int, str]]:
    """Keep what a piece has; answers with what is wrong."""
    problems: list[tuple[int, str]] = []
    options = one.options
    wanted = [lists.find(base, one.tenant, name) for name in options.get("lists", ())]
    for row in rows:
        if row.contact is None:
            problems.append((row.line, row.problem))
            continue
        base.execute("SAVEPOINT row")
        try:
            _take(base, one, row, [mailing for mailing in wanted if mailing is not None], counts, now)
        except ValueError as error:
            base.execute("ROLLBACK TO row")
            words = "this person was erased, and is to stay so" if isinstance(error, Erased) else str(error)
            problems.append((row.line, words))
        base.execute("RELEASE row")
    return problems


def _take(
    base: sqlite3.Connection,
    one: Import,
    row: Row,
    wanted: list[lists.MailingList],
    counts: dict[str, int],
    now: float,
) -> None:
    contact, update = row.contact, one.options.get("update", "merge")
    assert contact is not None
    known = contacts.find(base, one.tenant, contact.address)
    if known is not None and update == "skip":
        kept, what = known, "unchanged"
    else:
        kept, new = contacts.put(base, one.tenant, contact, now, merge=update != "replace")
        what = "created" if new else "unchanged" if kept == known else "changed"
    joined = unsubscribed = 0
    for mailing in wanted:
        before = memberships.state(base, mailing.id, kept.id)
        after = memberships.join(
            base,
            one.tenant,
            mailing,
            kept.id,
            one.who,
            now,
            source=contact.source or f"import {one.id}",
            confirmed=one.options.get("confirm") == "done",
        )
        unsubscribed += after.state == "unsubscribed"
        joined += after.state != before
        if after.state == "pending" and not before and one.options.get("confirm") == "send":
            # However many are asked at once, each person is asked as by a form.
            confirmations.ask(base, one.tenant, mailing.id, kept.id, now, confirmations.Limits(), claim=False)
    counts[what] += 1
    counts["joined"] += joined
    counts["unsubscribed"] += unsubscribed
