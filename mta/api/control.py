"""The control socket: HTTP for the ``mta`` command, over a UNIX socket of mode 0600.

Whoever may open the socket may do everything; there is no further check.  Who
did it (for the journal) is the user at the other end of the socket, as the
kernel knows it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.server import Site
from werkzeug.exceptions import HTTPException

from mta.api.administering import administered
from mta.api.bodies import (
    AccountBody,
    Act,
    AlertTest,
    BanBody,
    Body,
    Bounce,
    DailyReports,
    Deed,
    DmarcSummary,
    Flush,
    Move,
    Page,
    Rehearsal,
    Removal,
    Reschedule,
    Resume,
    Search,
    Summary,
    Suspend,
    read_body,
    read_query,
)
from mta.api.peer import who
from mta.api.problem import ApiProblem
from mta.api.reporting import dmarc_summary, sent
from mta.api.ruling import changed
from mta.config.problem import ConfigurationError
from mta.interfaces import IQueue, TemporarilyUnavailable
from mta.journal.quarantine import Held, held, is_held
from mta.journal.reader import JournalReader
from mta.journal.text import event_json
from mta.journal.timeline import story
from mta.model.ids import decode_id
from mta.model.message import Message
from mta.model.message_json import message_json
from mta.model.selection import Way, summary
from mta.model.supposition import Supposition

#: Messages read at once.
_PAGE = 200

B = TypeVar("B", bound=Body)
D = TypeVar("D", bound=Deed)


class ControlApi:
    """Answers the ``mta`` command.

    :param queue: does what is asked.
    :param reader: looks at the queue, synchronously (``mta.queue.reader.QueueReader``).
    :param journal: looks at the journal, synchronously.
    :param reload: reads the configuration anew; answers JSON values; raises
        :class:`~mta.config.problem.ConfigurationError` if nothing was changed.
    :param status: numbers about the server, JSON values.
    :param test: plays a message through.
    :param run_in_thread: ``(callable, *args) -> Deferred`` on a bounded pool.
    :param rules: keeps the rules of mailboxes (``mta.rules.desk.Desk``).
    :param administration: changes tenants and keys (``mta.registry.administration.Administration``).
    :param protection: bans and watched accounts (``mta.protection.Protection``).
    :param reporters: what sends reports, by settings table (``mta.daily_report.reporter``); of what is not
        there another worker sends them.
    :param alerts: the rules of ``[[alert]]`` (``mta.alert.watch.AlertWatch``); ``None``: another worker's.
    """

    _log = Logger()
    app = Klein()

    def __init__(
        self,
        queue: IQueue,
        reader: Any,
        journal: JournalReader,
        reload: Callable[[], Awaitable[dict[str, Any]]],
        status: Callable[[], dict[str, Any]],
        test: Callable[[Supposition], Awaitable[dict[str, Any]]],
        run_in_thread: Callable[..., Awaitable[Any]] = deferToThread,
        protection: Any = None,
        reporters: Mapping[str, Any] | None = None,
        alerts: Any = None,
        administration: Any = None,
        rules: Any = None,
    ) -> None:
        self._queue = queue
        self._reader = reader
        self._journal = journal
        self._reload = reload
        self._status = status
        self._test = test
        self._run = run_in_thread
        self._protection = protection
        self._reporters = reporters or {}
        self._alerts = alerts
        self._administration = administration
        self._rules = rules

    def site(self) -> Site:
        """What the socket's listener serves."""
        site = Site(self.app.resource())
        site.displayTracebacks = False
        # Acts are in the journal; look-ups need no line in the log.
        site.log = lambda request: None  # type: ignore[method-assign]
        return site

    # --- looking -------------------------------------------------------------

    @app.route("/v1/status", methods=["GET"])
    def status(self, request: IRequest) -> Any:
        """Numbers about the server and its queue."""
        return self._answer(request, self._get_status())

    async def _get_status(self) -> dict[str, Any]:
        return {**self._status(), "count": await self._run(self._reader.count)}

    @app.route("/v1/queue", methods=["GET"])
    def page(self, request: IRequest) -> Any:
        """A page of the queue."""
        return self._answer(request, self._get_page(request))

    async def _get_page(self, request: IRequest) -> dict[str, Any]:
        page = read_query(Page, request.args)
        sites = await self._sites() if page.site else {}

        def read() -> dict[str, Any]:
            messages = [message_json(message) for message in islice(self._chosen(page, sites), page.limit)]
            more = messages[-1]["id"] if len(messages) == page.limit else None
            return {"messages": messages, "next": more, "count": self._reader.count()}

        return await self._run(read)  # type: ignore[no-any-return]

    async def _sites(self) -> Mapping[Way, Sequence[str]]:
        """Hosts behind every next hop of this shard's queue."""
        return await self._queue.sites(await self._run(self._reader.ways))

    def _chosen(self, page: Page, sites: Mapping[Way, Sequence[str]]) -> Iterator[Message]:
        """What fits, read piece by piece; in a thread."""
        selection, after = page.selection(sites), page.after
        while True:
            found = self._reader.page(
                after,
                _PAGE,
                sender=page.sender,
                recipient=page.recipient,
                state=page.state,
                domain=page.domain,
            )
            yield from filter(selection.fits, found)
            if len(found) < _PAGE:
                return
            after = found[-1].id

    @app.route("/v1/queue/summary", methods=["GET"])
    def summary(self, request: IRequest) -> Any:
        """What waits in this shard, by destination, tenant and so on."""
        return self._answer(request, self._get_summary(request))

    async def _get_summary(self, request: IRequest) -> dict[str, Any]:
        query = read_query(Summary, request.args)
        sites = await self._sites() if query.site or query.by == "site" else {}

        def read() -> dict[str, Any]:
            groups = summary(self._chosen(query, sites), query.by, time.time(), sites)
            return {"groups": [group.to_json() for group in groups[: query.limit]], "all": len(groups)}

        return await self._run(read)  # type: ignore[no-any-return]

    @app.route("/v1/queue/sites", methods=["GET"])
    def sites(self, request: IRequest) -> Any:
        """Which hosts are behind the next hops of this shard's queue."""
        return self._answer(request, self._get_sites())

    async def _get_sites(self) -> dict[str, Any]:
        found = await self._sites()
        return {
            "sites": [
                {"transport": name, "next_hop": hop, "hosts": list(hosts)}
                for (name, hop), hosts in found.items()
            ]
        }

    @app.route("/v1/queue/<identifier>", methods=["GET"])
    def message(self, request: IRequest, identifier: str) -> Any:
        """One message of the queue."""
        return self._answer(request, self._get_message(identifier))

    async def _get_message(self, identifier: str) -> dict[str, Any]:
        name = _checked(identifier)
        message = await self._run(self._reader.get, name)
        if message is None:
            raise ApiProblem(
                404,
                "No such message in the queue",
                f"{name} is not in the queue; `mta trace {name}` tells what became of it",
            )
        return message_json(message)

    @app.route("/v1/quarantine", methods=["GET"])
    def quarantine(self, request: IRequest) -> Any:
        """What is held, and why."""
        return self._answer(request, self._get_quarantine(request))

    async def _get_quarantine(self, request: IRequest) -> dict[str, Any]:
        page = read_query(Page, request.args).model_copy(update={"state": "held"})

        sites = await self._sites() if page.site else {}

        def read() -> dict[str, Any]:
            messages = [
                self._held(message).to_json() for message in islice(self._chosen(page, sites), page.limit)
            ]
            more = messages[-1]["id"] if len(messages) == page.limit else None
            return {"messages": messages, "next": more}

        return await self._run(read)  # type: ignore[no-any-return]

    def _held(self, message: Message) -> Held:
        return held(message, [record.event for record in self._journal.message(message.id)])

    @app.route("/v1/quarantine/<identifier>", methods=["GET"])
    def held_message(self, request: IRequest, identifier: str) -> Any:
        """One message that is held, with its content."""
        return self._answer(request, self._get_held(identifier))

    async def _get_held(self, identifier: str) -> dict[str, Any]:
        name = _checked(identifier)

        def read() -> dict[str, Any]:
            message = self._reader.get(name)
            if message is None or not is_held(message):
                raise ApiProblem(
                    404,
                    "No such message is held",
                    f"{name} is not held; `mta trace {name}` tells what became of it",
                )
            octets = message.trace + message.content.read()
            return {**self._held(message).to_json(), "content": octets.decode("utf-8", "surrogateescape")}

        return await self._run(read)  # type: ignore[no-any-return]

    @app.route("/v1/trace", methods=["GET"])
    def trace(self, request: IRequest) -> Any:
        """Events: of a message, under a word, or the newest."""
        return self._answer(request, self._get_trace(request))

    async def _get_trace(self, request: IRequest) -> dict[str, Any]:
        search = read_query(Search, request.args)

        def read() -> dict[str, Any]:
            try:
                decode_id(search.word)
            except ValueError:
                pass
            else:
                records = self._journal.message(search.word)
                if records:
                    queued = self._reader.get(search.word.lower())
                    return story([record.event for record in records], queued).to_json()
            options: dict[str, Any] = {"since": search.since, "until": search.until, "limit": search.limit}
            if search.word:
                records = self._journal.find(search.word, rejected=search.rejected, **options)
            else:
                records = self._journal.recent(rejected=search.rejected, **options)
            return {"events": [event_json(record.event) for record in records]}

        return await self._run(read)  # type: ignore[no-any-return]

    @app.route("/v1/alerts", methods=["GET"])
    def alerts(self, request: IRequest) -> Any:
        """The rules for alerts, and how they stand."""

        async def look() -> dict[str, Any]:
            return {"rules": self._alerts.status() if self._alerts else []}

        return self._answer(request, look())

    # --- acting --------------------------------------------------------------

    @app.route("/v1/queue/hold", methods=["POST"])
    def hold(self, request: IRequest) -> Any:
        """Keep messages from being delivered."""
        return self._act(request, Act, lambda body, by: self._queue.hold(body.ids, by, body.reason))

    @app.route("/v1/queue/release", methods=["POST"])
    def release(self, request: IRequest) -> Any:
        """End a hold."""
        return self._act(request, Act, lambda body, by: self._queue.release(body.ids, by, body.reason))

    @app.route("/v1/queue/retry", methods=["POST"])
    def retry(self, request: IRequest) -> Any:
        """Try messages now."""
        return self._act(request, Act, lambda body, by: self._queue.retry(body.ids, by, body.reason))

    @app.route("/v1/queue/reschedule", methods=["POST"])
    def reschedule(self, request: IRequest) -> Any:
        """Give messages another time."""

        async def act() -> dict[str, Any]:
            body = _body(Reschedule, request)
            by = who(request, body.by)
            try:
                return {"count": await self._queue.reschedule(body.ids, by, body.at, body.reason)}
            except ValueError as error:
                raise ApiProblem(400, "This time cannot be given", str(error)) from None

        return self._answer(request, act())

    @app.route("/v1/queue/move", methods=["POST"])
    def move(self, request: IRequest) -> Any:
        """Send messages another way."""

        async def act() -> dict[str, Any]:
            body = _body(Move, request)
            by = who(request, body.by)
            try:
                count = await self._queue.move(body.ids, by, body.transport, body.next_hop, body.reason)
            except ValueError as error:
                raise ApiProblem(400, "This way does not exist", str(error)) from None
            return {"count": count}

        return self._answer(request, act())

    @app.route("/v1/queue/bounce", methods=["POST"])
    def bounce(self, request: IRequest) -> Any:
        """Return messages to their senders."""
        return self._act(request, Bounce, lambda body, by: self._queue.bounce(body.ids, by, body.reason))

    @app.route("/v1/queue/remove", methods=["POST"])
    def remove(self, request: IRequest) -> Any:
        """Take messages out of the queue."""
        return self._act(
            request,
            Removal,
            lambda body, by: self._queue.remove(body.ids, by, body.reason, body.notify),
        )

    @app.route("/v1/quarantine/release", methods=["POST"])
    def release_held(self, request: IRequest) -> Any:
        """Let what is held go on."""
        return self._act(request, Act, lambda body, by: self._queue.release(body.ids, by, body.reason))

    @app.route("/v1/quarantine/remove", methods=["POST"])
    def remove_held(self, request: IRequest) -> Any:
        """Take away what is held; what is not held stays."""

        async def act() -> dict[str, Any]:
            body = _body(Removal, request)

            def read() -> list[str]:
                found = (self._reader.get(identifier) for identifier in body.ids)
                return [message.id for message in found if message is not None and is_held(message)]

            ids = await self._run(read)
            by = who(request, body.by)
            count = await self._queue.remove(ids, by, body.reason, body.notify) if ids else 0
            return {"count": count}

        return self._answer(request, act())

    @app.route("/v1/queue/suspend", methods=["POST"])
    def suspend(self, request: IRequest) -> Any:
        """Let nothing go to destinations."""
        return self._act(
            request, Suspend, lambda body, by: self._queue.suspend(body.pattern, by, body.reason, body.until)
        )

    @app.route("/v1/queue/resume", methods=["POST"])
    def resume(self, request: IRequest) -> Any:
        """End a suspension."""
        return self._act(request, Resume, lambda body, by: self._queue.resume(body.pattern, by, body.reason))

    @app.route("/v1/queue/flush", methods=["POST"])
    def flush(self, request: IRequest) -> Any:
        """Try everything now."""
        return self._act(request, Flush, lambda body, by: self._queue.flush(by))

    @app.route("/v1/alerts/test", methods=["POST"])
    def test_alert(self, request: IRequest) -> Any:
        """Tell everybody of a rule that somebody tries it out."""

        async def act() -> dict[str, Any]:
            told = await self._alerts.test(_body(AlertTest, request).rule) if self._alerts else None
            if told is None:
                raise ApiProblem(404, "No such alert", "`mta alert list` has all, with their names")
            return {"told": told}

        return self._answer(request, act())

    @app.route("/v1/ban", methods=["POST"])
    def ban(self, request: IRequest) -> Any:
        """Let a network in no more."""

        async def act() -> dict[str, Any]:
            body = _body(BanBody, request)
            seconds = max(1.0, body.until - time.time()) if body.until else 0.0
            by = who(request, body.by)
            try:
                return {"network": await self._protection.bans.add(body.network, by, body.reason, seconds)}
            except ValueError as error:
                raise ApiProblem(400, "This is no network", str(error)) from None

        return self._answer(request, act())

    @app.route("/v1/ban/lift", methods=["POST"])
    def lift(self, request: IRequest) -> Any:
        """End a ban."""

        async def act() -> dict[str, Any]:
            body = _body(BanBody, request)
            by = who(request, body.by)
            try:
                return {"lifted": await self._protection.bans.lift(body.network, by, body.reason)}
            except ValueError as error:
                raise ApiProblem(400, "This is no network", str(error)) from None

        return self._answer(request, act())

    @app.route("/v1/account/suspend", methods=["POST"])
    def suspend_account(self, request: IRequest) -> Any:
        """Take no more mail of an account, as ``abuse.action`` has it."""

        async def act() -> dict[str, Any]:
            body = _body(AccountBody, request)
            by = who(request, body.by)
            return {"count": int(await self._protection.guard.suspend(body.account, by, body.reason))}

        return self._answer(request, act())

    @app.route("/v1/account/resume", methods=["POST"])
    def resume_account(self, request: IRequest) -> Any:
        """Take it again."""

        async def act() -> dict[str, Any]:
            body = _body(AccountBody, request)
            by = who(request, body.by)
            return {"count": int(await self._protection.guard.resume(body.account, by, body.reason))}

        return self._answer(request, act())

    @app.route("/v1/reload", methods=["POST"])
    def reload(self, request: IRequest) -> Any:
        """Read configuration, users, aliases and certificates anew."""

        async def act() -> dict[str, Any]:
            return await self._reload()

        return self._answer(request, act())

    @app.route("/v1/tls-reports/send", methods=["POST"])
    def send_tls_reports(self, request: IRequest) -> Any:
        """Send the TLS reports of a day now, as far as they were not sent."""
        return self._answer(request, self._send_reports(request, "tls_report"))

    @app.route("/v1/dmarc-reports/summary", methods=["GET"])
    def dmarc_summary(self, request: IRequest) -> Any:
        """Who sends in our name, by the reports of others that this shard got."""

        async def read() -> dict[str, Any]:
            query = read_query(DmarcSummary, request.args)
            return await self._run(dmarc_summary, self._journal, query)  # type: ignore[no-any-return]

        return self._answer(request, read())

    @app.route("/v1/dmarc-reports/send", methods=["POST"])
    def send_dmarc_reports(self, request: IRequest) -> Any:
        """Send the DMARC reports of a day now, as far as they were not sent."""
        return self._answer(request, self._send_reports(request, "dmarc_report"))

    async def _send_reports(self, request: IRequest, table: str) -> dict[str, Any]:
        body = _body(DailyReports, request)
        return await sent(self._reporters, table, body, who(request, body.by))

    @app.route("/v1/registry/<action>", methods=["POST"])
    def registry(self, request: IRequest, action: str) -> Any:
        """Look at tenants, domains and keys, and change them."""
        content = request.content.read()
        return self._answer(request, administered(self._administration, action, content, who(request, "")))

    @app.route("/v1/rules", methods=["POST"])
    def rules(self, request: IRequest) -> Any:
        """Give a mailbox other rules."""
        return self._answer(
            request, changed(self._rules, request.content.read(), lambda by: who(request, by))
        )

    @app.route("/v1/test", methods=["POST"])
    def test(self, request: IRequest) -> Any:
        """Play a message through, sending nothing."""

        async def act() -> dict[str, Any]:
            body = _body(Rehearsal, request)
            return await self._test(body.supposition())

        return self._answer(request, act())

    # --- answering -----------------------------------------------------------

    @app.handle_errors(HTTPException)
    def not_found(self, request: IRequest, failure: Failure) -> bytes:
        """No such place, or not with this method."""
        wrong: Any = failure.value
        path = request.path.decode("ascii", "replace")
        detail = f"{request.method.decode('ascii', 'replace')} {path} is nothing here"
        return _write(request, ApiProblem(wrong.code or 500, wrong.name, detail))

    def _act(self, request: IRequest, model: type[D], act: Callable[[D, str], Awaitable[int]]) -> Any:
        """Do something with the queue in somebody's name, and answer how much it was done to."""

        async def done() -> dict[str, Any]:
            body = _body(model, request)
            return {"count": await act(body, who(request, body.by))}

        return self._answer(request, done())

    def _answer(self, request: IRequest, work: Any) -> Deferred[bytes]:
        return Deferred.fromCoroutine(self._answered(request, work))

    async def _answered(self, request: IRequest, work: Awaitable[Any]) -> bytes:
        try:
            answer = await work
        except ApiProblem as problem:
            return _write(request, problem)
        except ConfigurationError as error:
            problems = [problem.to_json() for problem in error.problems]
            return _write(
                request, ApiProblem(422, "The configuration has errors", str(error), problems=problems)
            )
        except TemporarilyUnavailable as trouble:
            return _write(request, ApiProblem(503, "Not available now", str(trouble)))
        except Exception:
            self._log.failure("Control request {path} failed", path=request.path)
            return _write(
                request, ApiProblem(500, "Trouble on our side", "the server's log tells what failed")
            )
        request.setHeader("content-type", "application/json")
        return json.dumps(answer, default=str).encode() + b"\n"


def _body(model: type[B], request: IRequest) -> B:
    return read_body(model, request.content.read())


def _write(request: IRequest, problem: ApiProblem) -> bytes:
    request.setResponseCode(problem.status)
    request.setHeader("content-type", "application/problem+json")
    return problem.encode()


def _checked(identifier: str) -> str:
    try:
        decode_id(identifier)
    except ValueError as error:
        raise ApiProblem(400, "This is no queue id", str(error)) from None
    return identifier.lower()
