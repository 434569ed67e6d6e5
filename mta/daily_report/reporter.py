"""Counts what is in the journal, and sends each domain its report once a day.

One worker does it for all: the first, which nobody else can be while it holds its shard.  What
is to be done stands in the ledger and is on disk before it is done, so that a restart goes on
where the last one ended: a mail gets its queue id before it is queued; if the journal has that
id, it was queued.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.logger import Logger

from mta.config.settings import DailyReports
from mta.daily_report.composition import DAY, Reporter
from mta.daily_report.ledger import Ledger, Task, day_of, midnight
from mta.interfaces import (
    Answer,
    IJournal,
    IResolver,
    ISpool,
    Route,
    RouteError,
    TemporarilyUnavailable,
    settle,
)
from mta.journal.reader import JournalReader
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Event, Operated, Received
from mta.model.message import InlineContent, Message

#: Seconds between two counts.
EVERY = 600.0
#: Seconds after midnight before which no report is made: what began yesterday may still end.
_STRAGGLERS = 300.0
#: Days back for which reports are still made, after the server was down.
_BACK = 3
#: Days for which counts are kept.
_KEPT = 30
#: Seconds after the first, second, ... attempt; the last one repeats.
_PAUSES = (300.0, 900.0, 3600.0, 3600.0, 7200.0)
#: Reports under way at once, and tasks read at once.
_AT_ONCE, _BATCH = 4, 100


class Unwanted(Exception):
    """The domain wants no report, for a reason in words."""


@dataclass(frozen=True, slots=True)
class Made:
    """A report as a mail.

    :ivar identifier: of the report, without angle brackets.
    :ivar data: the message.
    :ivar facts: what the event about it says.
    """

    identifier: str
    data: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Means:
    """What a reporter works with.

    :ivar journals: opens the journals of all shards.
    :ivar journal: tells whether a mail was queued.
    :ivar spool: of this worker.
    :ivar admitted: told of mails that were queued.
    :ivar route: finds the way of a mail to an address, from a sender.
    :ivar resolver: asks domains where they want reports.
    :ivar run_in_thread: ``(callable, *args) -> Deferred``.
    :ivar hostname: our name.
    :ivar sign: gives fields for the top of a mail, by which others know that it is ours.
    """

    journals: Callable[[], JournalReader]
    journal: IJournal
    spool: ISpool
    admitted: Callable[[Message], None]
    route: Callable[[str, str], Answer[Sequence[Route] | None]]
    resolver: IResolver
    run_in_thread: Callable[..., Awaitable[Any]]
    hostname: str
    sign: Callable[[bytes, float], Answer[bytes]] = lambda data, now: b""


class DailyReporter:
    """See the module.

    :param reactor: keeps time.
    :param means: what it works with.
    :param ledger: counts and tasks.
    :param settings: the table of its settings.
    :cvar title: what it sends, in the plural.
    :cvar section: the name of the table.
    :cvar tag: under which a mail says in the journal what it is.
    :cvar event: about a report of ours.
    :cvar options: of an addressee whose mail goes to another server.
    """

    log = Logger()
    title: ClassVar[str] = "reports"
    section: ClassVar[str] = ""
    tag: ClassVar[str] = ""
    event: ClassVar[type[Any]] = Event
    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, reactor: Any, means: Means, ledger: Ledger, settings: DailyReports) -> None:
        self._reactor = reactor
        self.means = means
        self._ledger = ledger
        self._settings = settings
        self._run = means.run_in_thread
        self._timer: Any = None
        self._under_way: Deferred[None] | None = None
        self._stopped = True
        # A round of the clock and one that a person asks for do not meet.
        self._turn = DeferredSemaphore(1)

    # --- what the reports are --------------------------------------------------

    async def targets(self, task: Task) -> list[Task]:
        """Where a domain wants its reports.

        :return: tasks with targets, and variants where there is more than one report.
        :raise Unwanted: if nowhere.
        :raise TemporarilyUnavailable: if nobody can tell now.
        """
        raise NotImplementedError

    async def made(self, task: Task, to: str) -> Made:
        """The report for a target, as a mail to an address."""
        raise NotImplementedError

    async def post(self, task: Task) -> None:
        """Send what is to be sent otherwise than by mail."""
        raise NotImplementedError

    def told(self, task: Task, action: str, reason: str, **facts: Any) -> Event:
        """The event about a report that was queued, posted, or given up."""
        at, about = self._reactor.seconds(), {"domain": task.domain, "day": task.day, "target": task.target}
        told: Event = self.event(at=at, action=action, reason=reason, **about, **facts)
        return told

    # --- life ----------------------------------------------------------------

    async def start(self) -> None:
        """Begin."""
        self._stopped = False
        self._later(10.0)

    async def stop(self) -> None:
        """End what is under way."""
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._under_way is not None:
            self._under_way.cancel()

    def use(self, settings: DailyReports) -> None:
        """Go by these from now on."""
        self._settings = settings

    @property
    def active(self) -> bool:
        """Whether reports are sent."""
        return bool(self._settings.contact)

    def _later(self, seconds: float) -> None:
        if not self._stopped:
            self._timer = self._reactor.callLater(max(1.0, min(seconds, EVERY)), self._wake)

    def _wake(self) -> None:
        self._under_way = Deferred.fromCoroutine(self._woken())

    async def _woken(self) -> None:
        pause = EVERY
        try:
            if self.active:
                pause = await self._turn.run(self.round)
        except TemporarilyUnavailable as trouble:
            self.log.error("{title} wait: {trouble}", title=self.title, trouble=str(trouble))
        except Exception:
            if self._stopped:
                return
            self.log.failure("{title} wait", title=self.title)
        finally:
            self._under_way = None
        self._later(pause)

    async def round(self) -> float:
        """Count, plan, and do what is due; answers the seconds until something is."""
        now = self._reactor.seconds()
        await self._run(self._ledger.count, self.means.journals())
        today = day_of(now)
        if now >= midnight(today) + _STRAGGLERS:
            for day in await self._run(self._ledger.unplanned, day_of(now - _BACK * DAY), today):
                await self._plan(day, now)
            await self._run(self._ledger.forget, day_of(now - _KEPT * DAY))
        while tasks := await self._run(self._ledger.due, self._reactor.seconds(), _BATCH):
            await self._all(tasks)
        due = await self._run(self._ledger.next_due)
        return EVERY if due is None else float(due) - self._reactor.seconds()

    async def send(self, day: str, domain: str = "", by: str = "") -> list[Task]:
        """Send the reports of a day now, those that were not sent yet; answers how all of the day stand.

        :param domain: only of this one.
        :param by: who wants it.
        :raise ValueError: if it is no day, or reports are not sent.
        :raise TemporarilyUnavailable: if the ledger or a journal cannot be read.
        """
        if not self.active:
            raise ValueError(f"no reports are sent: [{self.section}] has no contact")
        midnight(day)
        about = f"of {day} for {domain or 'every domain'}"
        now = self._reactor.seconds()
        self.means.journal.note([Operated(at=now, action=f"send {self.title}", by=by, reason=about)])
        return await self._turn.run(self._send, day, domain.lower())

    async def _send(self, day: str, domain: str) -> list[Task]:
        now = self._reactor.seconds()
        await self._run(self._ledger.count, self.means.journals())
        known = await self._run(self._ledger.domains, day)
        chosen = [name for name in known if domain in ("", name)]
        whole = not domain and day < day_of(now)
        await self._run(self._ledger.plan, day, [(name, now) for name in chosen], now + DAY, whole)
        await self._run(self._ledger.hasten, day, domain, now)
        tried: set[tuple[str, ...]] = set()
        while True:
            tasks: list[Task] = await self._run(self._ledger.tasks, day, domain)
            left = [task for task in tasks if task.state in ("ask", "send") and task.key not in tried]
            if not left:
                return tasks
            tried.update(task.key for task in left)
            await self._all(left)

    async def _plan(self, day: str, now: float) -> None:
        spread = self._settings.spread
        # A server that was down does not send all at once either.
        begins = max(midnight(day) + DAY + _STRAGGLERS, now)
        domains = await self._run(self._ledger.domains, day)
        due = [(name, begins + spread * _part(self.means.hostname, day, name)) for name in domains]
        made = await self._run(self._ledger.plan, day, due, begins + spread + DAY)
        self.log.info("{title} on {day}, of {made} domains", title=self.title, day=day, made=made)

    # --- tasks ---------------------------------------------------------------

    async def _all(self, tasks: Sequence[Task]) -> None:
        gate = DeferredSemaphore(_AT_ONCE)
        await gatherResults([gate.run(self._do, task) for task in tasks])

    async def _do(self, task: Task) -> None:
        try:
            if task.state == "ask":
                await self._ask(task)
            elif task.target.startswith("mailto:"):
                await self._mail(task, task.target.removeprefix("mailto:"))
            else:
                await self.post(task)
        except TemporarilyUnavailable as trouble:
            await self._again(task, str(trouble))
        except Exception as trouble:
            if self._stopped:
                raise
            self.log.failure("{title}: that for {domain} waits", title=self.title, domain=task.domain)
            await self._again(task, f"trouble on our side: {type(trouble).__name__}")

    async def _ask(self, task: Task) -> None:
        """Where does a domain want its report?"""
        try:
            made = await self.targets(task)
        except Unwanted as none:
            await self.keep(task, state="unwanted", detail=str(none))
            return
        await self._run(self._ledger.keep, made, task)
        for one in made:
            await self._do(one)

    async def _mail(self, task: Task, to: str) -> None:
        if task.message:
            # It was about to be queued when something came between.
            events = await self.means.journal.message(task.message)
            if any(isinstance(event, Received) for event in events):
                await self.keep(task, state="sent", detail="queued")
                return
        else:
            task = replace(task, message=self.means.spool.new_id())
            await self._run(self._ledger.keep, [task])
        made = await self.made(task, to)
        sender = self.reporter().sender
        now = self._reactor.seconds()
        try:
            routes = await settle(self.means.route(to, sender))
        except RouteError as error:
            if not error.reply.is_permanent:
                raise TemporarilyUnavailable(error.reason) from None
            await self._failed(task, f"<{to}> has no route: {error.reason}")
            return
        if not routes:
            await self._failed(task, f"<{to}> has no route")
            return
        addressees = [
            way.addressee(number, to, due=now, notify=frozenset({"NEVER"}))
            for number, way in enumerate(routes)
        ]
        for addressee in addressees:
            if addressee.transport == "relay":
                addressee.options.update(self.options)
        # One that is not signed counts for nobody: a failure is a reason to try again.
        signature = await settle(self.means.sign(made.data, now))
        message = Message(
            id=task.message,
            envelope=Envelope(reverse_path=sender, recipients=[Recipient(to)]),
            client=Client(session="", role="local", protocol=""),
            trace=signature,
            content=InlineContent(made.data),
            addressees=addressees,
            created=now,
            # After that nobody waits for it (RFC 8460, 5.5).
            expires=now + DAY,
        )
        received = Received(
            at=now,
            message=task.message,
            sender=sender,
            recipients=[to],
            size=message.size,
            role="local",
            message_id=f"<{made.identifier}>",
            tags={self.tag: f"for {task.domain} on {task.day}"},
        )
        unsigned = "" if signature else f"not signed: there is no DKIM key for {self.reporter().submitter}"
        sent = replace(
            self.told(task, "queued", unsigned, report=made.identifier, **made.facts), message=task.message
        )
        await self.means.spool.admit(message, (received, sent))
        self.means.admitted(message)
        await self.keep(task, state="sent", detail="queued")

    async def _again(self, task: Task, trouble: str) -> None:
        now = self._reactor.seconds()
        due = now + _PAUSES[min(task.attempts, len(_PAUSES) - 1)]
        if due > task.until:
            await self._failed(task, trouble)
        else:
            # It may have been given its queue id meanwhile.
            kept = await self._run(self._ledger.tasks, task.day, task.domain)
            message = next((one.message for one in kept if one.key == task.key), task.message)
            await self.keep(task, due=due, attempts=task.attempts + 1, message=message, detail=trouble)

    async def _failed(self, task: Task, trouble: str) -> None:
        await self.keep(task, state="failed", detail=trouble)
        who = self.reporter()
        report = who.identifier(task.day, task.domain, task.target, task.variant)
        self.note(self.told(task, "failed", trouble, report=report))

    async def keep(self, task: Task, **changes: Any) -> None:
        """Write how a task stands."""
        await self._run(self._ledger.keep, [replace(task, **changes)])

    def note(self, event: Event) -> None:
        """Put it into the journal."""
        self.means.journal.note([event])

    def reporter(self) -> Reporter:
        """Who reports."""
        settings = self._settings
        contact = settings.contact
        organization = settings.organization or contact.rpartition("@")[2]
        return Reporter(organization, contact, settings.sender or contact, self.means.hostname)


def _part(hostname: str, day: str, domain: str) -> float:
    """A number from 0 to 1, always the same for the same."""
    digest = blake2b(f"{hostname}\n{day}\n{domain}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32
