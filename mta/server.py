"""The composition root: the one place that knows how the parts of a worker are joined.

:mod:`mta.service` makes it; :mod:`mta.examination` joins the same parts without a server.
"""

from __future__ import annotations

import gc
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from mta.alerting import alerting
from mta.api.control import ControlApi
from mta.application import SendingApi
from mta.certificate_watch import CertificateWatch
from mta.config.automations import automations_of
from mta.config.loading import Loaded, load
from mta.config.problem import ConfigurationError
from mta.config.settings import Settings
from mta.doorway import Doorway
from mta.environment import Environment, endpoints, report_poster, server_certificate
from mta.examination import rehearse_with
from mta.fetching import Fetching
from mta.first_run import command, on_loopback, welcome
from mta.hangup import Hangup
from mta.identity.secret import load_secret
from mta.intake.reception import Reception
from mta.journal.log import LogSink
from mta.journal.reader import JournalReader
from mta.journal.security import SecurityCounts
from mta.listener import Listener
from mta.model.ids import SessionIds
from mta.model.supposition import Supposition
from mta.parts import Parts, assemble
from mta.plugins import Kinds
from mta.protection import Protection
from mta.queue.account_mail import hold_mail_of
from mta.queue.letters import Letters
from mta.queue.manager import Manager
from mta.queue.reader import QueueReader
from mta.queue.spool import Spool
from mta.queue.suspensions import Suspensions
from mta.queue.tally import Tally
from mta.receiving import Receiving
from mta.reporting import reporters
from mta.shards import part_of
from mta.smtp.connections import Connections
from mta.worker import UnixSocket, Worker

_log = Logger()

#: Settings that are read once, when the server starts.
_FIXED = ("hostname", "state", "workers", "listen", "dns", "journal", "log")


class Server:
    """Joins the parts of one worker.

    :param reactor: the reactor.
    :param loaded: the configuration.
    :param checkers: further credentials checkers.
    :param shard: which shard of the spool is ours.
    :param inherit: (role, endpoint, descriptor) of each socket to adopt.
    :param password: of the first account, if it was made just now.
    :param hangup: tells of a signal to reload.
    :raise ConfigurationError: with everything that is wrong.
    """

    def __init__(
        self,
        reactor: Any,
        loaded: Loaded,
        checkers: Sequence[Any] = (),
        shard: int = 0,
        inherit: Sequence[tuple[str, str, int]] = (),
        password: str | None = None,
        hangup: Hangup | None = None,
    ) -> None:
        settings = loaded.settings
        self._hangup = hangup or Hangup()
        self._reactor = reactor
        self._loaded = loaded
        self._checkers = checkers
        self._password = password
        self._first = shard == 0
        session_id = SessionIds(reactor.seconds, secrets.randbits(20)).next
        self.protection = protection = Protection(
            reactor,
            loaded,
            lambda events: environment.journal.note(events),
            lambda to, subject, text: self._letters.send(to, subject, text),
            lambda message: environment.journal.message(message),
            lambda account, reason: hold_mail_of(
                account, directory, self.manager.hold, environment.run_in_thread, "abuse", reason
            ),
        )
        self._environment = environment = Environment(reactor, loaded, ledger=protection.ledger)
        self._secret = load_secret(loaded.state)
        self._kinds = Kinds()
        self.parts = parts = assemble(
            loaded,
            self._kinds,
            environment.context,
            self._secret,
            environment.own_addresses,
            checkers,
            guard=protection.guard,
            strike=protection.strike,
            tenants=self._may_send_as,
        )
        self._tls = server_certificate(loaded, reactor.seconds())
        run = loaded.state / "run"
        directory = loaded.state / "spool" / str(shard)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.spool = Spool(
            directory,
            reactor,
            shard=shard,
            inline=settings.queue.inline,
            minimum_free=settings.queue.minimum_free,
            keep=settings.journal.keep,
            journal_size=part_of(settings.journal.max_size, settings.workers),
        )
        environment.journal.note = self.spool.note
        self._certificates = CertificateWatch(reactor, self._tls, self.spool.note, shard == 0)
        self._security = SecurityCounts(reactor.seconds)
        watching = (LogSink(loaded.settings.log.level), protection.bans, protection.guard, self._security)
        self._unsubscribe = [self.spool.subscribe(sink) for sink in watching]
        self._unsubscribe_plugins = [self.spool.subscribe(sink) for sink in parts.sinks]
        self.manager = Manager(
            reactor,
            self.spool,
            parts.transports,
            settings.queue,
            hostname=settings.hostname,
            route=lambda address: self.parts.departures.notifications(self.parts.router.route)(address),
            shaping=environment.shaping,
            egress=environment.egress,
            tally=Tally(loaded.state / "warm-up.db"),
            suspensions=Suspensions(loaded.state / "suspensions.json", reactor.seconds),
            classifier=environment.classifier,
            run_in_thread=environment.run_in_thread,
            sign=lambda data, now: self.parts.signer.own(data, now),
            follow_ups=environment.follow_ups(self.spool.new_id, lambda: self.parts),
        )
        self.manager.automate(automations_of(settings))
        self.reception = Reception(
            reactor=reactor,
            hostname=settings.hostname,
            spool=self.spool,
            inline=settings.queue.inline,
            has_room=self.spool.has_room,
            admitted=self.manager.admitted,
            run_in_thread=environment.run_in_thread,
            **_terms(settings, parts),
        )
        self._letters = Letters(
            spool=self.spool,
            admitted=self.manager.admitted,
            route=lambda address: self.parts.departures.notifications(self.parts.router.route)(address),
            hostname=settings.hostname,
            seconds=reactor.seconds,
        )
        self._alerts = None
        if shard == 0:
            self._alerts = alerting(
                reactor,
                loaded,
                certificate=self._tls,
                note=self.spool.note,
                write=self._letters.write,
                run_in_thread=environment.run_in_thread,
                counted=lambda: self.api.counting.current(),
            )
            self._unsubscribe.append(self.spool.subscribe(self._alerts))
        connections = Connections(settings.limits, protection.bans.refusal)
        self._connections = connections
        self.receiving = Receiving(
            reactor, settings, self.reception, lambda: self.parts, self._tls, connections, session_id
        )
        self.fetching = Fetching(
            reactor, loaded, environment, lambda: self.parts, self._tls, connections, session_id
        )
        self._poster = report_poster(loaded, environment)
        self.reporters = (
            reporters(
                reactor,
                loaded,
                environment,
                spool=self.spool,
                admitted=self.manager.admitted,
                parts=lambda: self.parts,
                post=lambda url, data: self._poster.post(url, data),
            )
            if shard == 0
            else {}
        )
        self.api = SendingApi(
            reactor,
            loaded,
            environment,
            shard=shard,
            secret=self._secret,
            skip_ids=self.spool.skip_ids,
            reception=self.reception,
            queue=self.manager,
            session_id=session_id,
            note=lambda event: self.spool.note((event,)),
            health=self.health,
            status=self.status,
        )
        self._unsubscribe += [self.spool.subscribe(sink) for sink in self.api.sinks]
        self.doorway = Doorway(
            loaded,
            lambda: self.api.application.app.resource(),
            reactor=reactor,
            environment=environment,
            shard=shard,
            api=self.api,
            protection=protection,
            queue=self.manager,
            parts=lambda: self.parts,
            note=lambda event: self.spool.note((event,)),
            status=self.status,
        )
        self.reception.suppressing = self.api.suppressing(settings)
        self.reception.linking = self.api.linking
        control = ControlApi(
            queue=self.manager,
            reader=QueueReader(directory),
            journal=JournalReader([directory / "queue.db"]),
            reload=lambda: self.service.reload(),
            status=self.status,
            test=self.rehearse,
            run_in_thread=environment.run_in_thread,
            protection=self.protection,
            reporters=self.reporters,
            alerts=self._alerts,
            administration=self.api.administration,
            rules=self.api.rules,
        )
        sockets = [UnixSocket(reactor, run / f"control-{shard}.sock", control.site(), 0o600)]
        sockets.append(UnixSocket(reactor, run / f"api-{shard}.sock", self.api.operator_site, 0o600))
        if shard == 0:
            sockets.append(UnixSocket(reactor, run / "submit.sock", self.receiving.listening("local"), 0o666))
        self.service = Worker(
            reactor,
            shard=shard,
            spool=self.spool,
            manager=self.manager,
            listeners=self._listeners(inherit),
            sockets=sockets,
            sessions=[*self.receiving.factories.values(), *self.fetching.factories.values(), self.api],
            plugins=lambda: [
                *self.parts.plugins,
                environment.sts,
                self.api,
                self._certificates,
                self.fetching,
                *self.reporters.values(),
                *filter(None, (self._alerts,)),
            ],
            threads=environment.threads,
            renew=self.renew,
            ready=self._ready,
            failed=self._failed,
            ledger=protection,
        )
        self.api.reload_soon = self.service.reload_soon

    def _listeners(self, inherit: Sequence[tuple[str, str, int]]) -> list[tuple[Listener, Any]]:
        adopted = {(role, description): descriptor for role, description, descriptor in inherit}
        listeners = []
        for role, description in endpoints(self._loaded):
            factory: Any
            if role == "http":
                factory = self.doorway.site
            elif role in self.receiving.factories:
                factory = self.receiving.listening(role)
            else:
                factory = self.fetching.listening(role)
            descriptor = adopted.get((role, description))
            listeners.append((Listener(self._reactor, role, description, descriptor), factory))
        return listeners

    # --- reload --------------------------------------------------------------

    def _may_send_as(self, account: str, address: str) -> Any:
        return self.api.may_send_as(account, address)

    async def renew(self) -> dict[str, Any]:
        """Read everything anew and use it from now on.

        :raise ConfigurationError: with what is wrong; everything stays as it was.
        """
        before = self.parts
        loaded = load(self._loaded.path, str(self._loaded.state))
        after = assemble(
            loaded,
            self._kinds,
            self._environment.context,
            self._secret,
            self._environment.own_addresses,
            self._checkers,
            before,
            self.protection.guard,
            self.protection.strike,
            self._may_send_as,
        )
        poster = report_poster(loaded, self._environment)
        notes = await after.reread()
        try:
            server_certificate(loaded, self._reactor.seconds(), self._tls)
        except ConfigurationError as error:
            notes.append(f"the certificate stays as it was: {error}")
        self._certificates.reloaded()
        for plugin in after.added(before):
            await plugin.start()
        self._poster = poster
        notes += self._use(loaded, after)
        for plugin in before.unused(after):
            plugin.discard()
        return {"reloaded": True, "notes": notes}

    def _use(self, loaded: Loaded, parts: Parts) -> list[str]:
        old, new = self._loaded.settings, loaded.settings
        notes = [f"{name} needs a restart" for name in _FIXED if getattr(old, name) != getattr(new, name)]
        self.parts = parts
        self.reception.replace(**_terms(new, parts))
        self.protection.use(new)
        for table, reporter in self.reporters.items():
            reporter.use(getattr(new, table))
        if self._alerts is not None:
            self._alerts.use(new.alert)
        self._environment.use(new)
        self.manager.replace(new.queue, parts.transports, self._environment.classifier)
        self.manager.automate(automations_of(new))
        self.api.use(new)
        self.doorway.use(new)
        self.fetching.use(loaded)
        self.reception.suppressing = self.api.suppressing(new)
        self.receiving.use(new)
        for unsubscribe in self._unsubscribe_plugins:
            unsubscribe()
        self._unsubscribe_plugins = [self.spool.subscribe(sink) for sink in parts.sinks]
        self._loaded = loaded
        return notes

    # --- being asked ---------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Numbers about this worker, JSON values."""
        factories: Any = {**self.receiving.factories, **self.fetching.factories}
        sessions = {role: len(factory.sessions) for role, factory in factories.items()}
        return {
            "pid": os.getpid(),
            "sessions": sessions,
            "security": self._security.status(),
            "access": self.protection.status(),
            "queue": self.manager.status(),
        }

    def health(self) -> dict[str, Any]:
        """What anybody may know."""
        return {"sessions": self._connections.total, "in_flight": self.manager.status()["in_flight"]}

    async def rehearse(self, supposed: Supposition) -> Any:
        """What would become of a message: see :func:`~mta.intake.rehearsal.rehearse`."""
        answer = await rehearse_with(self.parts, self._environment, self.reception, supposed)
        return self.protection.rehearsed(supposed.client_ip, answer)

    # --- life ----------------------------------------------------------------

    def _ready(self) -> None:
        self.api.batching.begin()
        self.api.sequencing.begin()
        self.api.campaigning.start()
        # What there is by now stays; the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        # A look at everything takes the time of dozens of messages, and finds next to nothing.
        gc.set_threshold(2_000, 10, 100)
        reload = self.service.reload_soon
        self._hangup.serve(lambda: self._reactor.callFromThread(reload))
        listen = self._loaded.settings.listen
        if self._loaded.embedded and listen.submission and self._first:
            maildir = self._loaded.state / "mail" / "localhost" / "user"
            here = Path.cwd()
            mta = command(Path(sys.executable).with_name("mta"), self._loaded.path, here)
            pages = self._loaded.settings.dashboard.enabled
            submission, http, imap = map(on_loopback, (listen.submission, listen.http, listen.imap))
            text = welcome(self._password, submission, maildir, mta, here, http, pages, imap)
            # twistd turns sys.stdout into log lines.
            print(text, file=sys.__stdout__, flush=True)

    def _failed(self, why: str) -> None:
        _log.critical("The server cannot start: {why}", why=why)
        print(f"mta: cannot start: {why}", file=sys.__stderr__, flush=True)
        # twistd has no exit status for a service that fails after it was started.
        self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 69)
        self._reactor.callWhenRunning(self._reactor.stop)


def _terms(settings: Settings, parts: Parts) -> dict[str, Any]:
    """By what the reception answers, which may be another after a reload."""
    return {
        "router": parts.router,
        "pipeline": parts.pipeline,
        "relay_from": settings.access.relay_from,
        "leave": parts.departures.leave,
        "header_size": settings.limits.header_size,
        "expire": settings.queue.expire,
        "bounce_expire": settings.queue.bounce_expire,
        "return_path": parts.return_path,
        "labels": settings.submission,
        "junk": settings.junk,
        "authserv_id": settings.trust.authserv_id,
        "signer": parts.signer or None,
    }
