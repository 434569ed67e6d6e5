"""The control socket: HTTP for the ``mta`` command, over a UNIX socket of mode 0600.

Whoever may open the socket may do everything; there is no further check.  Who
did it (for the journal) is the user at the other end of the socket, as the
kernel knows it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
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
    Rehearsal,
    Removal,
    Reschedule,
    Resume,
    Suspend,
    read_body,
    read_query,
)
from mta.api.peer import who
from mta.api.problem import ApiProblem
from mta.api.queue_view import QueueView
from mta.api.reporting import dmarc_summary, sent
from mta.api.ruling import changed
from mta.config.problem import ConfigurationError
from mta.interfaces import IQueue, TemporarilyUnavailable
from mta.journal.quarantine import is_held
from mta.journal.reader import JournalReader
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
        self._view = QueueView(queue, reader, journal, run_in_thread)
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
        return self._answer(request, self._view.page(request.args))

    @app.route("/v1/queue/summary", methods=["GET"])
    def summary(self, request: IRequest) -> Any:
        """What waits in this shard, by destination, tenant and so on."""
        return self._answer(request, self._view.summary(request.args))

    @app.route("/v1/queue/sites", methods=["GET"])
    def sites(self, request: IRequest) -> Any:
        """Which hosts are behind the next hops of this shard's queue."""
        return self._answer(request, self._view.sites())

    @app.route("/v1/queue/<identifier>", methods=["GET"])
    def message(self, request: IRequest, identifier: str) -> Any:
        """One message of the queue."""
        return self._answer(request, self._view.message(identifier))

    @app.route("/v1/quarantine", methods=["GET"])
    def quarantine(self, request: IRequest) -> Any:
        """What is held, and why."""
        return self._answer(request, self._view.quarantine(request.args))

    @app.route("/v1/quarantine/<identifier>", methods=["GET"])
    def held_message(self, request: IRequest, identifier: str) -> Any:
        """One message that is held, with its content."""
        return self._answer(request, self._view.held(identifier))

    @app.route("/v1/trace", methods=["GET"])
    def trace(self, request: IRequest) -> Any:
        """Events: of a message, under a word, or the newest."""
        return self._answer(request, self._view.trace(request.args))

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
        return self._act(
            request,
            Reschedule,
            lambda body, by: self._queue.reschedule(body.ids, by, body.at, body.reason),
            wrong="This time cannot be given",
        )

    @app.route("/v1/queue/move", methods=["POST"])
    def move(self, request: IRequest) -> Any:
        """Send messages another way."""
        return self._act(
            request,
            Move,
            lambda body, by: self._queue.move(body.ids, by, body.transport, body.next_hop, body.reason),
            wrong="This way does not exist",
        )

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

        async def add(body: BanBody, by: str) -> str:
            seconds = max(1.0, body.until - time.time()) if body.until else 0.0
            network: str = await self._protection.bans.add(body.network, by, body.reason, seconds)
            return network

        return self._act(request, BanBody, add, told="network", wrong="This is no network")

    @app.route("/v1/ban/lift", methods=["POST"])
    def lift(self, request: IRequest) -> Any:
        """End a ban."""
        return self._act(
            request,
            BanBody,
            lambda body, by: self._protection.bans.lift(body.network, by, body.reason),
            told="lifted",
            wrong="This is no network",
        )

    @app.route("/v1/account/suspend", methods=["POST"])
    def suspend_account(self, request: IRequest) -> Any:
        """Take no more mail of an account, as ``abuse.action`` has it."""

        async def suspend(body: AccountBody, by: str) -> int:
            return int(await self._protection.guard.suspend(body.account, by, body.reason))

        return self._act(request, AccountBody, suspend)

    @app.route("/v1/account/resume", methods=["POST"])
    def resume_account(self, request: IRequest) -> Any:
        """Take it again."""

        async def resume(body: AccountBody, by: str) -> int:
            return int(await self._protection.guard.resume(body.account, by, body.reason))

        return self._act(request, AccountBody, resume)

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

    def _act(
        self,
        request: IRequest,
        model: type[D],
        act: Callable[[D, str], Awaitable[Any]],
        told: str = "count",
        wrong: str = "",
    ) -> Any:
        """Do something in somebody's name, and answer what that gave.

        :param told: under which name; how many it was done to, if nothing else is said.
        :param wrong: what a ``ValueError`` means; without it, it is trouble on our side.
        """

        async def done() -> dict[str, Any]:
            body = _body(model, request)
            by = who(request, body.by)
            try:
                return {told: await act(body, by)}
            except ValueError as error:
                if not wrong:
                    raise
                raise ApiProblem(400, wrong, str(error)) from None

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
