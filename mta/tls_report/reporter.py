"""Counts sessions, and sends each domain its report once a day.

One worker does it for all: the first, which nobody else can be while it holds its shard.  What
is to be done stands in the ledger and is on disk before it is done, so that a restart goes on
where the last one ended:

* a mail gets its queue id before it is queued; if the journal has that id, it was queued;
* a post may be repeated when we end between its answer and our note of it; the report-id is
  the same, so that the other side can tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.logger import Logger

from mta.config.settings import TlsReports
from mta.interfaces import (
    Answer,
    IJournal,
    IResolver,
    ISpool,
    NoSuchDomain,
    Route,
    RouteError,
    TemporarilyUnavailable,
    settle,
)
from mta.journal.reader import JournalError, JournalReader
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Operated, Received, TlsReportSent
from mta.model.message import Addressee, InlineContent, Message
from mta.model.tls_report_record import PREFIX, NoDestination, destinations
from mta.tls_report.composition import DAY, Reporter, identifier, mail, packed, report
from mta.tls_report.ledger import Ledger, Task, day_of, midnight
from mta.tls_report.post import NotTaken

#: Seconds between two counts.
EVERY = 600.0
#: Seconds after midnight before which no report is made: sessions of yesterday may still end.
_STRAGGLERS = 300.0
#: Days back for which reports are still made, after the server was down.
_BACK = 3
#: Days for which counts are kept.
_KEPT = 30
#: Seconds after the first, second, ... attempt; the last one repeats.
_PAUSES = (300.0, 900.0, 3600.0, 3600.0, 7200.0)
#: Reports under way at once, and tasks read at once.
_AT_ONCE, _BATCH = 4, 100

#: The option of an addressee whose mail goes out whatever is wrong with TLS.
TLS_OPTIONAL = "tls_optional"


class TlsReporter:
    """See the module.

    :param reactor: keeps time.
    :param ledger: counts and tasks.
    :param journals: opens the journals of all shards.
    :param journal: tells whether a mail was queued.
    :param spool: of this worker.
    :param admitted: told of mails that were queued.
    :param route: finds the way of a mail to an address, from a sender.
    :param resolver: asks domains where they want reports.
    :param post: posts one over HTTPS.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param hostname: our name.
    :param settings: ``[tls_report]``.
    :param sign: gives fields for the top of a mail, by which others know that it is ours (RFC 8460, 3).
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        *,
        ledger: Ledger,
        journals: Callable[[], JournalReader],
        journal: IJournal,
        spool: ISpool,
        admitted: Callable[[Message], None],
        route: Callable[[str, str], Answer[Sequence[Route] | None]],
        resolver: IResolver,
        post: Callable[[str, bytes], Awaitable[str]],
        run_in_thread: Callable[..., Awaitable[Any]],
        hostname: str,
        settings: TlsReports,
        sign: Callable[[bytes, float], Answer[bytes]] = lambda data, now: b"",
    ) -> None:
        self._reactor = reactor
        self._ledger = ledger
        self._journals = journals
        self._journal = journal
        self._spool = spool
        self._admitted = admitted
        self._route = route
        self._resolver = resolver
        self._post = post
        self._run = run_in_thread
        self._hostname = hostname
        self._settings = settings
        self._sign = sign
        self._timer: Any = None
        self._under_way: Deferred[None] | None = None
        self._stopped = True
        # A round of the clock and one that a person asks for do not meet.
        self._turn = DeferredSemaphore(1)

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

    def use(self, settings: TlsReports) -> None:
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
        except (TemporarilyUnavailable, JournalError) as trouble:
            self.log.error("TLS reports wait: {trouble}", trouble=str(trouble))
        except Exception:
            if self._stopped:
                return
            self.log.failure("TLS reports wait")
        finally:
            self._under_way = None
        self._later(pause)

    async def round(self) -> float:
        """Count, plan, and do what is due; answers the seconds until something is."""
        now = self._reactor.seconds()
        await self._run(self._ledger.count, self._journals())
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
            raise ValueError("no reports are sent: [tls_report] has no contact")
        midnight(day)
        about = f"of {day} for {domain or 'every domain'}"
        now = self._reactor.seconds()
        self._journal.note([Operated(at=now, action="send TLS reports", by=by, reason=about)])
        try:
            return await self._turn.run(self._send, day, domain.lower())
        except JournalError as trouble:
            raise TemporarilyUnavailable(str(trouble)) from trouble

    async def _send(self, day: str, domain: str) -> list[Task]:
        now = self._reactor.seconds()
        await self._run(self._ledger.count, self._journals())
        known = await self._run(self._ledger.domains, day)
        chosen = [name for name in known if domain in ("", name)]
        whole = not domain and day < day_of(now)
        await self._run(self._ledger.plan, day, [(name, now) for name in chosen], now + DAY, whole)
        await self._run(self._ledger.hasten, day, domain, now)
        tried: set[tuple[str, str, str]] = set()
        while True:
            tasks: list[Task] = await self._run(self._ledger.tasks, day, domain)
            left = [
                task
                for task in tasks
                if task.state in ("ask", "send") and (task.day, task.domain, task.target) not in tried
            ]
            if not left:
                return tasks
            tried.update((task.day, task.domain, task.target) for task in left)
            await self._all(left)

    async def _plan(self, day: str, now: float) -> None:
        spread = self._settings.spread
        # A server that was down does not send all at once either.
        begins = max(midnight(day) + DAY + _STRAGGLERS, now)
        domains = await self._run(self._ledger.domains, day)
        due = [(name, begins + spread * _part(self._hostname, day, name)) for name in domains]
        made = await self._run(self._ledger.plan, day, due, begins + spread + DAY)
        self.log.info("TLS reports on {day}: {made} domains are to be asked", day=day, made=made)

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
                await self._url(task)
        except (TemporarilyUnavailable, NotTaken) as trouble:
            await self._again(task, str(trouble))
        except Exception as trouble:
            if self._stopped:
                raise
            self.log.failure("The TLS report for {domain} has to wait", domain=task.domain)
            await self._again(task, f"trouble on our side: {type(trouble).__name__}")

    async def _ask(self, task: Task) -> None:
        """Where does a domain want its report?"""
        try:
            records = await self._resolver.text(PREFIX + task.domain)
            found = destinations(records)
        except NoSuchDomain:
            await self._keep(task, state="unwanted", detail="it publishes no record for TLS reports")
            return
        except NoDestination as none:
            await self._keep(task, state="unwanted", detail=str(none))
            return
        made = [replace(task, state="send", target=one.uri, attempts=0, detail="") for one in found]
        await self._run(self._ledger.keep, made, task)
        for one in made:
            await self._do(one)

    async def _mail(self, task: Task, to: str) -> None:
        if task.message:
            # It was about to be queued when something came between.
            events = await self._journal.message(task.message)
            if any(isinstance(event, Received) for event in events):
                await self._keep(task, state="sent", detail="queued")
                return
        else:
            task = replace(task, message=self._spool.new_id())
            await self._run(self._ledger.keep, [task])
        who = self._reporter()
        now = self._reactor.seconds()
        sessions = await self._run(self._ledger.sessions, task.day, task.domain)
        made = report(who, task.day, task.domain, sessions, task.target)
        data = mail(who, task.domain, made, packed(who, task.day, task.domain, made), to, now)
        try:
            routes = await settle(self._route(to, who.sender))
        except RouteError as error:
            if not error.reply.is_permanent:
                raise TemporarilyUnavailable(error.reason) from None
            await self._failed(task, f"<{to}> has no route: {error.reason}")
            return
        if not routes:
            await self._failed(task, f"<{to}> has no route")
            return
        addressees = [
            Addressee(
                number=number,
                address=way.address,
                original=to,
                transport=way.transport,
                next_hop=way.next_hop,
                options={**way.options, TLS_OPTIONAL: 1} if way.transport == "relay" else dict(way.options),
                due=now,
                notify=frozenset({"NEVER"}),
            )
            for number, way in enumerate(routes)
        ]
        # One that is not signed counts for nobody: a failure is a reason to try again.
        signature = await settle(self._sign(data, now))
        message = Message(
            id=task.message,
            envelope=Envelope(reverse_path=who.sender, recipients=[Recipient(to)]),
            client=Client(session="", role="local", protocol=""),
            trace=signature,
            content=InlineContent(data),
            addressees=addressees,
            created=now,
            # RFC 8460, 5.5.
            expires=now + DAY,
        )
        received = Received(
            at=now,
            message=task.message,
            sender=who.sender,
            recipients=[to],
            size=message.size,
            role="local",
            message_id=f"<{made.report_id}>",
            tags={"tls-report": f"for {task.domain} on {task.day}"},
        )
        sent = TlsReportSent(
            at=now,
            message=task.message,
            action="queued",
            domain=task.domain,
            day=task.day,
            report=made.report_id,
            target=task.target,
            successes=made.successes,
            failures=made.failures,
            reason="" if signature else f"not signed: there is no DKIM key for {who.submitter}",
        )
        await self._spool.admit(message, (received, sent))
        self._admitted(message)
        await self._keep(task, state="sent", detail="queued")

    async def _url(self, task: Task) -> None:
        who = self._reporter()
        sessions = await self._run(self._ledger.sessions, task.day, task.domain)
        made = report(who, task.day, task.domain, sessions, task.target)
        said = await self._post(task.target, packed(who, task.day, task.domain, made).data)
        await self._keep(task, state="sent", detail=f"posted: {said}")
        self._note(
            task,
            "posted",
            said,
            report=made.report_id,
            successes=made.successes,
            failures=made.failures,
        )

    async def _again(self, task: Task, trouble: str) -> None:
        now = self._reactor.seconds()
        due = now + _PAUSES[min(task.attempts, len(_PAUSES) - 1)]
        if due > task.until:
            await self._failed(task, trouble)
        else:
            # It may have been given its queue id meanwhile.
            kept = await self._run(self._ledger.tasks, task.day, task.domain)
            message = next((one.message for one in kept if one.target == task.target), task.message)
            await self._keep(task, due=due, attempts=task.attempts + 1, message=message, detail=trouble)

    async def _failed(self, task: Task, trouble: str) -> None:
        await self._keep(task, state="failed", detail=trouble)
        self._note(task, "failed", trouble, report=identifier(self._reporter(), *_names(task)))

    async def _keep(self, task: Task, **changes: Any) -> None:
        await self._run(self._ledger.keep, [replace(task, **changes)])

    def _note(self, task: Task, action: str, reason: str, **facts: Any) -> None:
        now = self._reactor.seconds()
        common: dict[str, Any] = {"domain": task.domain, "day": task.day, "target": task.target}
        self._journal.note([TlsReportSent(at=now, action=action, reason=reason, **common, **facts)])

    def _reporter(self) -> Reporter:
        settings = self._settings
        contact = settings.contact
        organization = settings.organization or contact.rpartition("@")[2]
        return Reporter(organization, contact, settings.sender or contact, self._hostname)


def _names(task: Task) -> tuple[str, str, str]:
    return task.day, task.domain, task.target


def _part(hostname: str, day: str, domain: str) -> float:
    """A number from 0 to 1, always the same for the same."""
    digest = blake2b(f"{hostname}\n{day}\n{domain}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32
