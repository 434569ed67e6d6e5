"""What the parts of a configuration need of the process: threads, DNS, addresses to listen at, TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from mta.certificate import CertificateError, ServerContext, self_signed
from mta.config.loading import Loaded
from mta.config.problem import ConfigurationError, Problem
from mta.config.providers import provider_shapes
from mta.config.settings import Settings, Shape
from mta.https.authorities import trust_of
from mta.interfaces import Ledger, PluginContext
from mta.journal.history import History
from mta.model.bounce_data import classifier
from mta.model.network import is_within
from mta.queue.follow_ups import FollowUps
from mta.route.dane_records import DaneRecords
from mta.route.egress import Egress
from mta.route.exchangers import Exchangers
from mta.route.mta_sts import StsPolicies
from mta.route.mta_sts_cache import StsCache
from mta.route.mta_sts_fetch import PolicyFetcher
from mta.route.own_addresses import OwnAddresses
from mta.route.resolver import Resolver, is_loopback
from mta.route.shaping import Shaping
from mta.route.tls_demands import Published, TlsDemands
from mta.rules.memory import NAME as MEMORY
from mta.rules.memory import Memory
from mta.rules.sorter import Sorter
from mta.tls_report.post import ReportPoster

#: Roles of listeners that speak SMTP or LMTP.
ROLES = ("mx", "submission", "submissions", "lmtp")


def shapes_of(settings: Settings) -> list[Shape]:
    """What destinations are given at the most: the providers' tables, then the operator's."""
    return [*(provider_shapes() if settings.relay.providers else ()), *settings.shape]


class Environment:
    """What parts need of the process: threads, DNS, and the context for plugins.

    :param reactor: the reactor.
    :param loaded: the configuration.
    :param remember: whether what is found out is for later starts, too.
    :param ledger: what all workers remember together; a server has one.
    :raise ConfigurationError: if the servers of the DNS are none.
    """

    def __init__(
        self, reactor: Any, loaded: Loaded, remember: bool = True, ledger: Ledger | None = None
    ) -> None:
        settings = loaded.settings
        self.threads = ThreadPool(1, 8, "mta")
        self.run_in_thread: Callable[..., Any] = lambda function, *args: deferToThreadPool(
            reactor, self.threads, function, *args
        )
        self.own_addresses = OwnAddresses()
        try:
            self.resolver = Resolver(
                reactor,
                settings.dns.servers,
                settings.dns.timeout,
                stale=settings.dns.stale,
                trusted=lambda address: is_loopback(address) or is_within(address, settings.dns.trusted),
            )
        except ValueError as error:
            what = str(error).removeprefix("dns.servers: ")
            raise ConfigurationError([loaded.problem(("dns", "servers"), what)]) from None
        self.exchangers = Exchangers(
            self.resolver,
            hostname=settings.hostname,
            port=settings.relay.port,
            own_addresses=self.own_addresses,
            ipv6=settings.relay.ipv6,
        )
        self.exchangers.call_us(settings.backup_mx.names)
        self.shaping = Shaping(shapes_of(settings), settings.workers)
        self.egress = Egress(self.shaping, settings.egress, settings.egress_pool)
        self.journal = History(loaded.state / "spool", self.run_in_thread)
        self.classifier = classifier(one.rule() for one in settings.bounce)
        self.sts = StsPolicies(
            reactor,
            self.resolver,
            PolicyFetcher(reactor, self.resolver).fetch,
            StsCache(loaded.state / "mta-sts.db" if remember else None),
            self.run_in_thread,
        )
        published = Published(DaneRecords(self.resolver), self.sts, settings.relay.port)
        self.demands = TlsDemands(settings.tls_policy, settings.relay.tls, published, reactor)
        #: Told of folders of Maildirs, by their paths, into which something came.
        self.delivered: Callable[[Iterable[bytes]], None] = lambda folders: None
        #: Gives the parts in use (:class:`~mta.parts.Parts`), once there are any.
        self.parts: Callable[[], Any] = lambda: None
        self._rules = settings
        self.sorter = Sorter(
            Memory(loaded.state / MEMORY),
            loaded.state / "mailboxes",
            lambda: self._rules.rules,
            lambda: [name.lower() for name in self._rules.domains],
            reactor.seconds,
        )
        self.context = PluginContext(
            reactor=reactor,
            state=str(loaded.state),
            base=str(loaded.base),
            hostname=settings.hostname,
            resolver=self.resolver,
            run_in_thread=self.run_in_thread,
            exchangers=self.exchangers,
            shaping=self.shaping,
            egress=self.egress,
            journal=self.journal,
            classify=lambda reply, next_hop: self.classifier.classify(reply, next_hop),
            tls_demands=self.demands,
            ledger=ledger,
            delivered=lambda folders: self.delivered(folders),
            sorter=self.sorter,
        )

    def use(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self._rules = settings
        self.shaping.use(shapes_of(settings))
        self.egress.use(settings.egress, settings.egress_pool)
        self.demands.use(settings.tls_policy, settings.relay.tls, settings.relay.port)
        self.exchangers.use(settings.relay.port, settings.relay.ipv6)
        self.exchangers.call_us(settings.backup_mx.names)
        self.classifier = classifier(one.rule() for one in settings.bounce)

    def follow_ups(self, new_id: Callable[[], str], parts: Callable[[], Any]) -> FollowUps:
        """What makes what follows from rules of mailboxes.

        :param new_id: gives queue ids.
        :param parts: gives the parts in use (:class:`~mta.parts.Parts`).
        """

        self.parts = parts

        def return_path(message: str, sender: str, original: str, address: str) -> Any:
            give = parts().return_path
            return None if give is None else give(message, sender, original, address)

        return FollowUps(
            hostname=self.context.hostname,
            new_id=new_id,
            route=lambda address: parts().departures.notifications(parts().router.route)(address),
            return_path=return_path,
            run_in_thread=self.run_in_thread,
            sign=lambda data, now: parts().signer.own(data, now),
            expire=lambda: parts().loaded.settings.queue.expire,
        )


def endpoints(loaded: Loaded) -> list[tuple[str, str]]:
    """(role, endpoint) of each network listener."""
    listen = loaded.settings.listen
    return [
        (role, item)
        for role in (*ROLES, "pop3", "pop3s", "imap", "imaps", "http")
        for item in getattr(listen, role)
    ]


def server_certificate(loaded: Loaded, now: float, before: ServerContext | None = None) -> ServerContext:
    """Our certificate, self-signed if there is none.

    :param before: the one in use; it reads the files that are configured now.
    :raise ConfigurationError: if it cannot be used.
    """
    tls = loaded.settings.tls
    try:
        if tls.certificate:
            certificate, key = loaded.resolve(tls.certificate), loaded.resolve(tls.key)
        else:
            certificate, key = self_signed(loaded.state / "tls", loaded.settings.hostname, now)
        if before is None:
            return ServerContext(certificate, key, tls.minimum)
        before.use(certificate, key, tls.minimum)
        return before
    except CertificateError as error:
        raise ConfigurationError([_tls_problem(loaded, str(error))]) from None
    except OSError as error:
        raise ConfigurationError([_tls_problem(loaded, f"{error.filename}: {error.strerror}")]) from None


def report_poster(loaded: Loaded, environment: Environment) -> ReportPoster:
    """What posts TLS reports.

    :raise ConfigurationError: if the authorities to trust cannot be read.
    """
    settings = loaded.settings.tls_report
    try:
        trust = trust_of(loaded.resolve(settings.authorities)) if settings.authorities else None
    except ValueError as error:
        raise ConfigurationError([loaded.problem(("tls_report", "authorities"), str(error))]) from None
    return ReportPoster(environment.context.reactor, environment.resolver, trust, settings.private)


def _tls_problem(loaded: Loaded, what: str) -> Problem:
    what, _, key = what.partition("; set tls.")
    remedy = f"name the right file in {key}" if key else "check its permissions"
    return loaded.problem(("tls", key) if key else ("tls",), what, remedy)
